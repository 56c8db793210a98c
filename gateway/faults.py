"""Every fault of a document against a JSON Schema at once, said so that it can be repaired.

Each fault has a pointer (RFC 6901), what is wrong, what would be accepted and, for a misspelt
name or choice, the nearest one that exists. Values of the document are never repeated: they may be
personal or hostile.
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import msgspec

from contracts.problems import Fault

MOST_FAULTS: Final = 50
"""A document with more faults is told the first fifty; an answer must stay small."""
_SHOWN: Final = 12
_LONGEST: Final = 60
REMEDIES: Final = {
    "is missing": "Add it.",
    "is not a member of this object": "Correct the name, or remove the line.",
    "is of another type": "Write that instead.",
    "is too short": "Fill it in.",
    "is too small": "Choose a value within that.",
    "is too large": "Choose a value within that.",
    "has too many entries": "Remove what is too many.",
    "has too few entries": "Add what is missing.",
    "does not have the right form": "Write it in that form.",
    "is not one of the choices": "Choose one of these.",
}
"""What to do about what is wrong, where the fault is in something that was written by hand."""


def _number(limit: Any) -> Any:
    """A limit as people write it: 1.0 is 1."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def pointer_of(path: Iterable[str | int]) -> str:
    """Answer the RFC 6901 pointer for a path of names and indexes."""
    return "".join(f"/{str(each).replace('~', '~0').replace('/', '~1')}" for each in path)


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Answer the allowed name most like the given one, if any is alike."""
    found = get_close_matches(name[:64], list(allowed), n=1, cutoff=0.6)
    return found[0] if found else None


def choices(names: Iterable[Any]) -> str:
    """List what is allowed, shortened."""
    shown = [str(each) for each in names]
    more = f", ... ({len(shown)} in all)" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def shown(value: Any) -> str:
    """Write a value as JSON, shortened; of lists and tables only how much there is."""
    match value:
        case dict():
            return "a table"
        case list():
            return f"a list of {len(value)}"
        case _:
            said = msgspec.json.encode(value).decode()
            return said if len(said) <= _LONGEST else said[:_LONGEST] + "..."


def written(fault: Fault, document: Any) -> str:
    """Say what stands where a document that was written by hand is wrong, and what is wrong."""
    match fault.detail:
        case "is missing":
            return "missing"
        case "is not a member of this object":
            return "no such name"
    node = document
    for part in fault.pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        node = node[int(name)] if isinstance(node, list) else node[name]
    return f"{shown(node)} {fault.detail}"


class Checker:
    """A schema compiled once; `is_valid` is the quick question, `faults` the complete answer."""

    def __init__(self, schema: dict[str, Any], extra: dict[str, Any] | None = None) -> None:
        self._root: dict[str, Any] = {**schema, **(extra or {})}
        self._validator = jsonschema_rs.Draft202012Validator(
            self._root, validate_formats=True, offline=True
        )
        self.is_valid = self._validator.is_valid

    def faults(self, document: Any, most: int = MOST_FAULTS) -> list[Fault]:
        """Answer the faults, at most `most` of them, in the order of the document's paths."""
        found: list[Fault] = []
        for error in self._validator.iter_errors(document):
            # One error may name tens of thousands of members, and a nearest name costs time.
            found.extend(islice(self._said(error), most - len(found)))
            if len(found) >= most:
                break
        return sorted(found, key=lambda fault: fault.pointer)

    def _said(self, error: jsonschema_rs.ValidationError) -> Iterator[Fault]:
        place = pointer_of(error.instance_path)
        kind = error.kind
        match kind:
            case jsonschema_rs.ValidationErrorKind.Required(property=name):
                yield Fault(
                    pointer=f"{place}{pointer_of([name])}",
                    detail="is missing",
                    allowed=self._wanted(error.schema_path, name),
                )
            case (
                jsonschema_rs.ValidationErrorKind.AdditionalProperties(unexpected=names)
                | jsonschema_rs.ValidationErrorKind.UnevaluatedProperties(unexpected=names)
            ):
                known = self._names_beside(error.schema_path)
                for name in names:
                    yield Fault(
                        pointer=f"{place}{pointer_of([name])}",
                        detail="is not a member of this object",
                        allowed=choices(known) or "no member at all",
                        nearest=nearest(name, known),
                    )
            case (
                jsonschema_rs.ValidationErrorKind.OneOfNotValid(context=branches)
                | jsonschema_rs.ValidationErrorKind.AnyOf(context=branches)
            ):
                yield from self._branches(place, branches)
            case _:
                detail, allowed = _plain(kind)
                near = None
                if isinstance(kind, jsonschema_rs.ValidationErrorKind.Enum) and isinstance(
                    error.instance, str
                ):
                    near = nearest(error.instance, [str(each) for each in kind.options])
                yield Fault(pointer=place, detail=detail, allowed=allowed, nearest=near)

    def _branches(
        self, place: str, branches: Sequence[Sequence[jsonschema_rs.ValidationError]]
    ) -> Iterator[Fault]:
        """Tell the faults of the alternative that the document comes closest to."""
        kinds = [
            each
            for branch in branches
            for error in branch
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Type)
            for each in error.kind.types
        ]
        if len(kinds) == sum(len(branch) for branch in branches):
            yield Fault(pointer=place, detail="is of another type", allowed=" or ".join(kinds))
            return
        deepest = max(
            branches,
            key=lambda branch: (max(len(e.instance_path) for e in branch), -len(branch)),
        )
        for error in deepest:
            yield from self._said(error)

    def _beside(self, schema_path: Sequence[str | int]) -> dict[str, Any]:
        node: Any = self._root
        for each in schema_path[:-1]:
            node = node[each]
        return node if isinstance(node, dict) else {}

    def _names_beside(self, schema_path: Sequence[str | int]) -> list[str]:
        return list(self._beside(schema_path).get("properties", ()))

    def _wanted(self, schema_path: Sequence[str | int], name: str) -> str | None:
        schema = self._beside(schema_path).get("properties", {}).get(name, {})
        described = schema.get("type") or schema.get("$ref", "").rsplit("/", 1)[-1] or None
        return described if isinstance(described, str) else None


