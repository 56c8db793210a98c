"""Documents that follow an order: quote, shipment, invoice, credit memo, payment, return."""

from datetime import date
from typing import Literal

from contracts.canonical.ids import CustomerId, ItemId, OrderId, Reference, SystemId
from contracts.canonical.money import Currency, Money
from contracts.canonical.order import OrderLineRequest
from contracts.canonical.shapes import Canonical, Instant, Quantity


class Quote(Canonical, frozen=True, kw_only=True):
    """A deal of the CRM that can become an order."""

    id: Reference
    customer: Reference
    currency: Currency
    lines: tuple[OrderLineRequest, ...]
    name: str
    won: bool
    po_number: str | None = None
    requested_delivery_date: date | None = None
    changed_at: Instant | None = None


class ShippedLine(Canonical, frozen=True, kw_only=True):
    """What of one item left the warehouse."""

    item: ItemId
    quantity: Quantity


class Shipment(Canonical, frozen=True, kw_only=True):
    """Goods that left one warehouse together."""

    id: str
    order: OrderId
    warehouse: str
    lines: tuple[ShippedLine, ...]
    shipped_at: Instant
    tracking_numbers: tuple[str, ...] = ()
    carrier: str | None = None
    reference: str | None = None
    """The external reference on the document: ours, or what somebody else wrote there."""
    order_number: str | None = None
    """The number of the ERP's order it was posted from."""
    changed_at: Instant | None = None


class InvoiceLine(Canonical, frozen=True, kw_only=True):
    """One billed line; negative amounts do not occur, a credit memo is its own document."""

    item: ItemId
    quantity: Quantity
    unit_price: Money
    net_amount: Money


class Invoice(Canonical, frozen=True, kw_only=True):
    """A posted invoice of the ERP."""

    number: str
    order_number: str | None
    customer: CustomerId
    lines: tuple[InvoiceLine, ...]
    net_amount: Money
    gross_amount: Money
    remaining: Money
    state: Literal["open", "paid", "cancelled"]
    invoice_date: date
    due_date: date | None = None
    reference: str | None = None
    """The external reference on the document: ours, or what somebody else wrote there."""
    changed_at: Instant | None = None


class CreditMemoRequest(Canonical, frozen=True, kw_only=True):
    """Goods or money given back against an earlier order, priced as they were sold."""

    reference: str
    customer: CustomerId
    currency: Currency
    lines: tuple[InvoiceLine, ...]
    against: tuple[str, ...]
    """References of the orders it is matched to."""
    posting_date: date | None = None


class CreditMemo(Canonical, frozen=True, kw_only=True):
    """A credit memo of the ERP."""

    number: str
    reference: str
    customer: CustomerId
    net_amount: Money
    known_as: tuple[SystemId, ...] = ()


class Payment(Canonical, frozen=True, kw_only=True):
    """Money received against an invoice.

    `remaining` is what is still to be paid of it afterwards: the figure to go by, because two
    payments may be seen as one.
    """

    invoice: str
    amount: Money
    received_on: date
    remaining: Money | None = None
    reference: str | None = None
    as_of: Instant | None = None


class Return(Canonical, frozen=True, kw_only=True):
    """Goods a customer wants to give back."""

    id: str
    order: OrderId
    lines: tuple[ShippedLine, ...]
    reason: str
    state: Literal["requested", "approved", "refused", "received", "credited"]
