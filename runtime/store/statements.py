"""Statements compiled once and run many times."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Table, Update, bindparam, insert
from sqlalchemy.dialects.postgresql import insert as insert_into_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_into_sqlite

Row = Mapping[str, Any]


class Prepared:
    """An insert or update compiled for one dialect, run for many rows in one call.

    Core's own executemany builds a parameter set per row; for the handful of statements behind
    every order that is most of their cost. The text still comes from Core, so both dialects and
    the schema stay its business. Values must be what the driver takes: int, str, bytes, bool, None.
    """

    def __init__(self, statement: Insert | Update, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        self._positional = itemgetter(*order) if order else None

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Run once for each row and answer how many rows of the table were touched in all."""
        if not rows:
            return 0
        pick = self._positional
        values = rows if pick is None else [pick(row) for row in rows]
        return int(connection.exec_driver_sql(self._text, values).rowcount)


def inserting(table: Table, dialect: Dialect, *, ignoring: bool = False) -> Prepared:
    """Insert into `table`; with `ignoring`, rows that collide with a unique key are left out."""
    columns = [c.name for c in table.columns if not _is_numbered(table, c.name)]
    statement: Insert
    if not ignoring:
        statement = insert(table)
    elif dialect.name == "sqlite":
        statement = insert_into_sqlite(table).on_conflict_do_nothing()
    else:
        statement = insert_into_postgresql(table).on_conflict_do_nothing()
    return Prepared(_named(statement, table, columns), dialect)


def _named(statement: Insert, table: Table, columns: Sequence[str]) -> Insert:
    return statement.values({c: bindparam(c, type_=table.c[c].type) for c in columns}).inline()


def _is_numbered(table: Table, column: str) -> bool:
    return table.c[column] is table.autoincrement_column
