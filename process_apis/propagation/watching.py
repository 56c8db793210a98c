"""Looking at a system again and again: the truth behind any message that was lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError
from runtime.clock import Clock
from runtime.store.faults import StoreUnavailable

__all__ = ["Look", "Notes", "Watch", "Watermark"]

log = logging.getLogger("crossdock.propagation")

Look = Callable[[], Awaitable[None]]
"""Looks at one thing once; raises `CallFailedError`, `StoreUnavailable`."""

_NOTE: Final = "watermark"
_BUDGET: Final = 30.0
_COALESCED: Final = 1.0
"""Seconds in which messages that wake a watch count as one: what we do ourselves wakes it too."""


class Notes(Protocol):
    """Small durable values."""

    async def note(self, kind: str, key: str) -> bytes | None:
        """Answer a value."""
        ...

    async def set_note(self, kind: str, key: str, value: bytes) -> None:
        """Set a value."""
        ...


class Watermark:
    """The newest change seen, by the system's own clock; durable.

    What is read begins some way before it: a system stamps a change before it commits it. A new
    installation begins now; what was before is history.
    """

    def __init__(self, key: str, *, notes: Notes, clock: Clock, overlap: timedelta) -> None:
        self._key = key
        self._notes = notes
        self._clock = clock
        self._overlap = overlap
        self._stands: datetime | None = None

    async def since(self) -> datetime:
        """Answer from when on changes are wanted."""
        stored = await self._notes.note(_NOTE, self._key)
        if stored is not None:
            self._stands = msgspec.json.decode(stored, type=datetime)
        if self._stands is None:
            await self._set(self._clock.now())
        return (self._stands or self._clock.now()) - self._overlap

    async def advance(self, newest: datetime | None) -> None:
        """Note the newest change of what was read, once all of it was taken."""
        if newest is not None and (self._stands is None or newest > self._stands):
            await self._set(newest)

    async def _set(self, instant: datetime) -> None:
        self._stands = instant
        await self._notes.set_note(_NOTE, self._key, msgspec.json.encode(instant))


class Watch:
    """Runs looks in turn, every so often, and those it is woken for. Run `run()` as a task."""

    def __init__(
        self, name: str, looks: Mapping[str, Look], *, every: timedelta, clock: Clock
    ) -> None:
        self.name = name
        self._looks = dict(looks)
        self._every = every.total_seconds()
        self._clock = clock
        self._woken = asyncio.Event()
        self._wanted: set[str] = set()

    def wake(self, names: Iterable[str]) -> None:
        """Something changed: look at it at once. Many in a moment are one."""
        self._wanted.update(name for name in names if name in self._looks)
        if self._wanted:
            self._woken.set()

    async def look(self) -> None:
        """Look at everything once.

        Raises:
            CallFailedError: a system did not answer; the looks after that were not taken.
        """
        for look in self._looks.values():
            await self._one(look)

    async def run(self) -> None:
        """Look again and again; a system that does not answer is asked again next time."""
        while True:
            await self._some(self._looks)
            whole = self._clock.monotonic() + self._every
            while (left := whole - self._clock.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        await self._woken.wait()
                except TimeoutError:
                    break
                await asyncio.sleep(_COALESCED)
                self._woken.clear()
                wanted, self._wanted = self._wanted, set()
                await self._some(wanted)

    async def _some(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                await self._one(self._looks[name])
            except CallFailedError as failed:
                self._missed(name, type(failed.failure).__name__)
            except StoreUnavailable:
                self._missed(name, "store")

    async def _one(self, look: Look) -> None:
        now = self._clock.now()
        call = CallContext(
            correlation_id=f"{self.name}-watch-{now:%Y%m%d%H%M%S}",
            consumer="propagation",
            deadline=self._clock.monotonic() + _BUDGET,
            criticality="sync",
        )
        with calling(call):
            await look()

    def _missed(self, name: str, failure: str) -> None:
        log.warning("not_looked_at", extra={"watch": self.name, "at": name, "failure": failure})
