"""The twelve places where a crash must be harmless, as places a campaign can crash at.

In production `CrashPoints` is handed in and every passing does nothing.
"""

import os
import signal
import threading
from typing import Final

AFTER_ACCEPT: Final = "after_accept"
BEFORE_EFFECT: Final = "before_effect"
AFTER_EFFECT: Final = "after_effect"
BEFORE_MOVE_COMMIT: Final = "before_move_commit"
AFTER_MOVE_COMMIT: Final = "after_move_commit"
DURING_TAKEOVER: Final = "during_takeover"
BEFORE_DELIVERY: Final = "before_delivery"
AFTER_DELIVERY: Final = "after_delivery"
BEFORE_SIGNAL_COMMIT: Final = "before_signal_commit"
AFTER_SIGNAL_COMMIT: Final = "after_signal_commit"
BEFORE_INCIDENT_COMMIT: Final = "before_incident_commit"
DURING_RECOVERY: Final = "during_recovery"

CRASH_POINTS: Final = (
    AFTER_ACCEPT,
    BEFORE_EFFECT,
    AFTER_EFFECT,
    BEFORE_MOVE_COMMIT,
    AFTER_MOVE_COMMIT,
    DURING_TAKEOVER,
    BEFORE_DELIVERY,
    AFTER_DELIVERY,
    BEFORE_SIGNAL_COMMIT,
    AFTER_SIGNAL_COMMIT,
    BEFORE_INCIDENT_COMMIT,
    DURING_RECOVERY,
)


class CrashPoints:
    """Nothing happens at any point. This is what production runs with."""

    def passing(self, point: str) -> None:
        """Tell that the program passes `point` now."""


class KillAt(CrashPoints):
    """Kill this very process with SIGKILL the `nth` time it passes `point` (1 is the first)."""

    def __init__(self, point: str, nth: int = 1) -> None:
        if point not in CRASH_POINTS:
            raise ValueError(f"no crash point {point!r}; there are {', '.join(CRASH_POINTS)}")
        self._point = point
        self._left = nth
        self._lock = threading.Lock()

    def passing(self, point: str) -> None:
        """Count the passing; at the nth, the process ends here without any clean-up."""
        if point != self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
