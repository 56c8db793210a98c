"""Statements compiled once and run for many rows in one call.

Core's own executemany builds a parameter set per row; for the handful of statements behind every
order that is most of their cost. The text still comes from Core, so dialects and schema stay its
business. SQLite takes the rows one by one within the driver; PostgreSQL takes them as one JSON
document, so that a group is one statement, one parameter and one round trip: writing the document
costs a hundredth of what the driver asks for as many arrays. Values must be what both take: int,
str, bytes, bool, None.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    column,
    func,
    insert,
    null,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.dialects.postgresql import insert as insert_into_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_into_sqlite

Row = Mapping[str, Any]

_encode = msgspec.json.Encoder().encode


class Bulk:
    """An insert or update for many rows."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        self._positional = itemgetter(*order) if order else None

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Run for every row, and answer how many rows of the table were touched in all."""
        if not rows:
            return 0
        if self._positional is not None:
            values = [self._positional(row) for row in rows]
            return int(connection.exec_driver_sql(self._text, values).rowcount)
        document = {_ROWS: _encode(rows).decode()}
        return int(connection.exec_driver_sql(self._text, document).rowcount)

    def run_numbered(self, connection: Connection, rows: Sequence[Row]) -> Sequence[int]:
        """Insert rows of a table that numbers them (`numbering`); answer their numbers, in order.

        The caller is the only writer of its store, or the store hands the numbers back.
        """
        if self._positional is None:
            document = {_ROWS: _encode(rows).decode()}
            return connection.exec_driver_sql(self._text, document).scalars().all()
        self.run(connection, rows)
        # straight to the driver: Core would take longer than the insert, once in every commit
        driver: Any = connection.connection.driver_connection
        (last,) = driver.execute("SELECT last_insert_rowid()").fetchone()
        return range(last - len(rows) + 1, last + 1)

    def touched(self, connection: Connection, rows: Sequence[Row]) -> set[Any]:
        """Run for every row, and answer what the statement returns of each row it touched."""
        if not rows:
            return set()
        document = {_ROWS: _encode(rows).decode()}
        return set(connection.exec_driver_sql(self._text, document).scalars())


class Among:
    """A question about the rows whose `key` is among some values, compiled once.

    The values travel as one document: neither the text nor the plan depends on how many there are.
    """

    def __init__(self, question: Select[Any], key: Column[str], dialect: Dialect) -> None:
        values = type_coerce(bindparam(_ROWS), Text)
        if dialect.name == "sqlite":
            document = func.json_each(values).table_valued("value", name="given")
            is_among: ColumnElement[bool] = key.in_(select(document.c.value))
        else:
            texts = select(func.json_array_elements_text(values.cast(JSON))).scalar_subquery()
            is_among = key == func.any(func.array(texts))
        compiled = question.where(is_among).compile(dialect=dialect)
        self._text = str(compiled)
        self._is_positional = getattr(compiled, "positiontup", None) is not None

    def run(self, connection: Connection, values: Sequence[str]) -> Sequence[Any]:
        """The rows found."""
        document = _encode(values).decode()
        asked = (document,) if self._is_positional else {_ROWS: document}
        return connection.exec_driver_sql(self._text, asked).all()


def inserting(
    table: Table, dialect: Dialect, *, ignoring: bool = False, numbering: bool = False
) -> Bulk:
    """Insert rows that name every column but a numbered one.

    With `ignoring`, rows that collide with a unique key are left out, and not counted. With
    `numbering` it is for `run_numbered`.
    """
    columns = [c for c in table.columns if c is not table.autoincrement_column]
    names = [c.name for c in columns]
    statement: Insert
    if dialect.name == "sqlite":
        into_sqlite = insert_into_sqlite(table)
        statement = into_sqlite.on_conflict_do_nothing() if ignoring else into_sqlite
        statement = statement.values({c.name: _bind(c.name, c) for c in columns}).inline()
    else:
        source = select(*_given({c.name: c for c in columns}).values())
        into = insert_into_postgresql(table) if ignoring else insert(table)
        statement = into.from_select(names, source, include_defaults=False)
        if numbering:
            statement = statement.returning(table.autoincrement_column)  # type: ignore[arg-type]  # the column is there
        if ignoring:
            statement = statement.on_conflict_do_nothing()  # type: ignore[attr-defined]  # from_select keeps the dialect's insert
    return Bulk(statement, dialect)


def updating(
    table: Table,
    dialect: Dialect,
    *,
    where: Mapping[str, str],
    sets: Mapping[str, str],
    clears: Sequence[str] = (),
    only: ColumnElement[bool] | None = None,
    returning: Column[Any] | None = None,
) -> Bulk:
    """Update one row of the table for each row given.

    `where` and `sets` map columns to the names of the values in a row; `clears` are set to null;
    rows of the table for which `only` does not hold are left alone. `returning` names a column to
    tell of the rows touched, which only PostgreSQL can (`Bulk.touched`).
    The names in `where` must differ from every column's.
    """
    named = {name: table.c[column] for column, name in (*where.items(), *sets.items())}
    if dialect.name == "sqlite":
        found: Mapping[str, Any] = {name: _bind(name, column) for name, column in named.items()}
    else:
        found = _given(named)
    statement = (
        update(table)
        .where(and_(*(table.c[column] == found[name] for column, name in where.items())))
        .values({column: found[name] for column, name in sets.items()})
    )
    if only is not None:
        statement = statement.where(only)
    if clears:
        statement = statement.values(dict.fromkeys(clears, null()))
    if returning is not None:
        return Bulk(statement.returning(returning), dialect)
    return Bulk(statement, dialect)


def _bind(name: str, column: Column[Any]) -> Any:
    return bindparam(name, type_=column.type)


_ROWS = "rows"


def _given(named: Mapping[str, Column[Any]]) -> dict[str, ColumnElement[Any]]:
    """The rows of a call as the columns of a table; bytes travel as base64 (msgspec's way)."""
    is_binary = {name: isinstance(known.type, LargeBinary) for name, known in named.items()}
    document = func.json_to_recordset(type_coerce(bindparam(_ROWS), Text).cast(JSON))
    columns = [
        column(name, Text if is_binary[name] else known.type) for name, known in named.items()
    ]
    given = document.table_valued(*columns, name="given").render_derived(
        name="given", with_types=True
    )
    return {
        name: func.decode(given.c[name], text("'base64'")) if is_binary[name] else given.c[name]
        for name in named
    }
