"""The worker's other half: hands events to their subscribers, each at its own pace."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Connection, bindparam, exists, select, update

from runtime.journal.crash_points import AFTER_DELIVERY, BEFORE_DELIVERY
from runtime.journal.propagation import (
    Delivered,
    Delivery,
    DeliveryOutcome,
    Later,
    Subscriber,
    Undeliverable,
)
from runtime.journal.retries import retry_at
from runtime.journal.times import from_micros, to_micros
from runtime.store.faults import StoreClosed, StoreUnavailable
from runtime.store.schema import delivery
from runtime.store.statements import updating

if TYPE_CHECKING:
    from runtime.journal.journal import Journal

log = logging.getLogger("crossdock.journal")

LONGEST_SLEEP = 60.0
STORE_PAUSE = 0.5

_older = delivery.alias("older")
_waiting = delivery.c.done_at.is_(None)
_HEADS = (
    select(delivery)
    .where(
        delivery.c.subscriber == bindparam("subscriber"),
        _waiting,
        delivery.c.due_at <= bindparam("now", type_=BigInteger()),
        ~exists().where(
            _older.c.subscriber == delivery.c.subscriber,
            _older.c.entity == delivery.c.entity,
            _older.c.done_at.is_(None),
            _older.c.id < delivery.c.id,
        ),
    )
    .order_by(delivery.c.due_at, delivery.c.id)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
_BACKLOG = (
    select(delivery)
    .where(
        delivery.c.subscriber == bindparam("subscriber"),
        _waiting,
        delivery.c.entity.in_(bindparam("entities", expanding=True)),
    )
    .order_by(delivery.c.id)
)
_ORPHANED = (
    update(delivery)
    .where(_waiting, delivery.c.lease_owner.is_not(None))
    .values(due_at=bindparam("now"), lease_owner=None)
)
_NEXT_DUE = (
    select(delivery.c.due_at)
    .where(
        delivery.c.subscriber == bindparam("subscriber"),
        _waiting,
        delivery.c.due_at > bindparam("now", type_=BigInteger()),
    )
    .order_by(delivery.c.due_at)
    .limit(1)
)


class _Request(Struct, frozen=True, kw_only=True):
    subscriber: str
    coalesce: bool
    room: int
    holder: str
    now: int
    until: int


class _Batch(Struct, frozen=True, kw_only=True):
    deliveries: tuple[Delivery, ...]
    next_due: int | None


class _Queues:
    """The group writes behind deliveries."""

    def __init__(self, dialect: Any) -> None:
        its_id = {"id": "delivery_id"}
        self._lease = updating(
            delivery, dialect, where=its_id, sets={"lease_owner": "holder", "due_at": "until"}
        )
        self._settle = updating(
            delivery,
            dialect,
            where=its_id,
            sets={
                "attempts": "tries",
                "due_at": "due",
                "done_at": "done",
                "result": "outcome",
                "set_aside": "aside",
            },
            clears=("lease_owner",),
            only=_waiting,
        )

    def lease(self, connection: Connection, batch: Sequence[_Request]) -> Sequence[_Batch]:
        """The next event of each entity that has one due, or with `coalesce` its newest."""
        return [self._lease_one(connection, request) for request in batch]

    def settle(
        self, connection: Connection, batch: Sequence[Sequence[dict[str, Any]]]
    ) -> Sequence[None]:
        """Write what became of the deliveries."""
        self._settle.run(connection, [row for rows in batch for row in rows])
        return [None] * len(batch)

    def _lease_one(self, connection: Connection, request: _Request) -> _Batch:
        asked = {"subscriber": request.subscriber, "now": request.now, "room": request.room}
        rows = connection.execute(_HEADS, asked).all()
        if not rows:
            due = connection.execute(_NEXT_DUE, asked).scalar()
            return _Batch(deliveries=(), next_due=due)
        if request.coalesce:
            rows = self._newest(connection, request, [row.entity for row in rows])
        self._lease.run(
            connection,
            [
                {"delivery_id": row.id, "holder": request.holder, "until": request.until}
                for row in rows
            ],
        )
        return _Batch(deliveries=tuple(_delivery(row) for row in rows), next_due=request.now)

    def _newest(
        self, connection: Connection, request: _Request, entities: Sequence[str]
    ) -> list[Any]:
        asked = {"subscriber": request.subscriber, "entities": list(entities)}
        newest: dict[str, Any] = {}
        superseded = []
        for row in connection.execute(_BACKLOG, asked):
            if row.entity in newest:
                superseded.append(newest[row.entity])
            newest[row.entity] = row
        self._settle.run(
            connection,
            [_settled(row.id, row.attempts, request.now, "superseded") for row in superseded],
        )
        return list(newest.values())


def _settled(
    delivery_id: int, tries: int, at: int, outcome: str, *, aside: bool = False
) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id,
        "tries": tries,
        "due": at,
        "done": at,
        "outcome": outcome,
        "aside": aside,
    }


def _postponed(sent: Delivery, due: int, reason: str) -> dict[str, Any]:
    return {
        "delivery_id": sent.id,
        "tries": sent.attempt,
        "due": due,
        "done": None,
        "outcome": reason,
        "aside": False,
    }


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        topic=row.topic,
        entity=row.entity,
        version=row.version,
        payload=msgspec.Raw(row.payload),
        attempt=row.attempts + 1,
        created_at=from_micros(row.created_at),
    )


def orphan_deliveries(connection: Connection, now: int) -> int:
    """Let every lease lapse now. Only for a store of which this process is the sole user."""
    return connection.execute(_ORPHANED, {"now": now}).rowcount


class Delivering:
    """One loop for each subscriber, so that a dead one slows no other.

    A batch is given up after 1.2 times `lease`, and may be taken over after 1.5 times.
    """

    def __init__(self, journal: "Journal", holder: str, lease: timedelta) -> None:
        self._journal = journal
        self._holder = holder
        self._lease = lease * 1.5
        self._patience = lease.total_seconds() * 1.2
        self._out: dict[int, Delivery] = {}
        self._queues = _Queues(journal.store.dialect)
        self._wakeups: list[tuple[str, asyncio.Event]] = []
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin delivering to every subscriber of the journal."""
        for subscriber in self._journal.subscribers:
            for _ in range(subscriber.concurrency):
                wakeup = asyncio.Event()
                self._wakeups.append((subscriber.name, wakeup))
                name = f"journal-deliveries-{subscriber.name}"
                loop = asyncio.create_task(self._serve(subscriber, wakeup), name=name)
                self._loops.append(loop)

    async def stop(self) -> None:
        """End at once. What was being delivered may be delivered again by the next worker."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        if self._out:
            now = self._journal.clock.now()
            rows = [_postponed(d, to_micros(now), "the worker ended") for d in self._out.values()]
            self._out.clear()
            await self._journal.store.submit(self._queues.settle, rows)

    def wake(self, subscribers: Collection[str] | None = None) -> None:
        """There may be something to deliver; to these, if it is known to whom."""
        for name, wakeup in self._wakeups:
            if subscribers is None or name in subscribers:
                wakeup.set()

    async def _serve(self, subscriber: Subscriber, wakeup: asyncio.Event) -> None:
        while True:
            wakeup.clear()
            try:
                pause = await self._deliver_next(subscriber)
            except StoreUnavailable:
                pause = STORE_PAUSE
            except StoreClosed:
                return
            except Exception:
                log.exception("deliveries_stumbled", extra={"subscriber": subscriber.name})
                pause = STORE_PAUSE
            if pause > 0:
                try:
                    async with asyncio.timeout(pause):
                        await wakeup.wait()
                except TimeoutError:
                    pass
            if subscriber.gather:
                await asyncio.sleep(subscriber.gather.total_seconds())

    async def _deliver_next(self, subscriber: Subscriber) -> float:
        """Deliver one batch; answer how many seconds there is nothing more to do."""
        journal = self._journal
        now = journal.clock.now()
        request = _Request(
            subscriber=subscriber.name,
            coalesce=subscriber.coalesce,
            room=subscriber.batch,
            holder=self._holder,
            now=to_micros(now),
            until=to_micros(now + self._lease),
        )
        batch = await journal.store.submit(self._queues.lease, request)
        if not batch.deliveries:
            longest = LONGEST_SLEEP if journal.store.is_exclusive else journal.waking.pause
            if batch.next_due is None:
                return longest
            return min(longest, max(0.001, (batch.next_due - request.now) / 1e6))
        self._out |= {sent.id: sent for sent in batch.deliveries}
        journal.crash_points.passing(BEFORE_DELIVERY)
        outcomes = await self._outcomes(subscriber, batch.deliveries)
        journal.crash_points.passing(AFTER_DELIVERY)
        rows = [
            self._row(subscriber, sent, outcome)
            for sent, outcome in zip(batch.deliveries, outcomes, strict=True)
        ]
        await journal.store.submit(self._queues.settle, rows)
        for sent in batch.deliveries:
            self._out.pop(sent.id, None)
        return 0

    async def _outcomes(
        self, subscriber: Subscriber, deliveries: Sequence[Delivery]
    ) -> Sequence[DeliveryOutcome]:
        try:
            async with asyncio.timeout(self._patience):
                outcomes = await subscriber.deliver(deliveries)
        except Exception as failure:
            log.exception("delivery_failed", extra={"subscriber": subscriber.name})
            return [Later(reason=type(failure).__name__)] * len(deliveries)
        if len(outcomes) != len(deliveries):
            log.error("delivery_outcomes_miscounted", extra={"subscriber": subscriber.name})
            return [Later(reason="outcomes miscounted")] * len(deliveries)
        return outcomes

    def _row(
        self, subscriber: Subscriber, sent: Delivery, outcome: DeliveryOutcome
    ) -> dict[str, Any]:
        now = self._journal.clock.now()
        match outcome:
            case Delivered():
                return _settled(sent.id, sent.attempt, to_micros(now), "delivered")
            case Undeliverable(reason=reason):
                log.warning(
                    "delivery_refused",
                    extra={"subscriber": subscriber.name, "entity": sent.entity, "reason": reason},
                )
                return _settled(sent.id, sent.attempt, to_micros(now), reason, aside=True)
            case Later(reason=reason, at=at):
                due = at or retry_at(now, sent.attempt, self._journal.random)
                return _postponed(sent, to_micros(due), reason)
        assert_never(outcome)
