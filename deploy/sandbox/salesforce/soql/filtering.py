"""WHERE made into a predicate, and into the smallest set of records it need be asked of."""

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.ids import eighteen
from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.soql.reaching import Reached, reach
from deploy.sandbox.salesforce.soql.syntax import (
    AllOf,
    Comparison,
    Condition,
    Literal_,
    Not,
    Query,
)
from deploy.sandbox.vault import Record

__all__ = ["Inner", "candidates", "predicate"]

Test = Callable[[Record], bool]
Inner = Callable[[Query], set[Any]]
_LONG_TEXT = 255
_PIECE = re.compile(r"\\.|.", re.DOTALL)
_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_KINDS: dict[str, tuple[str, ...]] = {
    "boolean": ("boolean",),
    "currency": ("number",),
    "double": ("number",),
    "percent": ("number",),
    "int": ("number",),
    "date": ("date", "range"),
    "datetime": ("datetime", "range"),
}
_SHOWN = {"datetime": "dateTime", "id": "ID", "reference": "reference"}


def predicate(org: Org, sobject: SObject, condition: Condition, query: Query, inner: Inner) -> Test:
    """The test that a condition is. ``inner`` runs the query of a semi-join.

    Raises:
        Refusal: a field or relationship that is not there, a value that does not fit its field.
    """
    if isinstance(condition, Comparison):
        return _comparison(org, sobject, condition, query, inner)
    if isinstance(condition, Not):
        negated = predicate(org, sobject, condition.part, query, inner)
        return lambda record: not negated(record)
    tests = [predicate(org, sobject, part, query, inner) for part in condition.parts]
    if isinstance(condition, AllOf):
        return lambda record: all(test(record) for test in tests)
    return lambda record: any(test(record) for test in tests)


def candidates(org: Org, sobject: SObject, condition: Condition | None) -> Iterable[Record]:
    """Records among which all that meet the condition are: by an index where one helps.

    Only comparisons that must hold (the condition itself or parts of an AND) narrow the set.
    """
    table = org.tables[sobject.name]
    best: Callable[[], Iterable[Record]] = table.values
    least = len(table)
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    binding = [p for p in parts if isinstance(p, Comparison) and len(p.path.parts) == 1]
    for part in binding:
        found = _by_key(org, sobject, part)
        if found is not None and found[0] < least:
            least, best = found
    low, high = _stamp_bounds(binding)
    if low is not None or high is not None:
        stamps = org.stamps(sobject)
        seconds = stamps.span(low, high)
        if stamps.count(seconds, least) < least:
            return stamps.records(seconds)
    return best()


def _stamp_bounds(comparisons: list[Comparison]) -> tuple[str | None, str | None]:
    """Between which instants SystemModstamp must lie, both included."""
    low: str | None = None
    high: str | None = None
    for comparison in comparisons:
        value = comparison.literal.value
        if comparison.path.parts[0].lower() != "systemmodstamp" or not isinstance(value, str):
            continue
        if comparison.operator in {">", ">="}:
            low = max(low or value, value)
        elif comparison.operator in {"<", "<="}:
            high = min(high or value, value)
    return low, high


def _by_key(
    org: Org, sobject: SObject, comparison: Comparison
) -> tuple[int, Callable[[], Iterable[Record]]] | None:
    """How many records an equality on an indexed field leaves, and how to get them."""
    field = sobject.field(comparison.path.parts[0])
    if field is None:
        return None
    literal = comparison.literal
    if comparison.operator == "=" and literal.kind in {"string", "boolean"}:
        values = [literal.value]
    elif comparison.operator == "IN" and literal.kind == "list":
        members = literal.value
        assert isinstance(members, tuple)  # noqa: S101  # the parser made it
        values = [member.value for member in members if isinstance(member, Literal_)]
        if None in values:
            return None
    else:
        return None
    if field.kind in {"id", "reference"}:
        values = [eighteen(str(value)) for value in values]
    keys = {field.fold(_plain(value)) for value in values}
    if field.kind == "id":
        table = org.tables[sobject.name].records
        return len(keys), lambda: [table[key] for key in keys if key in table]
    index = org.index(sobject, field)
    if index is None:
        return None
    count = sum(index.count(key) for key in keys)
    return count, lambda: [record for key in keys for record in index.get(key)]


