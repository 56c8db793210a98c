"""Vendor limits: sliding window, concurrency with a queue, credit bucket; exact, on a given clock.

Each answers a verdict rather than raising, because each vendor says no in its own words. ``Limits``
holds the one switch that turns them all off, and counts every throttle answer that was drawn.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable

__all__ = ["Concurrency", "CreditBucket", "Limits", "SlidingWindow"]

Monotonic = Callable[[], float]


class Limits:
    """Whether the vendors' limits hold, and how often a caller ran into one."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._drawn: Counter[tuple[str, str]] = Counter()

    def drew_throttle(self, system: str, reason: str) -> None:
        """A vendor answers its throttle because of this limit (not because of the fault switch)."""
        self._drawn[system, reason] += 1

    def throttles(self) -> dict[str, dict[str, int]]:
        """Throttle answers drawn, by system and by the limit that was met."""
        drawn: dict[str, dict[str, int]] = {}
        for (system, reason), count in sorted(self._drawn.items()):
            drawn.setdefault(system, {})[reason] = count
        return drawn

    def forget(self) -> None:
        """Zero the counts: for a reset of the whole sandbox."""
        self._drawn.clear()


class SlidingWindow:
    """At most ``limit`` admissions in any span of ``seconds``, exactly."""

    def __init__(self, *, limit: int, seconds: float, monotonic: Monotonic) -> None:
        self.limit = limit
        self.seconds = seconds
        self._monotonic = monotonic
        self._admitted: deque[float] = deque()

    def admit(self) -> float | None:
        """Admit one call (None), or answer in how many seconds the next one would be admitted."""
        now = self._monotonic()
        self._expire(now)
        if len(self._admitted) < self.limit:
            self._admitted.append(now)
            return None
        return self._admitted[0] + self.seconds - now

    def used(self) -> int:
        """How many admissions the span that ends now holds."""
        self._expire(self._monotonic())
        return len(self._admitted)

    def _expire(self, now: float) -> None:
        admitted = self._admitted
        horizon = now - self.seconds
        while admitted and admitted[0] <= horizon:
            admitted.popleft()


class Concurrency:
    """At most ``running`` calls at once and ``queued`` waiting, first come, first served."""

    def __init__(self, *, running: int, queued: int) -> None:
        self.limit = running
        self.queue_limit = queued
        self.running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        """How many calls wait now."""
        return len(self._waiting)

    async def enter(self, max_wait: float | None = None) -> str | None:
        """Take a place: None when inside, else ``full`` or, after ``max_wait`` s, ``late``.

        Every None must be followed by one ``leave()``.
        """
        if self.running < self.limit:
            self.running += 1
            return None
        if len(self._waiting) >= self.queue_limit:
            return "full"
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), max_wait)
        except TimeoutError:
            if turn.done():  # the place came in the very moment of giving up
                return None
            self._waiting.remove(turn)
            return "late"
        except asyncio.CancelledError:
            if turn.done():
                self.leave()
            else:
                self._waiting.remove(turn)
            raise
        return None

    def leave(self) -> None:
        """Give the place back, to the one who has waited longest if anybody waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # the place passes on: `running` stays
                return
        self.running -= 1


class CreditBucket:
    """A bucket of ``capacity`` credits that refills by ``restore_per_second``, continuously."""

    def __init__(self, *, capacity: float, restore_per_second: float, monotonic: Monotonic) -> None:
        self.capacity = capacity
        self.restore_per_second = restore_per_second
        self._monotonic = monotonic
        self._credits = capacity
        self._asof = monotonic()

    def remaining(self) -> float:
        """Credits in the bucket now."""
        now = self._monotonic()
        self._credits = min(
            self.capacity, self._credits + (now - self._asof) * self.restore_per_second
        )
        self._asof = now
        return self._credits

    def take(self, cost: float) -> float | None:
        """Take ``cost`` credits (None), or none and answer in how many seconds they are there.

        A cost above the capacity is never there: infinity.
        """
        remaining = self.remaining()
        if cost <= remaining:
            self._credits = remaining - cost
            return None
        if cost > self.capacity:
            return float("inf")
        return (cost - remaining) / self.restore_per_second
