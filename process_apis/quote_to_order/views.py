"""Orders and credits as the channels see them, made of what the journal keeps."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal

from contracts.canonical.ids import OrderId, SystemId
from contracts.canonical.money import Money, line_amount
from contracts.canonical.order import (
    Allocation,
    Order,
    OrderException,
    OrderInvoice,
    OrderLine,
    OrderShipment,
    Release,
)
from process_apis.quote_to_order import goods
from process_apis.quote_to_order.records import (
    AgreedLine,
    CreditRecord,
    OrderRecord,
    ReleaseRecord,
    commercial_of,
)
from process_apis.quote_to_order.remedies import exception_of
from runtime.journal.process import Process


def order_of(process: Process[OrderRecord]) -> Order:
    """Show an order as it stands."""
    return order_view(
        process.data,
        order=OrderId(process.id),
        reference=process.reference,
        state=process.state,
        revision=process.revision,
        updated_at=process.updated_at,
        exception=exception_of(process),
    )


def order_view(
    record: OrderRecord,
    *,
    order: OrderId,
    reference: str,
    state: str,
    revision: int,
    updated_at: datetime,
    exception: OrderException | None = None,
) -> Order:
    """Show an order's record as the canonical order."""
    currency = record.currency
    tax = None if record.tax is None else Money(amount=record.tax, currency=currency)
    known_as = []
    if record.erp_number is not None:
        known_as.append(SystemId(system="bc", id=record.erp_number))
    if record.wms_number is not None:
        known_as.append(SystemId(system="wms", id=record.wms_number))
    if record.quote is not None:
        known_as.append(SystemId(system="sf", id=record.quote.removeprefix("sf:")))
    return Order(
        id=order,
        reference=reference,
        customer=record.customer,
        customer_name=record.customer_name,
        currency=currency,
        lines=_order_lines(record),
        net_amount=Money(amount=record.net, currency=currency),
        tax_amount=tax,
        gross_amount=None
        if tax is None
        else Money(amount=record.net + tax.amount, currency=currency),
        commercial=commercial_of(state, record),
        credit=record.credit,
        fulfilment=record.fulfilment,
        billing=record.billing,
        channel=record.channel,
        placed_at=record.placed_at,
        updated_at=updated_at,
        revision=revision,
        po_number=record.po_number,
        order_date=record.order_date,
        requested_delivery_date=record.requested_delivery_date,
        ship_to=record.ship_to,
        warehouse=record.warehouse,
        hold=record.hold,
        exception=exception,
        known_as=tuple(known_as),
        quote=record.quote,
        releases=tuple(_release_view(each) for each in goods.releases_of(record, reference)),
        shipments=_shipments_view(record),
        invoices=_invoices_view(record),
    )


_SHOWN_AS: Final[dict[str, Literal["open", "suspended", "shipped", "cancelled"]]] = {
    "planned": "open",
    "open": "open",
    "leaving": "open",
    "suspended": "suspended",
    "shipped": "shipped",
    "cancelled": "cancelled",
}


def _release_view(release: ReleaseRecord) -> Release:
    return Release(
        reference=release.reference,
        warehouse=release.warehouse,
        number=release.number,
        state=_SHOWN_AS[release.state],
    )


def _shipments_view(record: OrderRecord) -> tuple[OrderShipment, ...]:
    return tuple(
        OrderShipment(
            id=each.id,
            warehouse=each.warehouse,
            pieces=sum((quantity for _, quantity in each.lines), Decimal(0)),
            shipped_at=each.shipped_at,
            erp_number=each.erp_number,
            tracking_numbers=each.tracking,
            carrier=each.carrier,
        )
        for each in record.shipments
    )


def _invoices_view(record: OrderRecord) -> tuple[OrderInvoice, ...]:
    currency = record.currency
    return tuple(
        OrderInvoice(
            number=each.number,
            net_amount=Money(amount=each.net, currency=currency),
            gross_amount=Money(amount=each.gross, currency=currency),
            remaining=Money(amount=each.remaining, currency=currency),
            invoice_date=each.invoice_date,
            due_date=each.due_date,
        )
        for each in record.invoices
    )


def _order_lines(record: OrderRecord) -> tuple[OrderLine, ...]:
    """Show an order's lines, with where each is to come from once it was allocated here."""
    if not record.releases and not record.backorder:
        return lines_view(record.lines, record.currency)
    waiting = dict(record.backorder)
    return lines_view(
        record.lines,
        record.currency,
        allocations={
            number: tuple(
                Allocation(warehouse=release.warehouse or "", quantity=quantity)
                for release in record.releases
                for line, quantity in release.lines
                if line == number and release.state != "cancelled" and release.warehouse
            )
            for number in range(1, len(record.lines) + 1)
        },
        backordered=waiting,
    )


def credit_of(process: Process[CreditRecord]) -> Order:
    """Show a credit as it stands."""
    return credit_view(
        process.data,
        order=OrderId(process.id),
        reference=process.reference,
        state=process.state,
        revision=process.revision,
        updated_at=process.updated_at,
        exception=exception_of(process),
    )


def credit_view(
    record: CreditRecord,
    *,
    order: OrderId,
    reference: str,
    state: str,
    revision: int,
    updated_at: datetime,
    exception: OrderException | None = None,
) -> Order:
    """Show a credit in the shape of an order, as the channels are answered."""
    memo = record.memo_number
    return Order(
        id=order,
        reference=reference,
        customer=record.customer,
        customer_name=record.customer_name,
        currency=record.currency,
        lines=lines_view(record.lines, record.currency),
        net_amount=Money(amount=record.net, currency=record.currency),
        tax_amount=None,
        gross_amount=None,
        commercial=commercial_of(state, record),
        credit="unchecked",
        fulfilment="not-released",
        billing="credited" if state == "credited" else "not-invoiced",
        channel=record.channel,
        placed_at=record.placed_at,
        updated_at=updated_at,
        revision=revision,
        po_number=record.po_number,
        order_date=record.order_date,
        exception=exception,
        known_as=() if memo is None else (SystemId(system="bc", id=memo),),
    )


def view_of(process: Process[OrderRecord] | Process[CreditRecord]) -> Order:
    """Show an order or a credit."""
    if isinstance(process.data, CreditRecord):
        return credit_of(process)
    return order_of(process)


def lines_view(
    lines: Sequence[AgreedLine],
    currency: str,
    *,
    allocations: Mapping[int, tuple[Allocation, ...]] = MappingProxyType({}),
    backordered: Mapping[int, Decimal] = MappingProxyType({}),
) -> tuple[OrderLine, ...]:
    """Show lines with their amounts."""
    return tuple(
        OrderLine(
            number=number,
            item=line.item,
            description=line.description or line.item.removeprefix("item_"),
            quantity=line.quantity,
            unit_price=Money(amount=line.unit_price, currency=currency),
            net_amount=Money(
                amount=line_amount(line.quantity, line.unit_price, currency), currency=currency
            ),
            basis=line.basis,
            shipped=line.shipped,
            invoiced=line.invoiced,
            allocations=allocations.get(number, ()),
            backordered=backordered.get(number, Decimal(0)),
        )
        for number, line in enumerate(lines, 1)
    )
