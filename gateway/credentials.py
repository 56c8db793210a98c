"""What a configuration says of credentials, checked: keys, certificates, hops, and whose they are.

Every fault at once, and no secret or key is ever repeated in one.
"""

import re
from collections import Counter
from collections.abc import Collection
from typing import Final

from gateway.call import ConfigFault
from gateway.config import Client, GatewayConfig, secret_faults, unknown
from gateway.peers import UNIX, network_of

_CERTIFICATE: Final = re.compile(
    r"sha256:[0-9a-f]{64}|dns:[a-z0-9*][a-z0-9.*-]*|uri:\S+|subject:\S.*"
)


def credential_faults(place: str, client: Client, scopes: Collection[str]) -> list[ConfigFault]:
    """Report the faults of one client's keys and certificates."""
    faults: list[ConfigFault] = []
    for key in client.keys:
        at = f"{place}.keys.{key.id}"
        faults += secret_faults(f"{at}.secret", key.secret)
        faults += unknown(f"{at}.scopes", key.scopes or (), scopes, "a scope")
        wider = sorted(set(key.scopes or ()) - set(client.scopes))
        if wider:
            faults.append(
                ConfigFault(
                    place=f"{at}.scopes",
                    value=f"{', '.join(wider)} beyond those of the client",
                    allowed=", ".join(client.scopes) or "none",
                    remedy="A key narrows what its client may do; give the scope to the client.",
                )
            )
    faults += [
        ConfigFault(
            place=f"{place}.certificates",
            value=f"{each!r} names no certificate",
            allowed="sha256:<64 hex digits>, dns:NAME, uri:NAME, subject:RFC 4514",
            remedy="Name the certificate by its digest, or by a name its authority vouches for.",
        )
        for each in client.certificates
        if not _CERTIFICATE.fullmatch(each)
    ]
    if (client.keys or client.certificates) and not client.scopes:
        faults.append(
            ConfigFault(
                place=f"{place}.scopes",
                value="none, with keys or certificates",
                allowed="the scopes these may use",
                remedy="A key or certificate carries no scopes of its own: name them.",
            )
        )
    return faults


def naming_faults(config: GatewayConfig) -> list[ConfigFault]:
    """Report hops that are none, and credentials that would speak for two clients."""
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
    if named["certificates"] and not config.gateway.trusted_hops:
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
            place=f"clients.{name}",
            value="a name with a colon, or with what is not visible ASCII",
            allowed="visible ASCII without colons",
            remedy="Colons set apart the consumers that only an issuer names.",
        )
        for name in config.clients
        if not re.fullmatch(r"[!-9;-~]{1,128}", name)
    ]
    return faults


def _is_network(text: str) -> bool:
    try:
        network_of(text)
    except ValueError:
        return False
    return True
