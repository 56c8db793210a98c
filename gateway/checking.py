"""What the form of a configuration cannot show: names that name nothing, references that fail.

Settings that contradict each other are told here too; what concerns one client's credentials is in
`gateway.credentials`, what concerns services in `gateway.mounting`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.addresses import is_origin, read_address
from gateway.call import ConfigFault
from gateway.config import BUILT_IN, GatewayConfig, reference, secret_faults
from gateway.credentials import credential_faults, naming_faults, proof_faults
from gateway.gaps import NO_GAPS, Gaps
from gateway.names import unknown
from gateway.routes import Operation

__all__ = ["check", "found_at", "leads_nowhere", "redis_faults"]

_REDIS: Final = ("redis", "rediss", "unix")


def check(
    config: GatewayConfig,
    operations: Iterable[Operation],
    scopes: Iterable[str] = (),
    gaps: Gaps = NO_GAPS,
) -> list[ConfigFault]:
    """Report every fault that the form does not show.

    `scopes` are known beside those of the operations. `gaps` are the places that were left out of
    the configuration because their form is wrong: nothing is told of these, nor because of them.
    """
    known_scopes = {
        scope
        for operation in operations
        for alternative in operation.scopes or ()
        for scope in alternative
    }.union(scopes)
    faults = [
        *_client_faults(config, known_scopes, gaps),
        *naming_faults(config, gaps),
        *proof_faults(config, gaps),
        *_issuer_faults(config, gaps),
        *_shared_issuer_faults(config, gaps),
        *_window_faults(config),
        *_settings_faults(config),
    ]
    return [fault for fault in faults if not gaps.hold(fault.place)]


def _client_faults(config: GatewayConfig, scopes: set[str], gaps: Gaps) -> Iterator[ConfigFault]:
    plans = config.plans.keys() | gaps.names("plans")
    issuers = {BUILT_IN, *config.issuers, *gaps.names("issuers")}
    for name, client in config.clients.items():
        place = f"clients.{name}"
        if not gaps.at("plans"):
            yield from unknown(f"{place}.plan", [client.plan], plans, "a plan")
        if not gaps.scopes:
            yield from unknown(f"{place}.scopes", client.scopes, scopes, "a scope")
        if not gaps.at("issuers"):
            yield from unknown(f"{place}.issuer", [client.issuer], issuers, "an issuer")
        for secret in client.secrets:
            yield from secret_faults(f"{place}.secrets", secret)
        yield from credential_faults(name, client, scopes, gaps)


def _issuer_faults(config: GatewayConfig, gaps: Gaps) -> Iterator[ConfigFault]:
    from gateway.keys import ALGORITHMS, reachable  # noqa: PLC0415  keys bring a JOSE library

    plans = config.plans.keys() | gaps.names("plans")
    for name, issuer in config.issuers.items():
        place = f"issuers.{name}"
        if not gaps.at("plans"):
            yield from unknown(f"{place}.plan", [issuer.plan], plans, "a plan")
        yield from unknown(f"{place}.algorithms", issuer.algorithms, ALGORITHMS, "an algorithm")
        for field, url in (("url", issuer.url), ("jwks_uri", issuer.jwks_uri)):
            if url is None:
                continue
            if read_address(url) is None:
                yield ConfigFault(
                    place=f"{place}.{field}",
                    value=f"{url!r} names no host",
                    allowed="https://host or https://host:port, with a path",
                    remedy="Write where the issuer is.",
                )
            elif not reachable(url):
                yield ConfigFault(
                    place=f"{place}.{field}",
                    value=url,
                    allowed="https, or http to this machine",
                    remedy="Use https: keys that come over plain HTTP can be anybody's.",
                )


def _shared_issuer_faults(config: GatewayConfig, gaps: Gaps) -> Iterator[ConfigFault]:
    """A token names its issuer by url: where two share one, the wrong rules would hold for it."""
    seen: dict[str, str] = {}
    settings = config.gateway
    known = not gaps.at("gateway", "issuer", "enabled") and not gaps.at("gateway", "public_url")
    if settings.issuer.enabled and known:
        seen[_alike(settings.public_url)] = "gateway.public_url, whose built-in issuer is on,"
    for name, issuer in config.issuers.items():
        other = seen.setdefault(_alike(issuer.url), f"issuers.{name}")
        if other != f"issuers.{name}":
            yield ConfigFault(
                place=f"issuers.{name}.url",
                value=f"{issuer.url!r} is what {other} has",
                allowed="an address that no other issuer has",
                remedy="Give each issuer its own url, or make the two sections one.",
            )
        if name == BUILT_IN:
            yield ConfigFault(
                place=f"issuers.{name}",
                value=f"{name!r} is the name of the built-in issuer",
                allowed="any other name",
                remedy="Rename it, here and in the clients that name it.",
            )


def _alike(url: str) -> str:
    """Answer an address without what tells no issuers apart: case of the host, a last slash."""
    read = read_address(url)
    if read is None:
        return url.rstrip("/")
    _, _, rest = url.partition("://")
    return f"{read.origin} {rest.partition('/')[2].rstrip('/')}"


def _window_faults(config: GatewayConfig) -> Iterator[ConfigFault]:
    """Windows are known by their length, here, in Redis and in what callers are told."""
    for name, plan in config.plans.items():
        for limit in plan.__struct_fields__:
            lengths = Counter(window.seconds for window in getattr(plan, limit))
            for seconds, count in lengths.items():
                if count > 1:
                    yield ConfigFault(
                        place=f"plans.{name}.{limit}",
                        value=f"{count} windows of {seconds} s",
                        allowed="one window of each length",
                        remedy="Keep the smallest of them: it is the one that binds.",
                    )


def _settings_faults(config: GatewayConfig) -> Iterator[ConfigFault]:
    """Settings of the gateway itself: addresses that are none, bounds in the wrong order."""
    settings = config.gateway
    if not is_origin(settings.public_url):
        yield ConfigFault(
            place="gateway.public_url",
            value=f"{settings.public_url!r} is no address of a web server",
            allowed="http://host:port or https://host:port, without a path",
            remedy="Write where callers reach the gateway, like https://api.example.com.",
        )
    if settings.redis is not None:
        yield from redis_faults("gateway.redis", settings.redis)
    breaker, cache = settings.shield.breaker, settings.cache
    if breaker.longest_open_seconds < breaker.open_seconds:
        yield ConfigFault(
            place="gateway.shield.breaker.longest_open_seconds",
            value=f"{breaker.longest_open_seconds}, less than open_seconds",
            allowed=f"{breaker.open_seconds} or more",
            remedy="Raise it, or lower open_seconds.",
        )
    if breaker.minimum > breaker.window:
        yield ConfigFault(
            place="gateway.shield.breaker.minimum",
            value=f"{breaker.minimum}, more than the window ever holds",
            allowed=f"{breaker.window} or less",
            remedy="Lower it, or raise window.",
        )
    if cache.largest_bytes > cache.most_bytes:
        yield ConfigFault(
            place="gateway.cache.largest_bytes",
            value=f"{cache.largest_bytes}, more than all copies may take",
            allowed=f"{cache.most_bytes} or less",
            remedy="Lower it, or raise most_bytes.",
        )


def found_at(address: str) -> str | None:
    """Answer an address, or what a reference to one refers to; None if that leads nowhere."""
    try:
        return reference(address)
    except (KeyError, OSError, ValueError):
        return None


def leads_nowhere(place: str, address: str, allowed: str) -> ConfigFault:
    """Report a reference to an address that is not there."""
    return ConfigFault(
        place=place,
        value=f"{address} does not exist",
        allowed=allowed,
        remedy="Set it before the start.",
    )


def redis_faults(place: str, address: str) -> Iterator[ConfigFault]:
    """An address may be written out; a reference to one must lead somewhere. Its secret is kept."""
    allowed = "redis://, rediss:// or unix://, or env:NAME, file:/path of one"
    told = found_at(address)
    if told is None:
        yield leads_nowhere(place, address, allowed)
        return
    scheme, found, rest = told.partition("://")
    if scheme not in _REDIS:
        value = f"an address of {scheme if found else 'no kind'}"
    elif (scheme == "unix" and rest) or read_address(told) is not None:
        return
    else:
        value = "an address without a host, or with a port that is none"
    yield ConfigFault(
        place=place,
        value=value,
        allowed=allowed,
        remedy="Name the Redis that the gateways share, or remove the line.",
    )
