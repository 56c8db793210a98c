"""``$filter``: read, checked against the set's properties, and turned into a test of one row.

What the server refuses is refused here: OR over different fields (501), unknown properties and
literals of the wrong type (400). Lambda operators are ignored, as the vendor's list of known
limitations says.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from deploy.sandbox.business_central.errors import bad_request, not_implemented
from deploy.sandbox.business_central.guids import is_guid
from deploy.sandbox.business_central.schema import EntitySet, Property

__all__ = ["Filter", "Row", "changed_since", "equalities", "parse_filter", "stamp_key"]

Row = dict[str, Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<mark>[(),])|(?P<word>[^\s(),']+))", re.DOTALL
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: value == wanted,
    "ne": lambda value, wanted: value != wanted,
    "gt": lambda value, wanted: value > wanted,
    "ge": lambda value, wanted: value >= wanted,
    "lt": lambda value, wanted: value < wanted,
    "le": lambda value, wanted: value <= wanted,
}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda value, wanted: wanted in value,
    "startswith": lambda value, wanted: value.startswith(wanted),
    "endswith": lambda value, wanted: value.endswith(wanted),
}
_DEEPEST = 50


class Comparison(msgspec.Struct, frozen=True):
    """A property against a literal, by an operator or a function."""

    prop: Property
    operator: str
    value: Any

    def holds(self, row: Row) -> bool:
        """Whether the row meets it; a function on nothing does not hold."""
        found = row[self.prop.name]
        if self.prop.kind == "stamp":
            found = stamp_key(found)
        function = _FUNCTIONS.get(self.operator)
        if function is not None:
            return function(found, self.value)
        return _OPERATORS[self.operator](found, self.value)


class Together(msgspec.Struct, frozen=True):
    """Terms of which all (``and``) or one (``or``) must hold."""

    terms: tuple["Filter", ...]
    every: bool

    def holds(self, row: Row) -> bool:
        """Whether the row meets them."""
        if self.every:
            return all(term.holds(row) for term in self.terms)
        return any(term.holds(row) for term in self.terms)


class Not(msgspec.Struct, frozen=True):
    """The opposite of a term."""

    term: "Filter"

    def holds(self, row: Row) -> bool:
        """Whether the row does not meet the term."""
        return not self.term.holds(row)


class Ignored(msgspec.Struct, frozen=True):
    """A lambda: the server does as if it were not there."""

    def holds(self, row: Row) -> bool:  # noqa: ARG002  # the other filters look at the row
        """Every row does."""
        return True


Filter = Comparison | Together | Not | Ignored


def parse_filter(text: str, entity_set: EntitySet) -> Filter:
    """Read a filter over the set's properties.

    Raises:
        BusinessCentralError: 400 for what cannot be read, 501 for what the server does not do.
    """
    reader = _Reader(text, entity_set)
    found = reader.either()
    if reader.peek() is not None:
        raise _syntax(text)
    return found


def equalities(condition: Filter | None) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The properties that must equal one of some values: what an index can answer."""
    match condition:
        case Comparison(prop=prop, operator="eq", value=value):
            yield prop.name, (value,)
        case Together(terms=terms, every=True):
            for term in terms:
                yield from equalities(term)
        case Together(terms=terms, every=False):
            if all(isinstance(term, Comparison) and term.operator == "eq" for term in terms):
                same = [term for term in terms if isinstance(term, Comparison)]
                yield same[0].prop.name, tuple(dict.fromkeys(term.value for term in same))
        case _:
            return


def changed_since(condition: Filter | None) -> str | None:
    """The instant at or after which a row must have changed to meet a condition, if it says one."""
    match condition:
        case Comparison(prop=prop, operator="gt" | "ge", value=value):
            return str(value) if prop.name == "lastModifiedDateTime" else None
        case Together(terms=terms, every=True):
            return max(filter(None, map(changed_since, terms)), default=None)
        case _:
            return None