def _comparison(  # one return a kind of comparison
    org: Org, sobject: SObject, comparison: Comparison, query: Query, inner: Inner
) -> Test:
    reached = reach(org, sobject, comparison.path, query)
    field, get, literal = reached.field, reached.getter, comparison.literal
    if field.kind == "textarea" and field.length > _LONG_TEXT:
        raise Refusal("INVALID_FIELD", f"field '{field.name}' can not be filtered in a query call")
    if comparison.operator in {"IN", "NOT IN"}:
        return _membership(reached, comparison, inner)
    if comparison.operator == "LIKE":
        return _likeness(reached, literal)
    value = _value(field, literal)
    if literal.kind == "range":
        return _in_range(reached, comparison.operator, literal)
    fold = field.fold
    if comparison.operator == "=":
        return lambda record: fold(get(record)) == value
    if comparison.operator == "!=":
        return lambda record: fold(get(record)) != value
    if field.kind in {"boolean", "id", "reference"} or value is None:
        raise Refusal(
            "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {field.kind} field: {field.name}"
        )
    compares = _ORDERED[comparison.operator]
    return lambda record: (found := fold(get(record))) is not None and compares(found, value)


def _membership(reached: Reached, comparison: Comparison, inner: Inner) -> Test:
    field, get, literal = reached.field, reached.getter, comparison.literal
    if isinstance(literal.value, Query):
        wanted = {field.fold(value) for value in inner(literal.value)}
    else:
        members = literal.value if isinstance(literal.value, tuple) else ()
        wanted = {_value(field, m) for m in members if isinstance(m, Literal_)}
    fold = field.fold
    if comparison.operator == "IN":
        return lambda record: fold(get(record)) in wanted
    return lambda record: fold(get(record)) not in wanted


def _likeness(reached: Reached, literal: Literal_) -> Test:
    field, get = reached.field, reached.getter
    if not field.textual and field.kind != "textarea":
        raise Refusal(
            "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {field.kind} field: {field.name}"
        )
    if literal.kind != "string":
        raise _misfit(field)
    pattern = ""
    for piece in _PIECE.findall(str(literal.value)):
        pattern += {"%": ".*", "_": "."}.get(piece) or re.escape(_char(piece))
    matches = re.compile(pattern, re.IGNORECASE | re.DOTALL).fullmatch
    return lambda record: (found := get(record)) is not None and matches(found) is not None


def _in_range(reached: Reached, comparison: str, literal: Literal_) -> Test:
    """A date literal is a span: = is inside it, > after its end, < before its start."""
    get = reached.getter
    assert isinstance(literal.value, tuple)  # noqa: S101  # the parser made it
    start, end = str(literal.value[0]), str(literal.value[1])
    if reached.field.kind == "date":
        start, end = start[:10], end[:10]
    tests: dict[str, Callable[[str], bool]] = {
        "=": lambda found: start <= found < end,
        "!=": lambda found: not start <= found < end,
        "<": lambda found: found < start,
        "<=": lambda found: found < end,
        ">": lambda found: found >= end,
        ">=": lambda found: found >= start,
    }
    test = tests[comparison]
    return lambda record: (found := get(record)) is not None and test(found)


def _value(field: Field, literal: Literal_) -> Any:
    """The literal as stored, folded. Raises ``Refusal`` when it does not fit the field."""
    if literal.kind == "null":
        return None
    if literal.kind not in _KINDS.get(field.kind, ("string",)):
        raise _misfit(field)
    if field.kind in {"id", "reference"}:
        found = eighteen(str(literal.value))
        if found is None:
            raise Refusal("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {literal.value}")
        return found
    return field.fold(_plain(literal.value))


def _plain(value: Any) -> Any:
    """A string literal read outside LIKE, where % and _ are themselves."""
    if not isinstance(value, str) or "\\" not in value:
        return value
    return "".join(_char(piece) for piece in _PIECE.findall(value))


def _char(piece: str) -> str:
    """The character that a piece of a string literal stands for."""
    return _ESCAPED.get(piece[1], piece[1]) if len(piece) > 1 else piece


def _misfit(field: Field) -> Refusal:
    if field.kind in _KINDS:
        quotes = "should not be enclosed in quotes"
    else:
        quotes = "should be enclosed in quotes"
    kind = _SHOWN.get(field.kind, "string" if field.textual else field.kind)
    return Refusal(
        "INVALID_FIELD",
        f"value of filter criterion for field '{field.name}' must be of type {kind} and {quotes}",
    )
