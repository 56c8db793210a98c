"""The group write behind every decision: a process moves on under its lease, or not at all."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import DecodeError, Struct
from sqlalchemy import Connection, bindparam, func, select, update

from runtime.journal import no_effect
from runtime.journal.codec import decode_object
from runtime.journal.crash_points import BEFORE_INCIDENT_COMMIT, BEFORE_MOVE_COMMIT, CrashPoints
from runtime.journal.faults import LeaseLost
from runtime.journal.no_effect import NoEffect
from runtime.journal.process import Signal
from runtime.journal.rows import entry_row
from runtime.journal.tables import Tables
from runtime.journal.times import from_micros
from runtime.store.schema import process, signal
from runtime.store.statements import Among


class Change(Struct, kw_only=True):
    """All that one decision writes.

    `row` holds the new values of the process, its `revision` included; `holder` and `fence` must
    still be the row's. `seen` is how many unconsumed signals the decision knew of: if there are
    more, the lease is kept (until `lease_until`) even where `row` would give it up.
    """

    process_id: str
    holder: str
    fence: int
    seen: int
    lease_until: int
    row: dict[str, Any]
    data: bytes | None
    entity: str | None
    entries: Sequence[dict[str, Any]] = ()
    terms: Sequence[dict[str, Any]] = ()
    deliveries: Sequence[dict[str, Any]] = ()
    consumed: Sequence[str] = ()
    opens: dict[str, Any] | None = None
    closes: str | None = None
    closed_by: str = ""
    no_effect: NoEffect | None = None


class Moved(Struct, frozen=True, kw_only=True):
    """The commit happened.

    `kept` tells whether the lease is still ours; then `signals` are all the unconsumed ones, if
    any arrived while the step ran.
    """

    kept: bool
    signals: tuple[Signal, ...] | None = None


_HELD = (
    select(
        process.c.id,
        process.c.lease_owner,
        process.c.fence,
        process.c.revision,
        process.c.unread,
    )
    .order_by(process.c.id)
    .with_for_update()
)
_UNREAD = (
    select(signal)
    .where(
        signal.c.process_id.in_(bindparam("ids", expanding=True)), signal.c.consumed_at.is_(None)
    )
    .order_by(signal.c.at, signal.c.dedupe_key)
)
_NEXT_IN_LINE = select(func.min(process.c.id)).where(
    process.c.entity == bindparam("entity"), ~process.c.done, process.c.behind
)
_STEP_UP = (
    update(process)
    .where(process.c.id == bindparam("process_id"))
    .values(behind=False, due_at=bindparam("at"))
)


class Moving:
    """Applies many changes in one transaction; each is refused alone if its lease was lost."""

    def __init__(self, tables: Tables, crash_points: CrashPoints) -> None:
        self._tables = tables
        self._held = Among(_HELD, process.c.id, tables.dialect)
        self._crash_points = crash_points

    def __call__(
        self, connection: Connection, batch: Sequence[Change]
    ) -> Sequence[Moved | Exception]:
        """`Moved`, or `LeaseLost` for a change whose lease another worker has taken."""
        written = self._write_as_held(connection, batch)
        rest = [c.process_id for c in batch if c.process_id not in written]
        held = {row.id: row for row in self._held.run(connection, rest)} if rest else {}
        results: list[Moved | Exception] = []
        granted: list[_Granted] = []
        for change in batch:
            row = held.get(change.process_id)
            if change.process_id in written:
                granted.append(_Granted(change=change, row=None, entries=change.entries))
                results.append(Moved(kept=change.row["lease_owner"] is not None))
            elif row is None or row.fence != change.fence:
                results.append(LeaseLost(change.process_id))
            elif row.revision == change.row["revision"]:
                results.append(_landed(connection, row))
            elif row.lease_owner != change.holder:
                results.append(LeaseLost(change.process_id))
            else:
                signals = self._grant(connection, change, row.unread, granted)
                settled = granted[-1].row or change.row
                results.append(Moved(kept=settled["lease_owner"] is not None, signals=signals))
        self._apply(connection, granted)
        return results

    def _write_as_held(self, connection: Connection, batch: Sequence[Change]) -> set[str]:
        """On PostgreSQL, write at once the rows that are as their holder left them.

        That is nearly every row, and saves locking each before it is written. The others, such as
        one with a new signal, are left as they are, to be looked at.
        """
        tables = self._tables
        if not tables.is_postgresql:
            return set()
        plain = [_as_held(c) for c in batch if c.data is None]
        with_data = [_as_held(c) | {"data": c.data} for c in batch if c.data is not None]
        return tables.move_as_held.touched(connection, plain) | (
            tables.move_as_held_with_data.touched(connection, with_data)
        )

    def _grant(
        self, connection: Connection, change: Change, unread: int, granted: list["_Granted"]
    ) -> tuple[Signal, ...] | None:
        """Settle the row. If signals came in while the step ran, an open process keeps its lease.

        The change itself stays as it is: this transaction may be rolled back and tried again.
        """
        row = change.row | {"unread": unread - len(change.consumed)}
        entries = change.entries
        signals = None
        if unread > change.seen:
            found = unread_signals(connection, [change.process_id])[change.process_id]
            signals = tuple(s for s in found if s.dedupe_key not in change.consumed)
            if row["done"]:
                entries = [*entries, *(_too_late(change, s) for s in signals)]
            else:
                row |= {"lease_owner": change.holder, "due_at": change.lease_until}
        granted.append(_Granted(change=change, row=row, entries=entries))
        return signals

    def _apply(self, connection: Connection, granted: Sequence["_Granted"]) -> None:
        tables = self._tables
        changes = [g.change for g in granted]
        looked_at = [(g.row, g.change.data) for g in granted if g.row is not None]
        tables.move.run(connection, [row for row, data in looked_at if data is None])
        tables.move_with_data.run(
            connection, [row | {"data": data} for row, data in looked_at if data is not None]
        )
        tables.add_entries.run(connection, [row for g in granted for row in g.entries])
        tables.add_terms.run(connection, [row for c in changes for row in c.terms])
        tables.add_deliveries.run(connection, [row for c in changes for row in c.deliveries])
        tables.consume_signal.run(
            connection,
            [
                {"its_process": c.process_id, "its_key": key, "at": c.row["updated_at"]}
                for c in changes
                for key in c.consumed
            ],
        )
        self._mark_incidents(connection, changes)
        no_effect.tell(connection, [c.no_effect for c in changes if c.no_effect is not None])
        self._let_the_next_step_up(connection, changes)
        if granted:
            self._crash_points.passing(BEFORE_MOVE_COMMIT)

    def _mark_incidents(self, connection: Connection, granted: Sequence[Change]) -> None:
        self._tables.close_incident.run(
            connection,
            [
                {"incident_id": c.closes, "at": c.row["updated_at"], "by": c.closed_by}
                for c in granted
                if c.closes is not None
            ],
        )
        opened = [c.opens for c in granted if c.opens is not None]
        if opened:
            self._tables.add_incidents.run(connection, opened)
            self._crash_points.passing(BEFORE_INCIDENT_COMMIT)

    def _let_the_next_step_up(self, connection: Connection, granted: Sequence[Change]) -> None:
        ended = [c for c in granted if c.row["done"] and c.entity is not None]
        self._tables.lock_entities(connection, [c.entity for c in ended if c.entity is not None])
        for change in ended:
            following = connection.execute(_NEXT_IN_LINE, {"entity": change.entity}).scalar()
            if following is not None:
                at = change.row["updated_at"]
                connection.execute(_STEP_UP, {"process_id": following, "at": at})


class _Granted(Struct, frozen=True, kw_only=True):
    """A change whose lease holds, with what the row's own state adds to it.

    `row` is None where the row of the process is written already.
    """

    change: Change
    row: dict[str, Any] | None
    entries: Sequence[dict[str, Any]]


def _as_held(change: Change) -> dict[str, Any]:
    """The new values, and what the row must look like if nothing came in between."""
    return change.row | {
        "unread": change.seen - len(change.consumed),
        "its_fence": change.fence,
        "its_holder": change.holder,
        "its_unread": change.seen,
        "its_revision": change.row["revision"] - 1,
    }


def _landed(connection: Connection, row: Any) -> Moved:
    """An earlier try of this very commit was made durable; only its answer was lost."""
    if row.lease_owner is None:
        return Moved(kept=False)
    return Moved(kept=True, signals=unread_signals(connection, [row.id])[row.id])


def unread_signals(
    connection: Connection, process_ids: Sequence[str]
) -> Mapping[str, tuple[Signal, ...]]:
    """The signals not consumed yet, oldest first, by process. Raises if one cannot be read."""
    found: dict[str, tuple[Signal, ...]] = {}
    for process_id, signals in stored_signals(connection, process_ids).items():
        if isinstance(signals, Exception):
            raise signals
        found[process_id] = signals
    return found


def stored_signals(
    connection: Connection, process_ids: Sequence[str]
) -> Mapping[str, tuple[Signal, ...] | Exception]:
    """The same, with the failure in the place of the signals that cannot be read."""
    rows: dict[str, list[Any]] = {process_id: [] for process_id in process_ids}
    for row in connection.execute(_UNREAD, {"ids": list(process_ids)}):
        rows[row.process_id].append(row)
    found: dict[str, tuple[Signal, ...] | Exception] = {}
    for process_id, unread in rows.items():
        try:
            found[process_id] = tuple(_signal(row) for row in unread)
        except DecodeError as failure:
            found[process_id] = failure
    return found


def _signal(row: Any) -> Signal:
    return Signal(
        name=row.name,
        dedupe_key=row.dedupe_key,
        data=decode_object(row.data),
        at=from_micros(row.at),
    )


def _too_late(change: Change, late: Signal) -> dict[str, Any]:
    row = entry_row(
        change.process_id,
        change.row["updated_at"],
        "too_late",
        change.row["state"],
        None,
        revision=change.row["revision"],
    )
    row["says"] = f"The signal {late.name} came after the end and changed nothing."
    return row
