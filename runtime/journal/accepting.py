"""Accept: many starts in one transaction, each key exactly once."""

import hashlib
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select, update

from runtime.journal.faults import IdTaken, KeyReused, ReferenceTaken
from runtime.journal.process import REFERENCE_LIMIT, Accepted
from runtime.journal.tables import Tables
from runtime.store.schema import entry, process


class NewProcess(Struct):
    """The rows of one start, and what the writer settled: the final reference, the line it is in.

    Delivery rows without an entity get the reference.
    """

    asked: str
    row: dict[str, Any]
    entries: list[dict[str, Any]]
    terms: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]


_IDS = select(process.c.id, process.c.consumer, process.c.operation, process.c.key).where(
    process.c.id.in_(bindparam("ids", expanding=True))
)
_BEGUN = (
    select(entry.c.process_id).where(entry.c.process_id.in_(bindparam("ids", expanding=True)))
).distinct()
_BY_KEY = select(process.c.id, process.c.reference, process.c.fingerprint).where(
    process.c.consumer == bindparam("consumer"),
    process.c.operation == bindparam("operation"),
    process.c.key == bindparam("key"),
)
_AHEAD = (
    select(process.c.id)
    .where(
        process.c.entity == bindparam("entity"),
        ~process.c.done,
        process.c.id.not_in(bindparam("ids", expanding=True)),
    )
    .limit(1)
)
_FALL_IN = (
    update(process)
    .where(process.c.id == bindparam("process_id"))
    .values(behind=True, due_at=None, lease_owner=None)
)


class Accepting:
    """The group write behind `Journal.accept`.

    The quick way is one insert for the whole group that leaves collisions out. Only when some
    were left out is each of those looked at: the same start or key again, or a reference in use.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __call__(
        self, connection: Connection, batch: Sequence[NewProcess]
    ) -> Sequence[Accepted | Exception]:
        """One answer for each start, after all rows of the new ones are written."""
        entities = [new.row["entity"] for new in batch if new.row["entity"] is not None]
        self._tables.lock_entities(connection, entities)
        for new in batch:  # an earlier try, rolled back, may have settled otherwise
            new.row |= {"reference": new.asked, "behind": False}
        inserted = self._tables.add_processes.run(connection, [new.row for new in batch])
        answers: list[Accepted | Exception]
        if inserted == len(batch):
            answers = [_created(new) for new in batch]
        else:
            self._tables.add_entries.flush(connection)
            fresh = _inserted(connection, batch)
            answers = [
                _created(new) if is_fresh else self._look_closer(connection, new)
                for new, is_fresh in zip(batch, fresh, strict=True)
            ]
        created = [
            new
            for new, answer in zip(batch, answers, strict=True)
            if isinstance(answer, Accepted) and answer.created
        ]
        _line_up(connection, created)
        self._add_rest(connection, created)
        return answers

    def _look_closer(self, connection: Connection, new: NewProcess) -> Accepted | Exception:
        known = connection.execute(_BY_KEY, new.row).first()
        if known is not None:
            return _known(new, known)
        for reference in _variants(new.asked, new.row):
            new.row["reference"] = reference
            if self._tables.add_processes.run(connection, [new.row]):
                return _created(new)
        known = connection.execute(_BY_KEY, new.row).first()
        if known is not None:
            return _known(new, known)
        is_taken = connection.execute(_IDS, {"ids": [new.row["id"]]}).first()
        return IdTaken(new.row["id"]) if is_taken else ReferenceTaken(new.asked)

    def _add_rest(self, connection: Connection, created: Sequence[NewProcess]) -> None:
        tables = self._tables
        tables.add_entries.run(connection, [row for new in created for row in new.entries])
        tables.add_terms.run(connection, [row for new in created for row in new.terms])
        tables.add_deliveries.run(
            connection,
            [
                row | {"entity": row["entity"] or new.row["reference"]}
                for new in created
                for row in new.deliveries
            ],
        )


def _inserted(connection: Connection, batch: Sequence[NewProcess]) -> list[bool]:
    """Tell of each start whether the insert just run wrote its row.

    A row that was there before has a timeline, which comes with it in one transaction; of a
    start that is in the batch twice the first wrote it.
    """
    ids = [new.row["id"] for new in batch]
    begun = set(connection.execute(_BEGUN, {"ids": ids}).scalars())
    unclaimed = {
        tuple(row) for row in connection.execute(_IDS, {"ids": ids}) if row.id not in begun
    }
    fresh = []
    for new in batch:
        row = tuple(new.row[column] for column in ("id", "consumer", "operation", "key"))
        fresh.append(row in unclaimed)
        unclaimed.discard(row)
    return fresh


def _line_up(connection: Connection, created: Sequence[NewProcess]) -> None:
    """Whoever shares an entity with an open process waits behind it."""
    ordered = [new for new in created if new.row["entity"] is not None]
    ids = [new.row["id"] for new in ordered]
    taken: set[str] = set()
    for new in ordered:
        entity = new.row["entity"]
        asked = {"entity": entity, "ids": ids}
        if entity in taken or connection.execute(_AHEAD, asked).first():
            new.row["behind"] = True
            connection.execute(_FALL_IN, {"process_id": new.row["id"]})
        taken.add(entity)


def _created(new: NewProcess) -> Accepted:
    return Accepted(process_id=new.row["id"], reference=new.row["reference"], created=True)


def _known(new: NewProcess, known: Any) -> Accepted | KeyReused:
    if known.fingerprint != new.row["fingerprint"]:
        return KeyReused(known.id, known.reference)
    return Accepted(process_id=known.id, reference=known.reference, created=False)


def _variants(asked: str, row: dict[str, Any]) -> tuple[str, str]:
    """References to take when the one asked for is another caller's: a digest tells them apart."""
    whole = "\n".join((row["consumer"], row["operation"], row["key"]))
    room = REFERENCE_LIMIT - 7
    return (
        f"{asked[:room]}-{hashlib.sha256(row['consumer'].encode()).hexdigest()[:6]}",
        f"{asked[:room]}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}",
    )
