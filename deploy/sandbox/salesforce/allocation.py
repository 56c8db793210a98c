"""What an org may call: so many requests in 24 hours, and so many long ones at once."""

from itertools import islice

from deploy.sandbox.limits import Limits, SlidingWindow
from deploy.sandbox.salesforce.accounting import SYSTEM
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.org import Org

__all__ = ["Allocation"]

_DAY = 86_400.0


class Allocation:
    """Counts every call. With the sandbox's limits off it counts and refuses nobody."""

    def __init__(self, org: Org, limits: Limits) -> None:
        self._org = org
        self._limits = limits
        self._window = SlidingWindow(
            limit=org.policy.api_allocation, seconds=_DAY, monotonic=org.clock.monotonic
        )
        self._counted = 0
        self._running: dict[int, float] = {}
        self._calls = 0

    @property
    def most(self) -> int:
        """Calls that 24 hours allow."""
        return self._org.policy.api_allocation

    def used(self) -> int:
        """Calls in the last 24 hours, those before a restart of the sandbox aside."""
        return self._window.used() if self._limits.enabled else min(self._counted, self.most)

    def count(self) -> None:
        """Count a call.

        Raises:
            Refusal: REQUEST_LIMIT_EXCEEDED.
        """
        self._counted += 1
        if not self._limits.enabled:
            return
        self._window.limit = self.most
        if self._window.admit() is not None:
            self._limits.drew_throttle(SYSTEM, "daily_requests")
            raise Refusal("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    def begin(self) -> int:
        """A call came in; answers its number for ``end``."""
        self._calls += 1
        self._running[self._calls] = self._org.clock.monotonic()
        return self._calls

    def end(self, number: int) -> None:
        """The call was answered."""
        self._running.pop(number, None)

    def check_long_calls(self) -> None:
        """Refuse while as many calls as allowed have been running for long.

        Raises:
            Refusal: REQUEST_LIMIT_EXCEEDED.
        """
        policy = self._org.policy
        if not self._limits.enabled or len(self._running) <= policy.long_calls:
            return
        # calls are kept in the order they came: when the n-th oldest is long, n are
        nth = next(islice(self._running.values(), policy.long_calls - 1, None))
        if self._org.clock.monotonic() - nth >= policy.long_call_seconds:
            self._limits.drew_throttle(SYSTEM, "long_calls")
            raise Refusal(
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            )
