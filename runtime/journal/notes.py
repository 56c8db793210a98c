"""Small durable values by kind and key, such as the watermark of a poller."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from runtime.store.schema import note
from runtime.store.statements import inserting


def read_note(connection: Connection, kind: str, key: str) -> bytes | None:
    """The value, or None."""
    return connection.execute(
        select(note.c.value).where(note.c.kind == kind, note.c.key == key)
    ).scalar()


def write_note(connection: Connection, kind: str, key: str, value: bytes, at: int) -> None:
    """Set the value, whether or not there was one."""
    changed = connection.execute(
        update(note).where(note.c.kind == kind, note.c.key == key).values(value=value, at=at)
    )
    if not changed.rowcount:
        row = {"kind": kind, "key": key, "value": value, "at": at}
        inserting(note, connection.dialect).run(connection, [row])


def read_notes(connection: Connection, kind: str) -> Sequence[tuple[str, bytes, int]]:
    """Every note of a kind: its key, its value, and when it was written."""
    rows = connection.execute(
        select(note.c.key, note.c.value, note.c.at).where(note.c.kind == kind)
    )
    return [(row.key, row.value, row.at) for row in rows]


def write_later_note(connection: Connection, kind: str, key: str, value: bytes, at: int) -> None:
    """Set the value, unless one from then or later is there already."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(note).values(kind=kind, key=key, value=value, at=at)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["kind", "key"],
            set_={"value": value, "at": at},
            where=note.c.at < at,
        )
    )
