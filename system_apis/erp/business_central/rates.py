"""What currencies are worth in the company's own."""

import msgspec

from contracts.ports.erp import ExchangeRate
from runtime.clock import Clock
from system_apis.erp.business_central import mapping, odata, wire, wire_filters
from system_apis.erp.business_central.company import Company, refused

__all__ = ["Rates"]


class Rates:
    """The exchange rates of one company."""

    def __init__(self, company: Company, *, local_currency: str, clock: Clock) -> None:
        self._company = company
        self._local = local_currency
        self._clock = clock

    async def of(self, currency: str) -> ExchangeRate:
        """Answer what one unit of a currency is worth in the company's own, as of today.

        `currency-mismatch` when the ERP knows no rate.
        """
        row = await self._latest_rate(currency)
        rate = mapping.exchange_rate(row, currency)
        through = row.relational_currency_code
        if through in {"", self._local}:
            return rate
        worth = mapping.exchange_rate(await self._latest_rate(through), through)
        return msgspec.structs.replace(rate, rate=rate.rate * worth.rate)

    async def _latest_rate(self, currency: str) -> wire.ExchangeRate:
        path = odata.query(
            wire.EXCHANGE_RATES,
            filter=wire_filters.rates_of(currency, self._clock.now().date()),
            orderby=wire_filters.LATEST_RATE,
            top="1",
        )
        page = await self._company.read_if_there(path, wire.rates_decoder)
        if page is None or not page.value:
            raise refused("currency-mismatch")
        return page.value[0]
