"""Prices: those the vendor itself would put on the lines of an order."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from contracts.canonical.ids import CustomerId, number_of
from contracts.canonical.pricing import PriceLadder
from contracts.ports.erp import PriceEnquiry, PriceLadders
from runtime.clock import Clock
from system_apis.erp.business_central import mapping, odata, wire, wire_filters
from system_apis.erp.business_central.company import Company

__all__ = ["Prices"]

ITEMS_A_CALL: Final = 80
"""Keeps the filter of one request below 4 kB of URL."""
ENQUIRY: Final = "PRICE-ENQUIRY"
"""The reference of drafted quotes, by which any that outlived its enquiry can be swept."""


class Prices:
    """The prices of one company; what has no price page is asked with quotes of `probes` pieces."""

    def __init__(
        self, company: Company, *, local_currency: str, probes: Sequence[int], clock: Clock
    ) -> None:
        self._company = company
        self._local = local_currency
        self._probes = probes
        self._clock = clock
        self._has_page = True

    async def ladders(self, body: PriceEnquiry) -> PriceLadders:
        """Answer the prices the vendor itself would put on the lines.

        From the tenant's price page, or from a drafted quote when it has none, which is found out
        once and remembered.
        """
        numbers = list(dict.fromkeys(number_of(item) for item in body.items))
        chunks = [numbers[at : at + ITEMS_A_CALL] for at in range(0, len(numbers), ITEMS_A_CALL)]
        customer = number_of(body.customer)
        if self._has_page:
            pages = await asyncio.gather(*(self._net_prices(customer, some) for some in chunks))
            rows = [row for page in pages if page is not None for row in page]
            if all(page is not None for page in pages):
                found = mapping.ladders(rows, body.customer, self._local, self._clock.now())
                return PriceLadders(ladders=found)
            self._has_page = False
        ladders: list[PriceLadder] = []
        for some in chunks:
            ladders += await self._draft_prices(body.customer, some)
        return PriceLadders(ladders=tuple(ladders))

    async def _net_prices(self, customer: str, numbers: list[str]) -> list[wire.NetPrice] | None:
        path = odata.query(wire.NET_PRICES, filter=wire_filters.prices_of(customer, numbers))
        page = await self._company.read_if_there(path, wire.prices_decoder, custom=True)
        return None if page is None else await self._company.rest_of(page, wire.prices_decoder)

    async def _draft_prices(self, who: CustomerId, numbers: list[str]) -> tuple[PriceLadder, ...]:
        """Let the vendor price a quote of every item in some quantities, and delete it."""
        path = odata.query(
            wire.ITEMS, filter=wire_filters.numbered(*numbers), select=wire.ITEM_FIELDS
        )
        known = await self._company.read(path, wire.items_decoder)
        lines = [
            wire.item_line(item.number, Decimal(quantity))
            for item in await self._company.rest_of(known, wire.items_decoder)
            if not item.blocked
            for quantity in self._probes
        ]
        if not lines:
            return ()
        draft = wire.NewQuote(
            external_document_number=ENQUIRY,
            customer_number=number_of(who),
            sales_quote_lines=lines,
        )
        path = odata.query(wire.QUOTES, expand=wire.QUOTE_LINES)
        answer = await self._company.write("POST", path, body=wire.encode(draft))
        quote = self._company.decoded(wire.quote_decoder, answer, safe=False)
        try:
            priced = quote.sales_quote_lines
            if priced is None:
                path = f"{wire.QUOTES}({quote.id})/{wire.QUOTE_LINES}"
                page = await self._company.read(path, wire.quote_lines_decoder)
                priced = await self._company.rest_of(page, wire.quote_lines_decoder)
        finally:
            await self._company.write("DELETE", f"{wire.QUOTES}({quote.id})")
        currency = quote.currency_code or self._local
        return mapping.ladders_of_quote(priced, who, currency, self._clock.now())
