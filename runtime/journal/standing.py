"""How things stand, for the people who run it: search, lanes, subscribers, the audit record.

Every question is answered from indexes that hold only what is still open, or a page at a time,
so that none costs more for what has long been done.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, or_, select, update

from runtime.journal.audited import AuditedPage, audited_page
from runtime.journal.auditing import AuditRecord
from runtime.journal.codec import encode
from runtime.journal.process import Lane, Snapshot
from runtime.journal.reading import EVERYTHING, Page, Query, snapshots
from runtime.journal.times import from_micros, maybe_time, to_micros
from runtime.store.schema import delivery, incident, process, signal, term
from runtime.store.writer import Alone

if TYPE_CHECKING:
    from runtime.journal.journal import Journal

LAST = "Z" * 27
"""Sorts behind every id."""

LOOKED_AT = 500
"""How many candidates of a search are looked at in one go."""

MOST_LOOKS = 20
"""How many times one question may look; what it has not reached then is on the next page."""

LONGEST_LEASE = 60_000_000
"""Microseconds: a process due later than that is waiting and not at work."""


class LaneStanding(Struct, frozen=True, kw_only=True):
    """The open processes of a lane, by what they wait for.

    `due` now, `at_work` (leased), `timed` (for a time), `parked` (for a signal, or behind another
    of their entity); `excepted` of all these have an open incident.
    """

    lane: Lane
    due: int
    at_work: int
    timed: int
    parked: int
    excepted: int
    oldest_due_at: datetime | None


class StateStanding(Struct, frozen=True, kw_only=True):
    """How many open processes of a kind are in a state."""

    lane: Lane
    kind: str
    state: str
    count: int


class SubscriberStanding(Struct, frozen=True, kw_only=True):
    """One subscriber's queue; `last_reason` is what it said of one that waits or is set aside."""

    subscriber: str
    waiting: int
    oldest_at: datetime | None
    set_aside: int
    last_reason: str | None


class StandingDelivery(Struct, frozen=True, kw_only=True):
    """One event that a subscriber has not had."""

    id: int
    subscriber: str
    entity: str
    version: int
    topic: str
    attempts: int
    created_at: datetime
    due_at: datetime
    set_aside_at: datetime | None
    reason: str | None


class RecordedSignal(Struct, frozen=True, kw_only=True):
    """A signal as recorded; `consumed_at` None means it is kept until a state has a use for it."""

    name: str
    dedupe_key: str
    at: datetime
    consumed_at: datetime | None


_CANDIDATES = (
    select(process.c.id).where(
        process.c.id == bindparam("text"), process.c.id < bindparam("before")
    ),
    select(process.c.id).where(
        func.upper(process.c.reference) == func.upper(bindparam("text")),
        process.c.id < bindparam("before"),
    ),
    select(process.c.id)
    .where(process.c.key == bindparam("text"), process.c.id < bindparam("before"))
    .order_by(process.c.id.desc())
    .limit(bindparam("room")),
    select(term.c.process_id)
    .where(
        or_(term.c.value == bindparam("text"), term.c.value == bindparam("upper")),
        term.c.process_id < bindparam("before"),
    )
    .distinct()
    .order_by(term.c.process_id.desc())
    .limit(bindparam("room")),
    select(incident.c.process_id).where(
        incident.c.id == bindparam("upper"), incident.c.process_id < bindparam("before")
    ),
)
_DUE_NOW = select(func.count(), func.min(process.c.due_at)).where(
    process.c.lane == bindparam("lane"),
    process.c.due_at.is_not(None),
    process.c.due_at <= bindparam("now"),
)
_DUE_LATER = select(func.count()).where(
    process.c.lane == bindparam("lane"),
    process.c.due_at.is_not(None),
    process.c.due_at > bindparam("now"),
)
_AT_WORK = _DUE_LATER.where(
    process.c.due_at <= bindparam("soon"), process.c.lease_owner.is_not(None)
)
_STATES = (
    select(process.c.lane, process.c.kind, process.c.state, func.count().label("count"))
    .where(~process.c.done)
    .group_by(process.c.lane, process.c.kind, process.c.state)
    .order_by(process.c.lane, process.c.kind, process.c.state)
)
_EXCEPTED = (
    select(process.c.lane, func.count().label("count"))
    .select_from(incident)
    .join(process, process.c.id == incident.c.process_id)
    .where(incident.c.closed_at.is_(None))
    .group_by(process.c.lane)
)
_WAITING = (
    select(delivery.c.subscriber, func.count().label("count"), func.min(delivery.c.created_at))
    .where(delivery.c.done_at.is_(None))
    .group_by(delivery.c.subscriber)
)
_SET_ASIDE = (
    select(
        delivery.c.subscriber, func.count().label("count"), func.max(delivery.c.id).label("last")
    )
    .where(delivery.c.set_aside)
    .group_by(delivery.c.subscriber)
)
_REASON = select(delivery.c.result).where(delivery.c.id == bindparam("last"))
_HEAD_REASON = (
    select(delivery.c.result)
    .where(
        delivery.c.subscriber == bindparam("subscriber"),
        delivery.c.done_at.is_(None),
        delivery.c.result.is_not(None),
    )
    .order_by(delivery.c.due_at)
    .limit(1)
)