def stamp_key(text: str) -> str:
    """A time stamp in a form in which texts compare as times do."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<6}"


class _Reader:
    """A recursive descent over the tokens, of bounded depth."""

    def __init__(self, text: str, entity_set: EntitySet) -> None:
        self._text = text
        self._set = entity_set
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if token is None or (wanted is not None and token != wanted):
            raise _syntax(self._text)
        self._at += 1
        return token

    def either(self) -> Filter:
        terms = [self.both()]
        while self.peek() == "or":
            self.take()
            terms.append(self.both())
        if len(terms) == 1:
            return terms[0]
        names = {name for term in terms for name in _names(term)}
        if len(names) > 1:
            raise not_implemented(
                "An OR between different fields is not supported: "
                f"{', '.join(sorted(names))} in '{self._text}'."
            )
        return Together(_flat(terms), every=False)

    def both(self) -> Filter:
        terms = [self.one()]
        while self.peek() == "and":
            self.take()
            terms.append(self.one())
        return terms[0] if len(terms) == 1 else Together(tuple(terms), every=True)

    def one(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise bad_request("The filter is nested too deeply.", "InvalidRequestUrl")
        token = self.take()
        if token == "(":  # noqa: S105  # a bracket
            found = self.either()
            self.take(")")
        elif token == "not":  # noqa: S105  # an operator
            found = Not(self.one())
        elif self.peek() == "(":
            found = self._call(token)
        else:
            found = self._comparison(token)
        self._depth -= 1
        return found

    def _call(self, name: str) -> Filter:
        if name.endswith(("/any", "/all")):
            self._skip_brackets()
            return Ignored()
        if name not in _FUNCTIONS:
            raise not_implemented(f"The function '{name}' is not supported.")
        self.take("(")
        prop = self._property(self.take())
        self.take(",")
        if prop.kind not in {"text", "code"}:
            raise bad_request(f"The function '{name}' needs a string; '{prop.name}' is {prop.edm}.")
        value = _literal(self.take(), prop)
        self.take(")")
        return Comparison(prop, name, value)

    def _comparison(self, name: str) -> Filter:
        prop = self._property(name)
        operator = self.take()
        if operator not in _OPERATORS:
            raise bad_request(
                f"'{operator}' is not an operator the server supports.", "InvalidRequestUrl"
            )
        return Comparison(prop, operator, _literal(self.take(), prop))

    def _property(self, name: str) -> Property:
        prop = self._set.properties.get(name)
        if prop is None:
            raise bad_request(
                f"Could not find a property named '{name}' on type "
                f"'Microsoft.NAV.{self._set.entity}'."
            )
        return prop

    def _skip_brackets(self) -> None:
        open_brackets = 0
        while True:
            token = self.take()
            open_brackets += {"(": 1, ")": -1}.get(token, 0)
            if not open_brackets:
                return


def _tokens(text: str) -> list[str]:
    tokens = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            if text[at:].isspace():
                break
            raise _syntax(text)
        tokens.append(found[0].strip())
        at = found.end()
    return tokens


def _names(condition: Filter) -> Iterator[str]:
    match condition:
        case Comparison(prop=prop):
            yield prop.name
        case Together(terms=terms):
            for term in terms:
                yield from _names(term)
        case Not(term=term):
            yield from _names(term)
        case Ignored():
            return


def _flat(terms: list[Filter]) -> tuple[Filter, ...]:
    """``(a or b) or c`` as one row of terms, so that an index sees all of them."""
    flat: list[Filter] = []
    for term in terms:
        if isinstance(term, Together) and not term.every:
            flat.extend(term.terms)
        else:
            flat.append(term)
    return tuple(flat)


def _literal(token: str, prop: Property) -> Any:  # noqa: PLR0911  # one return per kind
    """A literal as the row holds such values.

    Raises:
        BusinessCentralError: it is not of the property's type.
    """
    value: Any = None
    if token[0] == "'":
        value = token[1:-1].replace("''", "'")
    match prop.kind:
        case "text" if value is not None:
            return value
        case "code" if value is not None:
            return value.upper()
        case "enum" if value is not None:
            return _enumerated(value, prop)
        case "guid" if is_guid(value or token):
            return (value or token).lower()
        case "bool" if token in {"true", "false"}:
            return token == "true"  # noqa: S105  # a literal
        case "dec" | "int":
            return _number(token, prop)
        case "date" | "stamp":
            return _time(token, prop)
    raise _wrong_type(token, prop)


def _enumerated(value: str, prop: Property) -> str:
    name = {"": "_x0020_", " ": "_x0020_"}.get(value, value)
    for allowed in prop.values:
        if name in {allowed, allowed.replace("_x0020_", " ")}:
            return allowed
    raise bad_request(f"Requested value '{value}' was not found.")


def _number(token: str, prop: Property) -> float:
    try:
        return float(token)
    except ValueError:
        raise _wrong_type(token, prop) from None


def _time(token: str, prop: Property) -> str:
    try:
        when = datetime.fromisoformat(token)
    except ValueError:
        raise _wrong_type(token, prop) from None
    if prop.kind == "date":
        return token[:10]
    if when.tzinfo is None:
        raise _wrong_type(token, prop)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _wrong_type(token: str, prop: Property) -> Exception:
    return bad_request(
        f"A binary operator with incompatible types was detected: '{prop.name}' is {prop.edm} "
        f"and the literal is {token}."
    )


def _syntax(text: str) -> Exception:
    return bad_request(f"Syntax error in the filter '{text}'.", "InvalidRequestUrl")
