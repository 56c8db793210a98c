"""What a SOQL query says, as values."""

from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "AllOf",
    "AnyOf",
    "Comparison",
    "Condition",
    "Function",
    "Literal_",
    "Not",
    "OrderKey",
    "Path",
    "Query",
    "Subquery",
    "Value",
]

LiteralKind = Literal[
    "string", "number", "boolean", "null", "date", "datetime", "range", "list", "query"
]


class Path(msgspec.Struct, frozen=True):
    """A field, perhaps of a parent: ``Account.Name``. ``at`` is its column, from 1."""

    parts: tuple[str, ...]
    at: int = 1


class Function(msgspec.Struct, frozen=True):
    """``FIELDS(ALL)`` and its like."""

    name: str
    argument: str
    at: int = 1


class Literal_(msgspec.Struct, frozen=True):  # noqa: N801  # typing owns the better name
    """A value as written; a string with its escapes.

    A ``range`` is a date literal: its first instant and the first after it.
    """

    kind: LiteralKind
    value: "Value"


Value: TypeAlias = (
    "str | float | int | bool | tuple[str, str] | tuple[Literal_, ...] | Query | None"
)


class Comparison(msgspec.Struct, frozen=True):
    """``operator`` is one of = != < <= > >= LIKE IN NOT IN."""

    path: Path
    operator: str
    literal: Literal_


class AllOf(msgspec.Struct, frozen=True):
    """AND."""

    parts: tuple["Condition", ...]


class AnyOf(msgspec.Struct, frozen=True):
    """OR."""

    parts: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True):
    """NOT."""

    part: "Condition"


Condition = Comparison | AllOf | AnyOf | Not


class OrderKey(msgspec.Struct, frozen=True):
    """One key of ORDER BY; nulls come first unless told otherwise, in either direction."""

    path: Path
    descending: bool = False
    nulls_last: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A whole query. ``counts``: SELECT COUNT(). ``source``: an object or a child relationship."""

    text: str
    select: tuple["Path | Function | Subquery", ...]
    counts: bool
    source: str
    source_at: int
    alias: str | None = None
    where: Condition | None = None
    order: tuple[OrderKey, ...] = ()
    limit: int | None = None
    offset: int = 0


class Subquery(msgspec.Struct, frozen=True):
    """Children of each row: ``(SELECT Id FROM OpportunityLineItems)``."""

    query: Query
