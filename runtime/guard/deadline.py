"""How long a call may still take: never longer than the one who waits for it."""

from contracts import context
from contracts.outcomes import CallFailedError, Unavailable
from runtime.clock import Clock

__all__ = ["time_left"]

SHORTEST = 0.005
"""Seconds below which a call cannot end well; it is refused instead of sent."""


def time_left(clock: Clock, longest: float, *, system: str) -> float:
    """Answer the seconds a call may take: `longest`, or what is left of the caller's budget.

    Raises:
        CallFailedError: `Unavailable` with nothing sent, when the budget is used up.
    """
    left = context.current().remaining(clock.monotonic())
    if left is None or left >= longest:
        return longest
    if left < SHORTEST:
        raise CallFailedError(
            Unavailable(system=system, may_have_happened=False, because="deadline")
        )
    return left
