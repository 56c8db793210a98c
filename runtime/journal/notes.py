"""Small durable values by kind and key, such as the watermark of a poller."""

from sqlalchemy import Connection, select, update

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
