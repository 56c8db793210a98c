"""Copies of another system's records: firm while young, then stale, with their age.

One caller refreshes a record, the others wait for the same answer; a caller who has an older copy
waits only so long. What is missing is asked for in one call for all keys of a question. Nothing
here knows what is copied.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from contracts.context import SYSTEM, calling, current
from contracts.outcomes import CallFailedError, Throttled, Unavailable
from process_apis.pricing_credit.pulse import Pulse
from process_apis.pricing_credit.settings import CopySettings
from runtime.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_NEVER = float("-inf")


class _Entry(msgspec.Struct, Generic[V]):
    """One copy. `value` None: the authority knows no such record. `read_at` is monotonic."""

    value: V | None
    as_of: datetime
    read_at: float
    doubted: bool = False


class Found(msgspec.Struct, Generic[K, V], frozen=True, kw_only=True):
    """What is known of the keys asked for, and how far it can be trusted.

    `absent` keys have no record at the authority; `lacking` ones have neither an answer nor a
    copy. `as_of` is the instant of the oldest copy used. `reason` says why it is not firm.
    """

    values: Mapping[K, V]
    absent: Collection[K] = ()
    lacking: Collection[K] = ()
    firm: bool = True
    as_of: datetime | None = None
    reason: str | None = None


class Copies(Generic[K, V]):
    """Copies of one kind of record, at most `settings.size` of them, oldest read evicted first.

    `load` answers the records of the keys it is given, leaving out those that do not exist, and
    raises `CallFailedError` when the authority gives no answer. With a `pulse`, a copy is firm only
    while the authority is known to answer.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[Collection[K]], Awaitable[Mapping[K, V]]],
        *,
        settings: CopySettings,
        clock: Clock,
        pulse: Pulse | None = None,
    ) -> None:
        self._name = name
        self._pulse = pulse
        self._load = load
        self._settings = settings
        self._clock = clock
        self._entries: dict[K, _Entry[V]] = {}
        self._flights: dict[K, asyncio.Task[None]] = {}
        self._overtaken: set[K] = set()
        self._paused_until = _NEVER
        self._trouble: str | None = None
        self._confirmed_at = _NEVER
        self._confirmed_as_of: datetime | None = None

    def __repr__(self) -> str:
        paused = self._paused_until - self._clock.monotonic()
        state = f"paused {paused:.1f}s: {self._trouble}" if paused > 0 else "reading"
        return f"<Copies {self._name} {len(self._entries)} held, {state}>"

    def __len__(self) -> int:
        return len(self._entries)

    def firm(self, keys: Iterable[K]) -> Found[K, V] | None:
        """Answer at once if every copy is firm; None means that `get` must be awaited."""
        now = self._clock.monotonic()
        pulse = self._pulse
        if pulse is not None and not (pulse.alive and pulse.is_fresh(now)):
            return None
        values: dict[K, V] = {}
        absent: list[K] = []
        oldest: datetime | None = None
        for key in keys:
            entry = self._entries.get(key)
            if entry is None or not self._is_firm(entry, now):
                return None
            as_of = self._as_of(entry)
            if oldest is None or as_of < oldest:
                oldest = as_of
            if entry.value is None:
                absent.append(key)
            else:
                values[key] = entry.value
        return Found(values=values, absent=absent, as_of=oldest)

    async def get(self, keys: Collection[K], deadline: float | None = None) -> Found[K, V]:
        """Answer the best that can be known of `keys` by the monotonic instant `deadline`."""
        found = self.firm(keys)
        if found is not None:
            return found
        now = self._clock.monotonic()
        wanted = [key for key in dict.fromkeys(keys) if not self._holds_firm(key, now)]
        flights = self._flights_for(wanted, now)
        if flights:
            budget = None if deadline is None else max(0.0, deadline - now)
            if all(key in self._entries for key in wanted):
                patience = self._settings.patience
                budget = patience if budget is None else min(budget, patience)
            done, _ = await asyncio.wait(flights, timeout=budget)
            for flight in done:
                flight.result()  # a bug in a loader is raised here, not swallowed
        elif keys and self._pulse is not None and not self._pulse.is_fresh(now):
            first = next(iter(keys))
            await self._pulse.feel(lambda: self._flight_of(first, now), deadline)
        return self._best(keys)

    def put(self, key: K, value: V) -> None:
        """Keep a record that was just read from the authority."""
        self._store(key, value, self._clock.now(), self._clock.monotonic())

    def held(self, key: K) -> V | None:
        """Answer the copy there is of a record, however old and whatever is said of it."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def confirm(self, as_of: datetime, read_at: float) -> None:
        """Take every copy held as the authority's word at `as_of`, unless it is doubted."""
        self._confirmed_as_of = as_of
        self._confirmed_at = read_at
        if self._pulse is not None:
            self._pulse.beat()

    def doubt(self, keys: Iterable[K]) -> None:
        """Stop trusting these copies; they stay as stale ones until they are read again."""
        for key in keys:
            if key in self._flights:
                self._overtaken.add(key)
            entry = self._entries.get(key)
            if entry is not None:
                entry.doubted = True

    def doubt_all(self, chosen: Callable[[K], bool] = lambda _: True) -> None:
        """Stop trusting every copy whose key is chosen. Costs a look at every key."""
        self.doubt([key for key in [*self._entries, *self._flights] if chosen(key)])

    def _is_firm(self, entry: _Entry[V], now: float) -> bool:
        if entry.doubted:
            return False
        if entry.value is None:
            return entry.read_at >= now - self._settings.absent_for
        return max(entry.read_at, self._confirmed_at) >= now - self._settings.firm_for

    def _holds_firm(self, key: K, now: float) -> bool:
        entry = self._entries.get(key)
        return entry is not None and self._is_firm(entry, now)

    def _as_of(self, entry: _Entry[V]) -> datetime:
        confirmed = self._confirmed_as_of
        if confirmed is None or entry.doubted or entry.value is None or entry.as_of >= confirmed:
            return entry.as_of
        return confirmed

    def _flights_for(self, wanted: list[K], now: float) -> set[asyncio.Task[None]]:
        grounded = [key for key in wanted if key not in self._flights]
        if grounded and now >= self._paused_until:
            step = self._settings.batch
            for start in range(0, len(grounded), step):
                batch = grounded[start : start + step]
                flight = asyncio.create_task(self._fly(batch), name=f"copies-{self._name}")
                self._flights.update(dict.fromkeys(batch, flight))
                if self._pulse is not None:
                    self._pulse.follow(flight)
        return {self._flights[key] for key in wanted if key in self._flights}

    def _flight_of(self, key: K, now: float) -> asyncio.Task[None] | None:
        """Read one record again, to feel whether its authority answers."""
        return next(iter(self._flights_for([key], now)), None)

    async def _fly(self, keys: list[K]) -> None:
        """Read `keys` on behalf of everybody: under its own budget, not under one caller's."""
        started = self._clock.monotonic()
        shared = msgspec.structs.replace(
            SYSTEM,
            correlation_id=current().correlation_id,
            traceparent=current().traceparent,
            deadline=started + self._settings.load_budget,
        )
        try:
            with calling(shared):
                values = await self._load(keys)
            as_of = self._clock.now()
            for key in keys:
                self._store(key, values.get(key), as_of, started)
                if key in self._overtaken:
                    self._entries[key].doubted = True
            self._trouble = None
            if self._pulse is not None:
                self._pulse.beat()
        except CallFailedError as failed:
            self._note_trouble(failed)
        finally:
            for key in keys:
                self._flights.pop(key, None)
                self._overtaken.discard(key)

    def _note_trouble(self, failed: CallFailedError) -> None:
        match failed.failure:
            case Unavailable(system=system):
                self._trouble = f"{system} is not available"
                pause = self._settings.pause
                if self._pulse is not None:
                    self._pulse.missed()
            case Throttled(system=system, retry_after=pause):
                self._trouble = f"{system} is limiting calls"
            case other:
                self._trouble = f"{other.system} gave no usable answer"
                pause = 0.0
        self._paused_until = self._clock.monotonic() + pause

    def _store(self, key: K, value: V | None, as_of: datetime, read_at: float) -> None:
        self._entries.pop(key, None)  # so that the order of keys is the order of reading
        self._entries[key] = _Entry(value, as_of, read_at)
        if len(self._entries) > self._settings.size:
            del self._entries[next(iter(self._entries))]

    def _best(self, keys: Collection[K]) -> Found[K, V]:
        now = self._clock.monotonic()
        values: dict[K, V] = {}
        absent: list[K] = []
        lacking: list[K] = []
        held: list[_Entry[V]] = []
        for key in keys:
            entry = self._entries.get(key)
            if entry is None or (entry.value is None and not self._is_firm(entry, now)):
                lacking.append(key)
                continue
            held.append(entry)
            if entry.value is None:
                absent.append(key)
            else:
                values[key] = entry.value
        gone = self._pulse is not None and not self._pulse.alive
        firm = not (lacking or gone) and all(self._is_firm(entry, now) for entry in held)
        silence = "the authority does not answer" if gone else "no answer in time"
        return Found(
            values=values,
            absent=absent,
            lacking=lacking,
            firm=firm,
            as_of=min((self._as_of(entry) for entry in held), default=None),
            reason=None if firm else self._trouble or f"{silence} ({self._name})",
        )
