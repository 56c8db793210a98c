"""SOQL read.

::

    SELECT (COUNT() | item {, item}) FROM object [[AS] alias] [WHERE condition]
        [ORDER BY key {, key}] [LIMIT n] [OFFSET n]
    item       path | FIELDS(ALL|STANDARD|CUSTOM) | (query on a child relationship)
    condition  simple {AND simple} | simple {OR simple} | NOT simple
    simple     (condition) | NOT simple | path operator value | path [NOT] IN (values | query)
    value      'text' | number | TRUE | FALSE | NULL | date | dateTime | TODAY | LAST_N_DAYS:n ...

AND and OR do not mix without parentheses, as in the original. Aggregates other than COUNT(),
GROUP BY, TYPEOF and the like are refused as malformed.
"""

from datetime import UTC, datetime

from deploy.sandbox.salesforce.fields import day, instant, instant_of
from deploy.sandbox.salesforce.soql.dates import is_date_word, span_of
from deploy.sandbox.salesforce.soql.lexer import Token, malformed, tokens_of
from deploy.sandbox.salesforce.soql.syntax import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Function,
    Literal_,
    Not,
    OrderKey,
    Path,
    Query,
    Subquery,
)

__all__ = ["parse"]

_KEYWORDS = frozenset(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "GROUP",
        "HAVING",
        "FOR",
        "WITH",
        "USING",
    ]
)
_MOST_OFFSET = 2000


def parse(text: str, now: datetime) -> Query:
    """Read a query; date literals are counted from ``now`` (UTC is the org's time zone).

    Raises:
        Refusal: MALFORMED_QUERY with the place, or NUMBER_OUTSIDE_VALID_RANGE for an offset.
    """
    parser = _Parser(text, now)
    query = parser.query()
    parser.expect("end")
    return query


