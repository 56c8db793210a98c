"""inventory: the port, over readings of the warehouse's stock and claims on it."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from contracts.canonical.ids import ItemId
from contracts.canonical.stock import StockPosition
from contracts.ports.inventory import (
    ItemPromise,
    ItemPromises,
    Promisable,
    PromiseEnquiry,
    ReleaseReservation,
    Reservation,
    ReservedStock,
    ReserveStock,
)
from contracts.ports.wms import Wms
from contracts.problems import refuse
from process_apis.inventory import decisions
from process_apis.inventory.readings import StockReadings
from process_apis.inventory.settings import InventorySettings
from runtime.clock import Clock
from runtime.store.claims import Bound, Claims, Holding
from runtime.store.engine import Store
from runtime.store.faults import StoreUnavailable

KIND: Final = "stock"

_NOTHING: Final = Decimal(0)

log = logging.getLogger("crossdock.inventory")


class InventoryApi:
    """Implements `contracts.ports.inventory.Inventory`.

    Construction has no effects; `open` comes after the store's own, `run` is a job.
    """

    def __init__(
        self, *, wms: Wms, store: Store, settings: InventorySettings, clock: Clock
    ) -> None:
        self._readings = StockReadings(wms, settings, clock)
        self._settings = settings
        self._clock = clock
        self._claims = Claims(
            store, KIND, clock=clock, remembered=timedelta(seconds=settings.remembered_for)
        )

    async def open(self) -> None:
        """Read what an earlier program keeps for holders."""
        await self._claims.open()

    async def run(self) -> None:
        """Forget now and then what has expired and ended. Never returns."""
        while True:
            await asyncio.sleep(self._settings.sweep_every)
            try:
                await self._claims.sweep()
            except StoreUnavailable:
                log.warning("reservations_not_swept")

    async def promisable(self, body: PromiseEnquiry) -> ItemPromises:
        """Answer what can be promised; refuses upstream-unavailable. See the port."""
        readings = await self._readings.of(tuple(dict.fromkeys(body.items)))
        known = {
            item: (reading.position, reading.as_of)
            for item, reading in readings.items()
            if reading.position is not None
        }
        try:
            reserved = await self._reserved(known)
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
        return ItemPromises(
            items=tuple(
                ItemPromise(
                    item=item,
                    places=_promised(position, reserved.get(item, {})),
                    as_of=as_of,
                )
                for item, (position, as_of) in known.items()
            )
        )

    async def reserve(self, body: ReserveStock) -> Reservation:
        """Reserve once for a holder; refuses upstream-unavailable, store-unavailable.

        The choice is made on what is free while nobody else takes of the same stock.
        """
        wanted = decisions.wanted_of(body.lines)
        try:
            held = await self._claims.held(body.holder)
            if not held.amounts:
                held = await self._take(body, wanted)
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
        ends = held.expires_at or self._clock.now() + timedelta(seconds=body.seconds)
        return _reservation(body.holder, held, ends, wanted)

    async def reservation(self, holder: str) -> Reservation:
        """Answer what is kept for a holder; refuses not-found."""
        try:
            held = await self._claims.held(holder)
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
        if not held.amounts or held.expires_at is None:
            raise refuse("not-found")
        return _reservation(holder, held, held.expires_at, {})

    async def release(self, body: ReleaseReservation) -> Reservation:
        """Give back. What was kept counts on until the stock was read once more."""
        now = self._clock.now()
        back = decisions.given_back(body.lines)
        amounts = {_account(*place): quantity for place, quantity in back.items()}
        what = amounts if body.lines else None
        shown_by = now + timedelta(seconds=self._settings.allocation_seconds)
        try:
            held = await self._claims.end(body.holder, what, until=shown_by)
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
        return _reservation(body.holder, held, held.expires_at or now, {})

    async def reserved(
        self, positions: Mapping[ItemId, StockPosition]
    ) -> Mapping[ItemId, Mapping[str, Decimal]] | None:
        """Answer what is promised of positions somebody else has read, by item and warehouse.

        Items of which nothing is promised are missing. None: the store does not answer.
        """
        try:
            return await self._reserved({item: (p, p.as_of) for item, p in positions.items()})
        except StoreUnavailable:
            return None

    async def _take(self, body: ReserveStock, wanted: decisions.Wanted) -> Holding:
        readings = await self._readings.of(tuple(wanted))
        bounds = {
            _account(item, place.warehouse): Bound(most=place.available, as_of=reading.as_of)
            for item, reading in readings.items()
            if reading.position is not None
            for place in reading.position.places
        }
        return await self._claims.take(
            body.holder,
            bounds,
            lambda free: {
                _account(*place): quantity
                for place, quantity in decisions.picked(
                    wanted,
                    {_place(account): quantity for account, quantity in free.items()},
                    preferred=body.preferred,
                    all_or_nothing=body.all_or_nothing,
                ).items()
            },
            expires_at=self._clock.now() + timedelta(seconds=body.seconds),
        )

    async def _reserved(
        self, known: Mapping[ItemId, tuple[StockPosition, datetime]]
    ) -> dict[ItemId, dict[str, Decimal]]:
        asked = {
            _account(item, place.warehouse): as_of
            for item, (position, as_of) in known.items()
            for place in position.places
        }
        found: dict[ItemId, dict[str, Decimal]] = {}
        for account, quantity in (await self._claims.totals(asked)).items():
            item, warehouse = _place(account)
            found.setdefault(item, {})[warehouse] = quantity
        return found


def _account(item: ItemId, warehouse: str) -> str:
    """Name an item in a warehouse. A line feed is in no code of either."""
    return f"{item}\n{warehouse}"


def _place(account: str) -> decisions.Place:
    item, _, warehouse = account.partition("\n")
    return ItemId(item), warehouse


def _promised(position: StockPosition, reserved: Mapping[str, Decimal]) -> tuple[Promisable, ...]:
    return tuple(
        Promisable(
            warehouse=place.warehouse,
            on_hand=place.on_hand,
            available=place.available,
            reserved=(kept := reserved.get(place.warehouse, _NOTHING)),
            promisable=max(_NOTHING, place.available - kept),
        )
        for place in position.places
    )


def _reservation(
    holder: str, held: Holding, expires_at: datetime, wanted: decisions.Wanted
) -> Reservation:
    lines = tuple(
        ReservedStock(item=item, warehouse=warehouse, quantity=quantity)
        for account, quantity in held.amounts.items()
        for item, warehouse in (_place(account),)
    )
    return Reservation(
        holder=holder,
        lines=lines,
        short=decisions.short_of(wanted, lines),
        expires_at=expires_at,
    )
