"""Faults of a configuration said so that an operator can repair them, and secrets kept to oneself.

The operator wrote the file, so the value that stands there is repeated; but never a secret's.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from contracts.problems import Fault
from deploy.profile import SECRETS
from deploy.schema import described
from gateway.call import ConfigFault
from gateway.faults import REMEDIES
from gateway.services import PREFIX_PATTERN, SCOPE_PATTERN

__all__ = ["formal", "place_of", "secret_faults"]

_SECRET_NAMES: Final = frozenset({*SECRETS, "secret", "secrets", "promise_key", "redis", "headers"})
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
    PREFIX_PATTERN: "a path of lower-case segments, like /parcels",
    SCOPE_PATTERN: "visible ASCII without quotes and backslashes, like parcels:use",
    "duration": 'an ISO 8601 duration, like "PT30S"',
    "decimal": 'a decimal number in quotes, like "0.02"',
    "date-time": "a time with its offset, like 2027-06-30T00:00:00Z",
}
"""What the schema says as a pattern, in words."""


def formal(fault: Fault, told: Mapping[str, Any], whole: Mapping[str, Any]) -> ConfigFault:
    """Say a fault of form that a document shows against the whole schema."""
    path = [part.replace("~1", "/").replace("~0", "~") for part in fault.pointer.split("/")[1:]]
    here = described(whole, path)
    remedy = REMEDIES.get(fault.detail, "Correct it.")
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
        allowed=_allowed(fault.allowed, here),
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
    if said in _FORMS:
        return _FORMS[said]
    return " or ".join(_KINDS.get(part, part) for part in said.split(" or "))


def _written(value: object) -> str:
    """A value as TOML has it."""
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def _shown(path: list[str], told: Mapping[str, Any]) -> str:
    """The value, unless it may be a secret."""
    if _SECRET_NAMES.intersection(path):
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
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "..."


def secret_faults(told: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """Secrets are references that can be followed; their value is never repeated."""
    systems = told.get("systems")
    named = [
        (["systems", system, name], section[name])
        for system, section in (systems if isinstance(systems, dict) else {}).items()
        if isinstance(section, dict)
        for name in SECRETS
        if name in section
    ]
    if "promise_key" in told:
        named.append((["promise_key"], told["promise_key"]))
    for path, value in named:
        for reference in value if isinstance(value, list) else [value]:
            fault = _reference_fault(str(reference))
            if fault is not None:
                yield ConfigFault(
                    place=place_of(path),
                    value=fault,
                    allowed="env:NAME, file:/path",
                    remedy="Refer to a secret that is there before the start.",
                )


def _reference_fault(reference: str) -> str | None:
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        return None if name in os.environ else f"{reference} is not set"
    if scheme == "file":
        return None if Path(name).is_file() else f"{reference} does not exist"
    return "a secret in the clear"