class _Parser:
    def __init__(self, text: str, now: datetime) -> None:
        self._text = text
        self._now = now
        self._tokens = tokens_of(text)
        self._at = 0

    def query(self) -> Query:
        self._word("SELECT")
        select, counts = self._select()
        self._word("FROM")
        source = self._name()
        alias = self._alias()
        where = self._condition() if self._take("WHERE") else None
        order = self._order() if self._take("ORDER") else ()
        limit = self._count() if self._take("LIMIT") else None
        offset = self._offset() if self._take("OFFSET") else 0
        return Query(
            text=self._text,
            select=select,
            counts=counts,
            source=source.text,
            source_at=source.at,
            alias=alias,
            where=where,
            order=order,
            limit=limit,
            offset=offset,
        )

    def expect(self, kind: str) -> Token:
        token = self._tokens[self._at]
        if token.kind != kind:
            raise self._unexpected(token)
        self._at += 1
        return token

    def _unexpected(self, token: Token) -> Exception:
        return malformed(self._text, token.at, f"unexpected token: '{token.text}'")

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self, word: str) -> bool:
        token = self._tokens[self._at]
        if token.word == word and token.kind in {"name", "sign"}:
            self._at += 1
            return True
        return False

    def _word(self, word: str) -> None:
        if not self._take(word):
            raise self._unexpected(self._peek())

    def _name(self) -> Token:
        token = self.expect("name")
        if token.word in _KEYWORDS:
            raise self._unexpected(token)
        return token

    def _alias(self) -> str | None:
        self._take("AS")
        token = self._peek()
        if token.kind == "name" and token.word not in _KEYWORDS:
            self._at += 1
            return token.text
        return None

    def _path(self) -> Path:
        token = self._name()
        return Path(tuple(token.text.split(".")), token.at)

    def _select(self) -> tuple[tuple[Path | Function | Subquery, ...], bool]:
        items: list[Path | Function | Subquery] = []
        while True:
            if self._take("("):
                items.append(Subquery(self.query()))
                self._word(")")
            else:
                path = self._path()
                if self._take("("):
                    function = self._function(path)
                    if function is None and not items:
                        return (), True
                    if function is None:
                        raise self._unexpected(self._peek())
                    items.append(function)
                else:
                    items.append(path)
            if not self._take(","):
                return tuple(items), False

    def _function(self, path: Path) -> Function | None:
        """After ``NAME(``: FIELDS(...), or None for COUNT()."""
        name = path.parts[0].upper()
        if name == "COUNT" and self._take(")"):
            return None
        argument = self._peek()
        if name != "FIELDS" or argument.word not in {"ALL", "STANDARD", "CUSTOM"}:
            raise self._unexpected(argument)
        self._at += 1
        self._word(")")
        return Function(name, argument.word, path.at)

    def _condition(self) -> Condition:
        parts = [self._simple()]
        word = self._peek().word
        if word not in {"AND", "OR"}:
            return parts[0]
        while self._take(word):
            parts.append(self._simple())
        if self._peek().word in {"AND", "OR"}:  # mixing needs parentheses
            raise self._unexpected(self._peek())
        return AllOf(tuple(parts)) if word == "AND" else AnyOf(tuple(parts))

    def _simple(self) -> Condition:
        if self._take("NOT"):
            return Not(self._simple())
        if self._take("("):
            inner = self._condition()
            self._word(")")
            return inner
        path = self._path()
        token = self._peek()
        if token.word == "NOT":
            self._at += 1
            self._word("IN")
            return Comparison(path, "NOT IN", self._members())
        if token.word == "IN":
            self._at += 1
            return Comparison(path, "IN", self._members())
        if token.word not in {"=", "!=", "<>", "<", "<=", ">", ">=", "LIKE"}:
            raise self._unexpected(token)
        self._at += 1
        operator = "!=" if token.word == "<>" else token.word
        return Comparison(path, operator, self._literal())

    def _members(self) -> Literal_:
        self._word("(")
        if self._peek().word == "SELECT":
            inner = Literal_("query", self.query())
        else:
            members = [self._literal()]
            while self._take(","):
                members.append(self._literal())
            inner = Literal_("list", tuple(members))
        self._word(")")
        return inner

    def _literal(self) -> Literal_:
        token = self._peek()
        self._at += 1
        if token.kind == "string":
            return Literal_("string", token.text[1:-1])
        if token.kind == "number":
            whole = "." not in token.text
            return Literal_("number", int(token.text) if whole else float(token.text))
        if token.kind in {"date", "datetime"}:
            return self._moment(token)
        if token.word in {"TRUE", "FALSE"}:
            return Literal_("boolean", token.word == "TRUE")
        if token.word == "NULL":
            return Literal_("null", None)
        if token.kind == "name" and is_date_word(token.word):
            count = self._count() if self._take(":") else None
            span = span_of(token.word, count, self._now)
            if span is not None:
                return Literal_("range", (instant(span[0]), instant(span[1])))
        raise self._unexpected(token)

    def _moment(self, token: Token) -> Literal_:
        if token.kind == "date":
            value = day(token.text)
        else:
            at = instant_of(token.text)
            value = None if at is None else instant(at.astimezone(UTC))
        if value is None:
            raise malformed(self._text, token.at, f"Invalid {token.kind}: {token.text}")
        return Literal_("date" if token.kind == "date" else "datetime", value)

    def _order(self) -> tuple[OrderKey, ...]:
        self._word("BY")
        keys = [self._order_key()]
        while self._take(","):
            keys.append(self._order_key())
        return tuple(keys)

    def _order_key(self) -> OrderKey:
        path = self._path()
        descending = self._take("DESC")
        if not descending:
            self._take("ASC")
        nulls_last = False
        if self._take("NULLS"):
            nulls_last = self._take("LAST")
            if not nulls_last:
                self._word("FIRST")
        return OrderKey(path, descending, nulls_last)

    def _count(self) -> int:
        token = self.expect("number")
        if not token.text.isdigit():
            raise self._unexpected(token)
        return int(token.text)

    def _offset(self) -> int:
        at = self._peek().at
        offset = self._count()
        if offset > _MOST_OFFSET:
            raise malformed(
                self._text,
                at,
                f"Maximum SOQL offset allowed is {_MOST_OFFSET}",
                "NUMBER_OUTSIDE_VALID_RANGE",
            )
        return offset
