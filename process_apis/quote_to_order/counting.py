"""Counting an order against its customer's credit while it is accepted, and afterwards."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from contracts.canonical.ids import CustomerId
from contracts.problems import refuse
from process_apis.quote_to_order.answers import durably
from process_apis.quote_to_order.exposure import Counted, Exposure, approved_on, asking
from process_apis.quote_to_order.queries import OrderQueries
from process_apis.quote_to_order.records import OrderRecord
from runtime.store.faults import StoreUnavailable

_CHECKS: Final = 4
"""How often an order is checked whose credit others take meanwhile."""
_MENDED_EVERY: Final = 60.0

log = logging.getLogger("crossdock.orders")


class CreditCount:
    """What the journal's orders come to, kept beside it."""

    def __init__(self, exposure: Exposure, queries: OrderQueries) -> None:
        self._exposure = exposure
        self._queries = queries

    async def checked(
        self, token: str, check: Callable[[], Awaitable[OrderRecord]]
    ) -> tuple[OrderRecord, Counted]:
        """Answer an order that can be accepted, counted against its customer's credit.

        So no two orders are let in on the same credit: one that came too late is checked again,
        and then seen to exceed the limit.
        """
        for _ in range(_CHECKS):
            with asking() as asked:
                record = await check()
            with durably():
                counted = await self._exposure.take(token, record, approved_on(record, asked))
            if counted != "over":
                return record, counted
        raise refuse("store-unavailable", retry_after=1)

    async def forget(self, customer: CustomerId, token: str) -> None:
        """The order was not accepted. If the store cannot be told, `keep_mended` finds it."""
        with contextlib.suppress(StoreUnavailable):
            await self._exposure.forget(customer, token)

    async def fill(self) -> int:
        """Count the orders accepted before this start that are not in the ERP yet.

        The others are in its positions, all of which are read after the start.
        """
        waiting = await self._queries.estimated(await self._queries.not_in_erp())
        await self._exposure.fill(waiting)
        return len(waiting)

    async def keep_mended(self) -> None:
        """Put right now and then what dying processes left of the counting. Never returns."""
        while True:
            await asyncio.sleep(_MENDED_EVERY)
            try:
                if mended := await self._exposure.mend(self._queries.not_in_erp):
                    log.warning("credit_claims_mended", extra={"claims": mended})
            except StoreUnavailable:
                log.warning("credit_claims_not_mended")
