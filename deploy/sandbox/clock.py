"""Time, handed in: the sandbox never asks the machine on its own."""

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What a simulator may ask about time."""

    def now(self) -> datetime:
        """The wall clock, always in UTC and aware of it."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back: what limits are counted with."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The machine's wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic clock, in seconds."""
        return time.monotonic()
