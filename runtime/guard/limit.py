"""An adaptive limit on calls under way: it grows while they are quick and shrinks when they queue.

The gradient of how long things take now to how long they take at best (Netflix concurrency-limits;
Envoy's adaptive concurrency filter) is read once a window from the median, so that one slow call
moves nothing. Shrinking begins from what was really under way. Growing is additive, and only while
at least half of the limit is used: an idle hour is no proof of what a busy one can bear.
"""

from itertools import repeat
from math import sqrt

import msgspec

from runtime.clock import Clock

__all__ = ["AdaptiveLimit", "LimitSettings"]

_STEEPEST = 0.5
"""The most that one window takes away, however bad it was."""
_SAMPLES = 5
_KEPT_SECONDS = 30.0


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a limit, and how much slower than at best (`tolerance`) is still well."""

    least: int = 64
    first: int = 1_024
    most: int = 4_096
    tolerance: float = 2.0
    window_seconds: float = 0.1


class AdaptiveLimit:
    """Counts calls under way against a limit that follows what is observed."""

    __slots__ = (
        "_began", "_clock", "_peak", "_samples", "first", "limit", "name", "refused", "settings",
        "taken",
    )  # fmt: skip

    def __init__(self, name: str, *, clock: Clock, settings: LimitSettings | None = None) -> None:
        self.settings = settings or LimitSettings()
        self._clock = clock
        self._samples: list[float] = []
        self._began = clock.monotonic()
        self._peak = 0
        self.name = name
        self.limit = float(self.settings.first)
        self.taken = 0
        self.first = 0
        """Of these, the places of the most urgent."""
        self.refused = 0

    def __repr__(self) -> str:
        return f"<AdaptiveLimit {self.name} {self.taken}/{self.limit:.0f}, {self.refused} refused>"

    def configure(self, settings: LimitSettings) -> None:
        """Go on under other bounds."""
        self.settings = settings
        self.limit = min(max(self.limit, settings.least), settings.most)

    def admit(self, share: float) -> bool:
        """Take a place, if fewer than `share` of the limit are taken."""
        if self.taken >= self.limit * share:
            self.refused += 1
            return False
        self.taken += 1
        self._peak = max(self._peak, self.taken)
        return True

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1

    def admit_first(self, kept: float) -> bool:
        """Take a place that nobody comes before: any free one, or one of the `kept` share.

        When the limit shrinks below what is under way, that share is still there: whoever took the
        rest before does not stand in the way of the most urgent.
        """
        if self.taken >= self.limit and self.first >= self.limit * kept:
            self.refused += 1
            return False
        self.taken += 1
        self.first += 1
        self._peak = max(self._peak, self.taken)
        return True

    def leave_first(self) -> None:
        """Give such a place back."""
        self.taken -= 1
        self.first -= 1

    def observe(self, ratio: float, weight: int = 1) -> None:
        """Count an observation: how long something took, divided by how long it takes at best.

        One that stands for several which should have been made meanwhile counts as many.
        """
        self._samples.extend(repeat(ratio, weight))
        now = self._clock.monotonic()
        if now - self._began >= self.settings.window_seconds and len(self._samples) >= _SAMPLES:
            self._follow(sorted(self._samples)[len(self._samples) // 2])
            self._samples.clear()
            self._began = now
            self._peak = self.taken

    def _follow(self, median: float) -> None:
        told = self.settings
        if median > told.tolerance:
            gradient = max(_STEEPEST, told.tolerance / median)
            self.limit = max(told.least, min(self.limit, self._peak) * gradient)
        elif self._peak * 2 >= self.limit:
            self.limit = min(told.most, self.limit + sqrt(self.limit))


class Best:
    """The shortest time something took lately, in seconds: the yardstick of an observation."""

    __slots__ = ("_floor", "_older", "_recent", "_since")

    def __init__(self, floor_seconds: float) -> None:
        self._floor = floor_seconds
        self._older = self._recent = float("inf")
        self._since = 0.0

    def ratio(self, seconds: float, now: float) -> float:
        """Answer how many times longer than at best; what is below the floor is quick."""
        if now - self._since > _KEPT_SECONDS:
            self._older, self._recent, self._since = self._recent, float("inf"), now
        self._recent = min(self._recent, seconds)
        best = max(self._floor, min(self._older, self._recent))
        return max(seconds, self._floor) / best
