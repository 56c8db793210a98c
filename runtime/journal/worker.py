"""A worker: leases what is due, runs its steps, commits what they decide."""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Mapping
from contextvars import Context
from datetime import datetime, timedelta
from functools import partial

from msgspec import structs

from runtime.journal.advancing import Advancing
from runtime.journal.crash_points import DURING_TAKEOVER
from runtime.journal.deciding import Deciding, Held
from runtime.journal.delivering import Delivering
from runtime.journal.draining import Draining
from runtime.journal.journal import Journal
from runtime.journal.leasing import Lease, LeaseRequest, Leasing, release, renew
from runtime.journal.process import Lane
from runtime.journal.times import from_micros, maybe_time, to_micros
from runtime.store.faults import StoreClosed, StoreUnavailable
from runtime.tracing import Tracing

log = logging.getLogger("crossdock.journal")

CONCURRENCY: Mapping[Lane, int] = {Lane.CAPTURE: 64, Lane.STATUS: 16, Lane.SYNC: 16, Lane.BULK: 8}
LEASE = timedelta(seconds=10)
LONGEST_SLEEP = timedelta(minutes=1)
SHORTEST_SLEEP = 0.005
STORE_PAUSE = 0.2
"""Seconds between two tries while the store cannot be reached."""


class _LaneWork:
    """What one lane is doing here: how many steps run, and who holds a lease but must wait.

    `next_look` is when something may fall due that is not known of; None while that is being asked.
    """

    __slots__ = ("hungry", "limit", "next_look", "promised", "running", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.promised = 0
        self.waiting: deque[Held] = deque()
        self.hungry = True
        self.next_look: datetime | None = None

    @property
    def room(self) -> int:
        """How many more leases are wanted: enough that no slot idles between two look-ups."""
        return 2 * self.limit - self.running - self.promised - len(self.waiting)

    @property
    def has_room(self) -> bool:
        """Whether there is so much room that a look is worth its while."""
        return 2 * self.room >= self.limit


class Worker:
    """Advances the processes of one journal, several lanes beside each other.

    `start` begins at once with what a dead worker left. `drain` lets running steps finish and
    gives every lease back. Construction has no effects. With `tracing` every step of a sampled
    trace leaves a span under the call that asked for its process.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        concurrency: Mapping[Lane, int] = CONCURRENCY,
        lease: timedelta = LEASE,
        tracing: Tracing | None = None,
    ) -> None:
        self._journal = journal
        self._store = journal.store
        self._types = journal.types
        self._clock = journal.clock
        self._crash_points = journal.crash_points
        self._lease = lease
        self._traced = tracing is not None
        self.holder = journal.new_holder()
        self._leasing = Leasing(journal.store.dialect)
        self._delivering = Delivering(journal, self.holder, lease)
        self._redriving = Draining(journal)
        deciding = Deciding(
            types=journal.types,
            subscribers=journal.subscribers,
            holder=self.holder,
            lease=lease,
            random=journal.random,
        )
        self._advancing = Advancing(
            journal,
            deciding,
            notice=self.notice,
            wake_deliveries=self._delivering.wake,
            tracing=tracing,
        )
        self._lanes = {lane: _LaneWork(limit) for lane, limit in concurrency.items()}
        self._held: dict[str, Held] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asides: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._wakeup = asyncio.Event()
        self._draining = False

    def __repr__(self) -> str:
        running = ", ".join(
            f"{lane.name.lower()} {work.running}/{work.limit}" for lane, work in self._lanes.items()
        )
        return f"<Worker {self.holder} {running}>"

    async def start(self) -> None:
        """Begin working. The journal must be open."""
        self._journal.attach(self)
        self._loops = [
            asyncio.create_task(self._look_for_work(), name="journal-leases"),
            asyncio.create_task(self._keep_leases(), name="journal-heartbeat"),
        ]
        self._delivering.start()
        self._redriving.start()

    async def drain(self, within: timedelta = timedelta(seconds=10)) -> None:
        """Finish running steps within the time given, then release every lease.

        A step still running after that is cancelled, and its next run is in doubt.
        """
        self._draining = self._advancing.draining = True
        self._journal.detach(self)
        for loop in self._loops[:1]:
            loop.cancel()
        for work in self._lanes.values():
            work.waiting.clear()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=within.total_seconds())
        late = list(self._tasks.values())
        for task in late:
            task.cancel()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*late, *self._asides, *self._loops, return_exceptions=True)
        await self._delivering.stop()
        await self._redriving.stop()
        if self._held:
            ids, now = list(self._held), to_micros(self._clock.now())
            await self._store.write(partial(release, self.holder, ids, now))
            self._held.clear()
        await self._journal.waking.tell_of_release()

    def wake(self) -> None:
        """Look for work now. For tests' clocks, and for wake-ups from other processes."""
        for work in self._lanes.values():
            work.hungry, work.next_look = True, None
        self._wakeup.set()
        self._delivering.wake()
        self._redriving.wake()

    def notice(self, due: datetime, lane: Lane) -> None:
        """Something will be due then that this worker may not know of."""
        work = self._lanes.get(lane)
        if work is not None and (work.next_look is None or due < work.next_look):
            work.hungry = True
            self._wakeup.set()

    def wake_deliveries(self, subscribers: Collection[str] | None = None) -> None:
        """Events were committed; for these subscribers, if it is known for which."""
        self._delivering.wake(subscribers)

    # Born leased: what is accepted here and has room here never needs to be looked for.

    def promise(self, lane: Lane) -> bool:
        """Whether a process about to be accepted may be born with this worker's lease."""
        work = self._lanes.get(lane)
        if work is None or self._draining or work.room <= 0:
            return False
        work.promised += 1
        return True

    def keep_promise(self, held: Held | None, lane: Lane) -> None:
        """The accept has committed (`held`), or came to nothing (None)."""
        work = self._lanes[lane]
        work.promised -= 1
        if held is not None:
            self._take(held)
        else:
            self._look_if_there_is_room(work)

    @property
    def lease(self) -> timedelta:
        """How long a lease lasts without a heartbeat."""
        return self._lease

    # Finding work.

    async def _look_for_work(self) -> None:
        while True:
            self._wakeup.clear()
            try:
                pause = await self._look()
            except StoreClosed:
                return
            except Exception:
                log.exception("look_for_work_stumbled")
                pause = STORE_PAUSE
            try:
                async with asyncio.timeout(pause):
                    await self._wakeup.wait()
            except TimeoutError:
                now = self._clock.now()
                for work in self._lanes.values():
                    work.hungry |= work.next_look is None or work.next_look <= now

    async def _look(self) -> float:
        """Lease what is due; answer how many seconds there is nothing to look for."""
        looked = {
            int(lane): work for lane, work in self._lanes.items() if work.hungry and work.has_room
        }
        now = self._clock.now()
        longest = LONGEST_SLEEP
        if not self._store.is_exclusive:
            longest = timedelta(seconds=self._journal.waking.pause)
        horizon = now + longest
        if looked:
            # What is noticed while the store looks is not in its answer: it asks for another look.
            for work in looked.values():
                work.hungry, work.next_look = False, None
            until = to_micros(now + self._lease)
            try:
                leased = await self._store.submit(self._leasing, self._request(looked, now, until))
            except StoreUnavailable:
                log.warning("store_unreachable_for_leases")
                for work in looked.values():
                    work.hungry = True
                return STORE_PAUSE
            for lane, work in looked.items():
                work.hungry |= lane in leased.full
                due = leased.next_due.get(lane)
                work.next_look = horizon if due is None else min(horizon, from_micros(due))
            for lease in leased.leases:
                self._receive(lease, until)
        soonest = min(work.next_look or horizon for work in self._lanes.values())
        return max(SHORTEST_SLEEP, (soonest - self._clock.now()).total_seconds())

    def _request(self, looked: Mapping[int, _LaneWork], now: datetime, until: int) -> LeaseRequest:
        return LeaseRequest(
            holder=self.holder,
            room={lane: work.room for lane, work in looked.items()},
            now=to_micros(now),
            until=until,
            holding=frozenset(self._held),
            traced=self._traced,
        )

    def _receive(self, lease: Lease, until: int) -> None:
        row = lease.row
        if lease.taken_over:
            log.warning(
                "lease_taken_over",
                extra={"process_id": row.id, "state": row.state, "from": row.lease_owner},
            )
            self._crash_points.passing(DURING_TAKEOVER)
        try:
            held = self._held_by(lease, until)
        except Exception as failure:  # noqa: BLE001  # named in the incident that comes of it
            says = "What is stored of this process can no longer be read."
            aside = self._advancing.set_aside(row.id, lease.fence, failure, says)
            task = asyncio.create_task(aside, context=Context())
            self._asides.add(task)
            task.add_done_callback(self._asides.discard)
        else:
            self._take(held)

    def _held_by(self, lease: Lease, until: int) -> Held:
        """Read a leased row. Raises whatever is wrong with it."""
        if lease.fault is not None:
            raise lease.fault
        row = lease.row
        process = structs.replace(self._types.process(row), attempts=lease.attempts)
        kind = self._types[process.kind]
        settled_at = maybe_time(row.settled_at)
        settle = kind.settle_after_takeover.get(process.state)
        if lease.taken_over and settle is not None:
            # The dead worker lived at the latest until its lease lapsed.
            settled_at = from_micros(row.due_at) + settle
        return Held(
            process=process,
            fence=lease.fence,
            in_doubt=lease.in_doubt,
            lease_until=until,
            signals=lease.signals,
            unheard=any(s.name not in kind.on_signal for s in lease.signals),
            upgraded=row.version != process.version,
            settled_at=settled_at,
            traceparent=lease.traceparent,
        )

    def _take(self, held: Held) -> None:
        self._held[held.process.id] = held
        if self._draining:
            return
        work = self._lanes[held.process.lane]
        work.waiting.append(held)
        self._pump(work)

    def _pump(self, work: _LaneWork) -> None:
        while work.waiting and work.running < work.limit and not self._draining:
            held = work.waiting.popleft()
            work.running += 1
            # an empty context: what is worked on is no part of the call, or of the process, that
            # happened to make room for it
            self._tasks[held.process.id] = asyncio.create_task(
                self._work_on(held, work), context=Context()
            )

    async def _work_on(self, held: Held, work: _LaneWork) -> None:
        process_id = held.process.id
        try:
            await self._advancing.advance(held)
        except asyncio.CancelledError:
            if not self._draining:
                raise
            await self._advancing.give_up(held)
        except StoreClosed:
            log.info("work_left_behind", extra={"process_id": process_id})
        except Exception as failure:  # noqa: BLE001  # logged, and told in an incident
            await self._stumble(held, failure)
        finally:
            self._held.pop(process_id, None)
            self._tasks.pop(process_id, None)
            work.running -= 1
            self._pump(work)
            self._look_if_there_is_room(work)

    def _look_if_there_is_room(self, work: _LaneWork) -> None:
        if work.hungry and work.has_room:
            self._wakeup.set()

    async def _stumble(self, held: Held, failure: Exception) -> None:
        try:
            await self._advancing.stumble(held, failure)
        except StoreClosed:
            log.info("work_left_behind", extra={"process_id": held.process.id})

    async def _keep_leases(self) -> None:
        """Renew what is held for longer than a third of the lease."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            now = self._clock.now()
            soon = to_micros(now + self._lease * 2 / 3)
            until = to_micros(now + self._lease)
            old = [held for held in self._held.values() if held.lease_until < soon]
            if not old:
                continue
            ids = [held.process.id for held in old]
            try:
                kept = await self._store.write(partial(renew, self.holder, ids, until))
            except StoreUnavailable:
                log.warning("leases_not_renewed", extra={"leases": len(ids)})
                continue
            if kept < len(ids):
                log.warning("leases_lost", extra={"leases": len(ids) - kept})
            for held in old:
                held.lease_until = until
