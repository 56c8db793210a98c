"""What operators did to breakers by hand: kept in the store, obeyed by every process that has it.

Breakers are each process's own; what a person ordered of one holds in all. An act is a note in the
store, where it outlives whoever took it (decision record 0004): it is obeyed here at once, by the
others within about a second, and by who starts later before its first call. With the store away
each process keeps what it knows; an act taken meanwhile holds here and is kept when it is back.

Which of two acts is later is told by the time of each, and an act is later than all its process
knew of: a clock that is behind cannot undo what its operator has just seen.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import msgspec

from runtime.clock import Clock
from runtime.guard import Breaker
from runtime.journal.notes import read_notes, write_later_note
from runtime.journal.times import to_micros
from runtime.store.engine import Store
from runtime.store.faults import StoreClosed, StoreUnavailable

__all__ = ["Act", "Acts"]

log = logging.getLogger("crossdock.circuits")

_KIND: Final = "circuit"
_EVERY_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 2.0
"""How long a store may say nothing before it counts as away: a start does not wait for it."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did to a breaker, and why."""

    action: Literal["trip", "reset"]
    by: str
    note: str

    @property
    def reason(self) -> str:
        """As it is shown."""
        return f"{self.by}: {self.note}" if self.note else self.by


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Act).decode


class Acts:
    """The latest act on each breaker, here and in the store; without a store, here alone.

    `breaker` answers the one of a name, None for a name that only others know.
    """

    def __init__(
        self, breaker: Callable[[str], Breaker | None], *, store: Store | None, clock: Clock
    ) -> None:
        self._breaker = breaker
        self._store = store
        self._clock = clock
        self._known: dict[str, int] = {}
        self._unkept: dict[str, tuple[Act, int]] = {}
        self._away = False

    def __repr__(self) -> str:
        return f"<Acts on {len(self._known)} breakers, {len(self._unkept)} not kept yet>"

    async def act(self, circuit: str, act: Act) -> None:
        """Do it here at once, and keep it for the others; a store that is away gets it later."""
        at = max(to_micros(self._clock.now()), self._known.get(circuit, 0) + 1)
        self._obey(circuit, act, at)
        if self._store is not None:
            self._unkept[circuit] = act, at
            await self._keep(self._store)

    async def look(self) -> None:
        """Obey what was done elsewhere, or before this process began."""
        if self._store is None:
            return
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                notes = await self._store.read(lambda connection: read_notes(connection, _KIND))
        except (StoreUnavailable, TimeoutError):
            self._found(away=True)
            return
        self._found(away=False)
        for circuit, value, at in notes:
            if at > self._known.get(circuit, 0):
                self._obey(circuit, _decode(value), at)

    async def run(self) -> None:
        """Keep what could not be kept, and look, until cancelled."""
        while self._store is not None:
            await asyncio.sleep(_EVERY_SECONDS)
            await self._keep(self._store)
            if not self._store.is_exclusive:
                await self.look()

    async def _keep(self, store: Store) -> None:
        for circuit, (act, at) in list(self._unkept.items()):
            note = partial(write_later_note, kind=_KIND, key=circuit, value=_encode(act), at=at)
            try:
                await store.write(note)
            except (StoreUnavailable, StoreClosed):
                self._found(away=True)
                return
            if self._unkept.get(circuit) == (act, at):
                del self._unkept[circuit]

    def _found(self, *, away: bool) -> None:
        if away != self._away:
            self._away = away
            log.warning("acts_store_lost" if away else "acts_store_regained")

    def _obey(self, circuit: str, act: Act, at: int) -> None:
        self._known[circuit] = at
        breaker = self._breaker(circuit)
        if breaker is None:
            return
        was = breaker.state
        if act.action == "trip":
            breaker.trip(act.reason)
        else:
            breaker.reset()
        if not was == breaker.state == "closed":
            log.warning(
                "circuit_changed_by_hand",
                extra={"circuit": circuit, "action": act.action, "by": act.by, "note": act.note},
            )
