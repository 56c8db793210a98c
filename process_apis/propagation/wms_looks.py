"""What people do in the warehouse: ship, cancel, take stock in."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

from contracts.canonical.ids import ItemId
from contracts.ports.changes import Changes
from contracts.ports.wms import StockEnquiry, Wms
from process_apis.propagation.addressing import OpenOrders
from process_apis.propagation.erp_looks import latest
from process_apis.propagation.happenings import AWAITS
from process_apis.propagation.intake import Intake, Taken
from process_apis.propagation.watchdog import Watchdog
from process_apis.propagation.watching import Notes, Watermark
from runtime.clock import Clock

__all__ = ["CANCELLATIONS", "SHIPMENTS", "STOCK", "WmsLooks"]

SHIPMENTS: Final = "shiphero.shipments"
CANCELLATIONS: Final = "shiphero.cancellations"
STOCK: Final = "shiphero.stock"
"""The subscriptions whose messages tell of what is found here."""
_MOST: Final = 2_000
_FOUND: Final = frozenset({Taken.NEW, Taken.HELD})


class WmsLooks:
    """The looks at the warehouse."""

    def __init__(
        self,
        *,
        wms: Wms,
        intake: Intake,
        orders: OpenOrders,
        notes: Notes,
        watchdog: Watchdog,
        clock: Clock,
        overlap: timedelta,
    ) -> None:
        self._wms = wms
        self._intake = intake
        self._orders = orders
        self._watchdog = watchdog
        self._shipments = Watermark("wms.shipments", notes=notes, clock=clock, overlap=overlap)
        self._releases = Watermark("wms.releases", notes=notes, clock=clock, overlap=overlap)
        self._available: dict[ItemId, Decimal] = {}

    async def shipments(self) -> None:
        """Take every package that left."""
        since, cursor, newest = await self._shipments.since(), None, None
        while True:
            page = await self._wms.shipments_since(Changes(since=since, cursor=cursor))
            for package in page.shipments:
                self._told(SHIPMENTS, await self._intake.package(package))
            newest = latest(newest, (package.shipped_at for package in page.shipments))
            cursor = page.cursor
            if cursor is None:
                break
        await self._shipments.advance(newest)
        self._watchdog.polled(SHIPMENTS)

    async def releases(self) -> None:
        """Take what the warehouse cancelled."""
        since, cursor, newest = await self._releases.since(), None, None
        while True:
            page = await self._wms.list_cancelled_releases(Changes(since=since, cursor=cursor))
            for order in page.orders:
                if order.reference:
                    taken = await self._intake.cancelled(order.reference, order.number)
                    self._told(CANCELLATIONS, taken)
            newest = latest(newest, (order.changed_at for order in page.orders))
            cursor = page.cursor
            if cursor is None:
                break
        await self._releases.advance(newest)
        self._watchdog.polled(CANCELLATIONS)

    async def stock(self) -> None:
        """Take what came in of the items that orders wait for."""
        wanted = [ItemId(item) for item in await self._orders.values(AWAITS)]
        found: dict[ItemId, Decimal] = {}
        for start in range(0, len(wanted), _MOST):
            enquiry = StockEnquiry(items=tuple(wanted[start : start + _MOST]))
            for position in (await self._wms.stock(enquiry)).positions:
                available = sum((place.available for place in position.places), Decimal(0))
                found[position.item] = available
                if available > self._available.get(position.item, Decimal(0)):
                    told = f"{available:f}@{position.as_of.isoformat()}"
                    self._told(STOCK, await self._intake.stock((position.item,), told))
        self._available = found
        self._watchdog.polled(STOCK)

    def _told(self, subscription: str, taken: Taken) -> None:
        if taken in _FOUND:
            self._watchdog.expected(subscription)
