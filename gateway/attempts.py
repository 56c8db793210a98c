"""Failed authentications at the token endpoint: counted by whom and from where, and slowed.

Three windows hold at once: a client from one address, an address whatever it names, a client from
everywhere. The last would let a stranger lock a client out, so an address that has proven that
client's secret lately is let through it. Names nobody has are counted like any other, by as much of
them as a name may have, and forgotten with their window.
"""

from collections import OrderedDict, deque
from typing import Final

from gateway.config import AttemptLimits
from runtime.clock import Clock

_MOST_REMEMBERED: Final = 50_000
_PROVEN_SECONDS: Final = 86_400.0

_LONGEST_NAME: Final = 128
"""Characters of a client's name; what is longer is nobody's."""

_Key = tuple[str | None, str | None]
"""A client and an address; None: whichever."""


class Attempts:
    """Sliding logs of failures in this process."""

    def __init__(self, limits: AttemptLimits, *, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._failures: OrderedDict[_Key, deque[float]] = OrderedDict()
        self._proven: OrderedDict[_Key, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Attempts {len(self._failures)} failing>"

    def wait(self, client: str, address: str) -> float:
        """Answer for how many seconds no attempt is taken; 0.0 when one is taken now."""
        limits, now = self._limits, self._clock.monotonic()
        client = client[:_LONGEST_NAME]
        longest = max(
            self._left((client, address), limits.client_from_address, now),
            self._left((None, address), limits.address, now),
        )
        if self._proven.get((client, address), float("-inf")) <= now - _PROVEN_SECONDS:
            longest = max(longest, self._left((client, None), limits.client, now))
        return longest

    def failed(self, client: str, address: str) -> None:
        """Count one failure."""
        now = self._clock.monotonic()
        client = client[:_LONGEST_NAME]
        for key in ((client, address), (None, address), (client, None)):
            log = self._failures.setdefault(key, deque())
            log.append(now)
            self._failures.move_to_end(key)
        edge = now - self._limits.seconds
        while len(self._failures) > _MOST_REMEMBERED or self._oldest() <= edge:
            self._failures.popitem(last=False)

    def succeeded(self, client: str, address: str) -> None:
        """Remember an address as the client's own, and forget what it failed before."""
        self._failures.pop((client, address), None)
        self._proven[client, address] = self._clock.monotonic()
        self._proven.move_to_end((client, address))
        while len(self._proven) > _MOST_REMEMBERED:
            self._proven.popitem(last=False)

    def _oldest(self) -> float:
        """Answer when whoever has been quiet for longest failed last."""
        return next(iter(self._failures.values()))[-1]

    def _left(self, key: _Key, most: int, now: float) -> float:
        log = self._failures.get(key)
        if log is None:
            return 0.0
        edge = now - self._limits.seconds
        while log and log[0] <= edge:
            log.popleft()
        if not log:
            del self._failures[key]
            return 0.0
        return log[-most] - edge if len(log) >= most else 0.0
