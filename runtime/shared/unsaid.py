"""What one process has not told the others yet, and what it could tell them again."""

from collections import deque
from typing import Any, Final

from msgspec import UNSET, UnsetType

from runtime.accounts import Allowance
from runtime.meters import Bucket
from runtime.shared.messages import Report, micros

__all__ = ["Unsaid"]

_MOST: Final = 500
"""Calls told in one report."""


class Unsaid:
    """Ended calls and learned figures, from the moment they are known until they are told.

    A report that may not have arrived is followed by one that says the same again: an ended call
    has a number, so that it counts once; credits counted twice err on the safe side.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._horizon = max((window.seconds for window in allowance.windows), default=0.0)
        self._number = 0
        self._past: deque[tuple[int, float]] = deque()
        self._ended: deque[tuple[int, float]] = deque()
        self._charged = 0.0
        self._counted = 0
        self._level: float | UnsetType = UNSET
        self._known: tuple[int, int] | None = None
        self.used: tuple[int, int] | None = None
        """The vendor's count of the day, and what it allows."""
        self.credits: tuple[float, Bucket | None] | None = None
        """The vendor's count of credits, and what it says the bucket is."""
        self._saying: tuple[object, object] = (None, None)

    @property
    def more(self) -> bool:
        """Whether more calls ended than one report tells."""
        return len(self._ended) > _MOST

    def ended(self, now: float, charged: float) -> None:
        """Keep a call that ended; 0 charged was never sent."""
        self._charged += charged
        if charged <= 0.0:
            return
        self._number += 1
        self._counted += 1
        one = (self._number, now)
        self._ended.append(one)
        self._past.append(one)
        while self._past[0][1] < now - self._horizon:
            self._past.popleft()

    def say_again(self, level: float | None, known: int | None, limit: int) -> None:
        """Redis has forgotten: tell all that still counts, and what was last known."""
        self._ended = deque(self._past)
        self._level = UNSET if level is None else level
        self._known = None if known is None else (known, limit)

    def report(self, now: float, **told: Any) -> Report:
        """Write a report of it."""
        few = [self._ended[at] for at in range(min(_MOST, len(self._ended)))]
        used = self.used or self._known
        left, bucket = self.credits or (UNSET, None)
        self._saying = (used, self.credits)
        return Report(
            **told,
            charged=self._charged,
            counted=self._counted,
            ended=[part for number, at in few for part in (number, micros(max(0.0, now - at)))],
            level=self._level,
            left=left,
            capacity=bucket.capacity if bucket else UNSET,
            restore=bucket.restore if bucket else UNSET,
            used=used[0] if used else UNSET,
            limit=used[1] if used else UNSET,
            again=True if used and not self.used else UNSET,
        )

    def said(self, report: Report) -> None:
        """Forget what a report has told; what came since stays."""
        for _ in range(len(report.ended) // 2):
            self._ended.popleft()
        self._charged -= report.charged
        self._counted -= report.counted
        self._level = UNSET
        used, credit = self._saying
        if self.used is used:
            self.used = None
        if used is not None:
            self._known = None
        if self.credits is credit:
            self.credits = None
