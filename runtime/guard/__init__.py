"""What stands between a call and an upstream that may be slow, full or down.

Four small parts, each usable alone: a deadline, a bulkhead, a breaker and a retry budget; and
`Guard`, which joins them for one upstream, with a bulkhead and a breaker for each operation class.
"""

from runtime.guard.breaker import Breaker, BreakerSettings, BreakerStanding, OnChange, Permit
from runtime.guard.bulkhead import Bulkhead
from runtime.guard.deadline import time_left
from runtime.guard.guard import Guard, GuardSettings
from runtime.guard.retry_budget import RetryBudget
from runtime.guard.turns import Turns

__all__ = [
    "Breaker",
    "BreakerSettings",
    "BreakerStanding",
    "Bulkhead",
    "Guard",
    "GuardSettings",
    "OnChange",
    "Permit",
    "RetryBudget",
    "Turns",
    "time_left",
]
