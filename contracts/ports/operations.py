"""What integration operations sees (operations/v1): exceptions, remedies, totals, orders."""

from typing import Protocol

from contracts.canonical.order import Order, Timeline
from contracts.ports import examples
from contracts.ports.binding import Reply, operation
from contracts.ports.quote_to_order import (
    ExceptionPage,
    ExceptionQuery,
    OrderPage,
    OrderQuery,
    Remedy,
    Totals,
    TotalsQuery,
)

READ = "operations:read"
WRITE = "operations:write"


class Operations(Protocol):
    """The API of the people who keep orders moving."""

    @operation(
        "GET",
        "/orders",
        scope=READ,
        limit="operations",
        problems=("customer-unknown",),
        examples={"customer": examples.CUSTOMER, "po": "PO-1207"},
    )
    async def find_orders(self, query: OrderQuery) -> OrderPage:
        """Find any consumer's orders by PO number, customer or reference."""
        ...

    @operation(
        "GET", "/orders/{order}/timeline", scope=READ, limit="operations", problems=("not-found",)
    )
    async def order_timeline(self, order: str) -> Timeline:
        """Tell where an order is and why."""
        ...

    @operation("GET", "/exceptions", scope=READ, limit="operations")
    async def list_exceptions(self, query: ExceptionQuery) -> ExceptionPage:
        """List what stopped orders, who must act, and what they may do."""
        ...

    @operation(
        "POST",
        "/exceptions/{exception}/remedies",
        scope=WRITE,
        status=202,
        also=(200,),
        idempotency="required",
        limit="operations",
        problems=("not-found", "remedy-not-allowed", "amount-too-large"),
        examples={"body": examples.REMEDY},
    )
    async def apply_remedy(self, exception: str, body: Remedy) -> Reply[Order]:
        """Apply a remedy to an exception; it is audited with who applied it."""
        ...

    @operation(
        "GET",
        "/totals",
        scope=READ,
        limit="operations",
        criticality="bulk",
        budget_ms=30_000,
        examples={"channel": "sales"},
    )
    async def totals(self, query: TotalsQuery) -> Totals:
        """Sum up a channel's orders and credit memos, to be reconciled with the ERP."""
        ...
