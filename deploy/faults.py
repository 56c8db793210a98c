"""Faults of a configuration said so that an operator can repair them, and secrets kept to oneself.

The operator wrote the file, so the value that stands there is repeated; but never a secret's.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from contracts.problems import Fault
from deploy.needs import PROMISE_KEY, SECRETS, Part, needed, needs_systems, users_of
from deploy.schema import described
from gateway.addresses import without_passwords
from gateway.call import ConfigFault
from gateway.config import ORIGIN_PATTERN, is_there
from gateway.faults import REMEDIES
from gateway.services import PREFIX_PATTERN, SCOPE_PATTERN

__all__ = ["elsewhere", "formal", "missing_systems", "place_of", "secret_faults"]

_SECRET_NAMES: Final = frozenset({*SECRETS, "secret", "secrets", PROMISE_KEY, "redis", "headers"})
_LONGEST: Final = 60
_KINDS: Final = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text in quotes",
    "array": "a list, in [ ]",
    "object": "a table",
    "null": "nothing",
}
_FORMS: Final = {
    "^[a-z2-7]{12}$": "the 12 characters that `crossdock key` prints",
    r"^https?://[^?#]+$": "an http or https address without a query",
    r"^https?://[^/]+/.+": "an http or https address with its path",
    ORIGIN_PATTERN: "an http or https address without a path, like https://api.example.com",
    PREFIX_PATTERN: "a path of lower-case segments, like /parcels",
    SCOPE_PATTERN: "visible ASCII without quotes and backslashes, like parcels:use",
    "duration": 'an ISO 8601 duration, like "PT30S"',
    "decimal": 'a decimal number in quotes, like "0.02"',
    "date-time": "a time with its offset, like 2027-06-30T00:00:00Z",
}
"""What the schema says as a pattern, in words."""
_ACCOUNTS: Final = '"*" or a list of customer ids'


def formal(fault: Fault, told: Mapping[str, Any], whole: Mapping[str, Any]) -> ConfigFault:
    """Say a fault of form that a document shows against the whole schema."""
    path = [part.replace("~1", "/").replace("~0", "~") for part in fault.pointer.split("/")[1:]]
    here = described(whole, path)
    remedy = REMEDIES.get(fault.detail, "Correct it.")
    allowed = _allowed(fault.allowed, here)
    if path[0] == "clients" and path[2:] == ["accounts"]:
        # `*` alone would be the nearest choice, and the one that opens everything.
        allowed, remedy = _ACCOUNTS, "List whom the client may act for, in [ ]."
    match fault.detail:
        case "is missing":
            value = "missing"
        case "is not a member of this object":
            value = "no such name"
        case detail:
            value = f"{_shown(path, told)} {detail}"
            if isinstance(here.get("default"), bool | int | float | str):
                remedy += f" Without the line it is {_written(here['default'])}."
    return ConfigFault(
        place=place_of(path) or "the file",
        value=value,
        allowed=allowed,
        nearest=fault.nearest,
        remedy=remedy,
    )


def place_of(path: list[str]) -> str:
    """Say a path as TOML writes it: dotted, quoted where it must be, entries of lists counted."""
    said = ""
    for part in path:
        if part.isdigit():
            said += f"[{part}]"
        elif part.replace("-", "").replace("_", "").isalnum():
            said += f".{part}" if said else part
        else:
            said += f'."{part}"' if said else f'"{part}"'
    return said


def _allowed(said: str | None, here: Mapping[str, Any]) -> str:
    if said in {None, "string", here.get("title")}:
        said = here.get("format") or here.get("pattern") or here.get("type") or "see the schema"
    if said == "at least 1 characters":
        return "text that is not empty"
    if said in _FORMS:
        return _FORMS[said]
    return " or ".join(_KINDS.get(part, part) for part in said.split(" or "))


def _written(value: object) -> str:
    """A value as TOML has it."""
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def _shown(path: list[str], told: Mapping[str, Any]) -> str:
    """The value, unless it may be a secret."""
    if _SECRET_NAMES.intersection(path) or path[-1] == "keys" or path[-2:-1] == ["keys"]:
        return "what stands there (not shown)"
    node: Any = told
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node.get(part)
    match node:
        case dict():
            shown = "a table"
        case list():
            shown = f"a list of {len(node)}"
        case _:
            shown = _written(node)
    shown = without_passwords(shown)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "..."


def missing_systems(told: Mapping[str, Any], part: Part | None) -> list[ConfigFault]:
    """Who has the connectors cannot do without `systems`."""
    if "systems" in told or not needs_systems(part, told):
        return []
    remedy = "Add it"
    if part != "system":
        remedy += ", or say in tiers.system where it is served"
    if part is None:
        remedy += "; a gateway alone needs neither (check --part gateway)"
    return [
        ConfigFault(place="systems", value="missing", allowed="a table", remedy=f"{remedy}.")
    ]  # fmt: skip


def secret_faults(told: Mapping[str, Any], part: Part | None) -> Iterator[ConfigFault]:
    """Secrets are references, and those that the part needs can be followed.

    Their value is never repeated.
    """
    names = needed(part, told)
    for path, name, reference in _references(told):
        fault = _reference_fault(reference)
        if fault is None or (fault.is_absence and name not in names):
            continue
        yield ConfigFault(
            place=place_of(path),
            value=fault.says,
            allowed="env:NAME, file:/path",
            remedy="Refer to a secret that is there before the start.",
        )


def elsewhere(told: Mapping[str, Any]) -> Iterator[str]:
    """Say which secrets of a split system are not on this machine, and which parts need them."""
    names = needed(None, told)
    for path, name, reference in _references(told):
        fault = _reference_fault(reference)
        if fault is not None and fault.is_absence and name not in names:
            users = _listed(users_of(name, told))
            yield f"{place_of(path)}: {fault.says} here; only {users} must have it."


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _references(told: Mapping[str, Any]) -> Iterator[tuple[list[str], str, str]]:
    """Answer the place, the name and the text of every reference to a secret of the tiers."""
    systems = told.get("systems")
    named = [
        (["systems", system, name], section[name])
        for system, section in (systems if isinstance(systems, dict) else {}).items()
        if isinstance(section, dict)
        for name in SECRETS
        if name in section
    ]
    if PROMISE_KEY in told:
        named.append(([PROMISE_KEY], told[PROMISE_KEY]))
    for path, value in named:
        for reference in value if isinstance(value, list) else [value]:
            if isinstance(reference, str):  # else refused by its form
                yield path, path[-1], reference


class _ReferenceFault(NamedTuple):
    says: str
    is_absence: bool
    """It is a reference, to what is not on this machine."""


def _reference_fault(reference: str) -> _ReferenceFault | None:
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        there = name in os.environ
        return None if there else _ReferenceFault(f"{reference} is not set", is_absence=True)
    if scheme == "file":
        there = is_there(name)
        return None if there else _ReferenceFault(f"{reference} does not exist", is_absence=True)
    return _ReferenceFault("a secret in the clear", is_absence=False)
