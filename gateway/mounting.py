"""Services that are not ours, put beside our own APIs: read, checked and compiled.

Whatever is wrong with one, in its section or in its contract, is a fault of the configuration; the
others are compiled all the same, so that every fault is told at once.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.context import BUDGET_HEADER, CORRELATION_HEADER, TRACEPARENT_HEADER
from gateway.addresses import read_address
from gateway.call import ConfigFault
from gateway.edge import HOP_BY_HOP
from gateway.foreign import adapt
from gateway.gaps import NO_GAPS, Gaps
from gateway.house import FIRST_SEGMENTS
from gateway.reading import UnreadableError, read
from gateway.retelling import prefix_of
from gateway.routes import Operation, compile_documents
from gateway.services import Service

_NAME: Final = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.1."""
_SENDABLE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_OURS: Final = frozenset(
    {
        *(each.decode() for each in HOP_BY_HOP),
        *(CORRELATION_HEADER, BUDGET_HEADER, TRACEPARENT_HEADER),
        *("host", "content-length", "content-type", "content-encoding", "via", "idempotency-key"),
    }
)
_OUR_PREFIX: Final = "x-crossdock-"


class Mounted(msgspec.Struct, frozen=True, kw_only=True):
    """What the services' contracts come to. `scopes` are all that they and their sections name.

    `unread` are the services whose contract could not be read as far as it names scopes.
    """

    operations: tuple[Operation, ...]
    published: tuple[dict[str, Any], ...]
    faults: tuple[ConfigFault, ...]
    scopes: frozenset[str]
    unread: frozenset[str] = frozenset()


def mount(
    services: Mapping[str, Service], ours: Sequence[Operation], gaps: Gaps = NO_GAPS
) -> Mounted:
    """Read and compile every service's contract; `ours` are the operations it may not stand on.

    `gaps` are the places that were left out of the sections because their form is wrong: nothing
    is told of these, nor because of them.
    """
    documents: list[dict[str, Any]] = []
    published: list[dict[str, Any]] = []
    faults = list(_prefix_faults(services, ours, gaps))
    scopes: set[str] = set()
    unread: set[str] = set()
    for name, service in services.items():
        faults += _section_faults(name, service)
        scopes |= set(service.scopes)
        if gaps.at("services", name, "contract"):
            continue
        try:
            told = read(Path(service.contract))
        except UnreadableError as error:
            faults.append(_unreadable(name, service, error))
            unread.add(name)
            continue
        adapted = adapt(name, service, told)
        public = gaps.within("services", name, "public")
        faults += [
            fault
            for fault in adapted.faults
            if not (public and fault.place == f"services.{name}.scopes")
        ]
        scopes |= adapted.scopes
        if not adapted.names_scopes:
            unread.add(name)
        if adapted.document is not None and _NAME.fullmatch(name):
            documents.append(adapted.document)
            published += [adapted.document] if service.publish else []
    return Mounted(
        operations=compile_documents(documents),
        published=tuple(published),
        faults=tuple(fault for fault in faults if not gaps.hold(fault.place)),
        scopes=frozenset(scopes),
        unread=frozenset(unread),
    )


def _unreadable(name: str, service: Service, error: UnreadableError) -> ConfigFault:
    return ConfigFault(
        place=f"services.{name}.contract",
        value=f"{service.contract}: {error}",
        allowed="a file that holds an OpenAPI document, as .json, .yaml or .yml",
        remedy="Put the service's contract there; a path counts from this file.",
    )


def _prefix_faults(
    services: Mapping[str, Service], ours: Sequence[Operation], gaps: Gaps
) -> Iterator[ConfigFault]:
    """Two may not answer one path, and nobody may stand among our own."""
    taken = FIRST_SEGMENTS | {each.template.split("/")[1] for each in ours}
    seen: dict[str, str] = {}
    for name, service in services.items():
        prefix = prefix_of(name, service)
        other = next((each for each in seen if _overlap(prefix, each)), None)
        if not _NAME.fullmatch(name):
            yield ConfigFault(
                place=f"services.{name}",
                value=f"{name!r} is no name of a service",
                allowed="lower-case letters and digits, with - and _ between them",
                remedy="Rename it: it stands in metrics, in records and in paths.",
            )
        elif prefix.split("/")[1] in taken:
            yield ConfigFault(
                place=f"services.{name}.prefix",
                value=f"{prefix} begins like paths of our own",
                allowed=f"no path below {', '.join(f'/{each}' for each in sorted(taken))}",
                remedy="Name another prefix.",
            )
        elif other is not None:
            yield ConfigFault(
                place=f"services.{name}.prefix",
                value=f"{prefix} and {other} of services.{seen[other]} overlap",
                allowed="a path that is not below another service's, nor above it",
                remedy="Name another prefix.",
            )
        if not gaps.at("services", name, "prefix"):
            seen.setdefault(prefix, name)


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _section_faults(name: str, service: Service) -> Iterator[ConfigFault]:
    """Report addresses and headers that cannot be used; no secret is repeated."""
    secret = "@" in service.url.partition("://")[2].partition("/")[0]
    if secret or read_address(service.url) is None:
        yield ConfigFault(
            place=f"services.{name}.url",
            value="an address with a secret in it" if secret else f"{service.url!r} names no host",
            allowed="http://host:port or https://host:port, with the path all its paths begin with",
            remedy="Put what the service knows us by under `headers`, as a reference."
            if secret
            else "Write where the service is.",
        )
    for header, value in service.headers.items():
        place = f"services.{name}.headers.{header}"
        lower = header.lower()
        if not _TOKEN.fullmatch(header) or lower in _OURS or lower.startswith(_OUR_PREFIX):
            yield ConfigFault(
                place=place,
                value=f"{header!r} is not to be set here",
                allowed="a header of the service's own, like authorization or x-api-key",
                remedy="Remove it: the gateway sets it, or nothing can.",
            )
        fault = _reference_fault(value)
        if fault is not None:
            yield ConfigFault(
                place=place,
                value=fault,
                allowed="env:NAME, file:/path",
                remedy="Refer to a value that is there before the start.",
            )


def _reference_fault(reference: str) -> str | None:
    scheme, _, rest = reference.partition(":")
    try:
        match scheme:
            case "env":
                value = os.environ[rest]
            case "file":
                value = Path(rest).read_text(encoding="utf-8").strip()
            case _:
                return "a secret in the clear"
    except (KeyError, OSError, ValueError):
        return f"{reference} does not exist"
    return None if _SENDABLE.fullmatch(value) else f"{reference} is nothing that a header can hold"
