"""Whether an authority answers, as of a moment ago.

A copy may be young and its system gone: then it is the last word we had, not the authority's.
Every read tells the pulse how it ended; where nothing was read for a while, one read of something
that is asked for anyway is made to feel it, and everybody waits for that one.
"""

import asyncio
from collections.abc import Callable

from runtime.clock import Clock

_NEVER = float("-inf")


class Pulse:
    """One authority's pulse. Durations are seconds.

    `every`: how long a beat counts. `patience`: how long a caller waits for the next one; an
    authority that is only slow is believed to be what it was.
    """

    def __init__(self, *, every: float, patience: float, clock: Clock) -> None:
        self._every = every
        self._patience = patience
        self._clock = clock
        self._felt_at = _NEVER
        self._feeling: asyncio.Task[None] | None = None
        self.alive = True
        """What was felt last; an authority nobody asked yet is believed to be well."""

    def __repr__(self) -> str:
        ago = self._clock.monotonic() - self._felt_at
        return f"<Pulse {'beating' if self.alive else 'gone'}, felt {ago:.1f} s ago>"

    def is_fresh(self, now: float) -> bool:
        """Tell whether it was felt, or missed, recently enough to be believed."""
        return now - self._felt_at <= self._every

    def beat(self) -> None:
        """The authority answered."""
        self._felt_at = self._clock.monotonic()
        self.alive = True

    def missed(self) -> None:
        """The authority did not answer."""
        self._felt_at = self._clock.monotonic()
        self.alive = False

    def follow(self, reading: asyncio.Task[None]) -> None:
        """A read is under way whose end will tell."""
        self._feeling = reading

    async def feel(
        self, read: Callable[[], asyncio.Task[None] | None], deadline: float | None
    ) -> None:
        """Wait for one read to tell, by the monotonic instant `deadline`; only one is made."""
        await asyncio.sleep(0)  # the other parts of the same question begin their reads first
        if self._feeling is None or self._feeling.done():
            self._feeling = read()
        if self._feeling is None:
            return
        patience = self._patience
        if deadline is not None:
            patience = min(patience, max(0.0, deadline - self._clock.monotonic()))
        await asyncio.wait({self._feeling}, timeout=patience)
