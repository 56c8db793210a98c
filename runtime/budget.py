"""The outbound budget broker: what each vendor account allows, used to the full and never beyond.

An account has any of: sliding windows (so many calls in so many seconds), a credit bucket, a daily
allocation and a number of calls at once. A call waits for its turn, high lanes first, first come
first served within a lane, as long as its caller would wait.

Why no throttle answer is drawn. The vendor counts a call when it arrives, somewhere between our
sending and its answer. We count a call under way in full, and let what it used return only a
window's length after its *end*, the latest instant it can have been counted. So the vendor's count
is never above ours; what is lost is one call's duration per window (50 ms of 300 s).

The low lanes leave a reserve untouched and keep an even pace (`Window.ahead_seconds`), so that
urgent calls do not wait for a flood's window to pass. This is the memory of one process: many
workers on one account need a shared one.
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from contracts import context
from contracts.outcomes import CallFailedError, Throttled, Unavailable
from runtime.clock import Clock
from runtime.meters import Bucket, BucketMeter, DailyMeter, Meter, Window, WindowMeter

__all__ = ["Allowance", "Bucket", "BudgetBroker", "BudgetStanding", "Spending", "Window"]

LANES: Final = {"capture": 0, "status": 1, "sync": 2, "bulk": 3}
_HIGH: Final = 1
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


class BudgetStanding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an operator sees of an account. Seconds are None where there is no such limit."""

    account: str
    used: int
    limit: int | None
    credits_left: float | None
    running: int
    waiting: int
    paused_seconds: float
    exhausted_in_seconds: float | None
    """Forecast at the pace of the latest window; None when it would never be used up."""


class Spending:
    """One call's share of the budget, held while the call is under way.

    Use as `async with broker.spend(...) as spending`. What the call really cost may be said with
    `charged`; a call that ends as `Unavailable` with nothing sent costs nothing.
    """

    __slots__ = ("_account", "_cost", "_lane", "charged")

    def __init__(self, account: "_Account | None", cost: float, lane: str | None) -> None:
        self._account = account
        self._cost = cost
        self._lane = lane
        self.charged: float | None = None

    async def __aenter__(self) -> Self:
        if self._account is not None:
            await self._account.enter(self._cost, self._lane)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._account is None:
            return
        charged = self._cost if self.charged is None else self.charged
        if isinstance(error, CallFailedError):
            match error.failure:
                case Unavailable(may_have_happened=False, because=because) if because in _UNSENT:
                    charged = 0.0
                case _:
                    pass
        self._account.leave(self._cost, charged)


_UNSENT: Final = frozenset({"connect", "circuit open", "bulkhead full", "deadline"})


class BudgetBroker:
    """The budgets of every vendor account of this process."""

    def __init__(
        self,
        allowances: Mapping[str, Allowance],
        *,
        clock: Clock,
        timer: Timer | None = None,
    ) -> None:
        self._accounts = {
            name: _Account(name, allowance, clock, timer or _loop_timer)
            for name, allowance in allowances.items()
        }

    def spend(self, account: str, cost: float = 1.0, lane: str | None = None) -> Spending:
        """Answer a context manager that waits for `cost` of an account, then holds it.

        `lane` is the caller's criticality unless given. An account without an allowance is free:
        that is how limits are switched off.

        Raises, on entering:
            CallFailedError: `Throttled`, when its turn would come after the caller's deadline.
        """
        return Spending(self._accounts.get(account), cost, lane)

    def throttled(self, account: str, retry_after: float) -> None:
        """Learn that the vendor asked for a pause all the same: nobody is sent before its end."""
        if account in self._accounts:
            self._accounts[account].pause(retry_after)

    def observed_usage(self, account: str, used: int, limit: int) -> None:
        """Learn the vendor's own count of the daily allocation."""
        if account in self._accounts:
            self._accounts[account].observe(used, limit)

    def standing(self) -> tuple[BudgetStanding, ...]:
        """Answer every account, for an operator."""
        return tuple(account.standing() for account in self._accounts.values())


def _loop_timer(seconds: float, then: Callable[[], None]) -> Alarm:
    return asyncio.get_running_loop().call_later(seconds, then)


_Waiter = tuple[int, int, float, asyncio.Future[None]]
"""Lane rank, order of arrival, cost, turn: they sort by lane, then by arrival."""


class _Account:
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
        self._waiting: list[_Waiter] = []
        self._arrivals = 0
        self._paused_until = 0.0
        self._wake_at = 0.0
        self._alarm: Alarm | None = None
        self._queued_by_rank = [0] * len(LANES)

    async def enter(self, cost: float, lane: str | None) -> None:
        """Wait for a turn and take `cost`; every return must be followed by one `leave()`."""
        call = context.current()
        rank = LANES.get(lane or call.criticality, _HIGH)
        now = self._clock.monotonic()
        if not self._queued(rank) and self._free(now, cost, rank):
            self._take(now, cost)
            return
        left = call.remaining(now)
        patience = self._allowance.longest_wait
        patience = patience if left is None else min(left, patience)
        needed = self._wait(now, cost, rank, ahead=self._queued(rank))
        if needed > patience:
            raise self._refused(needed)
        await self._queue(rank, cost, patience)

    def leave(self, reserved: float, charged: float) -> None:
        """Count a call that ended and let the next ones go."""
        self._running -= 1
        now = self._clock.monotonic()
        for meter in self._meters:
            meter.end(now, reserved, charged)
        self._dispatch()

    def pause(self, seconds: float) -> None:
        """Send nobody for so many seconds."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def observe(self, used: int, limit: int) -> None:
        """Believe the vendor's count of the day."""
        if self._daily is not None:
            self._daily.learn(self._clock.monotonic(), used, limit)

    def standing(self) -> BudgetStanding:
        """Answer what an operator sees."""
        now = self._clock.monotonic()
        tightest = max(
            self._windows, key=lambda meter: meter.used(now) / meter.window.limit, default=None
        )
        used = tightest.used(now) if tightest else self._daily.known if self._daily else 0
        limit = tightest.window.limit if tightest else self._daily.limit if self._daily else None
        return BudgetStanding(
            account=self.name,
            used=used,
            limit=limit,
            credits_left=self._bucket.left(now) if self._bucket else None,
            running=self._running,
            waiting=sum(self._queued_by_rank),
            paused_seconds=max(0.0, self._paused_until - now),
            exhausted_in_seconds=tightest.exhausted_in(now) if tightest else None,
        )

    def _queued(self, rank: int) -> int:
        """How many wait in this lane or a higher one."""
        return sum(self._queued_by_rank[: rank + 1])

    def _free(self, now: float, cost: float, rank: int) -> bool:
        most = self._allowance.concurrency
        return (most is None or self._running < most) and self._wait(now, cost, rank) <= 0.0

    def _wait(self, now: float, cost: float, rank: int, ahead: int = 0) -> float:
        high = rank <= _HIGH
        longest = max(0.0, self._paused_until - now)
        for meter in self._meters:
            longest = max(longest, meter.wait(now, cost, high=high, ahead=ahead))
        return longest

    def _take(self, now: float, cost: float) -> None:
        self._running += 1
        for meter in self._meters:
            meter.take(now, cost)

    async def _queue(self, rank: int, cost: float, patience: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (rank, self._arrivals, cost, turn))
        self._queued_by_rank[rank] += 1

        def give_up() -> None:
            if not turn.done():
                turn.set_exception(
                    self._refused(max(0.05, self._wait(self._clock.monotonic(), cost, rank)))
                )

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
            rank, _, cost, turn = self._waiting[0]
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
