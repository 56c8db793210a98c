"""What the warehouse said of its stock within the last seconds."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct, structs

from contracts.canonical.ids import ItemId
from contracts.canonical.stock import StockPosition
from contracts.context import SYSTEM, calling, current
from contracts.outcomes import CallFailedError
from contracts.ports.wms import StockEnquiry, Wms
from contracts.problems import refuse
from process_apis.inventory.settings import InventorySettings
from runtime.clock import Clock

_PAUSE: Final = 0.5
"""Seconds for which a warehouse that did not answer is left alone."""


class Reading(Struct, frozen=True):
    """One item as the warehouse had it at `as_of`, asked for then; None: it stocks no such item."""

    position: StockPosition | None
    as_of: datetime
    read_at: float


class StockReadings:
    """Readings that are good for seconds. One call reads for everybody who waits for an item."""

    def __init__(self, wms: Wms, settings: InventorySettings, clock: Clock) -> None:
        self._wms = wms
        self._settings = settings
        self._clock = clock
        self._readings: dict[ItemId, Reading] = {}
        self._flights: dict[ItemId, asyncio.Task[None]] = {}
        self._paused_until = float("-inf")

    def __repr__(self) -> str:
        return f"<StockReadings {len(self._readings)} held, {len(self._flights)} being read>"

    async def of(self, items: Collection[ItemId]) -> Mapping[ItemId, Reading]:
        """Answer a reading of each item.

        Refuses upstream-unavailable when the warehouse gives no answer and there is no reading
        young enough to be used without one.
        """
        now = self._clock.monotonic()
        late = [item for item in items if not self._is_younger(item, now, self._settings.fresh_for)]
        if late and now >= self._paused_until:
            flights = self._flights_for(late)
            await asyncio.wait(flights, timeout=self._budget(now))
            for flight in flights:
                if flight.done():
                    flight.result()  # a bug in reading is raised here, not swallowed
        if late:
            now = self._clock.monotonic()
            if not all(self._is_younger(item, now, self._settings.usable_for) for item in late):
                raise refuse("upstream-unavailable", retry_after=2, system="wms")
        return {item: self._readings[item] for item in items}

    def _is_younger(self, item: ItemId, now: float, age: float) -> bool:
        reading = self._readings.get(item)
        return reading is not None and reading.read_at >= now - age

    def _budget(self, now: float) -> float:
        theirs = current().deadline
        own = self._settings.read_budget
        return own if theirs is None else max(0.0, min(own, theirs - now))

    def _flights_for(self, items: Collection[ItemId]) -> set[asyncio.Task[None]]:
        grounded = [item for item in dict.fromkeys(items) if item not in self._flights]
        for start in range(0, len(grounded), self._settings.batch):
            some = grounded[start : start + self._settings.batch]
            flight = asyncio.create_task(self._read(some), name="stock-reading")
            self._flights.update(dict.fromkeys(some, flight))
        return {self._flights[item] for item in items}

    async def _read(self, items: list[ItemId]) -> None:
        """Read on behalf of everybody: under a budget of its own, not under one caller's."""
        as_of, read_at = self._clock.now(), self._clock.monotonic()
        shared = structs.replace(
            SYSTEM,
            correlation_id=current().correlation_id,
            traceparent=current().traceparent,
            deadline=read_at + self._settings.read_budget,
        )
        try:
            with calling(shared):
                answer = await self._wms.stock(StockEnquiry(items=tuple(items)))
        except CallFailedError:
            self._paused_until = self._clock.monotonic() + _PAUSE
            return
        finally:
            for item in items:
                self._flights.pop(item, None)
        found = {position.item: position for position in answer.positions}
        for item in items:
            self._readings.pop(item, None)  # so that the order of keys is the order of reading
            self._readings[item] = Reading(found.get(item), as_of, read_at)
        while len(self._readings) > self._settings.size:
            del self._readings[next(iter(self._readings))]
