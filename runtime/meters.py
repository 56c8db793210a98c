"""The meters of an account's budget: each keeps one kind of limit, exactly, without I/O or clock.

All say when a cost could be taken (`wait`, 0 for now), take it when the call starts and learn what
became of it when the call ends. Between the two the cost counts in full.
"""

from collections import deque
from typing import Final, Protocol

import msgspec

__all__ = ["Bucket", "BucketMeter", "DailyMeter", "Meter", "Pace", "Window", "WindowMeter"]

PACE_SECONDS: Final = 10.0
"""Over how long the pace of calls is measured for a forecast."""
DAY: Final = 86_400.0
"""Seconds after which a daily allocation has let return whatever it counts now."""
ASK_AGAIN: Final = 60.0
"""Seconds between two calls that find out whether an exhausted day has passed."""
ROUNDING: Final = 0.001
"""Credits left alone, so that the rounding of two clocks' sums cannot overdraw the vendor's."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """At most `limit` calls in any span of `seconds`.

    The low lanes may run `ahead_seconds` ahead of an even pace. Without it a flood may use a whole
    window at once, and whatever exceeds the reserve then waits until that window has passed.
    """

    limit: int
    seconds: float
    ahead_seconds: float | None = None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Credits: at most `capacity`, and `restore` more each second."""

    capacity: float
    restore: float

    def divided(self, among: int) -> "Bucket":
        """Answer what each of so many may use."""
        return Bucket(capacity=self.capacity / among, restore=self.restore / among)


class Meter(Protocol):
    """One limit: says when a cost could be taken, takes it, and learns when the call ended."""

    def wait(self, now: float, cost: float, *, high: bool, ahead: int = 0) -> float:
        """Answer in how many seconds `cost` could be taken after `ahead` like it; 0 for now."""
        ...

    def take(self, now: float, cost: float) -> None:
        """Count a call that starts."""
        ...

    def end(self, now: float, reserved: float, charged: float) -> None:
        """Count what a call that took `reserved` really cost; 0 when it was never sent."""
        ...

    def exhausted_in(self, now: float) -> float | None:
        """Answer in how many seconds nothing is left at the latest pace; None if that never is."""
        ...


class Pace:
    """How much a second lately: the running slice of time, and what is left of the one before."""

    __slots__ = ("_before", "_slice", "_spent")

    def __init__(self) -> None:
        self._slice = 0.0
        self._spent = self._before = 0.0

    def note(self, now: float, amount: float) -> None:
        """Count what was just spent."""
        if now // PACE_SECONDS != self._slice:
            self._turn(now)
        self._spent += amount

    def rate(self, now: float) -> float:
        """Answer what was spent a second, over the latest `PACE_SECONDS`."""
        self._turn(now)
        passed = now / PACE_SECONDS - self._slice
        return (self._spent + self._before * (1.0 - passed)) / PACE_SECONDS

    def _turn(self, now: float) -> None:
        at = now // PACE_SECONDS
        if at != self._slice:
            self._before = self._spent if at == self._slice + 1 else 0.0
            self._spent = 0.0
            self._slice = at


class WindowMeter:
    """A sliding window in which a call under way counts, and counts on from its end."""

    def __init__(self, window: Window, reserve: float) -> None:
        self.window = window
        self._ended: deque[float] = deque()
        self._running = 0
        self._low = self.low_limit(window, reserve)
        self._apart = window.seconds / self._low
        self._even = float("-inf")
        """When the next call would be due if all of them, urgent ones too, had come evenly."""

    @staticmethod
    def low_limit(window: Window, reserve: float) -> int:
        """Answer how many calls of the window the low lanes may make."""
        return max(1, window.limit - round(window.limit * reserve))

    def fill(self, now: float, used: int) -> None:
        """Hold at least `used` calls from now on: others may have made them just now."""
        self._ended.extend([now] * (used - self.used(now)))

    def used(self, now: float) -> int:
        """How many calls the window holds, those under way included."""
        seconds = self.window.seconds
        while self._ended and self._ended[0] + seconds <= now:  # as `wait` says it, to the bit
            self._ended.popleft()
        return len(self._ended) + self._running

    def exhausted_in(self, now: float) -> float | None:
        """Seconds until the window is full at the pace of its latest calls; None if it never is."""
        used = self.used(now)
        left = self.window.limit - used
        if left <= 0:
            return 0.0
        recent = [at for at in self._ended if at > now - PACE_SECONDS]
        pace = len(recent) / min(PACE_SECONDS, self.window.seconds)
        if pace * self.window.seconds <= self.window.limit:
            return None
        return left / pace

    def wait(self, now: float, cost: float, *, high: bool, ahead: int = 0) -> float:  # noqa: ARG002  # calls
        """Answer in how many seconds there is room, as `Meter.wait`."""
        limit = self.window.limit if high else self._low
        early = 0.0 if high else self._early(now, ahead)
        over = self.used(now) + ahead - limit
        if over < 0:
            return early
        if over >= len(self._ended):
            return self.window.seconds  # all are under way: the earliest end is not known yet
        return max(early, self._ended[over] + self.window.seconds - now)

    def _early(self, now: float, ahead: int) -> float:
        """By how much a low call would be too far ahead of an even pace."""
        allowed = self.window.ahead_seconds
        if allowed is None:
            return 0.0
        return max(0.0, self._even + ahead * self._apart - allowed - now)

    def take(self, now: float, cost: float) -> None:  # noqa: ARG002  # calls
        """Count a call that starts."""
        self._running += 1
        self._even = max(self._even, now) + self._apart

    def end(self, now: float, reserved: float, charged: float) -> None:  # noqa: ARG002  # see above
        """Count a call that ended."""
        self._running -= 1
        if charged > 0:
            self._ended.append(now)


