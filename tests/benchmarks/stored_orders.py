"""Fills a store with orders that have ended, by the hundred thousand.

One order is carried to its end by the journal itself; its rows, in every table that keeps some of
each order, are then copied inside the database under other ids, so that what is stored is what the
journal stores, whatever its schema has become. Ids of copies sort by age, as real ones do; keys and
references come in no order, as callers' do.
"""

from sqlalchemy import Connection, Table, text

from runtime.store.schema import delivery, entry, idempotency, process, term

CHUNK = 20_000
SPREAD = 2_654_435_761
"""Odd, so that multiplying by it modulo 2**32 gives every number once, in no order."""


def copies(connection: Connection, template: str, first: int, last: int) -> None:
    """Copy the order with the id `template` once for each number from `first` up to `last`."""
    for statement in _statements(connection.dialect.name):
        connection.execute(
            text(statement), {"template": template, "first": first, "last": last, "spread": SPREAD}
        )


def _statements(dialect: str) -> list[str]:
    digits = "printf('%012d', {})" if dialect == "sqlite" else "lpad(({})::text, 12, '0')"
    old_id = "'00'||" + digits.format("n")
    key = "'old-'||" + digits.format("(n * :spread) % 4294967296")
    per_process = {"process_id": old_id}
    return [
        _copy(process, {"id": old_id, "key": key, "reference": key}, "id = :template"),
        _copy(entry, per_process, "process_id = :template ORDER BY n, t.seq"),
        _copy(term, {**per_process, "value": key}, "process_id = :template"),
        _copy(
            delivery, {"entity": key},
            "entity = (SELECT reference FROM process WHERE id = :template)",
        ),
        _copy(
            idempotency, {"key": key},
            "t.key = (SELECT p.key FROM process p WHERE id = :template)",
        ),
    ]  # fmt: skip


def _copy(table: Table, other: dict[str, str], where: str) -> str:
    names = [c.name for c in table.columns if c is not table.autoincrement_column]
    values = ", ".join(other.get(name, f"t.{name}") for name in names)
    return (
        "WITH RECURSIVE numbers(n) AS (SELECT CAST(:first AS BIGINT) UNION ALL "
        "SELECT n + 1 FROM numbers WHERE n + 1 < :last) "
        f"INSERT INTO {table.name} ({', '.join(names)}) "
        f"SELECT {values} FROM numbers, {table.name} t WHERE {where}"
    )