class Standing:
    """Answers how things stand. Reads run on the store's readers; `redeliver` is audited."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal
        self._store = journal.store

    async def search(
        self,
        text: str,
        query: Query = EVERYTHING,
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Processes known by a business id, newest first, as far as `query` lets them pass.

        The id may be the process's, its reference (in any case), its caller's key, the value of
        any of its terms, or an incident's.
        """
        return await self._store.read(lambda c: _search(c, text.strip(), query, cursor, limit))

    async def signals(self, process_id: str) -> tuple[RecordedSignal, ...]:
        """Every signal of a process, oldest first."""
        asked = (
            select(signal)
            .where(signal.c.process_id == process_id)
            .order_by(signal.c.at, signal.c.dedupe_key)
        )
        return await self._store.read(lambda c: tuple(_signal(row) for row in c.execute(asked)))

    async def terms(self, process_id: str) -> dict[str, tuple[str, ...]]:
        """The business ids a process is known by, by kind."""
        asked = (
            select(term.c.kind, term.c.value)
            .where(term.c.process_id == process_id)
            .order_by(term.c.kind, term.c.value)
        )

        def read(connection: Connection) -> dict[str, tuple[str, ...]]:
            found: dict[str, tuple[str, ...]] = {}
            for kind, value in connection.execute(asked):
                found[kind] = (*found.get(kind, ()), value)
            return found

        return await self._store.read(read)

    async def lanes(self) -> tuple[LaneStanding, ...]:
        """How each lane stands, the most critical first."""
        now = to_micros(self._journal.clock.now())
        return await self._store.read(lambda c: _lanes(c, now))

    async def states(self) -> tuple[StateStanding, ...]:
        """How many open processes are in each state."""

        def read(connection: Connection) -> tuple[StateStanding, ...]:
            return tuple(
                StateStanding(lane=Lane(r.lane), kind=r.kind, state=r.state, count=r[3])
                for r in connection.execute(_STATES)
            )

        return await self._store.read(read)

    async def subscribers(self) -> tuple[SubscriberStanding, ...]:
        """How each subscriber's queue stands: those of this program, and who else has a queue."""
        known = [subscriber.name for subscriber in self._journal.subscribers]
        return await self._store.read(lambda c: _subscribers(c, known))

    async def deliveries(
        self, subscriber: str, *, set_aside: bool, after: int = 0, limit: int = 100
    ) -> tuple[StandingDelivery, ...]:
        """What is set aside, or waits, oldest first; continue `after` the last one's id."""
        which = delivery.c.set_aside if set_aside else delivery.c.done_at.is_(None)
        asked = (
            select(delivery)
            .where(delivery.c.subscriber == subscriber, which, delivery.c.id > after)
            .order_by(delivery.c.id)
            .limit(limit)
        )
        return await self._store.read(lambda c: tuple(_delivery(row) for row in c.execute(asked)))

    async def redeliver(
        self, subscriber: str, *, actor: str, delivery_id: int | None = None, note: str = ""
    ) -> int:
        """Send again what was set aside, one or all; answers how many. Audited.

        It comes after newer events of its entity: by its version the subscriber knows.
        """
        now = to_micros(self._journal.clock.now())
        again = (
            update(delivery)
            .where(delivery.c.subscriber == subscriber, delivery.c.set_aside)
            .values(set_aside=False, done_at=None, due_at=now, attempts=0, result=None)
        )
        if delivery_id is not None:
            again = again.where(delivery.c.id == delivery_id)

        def act(connection: Connection) -> int:
            count = connection.execute(again).rowcount
            told: dict[str, Any] = {"act": "redelivery", "actor": actor, "note": note}
            told |= {"subscriber": subscriber, "delivery": delivery_id, "count": count}
            record = AuditRecord(chain=self._journal.node, at=now, record=encode(told))
            self._journal.auditing(connection, [record])
            return count

        count = await self._store.submit(Alone(act), None)
        self._journal.look_for_deliveries()
        return count

    async def audit(
        self, *, actor: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> AuditedPage:
        """The audit of calls and operators' acts over all chains, newest first.

        `actor` narrows to the records whose `actor`, `subject` or `consumer` it is.
        """
        return await self._store.read(lambda c: audited_page(c, actor, cursor, limit))


def _search(
    connection: Connection, text: str, query: Query, cursor: str | None, limit: int
) -> Page:
    found: list[Snapshot] = []
    before = cursor or LAST
    for _ in range(MOST_LOOKS):
        asked = {"text": text, "upper": text.upper(), "before": before, "room": LOOKED_AT}
        ids = {i for arm in _CANDIDATES for i in connection.execute(arm, asked).scalars()}
        if not ids:
            return Page(snapshots=tuple(found), cursor=None)
        # What an arm left out beyond its room lies below the first so many of all arms.
        looked = sorted(ids, reverse=True)[:LOOKED_AT]
        found += snapshots(connection, query, looked)
        if len(found) > limit:
            return Page(snapshots=tuple(found[:limit]), cursor=found[limit - 1].id)
        before = looked[-1]
    return Page(snapshots=tuple(found), cursor=before)


def _lanes(connection: Connection, now: int) -> tuple[LaneStanding, ...]:
    open_ones: dict[int, int] = {}
    for row in connection.execute(_STATES):
        open_ones[row.lane] = open_ones.get(row.lane, 0) + row[3]
    excepted = {row.lane: row[1] for row in connection.execute(_EXCEPTED)}
    found = []
    for lane in Lane:
        asked = {"lane": int(lane), "now": now, "soon": now + LONGEST_LEASE}
        due, oldest = connection.execute(_DUE_NOW, asked).one()
        later = connection.execute(_DUE_LATER, asked).scalar_one()
        at_work = connection.execute(_AT_WORK, asked).scalar_one()
        found.append(
            LaneStanding(
                lane=lane,
                due=due,
                at_work=at_work,
                timed=later - at_work,
                parked=max(0, open_ones.get(lane, 0) - due - later),
                excepted=excepted.get(lane, 0),
                oldest_due_at=maybe_time(oldest),
            )
        )
    return tuple(found)


def _subscribers(connection: Connection, known: Sequence[str]) -> tuple[SubscriberStanding, ...]:
    waiting = {row.subscriber: row for row in connection.execute(_WAITING)}
    aside = {row.subscriber: row for row in connection.execute(_SET_ASIDE)}
    found = []
    for name in sorted({*known, *waiting, *aside}):
        queue, refused = waiting.get(name), aside.get(name)
        reason = None
        if queue is not None:
            reason = connection.execute(_HEAD_REASON, {"subscriber": name}).scalar()
        if reason is None and refused is not None:
            reason = connection.execute(_REASON, {"last": refused.last}).scalar()
        found.append(
            SubscriberStanding(
                subscriber=name,
                waiting=queue[1] if queue is not None else 0,
                oldest_at=from_micros(queue[2]) if queue is not None else None,
                set_aside=refused[1] if refused is not None else 0,
                last_reason=reason,
            )
        )
    return tuple(found)


def _signal(row: Any) -> RecordedSignal:
    return RecordedSignal(
        name=row.name,
        dedupe_key=row.dedupe_key,
        at=from_micros(row.at),
        consumed_at=maybe_time(row.consumed_at),
    )


def _delivery(row: Any) -> StandingDelivery:
    return StandingDelivery(
        id=row.id,
        subscriber=row.subscriber,
        entity=row.entity,
        version=row.version,
        topic=row.topic,
        attempts=row.attempts,
        created_at=from_micros(row.created_at),
        due_at=from_micros(row.due_at),
        set_aside_at=maybe_time(row.done_at) if row.set_aside else None,
        reason=row.result,
    )