class BucketMeter:
    """A credit bucket debited at a call's end; what is under way is set aside in full."""

    def __init__(self, bucket: Bucket, reserve: float, now: float) -> None:
        self.bucket = bucket
        self._level = bucket.capacity
        self._at = now
        self.aside = 0.0
        """Credits of the calls under way."""
        self._reserve = reserve
        self._kept = max(ROUNDING, bucket.capacity * reserve)
        self._pace = Pace()

    def left(self, now: float) -> float:
        """Credits that may be spent now."""
        grown = self._level + (now - self._at) * self.bucket.restore
        self._level = min(self.bucket.capacity, grown)
        self._at = now
        return self._level - self.aside

    def wait(self, now: float, cost: float, *, high: bool, ahead: int = 0) -> float:
        """Answer in how many seconds there is room, as `Meter.wait`."""
        # a cost near the capacity cannot leave the whole reserve: it would never be served
        kept = min(ROUNDING if high else self._kept, max(0.0, self.bucket.capacity - cost))
        short = cost * (1 + ahead) - self.left(now) + kept
        return max(0.0, short / self.bucket.restore)

    def take(self, now: float, cost: float) -> None:  # noqa: ARG002  # credits
        """Count a call that starts."""
        self.aside += cost

    def end(self, now: float, reserved: float, charged: float) -> None:
        """Count a call that ended."""
        self.aside -= reserved
        self.left(now)
        self._level -= charged
        self._pace.note(now, charged)

    def restart(self, now: float, level: float) -> None:
        """Go on from a known level, from which nothing under way has been taken yet."""
        self._level, self._at = min(level, self.bucket.capacity), now

    def learn(self, now: float, left: float, bucket: Bucket | None = None) -> None:
        """Believe the vendor's count of what is left, and of what the bucket is.

        What is under way may have been debited already or not, so any count between what we know
        without and with it agrees with ours. Another one is believed as what is left after all
        that is under way, the lower reading.
        """
        if bucket is not None and bucket != self.bucket:
            self.bucket = bucket
            self._kept = max(ROUNDING, bucket.capacity * self._reserve)
        spendable = self.left(now)
        if not spendable <= left <= spendable + self.aside:
            self._level = left

    def exhausted_in(self, now: float) -> float | None:
        """Seconds until no credit is left at the latest pace; None if more comes than goes."""
        net = self._pace.rate(now) - self.bucket.restore
        return None if net <= 0.0 else max(0.0, self.left(now)) / net


class DailyMeter:
    """An allocation of 24 hours: the vendor counts, we count what it has not told us yet."""

    def __init__(self, limit: int, reserve: float) -> None:
        self.limit = limit
        self._share = reserve
        self.known = 0
        self._running = 0
        self._asked_again_at = 0.0
        self._pace = Pace()

    def wait(self, now: float, cost: float, *, high: bool, ahead: int = 0) -> float:  # noqa: ARG002  # counts calls
        """Answer in how many seconds there is room, as `Meter.wait`."""
        kept = 0 if high else round(self.limit * self._share)
        if self.known + self._running + ahead < self.limit - kept:
            return 0.0
        if now >= self._asked_again_at and self._running + ahead == 0:
            return 0.0  # one call finds out whether the vendor has let some return
        return max(1.0, self._asked_again_at - now)

    def take(self, now: float, cost: float) -> None:  # noqa: ARG002  # counts calls
        """Count a call that starts."""
        self._running += 1

    def end(self, now: float, reserved: float, charged: float) -> None:  # noqa: ARG002  # see above
        """Count a call that ended."""
        self._running -= 1
        if charged > 0:
            self.known += 1
            self._pace.note(now, 1.0)
        self._note_exhaustion(now)

    def learn(self, now: float, used: int, limit: int) -> None:
        """Believe the vendor's count, which lets calls of the day before return one by one."""
        self.known = used
        self.limit = limit
        self._note_exhaustion(now)

    def exhausted_in(self, now: float) -> float | None:
        """Seconds until the day is used up at the latest pace, if nothing returns before."""
        left = self.limit - self.known - self._running
        if left <= 0:
            return 0.0
        pace = self._pace.rate(now)
        return None if pace * DAY <= left else left / pace

    def _note_exhaustion(self, now: float) -> None:
        if self.known >= self.limit - round(self.limit * self._share):
            self._asked_again_at = now + ASK_AGAIN
