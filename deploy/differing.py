"""What differs between two configurations and no record shows: named, so that nobody guesses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from deploy.profile import Configuration
from deploy.replaying import Replayed
from gateway.config import BUILT_IN, Client, GatewayConfig
from gateway.identity import is_bounded
from gateway.reading import read
from gateway.retelling import api_of
from gateway.services import Service

__all__ = ["untold"]

_CLIENT_REPLAYED: Final = frozenset({"disabled", "plan", "scopes"})
"""Of a client, what its records show; `scopes` only as far as they bound it before and after."""
_SERVICE_REPLAYED: Final = frozenset({"limit", "prefix", "scopes"})
"""Of a service, what the records of its calls show."""
_OTHER_SECTIONS: Final = frozenset({"gateway", "systems", "tiers"})
"""Looked into, rather than named as a whole."""


def untold(old: Configuration, new: Configuration, replayed: Replayed) -> Iterator[str]:
    """Name the differences whose effect no replayed record shows."""
    yield from _clients(old.gateway, new.gateway, replayed.consumers)
    yield from _issuers(old.gateway, new.gateway)
    yield from _services(old.gateway, new.gateway, replayed.operations)
    yield from _members("gateway", old.gateway.gateway, new.gateway.gateway)
    yield from _members("tiers", old.tiers, new.tiers)
    if old.systems is not None and new.systems is not None:
        yield from _members("systems", old.systems, new.systems)
    elif old.systems is not new.systems:
        yield "systems"
    for field in old.__struct_fields__:
        if field not in _OTHER_SECTIONS and getattr(old, field) != getattr(new, field):
            yield field


def _members(place: str, old: Any, new: Any) -> Iterator[str]:
    for field in old.__struct_fields__:
        if getattr(old, field) != getattr(new, field):
            yield f"{place}.{field}"


def _clients(old: GatewayConfig, new: GatewayConfig, replayed: frozenset[str]) -> Iterator[str]:
    for name in sorted(old.clients.keys() | new.clients.keys()):
        mine, other = old.clients.get(name), new.clients.get(name)
        if mine is None:
            yield f"clients.{name}, which is new"
        elif other is None:
            if mine.issuer != BUILT_IN or name not in replayed:
                yield f"clients.{name}, which is gone"
        else:
            yield from _client(name, mine, other, seen=name in replayed)


def _client(name: str, old: Client, new: Client, *, seen: bool) -> Iterator[str]:
    bound = is_bounded(new)
    for place in _members(f"clients.{name}", old, new):
        field = place.rpartition(".")[2]
        if field == "scopes" and bound != is_bounded(old):
            yield f"{place}, which {'bound its tokens now' if bound else 'bound no token any more'}"
        elif field not in _CLIENT_REPLAYED or not seen:
            yield place


def _issuers(old: GatewayConfig, new: GatewayConfig) -> Iterator[str]:
    for name in sorted(old.issuers.keys() | new.issuers.keys()):
        if name not in old.issuers:
            yield f"issuers.{name}, which is new"
        elif name not in new.issuers:
            yield f"issuers.{name}, which is gone"
        elif old.issuers[name] != new.issuers[name]:
            yield f"issuers.{name}"


def _services(old: GatewayConfig, new: GatewayConfig, replayed: frozenset[str]) -> Iterator[str]:
    for name in sorted(old.services.keys() | new.services.keys()):
        mine, other = old.services.get(name), new.services.get(name)
        seen = any(each.startswith(f"{api_of(name)}/") for each in replayed)
        if mine is None:
            yield f"services.{name}, which is new"
        elif other is None:
            if not seen:
                yield f"services.{name}, which is gone"
        else:
            yield from _service(name, mine, other, seen=seen)


def _service(name: str, old: Service, new: Service, *, seen: bool) -> Iterator[str]:
    """Its contract by what stands in it: what of it is checked hangs on ids and bodies."""
    if read(Path(old.contract)) != read(Path(new.contract)):
        yield f"services.{name}.contract"
    for place in _members(f"services.{name}", old, new):
        field = place.rpartition(".")[2]
        if field == "public":
            changed = sorted(set(old.public) ^ set(new.public))
            yield f"{place} ({', '.join(changed)})" if changed else place
        elif field != "contract" and (field not in _SERVICE_REPLAYED or not seen):
            yield place
