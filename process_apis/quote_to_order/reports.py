"""Telling the CRM where orders stand: the newest version of each, many in one call."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct

from contracts.canonical.ids import CustomerId, OrderId, SystemId
from contracts.canonical.money import Money
from contracts.canonical.order import (
    Billing,
    Commercial,
    CreditState,
    Fulfilment,
    Hold,
    OrderException,
)
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
_BUDGET: Final = 20.0


class _Shown(Struct, frozen=True, kw_only=True, rename="camel"):
    """What of an order the CRM is told; its lines, most of it, are skipped over."""

    id: OrderId
    customer: CustomerId
    net_amount: Money
    commercial: Commercial
    credit: CreditState
    fulfilment: Fulfilment
    billing: Billing
    hold: Hold | None = None
    exception: OrderException | None = None
    known_as: tuple[SystemId, ...] = ()
    quote: str | None = None


_decode = msgspec.json.Decoder(_Shown).decode


class CrmReporter:
    """Turns events of orders into reports for the CRM."""

    def __init__(self, *, crm: Crm, clock: Clock) -> None:
        self._crm = crm
        self._clock = clock

    def subscriber(self) -> Subscriber:
        """Answer the subscriber; only an order's newest event is told."""
        return Subscriber(
            name="crm-orders", topics=TOPICS, deliver=self.deliver, batch=_MOST, coalesce=True
        )

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[DeliveryOutcome]:
        """Report a batch in one call; each order's report succeeds or fails by itself."""
        reports = tuple(_report(delivery) for delivery in deliveries)
        call = CallContext(
            correlation_id=f"crm-orders-{deliveries[0].id}",
            consumer="quote-to-order",
            deadline=self._clock.monotonic() + _BUDGET,
            criticality="sync",
        )
        try:
            with calling(call):
                answer = await self._crm.report_orders(Reports(reports=reports))
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


def _report(delivery: Delivery) -> OrderReport:
    order = _decode(delivery.payload)
    known = {each.system: each.id for each in order.known_as}
    return OrderReport(
        reference=delivery.entity,
        version=delivery.version,
        order=order.id,
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
