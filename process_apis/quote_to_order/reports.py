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
    Order,
    OrderException,
    OrderInvoice,
    OrderShipment,
    Release,
)
from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Throttled
from contracts.ports.crm import (
    Crm,
    DocumentReport,
    DocumentReports,
    OrderReport,
    ReportResult,
    Reports,
)
from process_apis.quote_to_order.story import message_of
from runtime.clock import Clock
from runtime.journal.journal import Journal
from runtime.journal.propagation import (
    Delivered,
    Delivery,
    DeliveryOutcome,
    Later,
    Subscriber,
    Undeliverable,
)
from runtime.journal.retelling import News, tell_again

TOPICS: Final = (
    "order.accepted",
    "order.provisional",
    "order.confirmed",
    "order.released",
    "order.held",
    "order.excepted",
    "order.cancelled",
    "order.backordered",
    "order.suspended",
    "order.resumed",
    "order.shipped",
    "order.invoiced",
    "order.paid",
    "order.closed",
)
ORDERS: Final = "crm-orders"
DOCUMENTS: Final = "crm-documents"
"""The names of the two subscribers."""
DOCUMENT_TOPICS: Final = ("order.shipped", "order.invoiced", "order.paid", "order.closed")
_MOST: Final = 200
_LONGEST_MESSAGE: Final = 250
_LONGEST_NUMBER: Final = 35
_LONGEST_TRACKING: Final = 80
_BUDGET: Final = 20.0
_GATHER: Final = timedelta(milliseconds=500)
"""An order that is accepted is confirmed and released a moment later: the CRM is told once."""


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
    releases: tuple[Release, ...] = ()
    shipments: tuple[OrderShipment, ...] = ()
    invoices: tuple[OrderInvoice, ...] = ()


_decode = msgspec.json.Decoder(_Shown).decode


class CrmReporter:
    """Turns events of orders into reports for the CRM."""

    def __init__(self, *, crm: Crm, clock: Clock) -> None:
        self._crm = crm
        self._clock = clock

    def subscriber(self) -> Subscriber:
        """Answer the subscriber for orders; only an order's newest event is told."""
        return Subscriber(
            name=ORDERS,
            topics=TOPICS,
            deliver=self.deliver,
            batch=_MOST,
            coalesce=True,
            gather=_GATHER,
        )

    def documents(self) -> Subscriber:
        """Answer the subscriber for shipments and invoices: the newest event names them all."""
        return Subscriber(
            name=DOCUMENTS,
            topics=DOCUMENT_TOPICS,
            deliver=self.deliver_documents,
            batch=_MOST,
            coalesce=True,
            gather=_GATHER,
        )

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[DeliveryOutcome]:
        """Report a batch in one call; each order's report succeeds or fails by itself."""
        reports = tuple(_report(delivery) for delivery in deliveries)
        try:
            with calling(self._call(ORDERS, deliveries)):
                answer = await self._crm.report_orders(Reports(reports=reports))
        except CallFailedError as failed:
            return [self._later(failed)] * len(deliveries)
        return [_outcome((result,)) for result in answer.results]

    async def deliver_documents(self, deliveries: Sequence[Delivery]) -> Sequence[DeliveryOutcome]:
        """Report the documents of each order; an order with many is told in several calls.

        An order's delivery is done when all of its documents are; a repetition changes nothing,
        because the CRM keeps one row for each document and its newest version.
        """
        told = [(n, report) for n, each in enumerate(deliveries) for report in _documents(each)]
        results: list[list[ReportResult]] = [[] for _ in deliveries]
        try:
            with calling(self._call(DOCUMENTS, deliveries)):
                for at in range(0, len(told), _MOST):
                    some = told[at : at + _MOST]
                    body = DocumentReports(reports=tuple(report for _, report in some))
                    answer = await self._crm.report_documents(body)
                    for (n, _), result in zip(some, answer.results, strict=True):
                        results[n].append(result)
        except CallFailedError as failed:
            return [self._later(failed)] * len(deliveries)
        return [_outcome(of_one) for of_one in results]

    def _call(self, name: str, deliveries: Sequence[Delivery]) -> CallContext:
        return CallContext(
            correlation_id=f"{name}-{deliveries[0].id}",
            consumer="quote-to-order",
            deadline=self._clock.monotonic() + _BUDGET,
            criticality="sync",
        )

    def _later(self, failed: CallFailedError) -> Later:
        failure = failed.failure
        reason = type(failure).__name__
        if isinstance(failure, Throttled):
            pause = timedelta(seconds=failure.retry_after)
            return Later(reason=reason, at=self._clock.now() + pause)
        return Later(reason=reason)


class CrmTeller:
    """Tells the CRM anew how orders stand, the way it is told of every change."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def tell(self, orders: Sequence[Order], *, actor: str, note: str) -> None:
        """Have orders told first, and then the documents of those that have any."""
        if not orders:
            return
        for subscriber, some in (
            (ORDERS, orders),
            (DOCUMENTS, [each for each in orders if each.shipments or each.invoices]),
        ):
            news = [News(entity=each.reference, revision=each.revision, data=each) for each in some]
            if news:
                await tell_again(self._journal, subscriber, news, actor=actor, note=note)


def _outcome(results: Sequence[ReportResult]) -> DeliveryOutcome:
    """Done when all is done; refused for good only when nothing of it may succeed later."""
    missing = [result for result in results if not result.done]
    if not missing:
        return Delivered()
    for result in missing:
        if result.retryable:
            return Later(reason=result.detail or "not now")
    return Undeliverable(reason=missing[0].detail or "refused")


def _documents(delivery: Delivery) -> Sequence[DocumentReport]:
    """Answer one report for each shipment the ERP posted and each invoice of an order."""
    order = _decode(delivery.payload)
    reports = [
        DocumentReport(
            reference=delivery.entity,
            version=delivery.version,
            order=order.id,
            kind="shipment",
            number=each.erp_number or each.id[:_LONGEST_NUMBER],
            on=each.shipped_at.date(),
            pieces=each.pieces,
            tracking=", ".join(each.tracking_numbers)[:_LONGEST_TRACKING] or None,
        )
        for each in _by_number(order.shipments)
    ]
    reports += [
        DocumentReport(
            reference=delivery.entity,
            version=delivery.version,
            order=order.id,
            kind="invoice",
            number=each.number,
            on=each.invoice_date,
            amount=each.gross_amount,
            remaining=each.remaining,
        )
        for each in order.invoices
    ]
    return reports


def _by_number(shipments: Sequence[OrderShipment]) -> Sequence[OrderShipment]:
    """Put packages together that the ERP posted as one shipment."""
    found: dict[str, OrderShipment] = {}
    for each in shipments:
        number = each.erp_number or each.id
        before = found.get(number)
        found[number] = (
            each
            if before is None
            else msgspec.structs.replace(
                each,
                pieces=before.pieces + each.pieces,
                tracking_numbers=(*before.tracking_numbers, *each.tracking_numbers),
            )
        )
    return tuple(found.values())


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
