"""What a configuration says of credentials, checked: keys, certificates, hops, and whose they are.

Every fault at once, and no secret or key is ever repeated in one.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from gateway.call import ConfigFault
from gateway.config import BUILT_IN, Client, GatewayConfig, secret_faults
from gateway.gaps import NO_GAPS, Gaps
from gateway.names import unknown
from gateway.peers import UNIX, network_of

_CERTIFICATE: Final = re.compile(
    r"sha256:[0-9a-f]{64}|dns:[a-z0-9*][a-z0-9.*-]*|uri:\S+|subject:\S.*"
)


def credential_faults(
    name: str, client: Client, scopes: Collection[str], gaps: Gaps = NO_GAPS
) -> list[ConfigFault]:
    """Report the faults of one client's keys, certificates and accounts."""
    place = f"clients.{name}"
    bounded = not gaps.within("clients", name, "scopes")
    faults = [*_key_faults(name, client, scopes, gaps), *_account_faults(place, client)]
    faults += [
        ConfigFault(
            place=f"{place}.certificates",
            value=f"{each!r} names no certificate",
            allowed="sha256:<64 lower-case hex digits>, dns:NAME, uri:NAME, subject:RFC 4514",
            remedy="Name the certificate by its digest, or by a name its authority vouches for.",
        )
        for each in client.certificates
        if not _CERTIFICATE.fullmatch(each)
    ]
    if bounded and (client.keys or client.certificates) and not client.scopes:
        faults.append(
            ConfigFault(
                place=f"{place}.scopes",
                value="none, with keys or certificates",
                allowed="the scopes these may use",
                remedy="A key or certificate carries no scopes of its own: name them.",
            )
        )
    return faults


def _key_faults(
    name: str, client: Client, scopes: Collection[str], gaps: Gaps
) -> Iterator[ConfigFault]:
    for index, key in enumerate(client.keys):
        unnamed = gaps.at("clients", name, "keys", str(index), "id")
        at = f"clients.{name}.keys" + (f"[{index}]" if unnamed else f".{key.id}")
        if not gaps.at("clients", name, "keys", str(index), "secret"):
            yield from secret_faults(f"{at}.secret", key.secret)
        if not gaps.scopes:
            yield from unknown(f"{at}.scopes", key.scopes or (), scopes, "a scope")
        wider = sorted(set(key.scopes or ()) - set(client.scopes))
        if wider and not gaps.within("clients", name, "scopes"):
            yield ConfigFault(
                place=f"{at}.scopes",
                value=f"{', '.join(wider)} beyond those of the client",
                allowed=", ".join(client.scopes) or "none",
                remedy="A key narrows what its client may do; give the scope to the client.",
            )


def _account_faults(place: str, client: Client) -> Iterator[ConfigFault]:
    """`*` in a list would be one customer of that name, where everybody's was meant or feared."""
    for each in client.accounts if client.accounts != "*" else ():
        if each == "*" or not each or each != each.strip():
            yield ConfigFault(
                place=f"{place}.accounts",
                value=f"{each!r} in a list is no customer",
                allowed='"*" or a list of customer ids',
                remedy='List whom the client may act for; only accounts = "*" is everybody.',
            )


def proof_faults(config: GatewayConfig, gaps: Gaps = NO_GAPS) -> Iterator[ConfigFault]:
    """Report secrets that nobody takes, and clients that nothing can prove."""
    taken = config.gateway.issuer.enabled or gaps.at("gateway", "issuer", "enabled")
    for name, client in config.clients.items():
        if client.secrets and not taken:
            yield ConfigFault(
                place=f"clients.{name}.secrets",
                value="a secret, and no issuer of ours to use it at",
                allowed="none without the built-in issuer",
                remedy="Set gateway.issuer.enabled = true, or name the client's own issuer.",
            )
        proven = client.secrets or client.keys or client.certificates or client.disabled
        if client.issuer == BUILT_IN and not proven and not _is_doubtful(name, gaps):
            yield ConfigFault(
                place=f"clients.{name}",
                value="a client that nothing can prove",
                allowed="an issuer of the client's own, or keys, certificates or secrets",
                remedy="Say how it proves itself, or remove it (disabled = true keeps its name).",
            )


def _is_doubtful(name: str, gaps: Gaps) -> bool:
    lines = ("issuer", "secrets", "keys", "certificates", "disabled")
    return any(gaps.within("clients", name, line) for line in lines)


def naming_faults(config: GatewayConfig, gaps: Gaps = NO_GAPS) -> list[ConfigFault]:
    """Report hops that are none, and credentials or names that would speak for two."""
    faults = [
        ConfigFault(
            place="gateway.trusted_hops",
            value=f"{each!r} is no address or network",
            allowed="an address, a network such as 10.0.0.0/8, or unix",
            remedy="Name the hop that ends TLS, as narrowly as it can be.",
        )
        for each in config.gateway.trusted_hops
        if each != UNIX and not _is_network(each)
    ]
    named = {
        "keys": [key.id for client in config.clients.values() for key in client.keys],
        "certificates": [
            each for client in config.clients.values() for each in client.certificates
        ],
    }
    for field, names in named.items():
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            faults.append(
                ConfigFault(
                    place=f"clients.*.{field}",
                    value=f"{', '.join(twice)} named more than once",
                    allowed="each once, for one client",
                    remedy="Give each client its own: a credential says who is calling.",
                )
            )
    trusting = config.gateway.trusted_hops or gaps.within("gateway", "trusted_hops")
    if named["certificates"] and not trusting:
        faults.append(
            ConfigFault(
                place="gateway.trusted_hops",
                value="none, with certificates configured",
                allowed="the hop that ends TLS",
                remedy="Name it: without it no certificate is ever believed.",
            )
        )
    faults += [
        ConfigFault(
            place=f"{section}.{name}",
            value="a name with a colon, or with what is not visible ASCII",
            allowed="1 to 128 characters of visible ASCII without colons",
            remedy="Rename it: colons set apart the consumers that only an issuer names.",
        )
        for section, names in (("clients", config.clients), ("issuers", config.issuers))
        for name in names
        if not re.fullmatch(r"[!-9;-~]{1,128}", name)
    ]
    return faults


def _is_network(text: str) -> bool:
    try:
        network_of(text)
    except ValueError:
        return False
    return True
