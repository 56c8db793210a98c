"""The worker's third half: drains redrives, each at its own rate, whichever worker comes first.

A batch is one transaction under the lock of its redrive's row: nothing is held between two
batches, so a worker that dies leaves nothing behind.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, select, update

from runtime.journal.codec import decode_object
from runtime.journal.faults import ActedOnMeanwhile
from runtime.journal.incidents import Action
from runtime.journal.redriving import ItemOutcome, RedriveState
from runtime.journal.remedying import AskedRemedy, Remedying
from runtime.journal.times import to_micros
from runtime.store.faults import StoreClosed, StoreUnavailable
from runtime.store.schema import redrive, redrive_item
from runtime.store.statements import updating

if TYPE_CHECKING:
    from runtime.journal.journal import Journal

log = logging.getLogger("crossdock.journal")

LONGEST_SLEEP = 60.0
SHORTEST_SLEEP = 0.02
STORE_PAUSE = 0.5
LARGEST_BATCH = 50
BURST = 1_000_000
"""Microseconds of its rate that a redrive makes up for at once after nobody drained it."""

_DUE = (
    select(redrive)
    .where(redrive.c.due_at.is_not(None), redrive.c.due_at <= bindparam("now"))
    .order_by(redrive.c.due_at)
    .limit(10)
    .with_for_update(skip_locked=True)
)
_NEXT = select(func.min(redrive.c.due_at)).where(redrive.c.due_at.is_not(None))
_ITEMS = (
    select(redrive_item)
    .where(
        redrive_item.c.redrive_id == bindparam("redrive_id"),
        redrive_item.c.position > bindparam("drained"),
    )
    .order_by(redrive_item.c.position)
    .limit(bindparam("room"))
)
_ADVANCE = update(redrive).where(redrive.c.id == bindparam("its_id"))


class _Drained(Struct, frozen=True, kw_only=True):
    applied: int
    next_due: int | None


class _Batch(Struct, frozen=True, kw_only=True):
    """What is taken of one redrive now, and when it is due again."""

    redrive: Any
    items: Sequence[Any]
    due_at: int


class _Drain:
    """The group write of one look at what is due; the argument is the time."""

    def __init__(self, remedying: Remedying, chain: str, dialect: Any) -> None:
        self._remedying = remedying
        self._chain = chain
        self._mark = updating(
            redrive_item,
            dialect,
            where={"redrive_id": "its_redrive", "position": "its_position"},
            sets={"outcome": "outcome", "reason": "reason", "at": "at"},
        )

    def __call__(self, connection: Connection, batch: Sequence[int]) -> Sequence[_Drained]:
        drained = self._drain(connection, max(batch))
        return [drained] * len(batch)

    def _drain(self, connection: Connection, now: int) -> _Drained:
        batches = [
            _taken(connection, row, now) for row in connection.execute(_DUE, {"now": now}).all()
        ]
        asked = [
            _asked(one.redrive, item, now, self._chain) for one in batches for item in one.items
        ]
        results = iter(self._remedying(connection, asked))
        applied = 0
        for one in batches:
            outcomes = [_outcome(next(results)) for _ in one.items]
            applied += self._settle(connection, one, outcomes, now)
        return _Drained(applied=applied, next_due=connection.execute(_NEXT).scalar())

    def _settle(
        self,
        connection: Connection,
        batch: _Batch,
        outcomes: Sequence[tuple[ItemOutcome, str | None]],
        now: int,
    ) -> int:
        row = batch.redrive
        self._mark.run(
            connection,
            [
                {
                    "its_redrive": row.id,
                    "its_position": item.position,
                    "outcome": outcome.value,
                    "reason": reason,
                    "at": now,
                }
                for item, (outcome, reason) in zip(batch.items, outcomes, strict=True)
            ],
        )
        counts = {kind: sum(o is kind for o, _ in outcomes) for kind in ItemOutcome}
        is_over = row.applied + row.skipped + row.failed + len(outcomes) >= row.total
        values: dict[str, Any] = {
            "applied": row.applied + counts[ItemOutcome.APPLIED],
            "skipped": row.skipped + counts[ItemOutcome.SKIPPED],
            "failed": row.failed + counts[ItemOutcome.FAILED],
            "due_at": batch.due_at,
        }
        if is_over:
            values |= {"state": RedriveState.DONE.value, "due_at": None, "ended_at": now}
        connection.execute(_ADVANCE.values(values), {"its_id": row.id})
        return counts[ItemOutcome.APPLIED]


def _taken(connection: Connection, row: Any, now: int) -> _Batch:
    """As many as the rate allows since the last; what was missed long ago is not made up for."""
    since = max(row.due_at, now - BURST)
    room = min(LARGEST_BATCH, 1 + (now - since) // row.pause)
    drained = row.applied + row.skipped + row.failed
    asked = {"redrive_id": row.id, "drained": drained, "room": room}
    items = connection.execute(_ITEMS, asked).all()
    return _Batch(redrive=row, items=items, due_at=since + len(items) * row.pause)


def _asked(row: Any, item: Any, now: int, chain: str) -> AskedRemedy:
    return AskedRemedy(
        incident_id=item.incident_id,
        action=Action(row.action),
        actor=row.actor,
        amendment=decode_object(row.amendment),
        at=now,
        chain=chain,
        remedied=item.remedied,
        redrive=row.id,
    )


def _outcome(result: Exception | None) -> tuple[ItemOutcome, str | None]:
    if result is None:
        return ItemOutcome.APPLIED, None
    skipped = isinstance(result, ActedOnMeanwhile)
    return (ItemOutcome.SKIPPED if skipped else ItemOutcome.FAILED), str(result)


class Draining:
    """One loop for all redrives."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal
        self._drain = _Drain(journal.remedying, journal.node, journal.store.dialect)
        self._wakeup = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to drain."""
        self._loop = asyncio.create_task(self._run(), name="journal-redrives")

    async def stop(self) -> None:
        """End; a batch under way commits or not, as a whole."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def wake(self) -> None:
        """A redrive was started."""
        self._wakeup.set()

    async def _run(self) -> None:
        while True:
            self._wakeup.clear()
            try:
                pause = await self._look()
            except StoreUnavailable:
                pause = STORE_PAUSE
            except StoreClosed:
                return
            except Exception:
                log.exception("redrives_stumbled")
                pause = STORE_PAUSE
            try:
                async with asyncio.timeout(pause):
                    await self._wakeup.wait()
            except TimeoutError:
                pass

    async def _look(self) -> float:
        """Take what is due; answer how many seconds nothing is."""
        journal = self._journal
        now = to_micros(journal.clock.now())
        longest = LONGEST_SLEEP if journal.store.is_exclusive else journal.waking.pause
        due: int | None = await journal.store.read(lambda c: c.execute(_NEXT).scalar())
        if due is not None and due <= now:
            drained = await journal.store.submit(self._drain, now)
            due = drained.next_due
            if drained.applied:
                journal.look_around()
        if due is None:
            return longest
        return min(longest, max(SHORTEST_SLEEP, float(due - now) / 1e6))
