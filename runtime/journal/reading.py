"""Questions the journal answers. All run on the store's readers and change nothing."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, select

from runtime.journal.codec import Types, decode_object
from runtime.journal.faults import UnknownIncident, UnknownProcess
from runtime.journal.incidents import Category, OpenedIncident
from runtime.journal.process import Entry, Lane, Process, Snapshot, Term
from runtime.journal.times import from_micros, maybe_time
from runtime.store.schema import delivery, entry, incident, process, term

REFERENCE = "reference"
"""The kind of term that every process has without saying so."""


class Query(Struct, frozen=True, kw_only=True):
    """Which processes to list. What is left out does not narrow."""

    kind: str | None = None
    consumer: str | None = None
    state: str | None = None
    lane: Lane | None = None
    open_only: bool = False
    in_exception: bool = False


EVERYTHING = Query()
"""The query that narrows nothing."""


class Page(Struct, frozen=True, kw_only=True):
    """Newest first. `cursor` continues after the last one; None when there is no more."""

    snapshots: tuple[Snapshot, ...]
    cursor: str | None


class Known(Struct, frozen=True, kw_only=True):
    """The process a key began, and what tells whether a call is the same as its first."""

    process_id: str
    fingerprint: str


_BRIEF = (
    process.c.id,
    process.c.kind,
    process.c.reference,
    process.c.consumer,
    process.c.lane,
    process.c.state,
    process.c.attempts,
    process.c.done,
    process.c.incident_id,
    process.c.created_at,
    process.c.updated_at,
    process.c.step_at,
    process.c.revision,
)


class Reading:
    """Reads with the process types at hand, to decode and to name remedies."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def process(self, connection: Connection, process_id: str) -> Process[Any]:
        """One process with its data. Raises `UnknownProcess`, `UnreadableProcess`."""
        row = connection.execute(select(process).where(process.c.id == process_id)).first()
        if row is None:
            raise UnknownProcess(process_id)
        return self._types.read(row)

    def known(
        self, connection: Connection, consumer: str, operation: str, key: str
    ) -> Known | None:
        """The process that a caller's key began, if there is one."""
        query = select(process.c.id, process.c.fingerprint).where(
            process.c.consumer == consumer,
            process.c.operation == operation,
            process.c.key == key,
        )
        row = connection.execute(query).first()
        return None if row is None else Known(process_id=row.id, fingerprint=row.fingerprint)

    def find(self, connection: Connection, asked: Term) -> tuple[Snapshot, ...]:
        """Processes known by a business id, newest first, at most 100."""
        query = select(*_BRIEF)
        if asked.kind == REFERENCE:
            query = query.where(func.upper(process.c.reference) == asked.value.upper())
        else:
            known = select(term.c.process_id).where(
                term.c.kind == asked.kind, term.c.value == asked.value
            )
            query = query.where(process.c.id.in_(known))
        return _snapshots(connection, query.order_by(process.c.id.desc()).limit(100))

    def list(self, connection: Connection, asked: Query, cursor: str | None, limit: int) -> Page:
        """A page of processes, newest first."""
        query = _narrowed(select(*_BRIEF), asked)
        if asked.state is not None and not self._types.may_have_ended_in(asked.state):
            query = query.where(~process.c.done)  # then an index of the open ones will do
        if cursor is not None:
            query = query.where(process.c.id < cursor)
        found = _snapshots(connection, query.order_by(process.c.id.desc()).limit(limit + 1))
        more = len(found) > limit
        return Page(snapshots=found[:limit], cursor=found[limit - 1].id if more else None)

    def timeline(self, connection: Connection, process_id: str) -> tuple[Entry, ...]:
        """Everything that happened to a process, in order. Raises `UnknownProcess`."""
        query = select(entry).where(entry.c.process_id == process_id).order_by(entry.c.seq)
        found = tuple(
            Entry(
                seq=row.seq,
                at=from_micros(row.at),
                event=row.event,
                state=row.state,
                says=row.says,
                data=decode_object(row.data) if row.data else {},
            )
            for row in connection.execute(query)
        )
        if not found:
            raise UnknownProcess(process_id)
        return found

    def incidents(
        self,
        connection: Connection,
        *,
        open_only: bool,
        category: Category | None,
        process_id: str | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[OpenedIncident, ...]:
        """The exception queue, newest first; continue with the last one's id as `cursor`."""
        query = _incidents()
        if open_only:
            query = query.where(incident.c.closed_at.is_(None))
        if category is not None:
            query = query.where(incident.c.category == category.value)
        if process_id is not None:
            query = query.where(incident.c.process_id == process_id)
        if cursor is not None:
            query = query.where(incident.c.id < cursor)
        rows = connection.execute(query.order_by(incident.c.id.desc()).limit(limit))
        return tuple(self._incident(row) for row in rows)

    def incident(self, connection: Connection, incident_id: str) -> OpenedIncident:
        """One incident. Raises `UnknownIncident`."""
        row = connection.execute(_incidents().where(incident.c.id == incident_id)).first()
        if row is None:
            raise UnknownIncident(incident_id)
        return self._incident(row)

    def strange(self, connection: Connection) -> Sequence[str]:
        """What of the open processes this program could not continue, in words."""
        open_ones = (
            select(process.c.kind, process.c.version, process.c.state)
            .where(~process.c.done)
            .distinct()
        )
        return [
            f"{row.kind} version {row.version} in state {row.state}"
            for row in connection.execute(open_ones)
            if not self._types.understands(row.kind, row.version, row.state)
        ]

    def waiting_deliveries(self, connection: Connection, subscriber: str) -> int:
        """How many events a subscriber has not had yet."""
        query = select(func.count()).where(
            delivery.c.subscriber == subscriber, delivery.c.done_at.is_(None)
        )
        return connection.execute(query).scalar_one()

    def _incident(self, row: Any) -> OpenedIncident:
        category = Category(row.category)
        remedy = self._types.remedy(row.kind, category)
        return OpenedIncident(
            id=row.id,
            process_id=row.process_id,
            kind=row.kind,
            reference=row.reference,
            state=row.state,
            category=category,
            says=row.says,
            detail=decode_object(row.detail),
            who_acts=remedy.who_acts,
            actions=tuple(sorted(remedy.actions)),
            runbook=remedy.runbook,
            opened_at=from_micros(row.opened_at),
            closed_at=maybe_time(row.closed_at),
            closed_by=row.closed_by,
        )


def _incidents() -> Select[Any]:
    return select(incident, process.c.kind, process.c.reference, process.c.state).join(
        process, process.c.id == incident.c.process_id
    )


def _narrowed(query: Select[Any], asked: Query) -> Select[Any]:
    if asked.kind is not None:
        query = query.where(process.c.kind == asked.kind)
    if asked.consumer is not None:
        query = query.where(process.c.consumer == asked.consumer)
    if asked.state is not None:
        query = query.where(process.c.state == asked.state)
    if asked.lane is not None:
        query = query.where(process.c.lane == int(asked.lane))
    if asked.open_only or asked.in_exception:
        query = query.where(~process.c.done)
    if asked.in_exception:
        query = query.where(process.c.incident_id.is_not(None))
    return query


def snapshots(connection: Connection, asked: Query, ids: Sequence[str]) -> tuple[Snapshot, ...]:
    """Those of some processes that a query lets pass, newest first."""
    query = _narrowed(select(*_BRIEF), asked).where(process.c.id.in_(ids))
    return _snapshots(connection, query.order_by(process.c.id.desc()))


def _snapshots(connection: Connection, query: Select[Any]) -> tuple[Snapshot, ...]:
    return tuple(
        Snapshot(
            id=row.id,
            kind=row.kind,
            reference=row.reference,
            consumer=row.consumer,
            lane=Lane(row.lane),
            state=row.state,
            attempts=row.attempts,
            done=bool(row.done),
            incident_id=row.incident_id,
            created_at=from_micros(row.created_at),
            updated_at=from_micros(row.updated_at),
            step_at=maybe_time(row.step_at),
            revision=row.revision,
        )
        for row in connection.execute(query)
    )
