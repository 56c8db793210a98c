"""Credit: what a customer may owe, owes, and has on order."""

import asyncio
from decimal import Decimal

from contracts.canonical.credit import CreditPosition
from runtime.clock import Clock
from system_apis.erp.business_central import mapping, odata, wire, wire_filters
from system_apis.erp.business_central.company import Company, refused
from system_apis.erp.business_central.rates import Rates

__all__ = ["Credit"]


class Credit:
    """The credit of one company's customers, in the company's own currency."""

    def __init__(
        self, company: Company, rates: Rates, *, local_currency: str, clock: Clock
    ) -> None:
        self._company = company
        self._rates = rates
        self._local = local_currency
        self._clock = clock
        self._has_page = True

    async def position(self, number: str) -> CreditPosition:
        """Answer a customer's limit, balance, overdue amount and what is on order.

        As of the instant it was asked for: an order created while the vendor answers may be
        missing from it, and must not be taken as included.
        """
        asked_at = self._clock.now()
        path = odata.query(
            wire.CUSTOMERS,
            filter=wire_filters.numbered(number),
            select=wire.CREDIT_FIELDS,
            expand=wire.FINANCIAL_DETAIL,
        )
        page, amounts = await asyncio.gather(
            self._company.read(path, wire.customers_decoder), self._open_orders(number)
        )
        if not page.value:
            raise refused("customer-unknown")
        return mapping.credit_position(page.value[0], amounts, self._local, asked_at)

    async def _open_orders(self, customer: str) -> wire.OpenOrderAmounts:
        """Answer what is on order, from the tenant's credit page or by summing the order book."""
        wanted = wire_filters.of_customer(customer)
        if self._has_page:
            path = odata.query(wire.OPEN_ORDERS, filter=wanted)
            page = await self._company.read_if_there(path, wire.open_orders_decoder, custom=True)
            if page is not None:
                return page.value[0] if page.value else wire.OpenOrderAmounts()
            self._has_page = False
        path = odata.query(wire.ORDERS, filter=wanted, expand=wire.ORDER_LINES)
        book = await self._company.read(path, wire.orders_decoder)
        waiting = shipped = Decimal(0)
        for order in await self._company.rest_of(book, wire.orders_decoder):
            rate = await self._worth(order.currency_code)
            still_open, not_invoiced = mapping.outstanding(order)
            waiting += still_open * rate
            shipped += not_invoiced * rate
        return wire.OpenOrderAmounts(outstanding_orders=waiting, shipped_not_invoiced=shipped)

    async def _worth(self, currency: str) -> Decimal:
        """Answer what one unit is worth; the vendor names the company's own currency by nothing."""
        if currency in {"", self._local}:
            return Decimal(1)
        return (await self._rates.of(currency)).rate
