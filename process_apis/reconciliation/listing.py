"""Reading what changed in each system, page by page, into the scratch of a sweep."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

from contracts.canonical.documents import Invoice, Shipment
from contracts.context import CallContext, calling
from contracts.ports.changes import Changes
from contracts.ports.crm import Crm
from contracts.ports.erp import Erp
from contracts.ports.reconciliation import SystemName
from contracts.ports.wms import Wms
from process_apis.reconciliation.scratch import Scratch
from runtime.clock import Clock

P = TypeVar("P")

Page = Callable[[Changes], Awaitable[P]]

_TRIES: Final = 3


class Listing:
    """The lists of all systems. Every page is a call with a budget of its own."""

    def __init__(
        self, *, erp: Erp, wms: Wms, crm: Crm, clock: Clock, call_budget: float, correlation: str
    ) -> None:
        self._erp = erp
        self._wms = wms
        self._crm = crm
        self._clock = clock
        self._budget = call_budget
        self._correlation = correlation

    def of(self, system: SystemName) -> Callable[[Scratch, datetime], Awaitable[None]]:
        """Answer what reads a system's lists. It raises `CallFailedError`."""
        return {"erp": self.erp, "wms": self.wms, "crm": self.crm}[system]

    async def erp(self, scratch: Scratch, since: datetime) -> None:
        """Read the order book and what was posted."""
        async for orders in self._pages(self._erp.list_orders, since):
            scratch.put("erp", ((each.reference, each.id, each) for each in orders.orders))
        async for documents in self._pages(self._erp.documents_since, since):
            scratch.put("shipment", _shipments(documents.shipments))
            scratch.put("invoice", _invoices(documents.invoices))

    async def wms(self, scratch: Scratch, since: datetime) -> None:
        """Read fulfilment orders and packages."""
        async for orders in self._pages(self._wms.list_releases, since):
            scratch.put("wms", ((each.reference, each.id, each) for each in orders.orders))
        async for packages in self._pages(self._wms.shipments_since, since):
            scratch.put("package", ((each.order, each.id, each) for each in packages.shipments))

    async def crm(self, scratch: Scratch, since: datetime) -> None:
        """Read what the CRM shows of orders."""
        async for page in self._pages(self._crm.list_reports, since):
            scratch.put("crm", ((each.reference, "", each) for each in page.reports))

    async def _pages(self, read: Page[Any], since: datetime) -> Any:
        cursor: str | None = None
        while True:
            with calling(self.call()):
                page = await read(Changes(since=since, cursor=cursor))
            yield page
            cursor = page.cursor
            if cursor is None:
                return

    def call(self) -> CallContext:
        """What a call of a sweep is made with: nobody waits for it."""
        return CallContext(
            correlation_id=self._correlation,
            consumer="reconciliation",
            deadline=self._clock.monotonic() + self._budget,
            criticality="bulk",
        )


def _shipments(found: Iterable[Shipment]) -> Iterable[tuple[str | None, str, Shipment]]:
    return ((each.reference, each.id, each) for each in found)


def _invoices(found: Iterable[Invoice]) -> Iterable[tuple[str | None, str, Invoice]]:
    return ((each.reference, each.number, each) for each in found)
