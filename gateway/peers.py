"""Who is at the other end of the connection, and who is believed to have been before them.

A TLS-terminating hop in front of the gateway may be named as trusted. From it, and from nobody
else, the caller's address (`X-Forwarded-For`) and certificate (`Client-Cert`, RFC 9440) are taken.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from gateway.call import Call

UNIX: Final = "unix"
"""Names the peers of a Unix socket, which have no address."""
_MOST_HOPS: Final = 16


class Peers:
    """Tells a trusted hop from a caller."""

    def __init__(self, trusted_hops: Iterable[str] = ()) -> None:
        named = set(trusted_hops)
        self._sockets = UNIX in named
        self._networks = tuple(network_of(each) for each in sorted(named - {UNIX}))
        self._known: dict[str, bool] = {}

    def __repr__(self) -> str:
        return f"<Peers {len(self._networks)} networks trusted>"

    @property
    def any_trusted(self) -> bool:
        """Tell whether any hop is trusted at all."""
        return bool(self._networks) or self._sockets

    def trusted(self, call: Call) -> bool:
        """Tell whether the connection comes from a trusted hop."""
        if not self.any_trusted:
            return False
        peer = _peer(call)
        return self._sockets if peer is None else self._trusts(peer)

    def address(self, call: Call) -> str:
        """Answer the caller's address: the nearest one no trusted hop vouches for being a hop.

        What stands further left in `X-Forwarded-For` was written by the caller and says nothing.
        """
        peer = _peer(call)
        if not self.trusted(call):
            return peer or UNIX
        told = call.fields.get(b"x-forwarded-for", b"").decode("latin-1")
        found = peer or UNIX
        for each in reversed(told.split(",")[-_MOST_HOPS:]):
            address = each.strip()
            if _parsed(address) is None:
                return found
            found = address
            if not self._trusts(address):
                return found
        return found

    def _trusts(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            parsed = _parsed(address)
            known = parsed is not None and any(parsed in each for each in self._networks)
            if len(self._known) < 1024:  # noqa: PLR2004  hops are few; callers need not be kept
                self._known[address] = known
        return known


def network_of(text: str) -> IPv4Network | IPv6Network:
    """Read an address or a network; raise `ValueError` for anything else."""
    return ip_network(text, strict=True)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found


def _peer(call: Call) -> str | None:
    client = call.scope.get("client")
    return str(client[0]) if client and client[0] else None
