"""Time is handed in: nothing here or above reads the machine's clock on its own."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What every part that needs the time is given."""

    def now(self) -> datetime:
        """The wall clock, aware and in UTC, for dates that people or other machines see."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards, to measure how long something took."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary, fixed start."""
        return time.monotonic()
