"""Telling the CRM where orders stand: the newest version of each, many in one call."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from contracts.canonical.ids import OrderId
from contracts.canonical.order import Order
from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Throttled
from contracts.ports.crm import Crm, OrderReport, Reports
from process_apis.quote_to_order.story import message_of
from runtime.clock import Clock
from runtime.journal.propagation import (
    Delivered,
    Delivery,
    DeliveryOutcome,
    Later,
    Subscriber,
    Undeliverable,
)

TOPICS: Final = (
    "order.accepted",
    "order.provisional",
    "order.confirmed",
    "order.released",
    "order.held",
    "order.excepted",
    "order.cancelled",
)
_MOST: Final = 200
_LONGEST_MESSAGE: Final = 250
_NUMBERS_KEPT: Final = 20_000
_BUDGET: Final = 20.0

_decode = msgspec.json.Decoder(Order).decode

FindOrder = Callable[[str], Awaitable[str | None]]
"""Answers the order id of a reference; None when there is no such order."""


class OrderNumbers:
    """Order ids by reference, for events that left before the id was known.

    The newest are kept in memory; the others are looked up.
    """

    def __init__(self) -> None:
        self._find: FindOrder | None = None
        self._known: OrderedDict[str, str] = OrderedDict()

    def look_up_with(self, find: FindOrder) -> None:
        """Use `find` for the ids that are not remembered."""
        self._find = find

    def learn(self, reference: str, order: str) -> None:
        """Remember the id of an order just accepted."""
        self._known[reference] = order
        if len(self._known) > _NUMBERS_KEPT:
            self._known.popitem(last=False)

    async def of(self, reference: str) -> str | None:
        """Answer an order's id."""
        known = self._known.get(reference)
        if known is None and self._find is not None:
            known = await self._find(reference)
        return known


class CrmReporter:
    """Turns events of orders into reports for the CRM."""

    def __init__(self, *, crm: Crm, numbers: OrderNumbers, clock: Clock) -> None:
        self._crm = crm
        self._numbers = numbers
        self._clock = clock

    def subscriber(self) -> Subscriber:
        """Answer the subscriber; only an order's newest event is told."""
        return Subscriber(
            name="crm-orders", topics=TOPICS, deliver=self.deliver, batch=_MOST, coalesce=True
        )

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[DeliveryOutcome]:
        """Report a batch in one call; each order's report succeeds or fails by itself."""
        reports = [await self._report(delivery) for delivery in deliveries]
        call = CallContext(
            correlation_id=f"crm-orders-{deliveries[0].id}",
            consumer="quote-to-order",
            deadline=self._clock.monotonic() + _BUDGET,
            criticality="sync",
        )
        try:
            with calling(call):
                answer = await self._crm.report_orders(Reports(reports=tuple(reports)))
        except CallFailedError as failed:
            return [self._later(failed)] * len(deliveries)
        return [
            Delivered()
            if result.done
            else Later(reason=result.detail or "not now")
            if result.retryable
            else Undeliverable(reason=result.detail or "refused")
            for result in answer.results
        ]

    def _later(self, failed: CallFailedError) -> Later:
        failure = failed.failure
        reason = type(failure).__name__
        if isinstance(failure, Throttled):
            pause = timedelta(seconds=failure.retry_after)
            return Later(reason=reason, at=self._clock.now() + pause)
        return Later(reason=reason)

    async def _report(self, delivery: Delivery) -> OrderReport:
        order = _decode(delivery.payload)
        known = {each.system: each.id for each in order.known_as}
        number = order.id or await self._numbers.of(delivery.entity)
        return OrderReport(
            reference=delivery.entity,
            version=delivery.version,
            order=OrderId(number or delivery.entity),
            customer=order.customer,
            commercial=order.commercial,
            credit=order.credit,
            fulfilment=order.fulfilment,
            billing=order.billing,
            net_amount=order.net_amount,
            message=message_of(order)[:_LONGEST_MESSAGE],
            hold_reason=None if order.hold is None else order.hold.reason,
            quote=order.quote,
            erp_number=known.get("bc"),
            warehouse_number=known.get("wms"),
        )