_PLAIN: Final[dict[str, tuple[str, str]]] = {
    "minLength": ("is too short", "at least {limit} characters"),
    "maxLength": ("is too long", "at most {limit} characters"),
    "minItems": ("has too few entries", "at least {limit}"),
    "maxItems": ("has too many entries", "at most {limit}"),
    "minProperties": ("has too few members", "at least {limit}"),
    "maxProperties": ("has too many members", "at most {limit}"),
    "minimum": ("is too small", "{limit} or more"),
    "maximum": ("is too large", "{limit} or less"),
    "exclusiveMinimum": ("is too small", "more than {limit}"),
    "exclusiveMaximum": ("is too large", "less than {limit}"),
    "multipleOf": ("is not a whole multiple", "multiples of {multiple_of}"),
    "pattern": ("does not have the right form", "{pattern}"),
    "format": ("does not have the right form", "{format}"),
    "const": ("is not the one value allowed", "{expected_value}"),
    "uniqueItems": ("repeats an entry", "each entry once"),
}
"""What is wrong and what is allowed, by the keyword that says so."""


def _plain(kind: jsonschema_rs.ValidationErrorKind) -> tuple[str, str | None]:
    """Say a keyword's refusal: what is wrong, what is allowed."""
    match kind:
        case jsonschema_rs.ValidationErrorKind.Type(types=types):
            return "is of another type", " or ".join(types)
        case jsonschema_rs.ValidationErrorKind.Enum(options=options):
            return "is not one of the choices", choices(options)
        case _ if kind.name in _PLAIN:
            detail, allowed = _PLAIN[kind.name]
            told = {name: _number(each) for name, each in kind.as_dict().items()}
            return detail, allowed.format(**told)
        case _:
            return f"does not satisfy `{kind.name}` of the contract", None
