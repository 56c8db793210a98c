"""What accepted orders come to, when several processes accept them: kept as claims on credit.

An order's claim is taken before its acceptance and ends when the ERP has the order. Whatever a
dying process leaves between the two, `mend` puts right by what the journal says.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from contracts.canonical.credit import CreditPosition
from contracts.canonical.ids import CustomerId
from process_apis.quote_to_order.exposure import (
    Asked,
    Counted,
    Exposure,
    NotInErp,
    OpenExposure,
    approved_on,
    asked_now,
    countable,
    order_token,
    token_of,
)
from process_apis.quote_to_order.records import OrderRecord
from process_apis.quote_to_order.uncounted import Uncounted
from runtime.clock import Clock
from runtime.journal.process import Process
from runtime.store.claims import Bound, Claims, all_or_nothing
from runtime.store.engine import Store

KIND: Final = "credit"
REMEMBERED: Final = timedelta(days=1)
"""How long an order counts against positions from before it was in the ERP. A position is read
anew within seconds unless the ERP does not answer; nobody is let in on one a day old."""

_UNTOUCHED: Final = timedelta(minutes=1)
"""Claims younger than that may be of an order whose acceptance is on its way."""


def exposure_over(store: Store, clock: Clock) -> Exposure:
    """Answer what counts orders: in memory for a store of our own, as claims on a shared one."""
    return OpenExposure() if store.is_exclusive else SharedExposure(store, clock)


class SharedExposure:
    """Kept as claims, in company currency, one account for each customer.

    Costs a query for every check, and a write for every order accepted and one when it is in the
    ERP; both writes share the commits of the journal's own.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._claims = Claims(store, KIND, clock=clock, remembered=REMEMBERED)
        self._clock = clock

    async def __call__(self, position: CreditPosition) -> Decimal:
        """Answer what the ERP's position does not include."""
        asked, customer = asked_now(), position.customer
        totals = await self._claims.totals({customer: position.as_of}, without=asked.order)
        asked.position, asked.unseen = position, totals.get(customer, Decimal(0))
        return asked.unseen

    async def take(self, order: str, record: OrderRecord, on: CreditPosition | None) -> Counted:
        """Count an order within the limit, together with every other process."""
        amount = countable(record)
        if not amount:
            return "known"
        customer = record.customer
        held = await self._claims.take(
            order, {customer: _bound(on)}, all_or_nothing({customer: amount})
        )
        if not held.amounts:
            return "over"
        return "new" if held.is_new else "known"

    async def decided(self, process: Process[OrderRecord], record: OrderRecord, on: Asked) -> bool:
        """Count an order anew at what it comes to."""
        amount = countable(record)
        if amount is None:
            await self._claims.end(token_of(process), until=None)
            return True
        bound = _bound(approved_on(record, on))
        held = await self._claims.put(token_of(process), record.customer, amount, bound=bound)
        return held.is_new

    async def resumes(self, process: Process[OrderRecord]) -> None:
        """Count an order that was held; any other has counted since it was accepted."""
        if process.data.credit == "released":
            await self.decided(process, process.data, Asked())

    async def counted(self, process: Process[OrderRecord], at: datetime) -> None:
        """The ERP has the order since `at`."""
        if process.data.exposure is not None:
            await self._claims.end(token_of(process), until=at)

    async def forget(self, customer: CustomerId, order: str) -> None:
        """The order came to nothing."""
        await self._claims.put(order, customer, Decimal(0))

    async def fill(self, waiting: Iterable[Uncounted]) -> None:
        """Count what has no claim, because it was accepted by an earlier release or a lost write.

        What has ended of late is left alone: it came into the ERP since the journal was read.
        """
        orders = {order_token(w.consumer, w.key): w for w in waiting if w.exposure}
        known = await self._claims.knows(orders)
        for token, order in orders.items():
            if token not in known and order.exposure is not None:
                await self._claims.put(token, order.customer, order.exposure)

    async def mend(self, not_in_erp: NotInErp) -> int:
        """Let the claims be what the journal says; answers how many were not. Sweeps as well.

        A claim of an order that is in the ERP ends now; one of an order nobody accepted is of
        nothing; that of an order which cannot be read is all that is known of it, and stays. To be
        called every minute by one of the processes.
        """
        old = await self._claims.open_before(before=self._clock.now() - _UNTOUCHED)
        now = self._clock.now()
        waiting = await not_in_erp()
        counting = {order_token(w.consumer, w.key) for w in waiting if w.exposure or w.unread}
        stray = [claim for claim in old if claim.holder not in counting]
        for claim in stray:
            await self._claims.end(claim.holder, until=now)
        await self.fill(waiting)
        await self._claims.sweep()
        return len(stray)


def _bound(position: CreditPosition | None) -> Bound:
    if position is None or position.limit is None:
        return Bound(most=None)
    free = position.limit.amount - position.exposure.amount
    return Bound(most=free, as_of=position.as_of)
