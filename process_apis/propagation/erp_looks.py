"""What finance does in the ERP: blocks customers, reviews orders, bills, receives money."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from contracts.canonical.shapes import Instant
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.changes import Changes
from contracts.ports.erp import Erp, ErpOrder
from process_apis.propagation.intake import Intake, Taken
from process_apis.propagation.watchdog import Watchdog
from process_apis.propagation.watching import Notes, Watermark
from runtime.clock import Clock

__all__ = ["CUSTOMERS", "INVOICES", "ORDERS", "ErpLooks"]

CUSTOMERS: Final = "business_central.customers"
ORDERS: Final = "business_central.orders"
INVOICES: Final = "business_central.invoices"
"""The subscriptions whose messages tell of what is found here."""
_NOTE: Final = "in-review"
_KEY: Final = "erp"
_A_MOMENT: Final = timedelta(microseconds=1)
_FOUND: Final = frozenset({Taken.NEW, Taken.HELD})


class _InReview(Struct, frozen=True, kw_only=True):
    """An order that was in review when it was last looked at."""

    reference: str
    customer: str
    as_of: Instant


class ErpLooks:
    """The looks at the ERP."""

    def __init__(
        self,
        *,
        erp: Erp,
        intake: Intake,
        notes: Notes,
        watchdog: Watchdog,
        clock: Clock,
        overlap: timedelta,
    ) -> None:
        self._erp = erp
        self._intake = intake
        self._notes = notes
        self._watchdog = watchdog
        self._clock = clock
        self._customers = Watermark("erp.customers", notes=notes, clock=clock, overlap=overlap)
        self._documents = Watermark("erp.documents", notes=notes, clock=clock, overlap=overlap)

    async def customers(self) -> None:
        """Take who is blocked for shipping, and who is not any more."""
        since, cursor, newest = await self._customers.since(), None, None
        while True:
            page = await self._erp.list_customers(Changes(since=since, cursor=cursor))
            for customer in page.customers:
                self._told(CUSTOMERS, await self._intake.customer(customer))
            newest = latest(newest, (each.changed_at for each in page.customers))
            cursor = page.cursor
            if cursor is None:
                break
        await self._customers.advance(newest)
        self._watchdog.polled(CUSTOMERS)

    async def documents(self) -> None:
        """Take what was shipped, billed and paid."""
        since, cursor, newest = await self._documents.since(), None, None
        while True:
            page = await self._erp.documents_since(Changes(since=since, cursor=cursor))
            for shipment in page.shipments:
                await self._intake.posted(shipment)  # no subscription tells of these
            for invoice in page.invoices:
                self._told(INVOICES, await self._intake.invoice(invoice))
            newest = latest(newest, (each.changed_at for each in page.shipments))
            newest = latest(newest, (each.changed_at for each in page.invoices))
            cursor = page.cursor
            if cursor is None:
                break
        await self._documents.advance(newest)
        self._watchdog.polled(INVOICES)

    async def reviews(self) -> None:
        """Take which orders came under review and which left it since the last look."""
        now = {order.reference.upper(): order for order in await self._in_review()}
        stored = await self._notes.note(_NOTE, _KEY)
        kept = [] if stored is None else msgspec.json.decode(stored, type=list[_InReview])
        before = {one.reference: one for one in kept}
        after = []
        for reference, order in now.items():
            as_of = order.changed_at or self._clock.now()
            if reference not in before:
                self._told(ORDERS, await self._intake.review(reference, as_of, held=True))
            found = _InReview(reference=reference, customer=order.customer, as_of=as_of)
            after.append(before.get(reference, found))
        for gone in (one for reference, one in before.items() if reference not in now):
            as_of = max(await self._left(gone), gone.as_of + _A_MOMENT)
            self._told(ORDERS, await self._intake.review(gone.reference, as_of, held=False))
        if after != kept:
            await self._notes.set_note(_NOTE, _KEY, msgspec.json.encode(after))
        self._watchdog.polled(ORDERS)

    async def _in_review(self) -> list[ErpOrder]:
        orders: list[ErpOrder] = []
        cursor = None
        while True:
            page = await self._erp.list_orders_in_review(Changes(cursor=cursor))
            orders += page.orders
            cursor = page.cursor
            if cursor is None:
                return orders

    async def _left(self, one: _InReview) -> datetime:
        """Answer when an order left review; one that is gone left it now."""
        try:
            order = await self._erp.find_order(one.customer, one.reference)
        except CallFailedError as failed:
            if not isinstance(failed.failure, Rejected):
                raise
            return self._clock.now()
        return order.changed_at or self._clock.now()

    def _told(self, subscription: str, taken: Taken) -> None:
        if taken in _FOUND:
            self._watchdog.expected(subscription)


def latest(newest: datetime | None, stamps: Iterable[datetime | None]) -> datetime | None:
    """Answer the newest of some stamps, any of which may be missing."""
    return max((one for one in (newest, *stamps) if one is not None), default=None)
