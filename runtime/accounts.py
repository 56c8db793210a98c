"""One vendor account in the memory of one process: its meters, and who waits for them.

What is allowed, how it is shared out, and what an operator sees of it stand here too.
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from contracts import context
from contracts.outcomes import CallFailedError, Throttled
from runtime.clock import Clock
from runtime.meters import Bucket, BucketMeter, DailyMeter, Meter, Window, WindowMeter

__all__ = ["LANES", "Account", "Alarm", "Allowance", "BudgetStanding", "Timer", "loop_timer"]

LANES: Final = {"capture": 0, "status": 1, "sync": 2, "bulk": 3}
LOWEST_HIGH: Final = 1
"""Lanes up to this rank may use the reserve."""

_SHORTEST_SLEEP: Final = 0.001
"""Seconds; below them the rounding of sums could have the same moment met again and again."""


class Alarm(Protocol):
    """Something that will call back."""

    def cancel(self) -> None:
        """Do not call back."""
        ...


Timer = Callable[[float, Callable[[], None]], Alarm]
"""Calls back after so many seconds; the event loop's own unless a test hands in another."""


def loop_timer(seconds: float, then: Callable[[], None]) -> Alarm:
    """Call back from the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, then)


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What one vendor account allows. `reserve` is the share kept for the high lanes.

    `daily` is the allocation of 24 hours, which the vendor's own headers keep up to date.
    `longest_wait` bounds the seconds a call without a deadline waits for its turn.
    """

    windows: tuple[Window, ...] = ()
    bucket: Bucket | None = None
    concurrency: int | None = None
    daily: int | None = None
    reserve: float = 0.015
    longest_wait: float = 30.0

    def divided(self, among: int) -> "Allowance":
        """Answer what each of so many processes may use without asking the others; at least 1."""
        if among == 1:
            return self
        windows = (
            msgspec.structs.replace(window, limit=max(1, window.limit // among))
            for window in self.windows
        )
        return msgspec.structs.replace(
            self,
            windows=tuple(windows),
            bucket=self.bucket and self.bucket.divided(among),
            concurrency=self.concurrency and max(1, self.concurrency // among),
            daily=self.daily and max(1, self.daily // among),
        )


class BudgetStanding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an operator sees of an account. Seconds are None where there is no such limit.

    `shared`: the figures are those of all processes together, at most a second old. `degraded`:
    they should be, but the shared state is gone and this process keeps to its own share.
    """

    account: str
    used: int
    limit: int | None
    credits_left: float | None
    running: int
    waiting: int
    waiting_by_lane: Mapping[str, int]
    paused_seconds: float
    exhausted_in_seconds: float | None
    """Forecast at the latest pace, of the limit met first; None when none would be used up."""
    credits_per_call: float | None = None
    """What a call from here cost on average; None before the first, and where calls are counted."""
    shared: bool = False
    degraded: bool = False


Waiter = tuple[int, int, float, asyncio.Future[None], float]
"""Lane rank, order of arrival, cost, turn, last instant: they sort by lane, then by arrival."""


class Account:
    """One vendor account: its meters, and who waits for them."""

    def __init__(self, name: str, allowance: Allowance, clock: Clock, timer: Timer) -> None:
        self.name = name
        self._allowance = allowance
        self._clock = clock
        self._timer = timer
        now = clock.monotonic()
        reserve = allowance.reserve
        self._windows = [WindowMeter(window, reserve) for window in allowance.windows]
        self._bucket = (
            BucketMeter(allowance.bucket, reserve, now) if allowance.bucket is not None else None
        )
        self._daily = DailyMeter(allowance.daily, reserve) if allowance.daily else None
        meters = (*self._windows, self._bucket, self._daily)
        self._meters: tuple[Meter, ...] = tuple(meter for meter in meters if meter is not None)
        self._running = 0
        self._waiting: list[Waiter] = []
        self._arrivals = 0
        self._paused_until = 0.0
        self._wake_at = 0.0
        self._alarm: Alarm | None = None
        self._queued_by_rank = [0] * len(LANES)
        self._ended = 0
        self._charged = 0.0

    def open(self) -> None:
        """Nothing to begin with: this memory is there."""

    async def enter(self, cost: float, lane: str | None) -> None:
        """Wait for a turn and take `cost`; every return must be followed by one `leave()`."""
        call = context.current()
        rank = LANES.get(lane or call.criticality, LOWEST_HIGH)
        now = self._clock.monotonic()
        if not self._queued(rank) and self._free(now, cost, rank):
            self._take(now, cost)
            return
        patience = self._patience(call, now)
        needed = self._wait(now, cost, rank, ahead=self._queued(rank))
        if needed > patience:
            raise self._refused(needed)
        await self._queue(rank, cost, patience)

    def _patience(self, call: context.CallContext, now: float) -> float:
        left, longest = call.remaining(now), self._allowance.longest_wait
        return longest if left is None else min(left, longest)

    def leave(self, reserved: float, charged: float) -> None:
        """Count a call that ended and let the next ones go."""
        self._running -= 1
        now = self._clock.monotonic()
        for meter in self._meters:
            meter.end(now, reserved, charged)
        self._note_cost(charged)
        self._dispatch()

    def _note_cost(self, charged: float) -> None:
        if charged:
            self._ended += 1
            self._charged += charged

    @property
    def credits_per_call(self) -> float | None:
        """What a call cost on average, in an account of credits."""
        if self._allowance.bucket is None or not self._ended:
            return None
        return self._charged / self._ended

    def pause(self, seconds: float) -> None:
        """Send nobody for so many seconds."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def observe(self, used: int, limit: int) -> None:
        """Believe the vendor's count of the day."""
        if self._daily is not None:
            self._daily.learn(self._clock.monotonic(), used, limit)

    def observe_credits(self, left: float, bucket: Bucket | None) -> None:
        """Believe the vendor's count of the credits left, and what it says the bucket is."""
        if self._bucket is not None:
            self._bucket.learn(self._clock.monotonic(), left, bucket)

    async def close(self) -> None:
        """Nothing to give back: this memory ends with its process."""

    def standing(self) -> BudgetStanding:
        """Answer what an operator sees."""
        now = self._clock.monotonic()
        tightest = max(
            self._windows, key=lambda meter: meter.used(now) / meter.window.limit, default=None
        )
        used = tightest.used(now) if tightest else self._daily.known if self._daily else 0
        limit = tightest.window.limit if tightest else self._daily.limit if self._daily else None
        forecasts = [meter.exhausted_in(now) for meter in self._meters]
        return BudgetStanding(
            account=self.name,
            used=used,
            limit=limit,
            credits_left=self._bucket.left(now) if self._bucket else None,
            running=self._running,
            waiting=sum(self._queued_by_rank),
            waiting_by_lane=dict(zip(LANES, self._queued_by_rank, strict=True)),
            paused_seconds=max(0.0, self._paused_until - now),
            exhausted_in_seconds=min((at for at in forecasts if at is not None), default=None),
            credits_per_call=self.credits_per_call,
        )

    def _queued(self, rank: int) -> int:
        """How many wait in this lane or a higher one."""
        return sum(self._queued_by_rank[: rank + 1])

    def _free(self, now: float, cost: float, rank: int) -> bool:
        most = self._allowance.concurrency
        return (most is None or self._running < most) and self._wait(now, cost, rank) <= 0.0

    def _wait(self, now: float, cost: float, rank: int, ahead: int = 0) -> float:
        high = rank <= LOWEST_HIGH
        longest = max(0.0, self._paused_until - now)
        for meter in self._meters:
            longest = max(longest, meter.wait(now, cost, high=high, ahead=ahead))
        return longest

    def _expected(self, cost: float, rank: int) -> float:
        """Answer in how many seconds one who gives up would have had its turn."""
        return self._wait(self._clock.monotonic(), cost, rank)

    def _take(self, now: float, cost: float) -> None:
        self._running += 1
        for meter in self._meters:
            meter.take(now, cost)

    async def _queue(self, rank: int, cost: float, patience: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        until = self._clock.monotonic() + patience
        heapq.heappush(self._waiting, (rank, self._arrivals, cost, turn, until))
        self._queued_by_rank[rank] += 1

        def give_up() -> None:
            if not turn.done():
                turn.set_exception(self._refused(max(0.05, self._expected(cost, rank))))

        alarm = self._timer(patience, give_up)
        self._dispatch()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(cost, 0.0)  # the turn came in the very moment of giving up
            raise
        finally:
            alarm.cancel()
            self._queued_by_rank[rank] -= 1

    def _dispatch(self) -> None:
        """Let everybody go whose turn it is, and wake up when the next one's comes."""
        now = self._clock.monotonic()
        while self._waiting:
            rank, _, cost, turn, _ = self._waiting[0]
            if not turn.done():
                if not self._free(now, cost, rank):
                    self._wake_in(now, self._wait(now, cost, rank))
                    return
                self._take(now, cost)
                turn.set_result(None)
            heapq.heappop(self._waiting)

    def _wake_in(self, now: float, seconds: float) -> None:
        """Come back when time alone will have made room; a call's end comes back by itself."""
        if seconds <= 0.0:
            return
        seconds = max(seconds, _SHORTEST_SLEEP)
        if self._alarm is not None:
            if self._wake_at <= now + seconds:
                return
            self._alarm.cancel()
        self._wake_at = now + seconds
        self._alarm = self._timer(seconds, self._woken)

    def _woken(self) -> None:
        self._alarm = None
        self._dispatch()

    def _refused(self, seconds: float) -> CallFailedError:
        return CallFailedError(Throttled(system=self.name, retry_after=seconds))
