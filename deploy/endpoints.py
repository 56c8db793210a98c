"""Where the tiers, the store and the shared state are: addresses of the right kind, no secrets."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.addresses import has_password, read_address
from gateway.call import ConfigFault
from gateway.checking import found_at, leads_nowhere, redis_faults
from gateway.config import GatewayConfig
from gateway.faults import nearest
from gateway.gaps import Gaps

__all__ = ["address_faults", "own_address_faults"]

_STORES: Final = ("postgresql+psycopg", "sqlite")
_REFERENCES: Final = ("env:", "file:")


def address_faults(
    told: Mapping[str, Any], *, store_url: str | None = None, redis_url: str | None = None
) -> Iterator[ConfigFault]:
    """Report addresses of no use, in the document and in the environment, which may hold secrets.

    No secret is ever repeated.
    """
    for tier, address in (told.get("tiers") or {}).items():
        if address is not None:
            yield from _tier_faults(f"tiers.{tier}", address)
    store = (told.get("store") or {}).get("url")
    if store is not None:
        yield from _store_faults("store.url", store)
        yield from _password_faults("store.url", store)
    collector = (told.get("telemetry") or {}).get("traces_endpoint")
    if collector is not None:
        yield from _collector_faults("telemetry.traces_endpoint", collector)
    redis = (told.get("gateway") or {}).get("redis")
    if redis is not None:
        yield from _password_faults("gateway.redis", redis)
    if store_url is not None:
        yield from _store_faults("CROSSDOCK_STORE_URL", store_url)
    if redis_url is not None:
        yield from redis_faults("CROSSDOCK_REDIS_URL", redis_url)


def own_address_faults(config: GatewayConfig, gaps: Gaps) -> Iterator[ConfigFault]:
    """Report services that would be the gateway itself: every call of them would come back."""
    ours = read_address(config.gateway.public_url)
    if ours is None or gaps.at("gateway", "public_url"):
        return
    for name, service in config.services.items():
        read = read_address(service.url)
        if read is not None and read.origin == ours.origin:
            yield ConfigFault(
                place=f"services.{name}.url",
                value=f"{service.url!r} is the gateway's own public address",
                allowed="the address of the service itself",
                remedy="Write where the gateway reaches the service, not where callers do.",
            )


def _tier_faults(place: str, address: str) -> Iterator[ConfigFault]:
    read = read_address(address)
    if read is not None and read.scheme in {"http", "https"} and read.bare:
        return
    if read is not None and "@" in address:
        value = "an address with a secret in it"
    else:
        value = f"{address!r} is no address of a tier"
    yield ConfigFault(
        place=place,
        value=value,
        allowed="http://host:port or https://host:port",
        remedy="Write where that tier is served (crossdock serve).",
    )


def _collector_faults(place: str, address: str) -> Iterator[ConfigFault]:
    if "@" in address or has_password(address):
        value = "an address with a secret in it"
    elif read_address(address) is None:
        value = f"{address!r} is no address that can be dialled"
    else:
        return
    yield ConfigFault(
        place=place,
        value=value,
        allowed="http://host:port/path or https://host:port/path",
        remedy="Name a collector that needs no secret, and let that one hold those of others.",
    )


def _store_faults(place: str, address: str) -> Iterator[ConfigFault]:
    allowed = f"{' or '.join(f'{each}://...' for each in _STORES)}, or env:NAME, file:/path of one"
    told = found_at(address)
    if told is None:
        yield leads_nowhere(place, address, allowed)
        return
    kind, found, rest = told.partition("://")
    near = None
    if not found:
        value = "an address without ://"  # what stands there may be anything: it is not repeated
    elif kind not in _STORES:
        value, near = f"an address of {kind}", nearest(kind, _STORES)
    elif kind == "sqlite" or _is_server(rest):
        return
    else:
        value = "an address without a host, or with a port that is none"
    yield ConfigFault(
        place=place,
        value=value,
        allowed=allowed,
        nearest=near,
        remedy="Name a store of these kinds, or remove the line.",
    )


def _is_server(rest: str) -> bool:
    """Tell whether what follows `://` has a host with a port, or none: a socket of this machine."""
    before, _, _ = rest.partition("?")
    place = before.partition("/")[0] if "@" not in before else before.rpartition("@")[2]
    host = place.partition("/")[0]
    return not host or read_address(f"http://{host}") is not None


def _password_faults(place: str, address: str) -> Iterator[ConfigFault]:
    if address.startswith(_REFERENCES) or not has_password(address):
        return
    yield ConfigFault(
        place=place,
        value="an address with a password in it",
        allowed="an address without one, or env:NAME, file:/path of one",
        remedy="Put the address where only this process reads it, and refer to it from here.",
    )
