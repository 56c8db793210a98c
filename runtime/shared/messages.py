"""What a process and the budget script say to each other.

The script counts in whole microseconds of the server's clock; what it answers is in seconds.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from runtime.accounts import LOWEST_HIGH, Allowance
from runtime.meters import ASK_AGAIN, DAY, PACE_SECONDS, ROUNDING, WindowMeter

__all__ = ["LEASE_SECONDS", "Answer", "Report", "micros", "spec_of"]

LEASE_SECONDS: Final = 5.0
"""A process not heard of for so long is dead, and what it had under way has ended."""
_STILL_WAITS_SECONDS: Final = 0.5
"""A process that waits asks much more often; one that stopped asking lets the others pass."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has under way, what ended, what it has learned, and what it asks for."""

    me: str
    running: int
    aside: float
    charged: float
    counted: int
    ended: list[int]
    """Number and age in microseconds, in turn, of calls not yet reported as ended."""
    pause: int
    """Microseconds for which the vendor asked to be left alone; 0 if it did not."""
    waiting: list[int]
    """How many wait, by lane."""
    asked: list[float]
    """Lane rank and cost, in turn, of those to be served next."""
    level: float | UnsetType = UNSET
    """The credits there were when last known, for a Redis that has forgotten."""
    left: float | UnsetType = UNSET
    """The vendor's own count of credits."""
    capacity: float | UnsetType = UNSET
    restore: float | UnsetType = UNSET
    used: int | UnsetType = UNSET
    """The vendor's own count of the day."""
    limit: int | UnsetType = UNSET
    again: bool | UnsetType = UNSET
    """Whether `used` is told from memory."""
    gone: bool | UnsetType = UNSET
    """Whether this process leaves the account."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was granted, and how the whole account stands. Seconds, and calls or credits each."""

    granted: int
    """How many of those asked for may go, from the first on."""
    wait: float
    """In how many seconds the next one may, if nothing else holds it up."""
    asks: bool
    """Whether it also depends on others' calls, which time alone does not end."""
    epoch: str
    age: float
    running: int
    waiting: tuple[int, ...]
    level: float
    aside: float
    capacity: float
    restore: float
    known: int
    limit: int
    paused: float
    pace: float
    spending: float
    used: tuple[int, ...] = ()
    """What ended and still counts, by window; what is running comes on top."""

    def exhausted_in(self, allowance: Allowance) -> float | None:
        """Seconds until a limit is met at the latest pace; None if none would be."""
        forecasts: list[float] = []
        for window, used in zip(allowance.windows, self.used, strict=True):
            left = max(0, window.limit - used - self.running)
            if not left or self.pace * window.seconds > window.limit:
                forecasts.append(left / self.pace if left else 0.0)
        if allowance.bucket and self.spending > self.restore:
            left_credits = max(0.0, self.level - self.aside)
            forecasts.append(left_credits / (self.spending - self.restore))
        if allowance.daily:
            left = max(0, self.limit - self.known - self.running)
            if not left or self.pace * DAY > left:
                forecasts.append(left / self.pace if left else 0.0)
        return min(forecasts, default=None)


def micros(seconds: float) -> int:
    """Answer whole microseconds."""
    return round(seconds * 1_000_000)


def spec_of(allowance: Allowance) -> bytes:
    """Write an allowance as the script reads it."""
    windows, bucket = allowance.windows, allowance.bucket
    longest = max((window.seconds for window in windows), default=0.0)
    kept = bucket.capacity / bucket.restore if bucket else 0.0
    spec: dict[str, Any] = {
        "windows": [
            {
                "limit": window.limit,
                "low": (low := WindowMeter.low_limit(window, allowance.reserve)),
                "seconds": micros(window.seconds),
                "apart": micros(window.seconds / low),
            }
            | ({} if window.ahead_seconds is None else {"ahead": micros(window.ahead_seconds)})
            for window in windows
        ],
        "horizon": micros(max(longest, PACE_SECONDS)),
        "pace": micros(PACE_SECONDS),
        "lease": micros(LEASE_SECONDS),
        "patience": micros(_STILL_WAITS_SECONDS),
        "lowest_high": LOWEST_HIGH,
        "ttl": round(1000 * (max(longest, kept, DAY if allowance.daily else 0.0) + 60.0)),
    }
    if bucket is not None:
        sizes = {"capacity": bucket.capacity, "restore": bucket.restore}
        spec["bucket"] = sizes | {"reserve": allowance.reserve, "rounding": ROUNDING}
    if allowance.daily:
        spec["daily"] = {
            "limit": allowance.daily,
            "reserve": allowance.reserve,
            "ask_again": micros(ASK_AGAIN),
        }
    if allowance.concurrency is not None:
        spec["concurrency"] = allowance.concurrency
    return msgspec.json.encode(spec)
