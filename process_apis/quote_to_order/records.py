"""What the journal keeps of an order and of a credit, and the views made of it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec
from msgspec import Struct

from contracts.canonical.ids import CustomerId, ItemId, OrderId, SystemId
from contracts.canonical.money import Money, line_amount
from contracts.canonical.order import (
    Billing,
    Commercial,
    CreditState,
    Fulfilment,
    Hold,
    Order,
    OrderException,
    OrderLine,
    OrderRequest,
)
from contracts.canonical.party import Address
from contracts.canonical.pricing import PriceBasis
from process_apis.quote_to_order.remedies import exception_of
from runtime.journal.process import Process

NOBODY: Final = CustomerId("cust_")
"""The customer of a deal that has not been fetched yet."""

Entry = Literal["ready", "provisional", "deal", "held"]


class AgreedLine(Struct, frozen=True, array_like=True):
    """One line as agreed; compact, because it is written with every order."""

    item: ItemId
    quantity: Decimal
    unit_price: Decimal
    basis: PriceBasis
    description: str | None = None
    shipped: Decimal = Decimal(0)
    invoiced: Decimal = Decimal(0)

    @property
    def was_told(self) -> bool:
        """Whether the customer was told this price: a line not priced yet was not."""
        return bool(self.unit_price) or self.basis == "agreed"


class Trouble(Struct, frozen=True, kw_only=True):
    """What stopped the process, in our words."""

    title: str
    detail: str
    at: datetime


class OrderRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order as the journal keeps it. Amounts are in `currency`."""

    channel: str
    customer: CustomerId
    currency: str
    net: Decimal
    placed_at: datetime
    since: datetime
    """When the present state was entered."""
    customer_name: str = ""
    lines: tuple[AgreedLine, ...] = ()
    tax: Decimal | None = None
    exposure: Decimal | None = None
    """What it adds to the customer's exposure, in company currency; None without a limit."""
    entry: Entry = "ready"
    credit: CreditState = "unchecked"
    fulfilment: Fulfilment = "not-released"
    billing: Billing = "not-invoiced"
    po_number: str | None = None
    order_date: date | None = None
    requested_delivery_date: date | None = None
    ship_to: Address | None = None
    quote: str | None = None
    hold: Hold | None = None
    trouble: Trouble | None = None
    erp_number: str | None = None
    erp_net: Decimal | None = None
    """What the ERP says it comes to, where that is another amount than ours."""
    wms_number: str | None = None
    invoiced: Decimal = Decimal(0)
    warehouse: str | None = None
    request: OrderRequest | None = None
    """What was asked for, kept while it may have to be checked again."""
    stopped_in: str | None = None
    maybe_placed: bool = False
    """A call to the ERP ended in doubt, and nobody has looked since."""
    maybe_released: bool = False
    """The same of the warehouse."""
    reason: str | None = None
    """Why it is taken back."""
    prices_accepted: bool = False
    """Sales accepted the prices that were told, whatever the ERP's are now."""


class Match(Struct, frozen=True, array_like=True):
    """A credited line and the order line it goes against."""

    item: ItemId
    quantity: Decimal
    unit_price: Decimal
    order: str
    reference: str
    line: int
    invoiced_price: Decimal


class CreditRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A credit as the journal keeps it. Amounts are positive, in `currency`."""

    channel: str
    customer: CustomerId
    currency: str
    net: Decimal
    placed_at: datetime
    since: datetime
    customer_name: str = ""
    lines: tuple[AgreedLine, ...] = ()
    order_date: date | None = None
    po_number: str | None = None
    matches: tuple[Match, ...] = ()
    memo_number: str | None = None
    trouble: Trouble | None = None
    stopped_in: str | None = None
    maybe_posted: bool = False
    anew: bool = False
    """Somebody asked to match it again: orders that came after it count as well."""


COMMERCIAL_OF: Final[dict[str, Commercial]] = {
    "accepted": "accepted",
    "provisional": "provisional",
    "fetching": "accepted",
    "held": "accepted",
    "stopped": "on-exception",
    "mispriced": "on-exception",
    "withdrawing": "cancelling",
    "rollback_incomplete": "on-exception",
    "cancelled": "cancelled",
    "matched": "accepted",
}
"""The commercial axis of each state; everything after confirmation is confirmed."""


def commercial_of(state: str, record: OrderRecord | CreditRecord) -> Commercial:
    """Answer the commercial axis of a state; everything after confirmation is confirmed."""
    if state == "accepted" and isinstance(record, OrderRecord) and record.entry == "provisional":
        return "provisional"
    return COMMERCIAL_OF.get(state, "confirmed")


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
        lines=lines_view(record.lines, currency),
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


def lines_view(lines: tuple[AgreedLine, ...], currency: str) -> tuple[OrderLine, ...]:
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
        )
        for number, line in enumerate(lines, 1)
    )


def changed(record: OrderRecord, now: datetime, **fields: object) -> OrderRecord:
    """Answer the record as it is when a new state is entered at `now`."""
    return msgspec.structs.replace(record, since=now, **fields)
