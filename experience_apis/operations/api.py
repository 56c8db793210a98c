"""operations/v1: thin over quote-to-order, for the people who keep orders moving."""

from contracts.canonical.order import Order, Timeline
from contracts.ports.binding import Reply
from contracts.ports.quote_to_order import (
    ExceptionPage,
    ExceptionQuery,
    OrderPage,
    OrderQuery,
    QuoteToOrder,
    Remedy,
    Totals,
    TotalsQuery,
)


class OperationsApi:
    """Implements `contracts.ports.operations.Operations`."""

    def __init__(self, *, orders: QuoteToOrder) -> None:
        self._orders = orders

    async def find_orders(self, query: OrderQuery) -> OrderPage:
        """Find any consumer's orders, newest first."""
        return await self._orders.search(query)

    async def order_timeline(self, order: str) -> Timeline:
        """Tell where an order is and why."""
        return await self._orders.timeline(order)

    async def list_exceptions(self, query: ExceptionQuery) -> ExceptionPage:
        """List what stopped orders, who must act, and what they may do."""
        return await self._orders.exceptions(query)

    async def apply_remedy(self, exception: str, body: Remedy) -> Reply[Order]:
        """Apply a remedy; the journal audits who did."""
        return await self._orders.remedy(exception, body)

    async def totals(self, query: TotalsQuery) -> Totals:
        """Sum up a channel's orders and credit memos."""
        return await self._orders.totals(query)
