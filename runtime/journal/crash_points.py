"""The twelve places where a crash must be harmless, as places a campaign can crash at.

In production `CrashPoints` is handed in and every passing does nothing.
"""

import os
import signal
import threading
from types import MappingProxyType
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

MEANINGS: Final = MappingProxyType(
    {
        AFTER_ACCEPT: "The order is durable, its caller is not told yet: asking again under its key"
        " finds it.",
        BEFORE_EFFECT: "The lease is durable, nothing was sent: the next worker looks first, finds"
        " nothing, and does it.",
        AFTER_EFFECT: "The other system has it, and we have not written that down: the next worker"
        " looks first and finds it.",
        BEFORE_MOVE_COMMIT: "Written and not committed: as if it had not been, so as above.",
        AFTER_MOVE_COMMIT: "The move is durable: the next worker begins with the next step.",
        DURING_TAKEOVER: "A worker dies while taking over from a dead one: its lease lapses too.",
        BEFORE_DELIVERY: "Events are leased and not sent: they are sent when that lease lapses.",
        AFTER_DELIVERY: "Sent, and not written down: sent again, under the same version.",
        BEFORE_SIGNAL_COMMIT: "A signal was heard and is not durable: its sender was not told and"
        " sends again.",
        AFTER_SIGNAL_COMMIT: "A signal is durable, its sender is not told: it sends again, and the"
        " dedupe key finds the first.",
        BEFORE_INCIDENT_COMMIT: "An incident was about to be opened: the step runs again and opens"
        " it.",
        DURING_RECOVERY: "A restart dies while it frees the dead program's leases: the next restart"
        " frees them.",
    }
)
"""What is true at each point, and why a crash there does no harm."""

CRASH_POINTS: Final = tuple(MEANINGS)


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
