"""Orders: what was agreed, and the four lifecycles it goes through."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from contracts.canonical.ids import (
    CustomerId,
    ExternalReference,
    ItemId,
    OrderId,
    Reference,
    SystemId,
)
from contracts.canonical.money import Currency, Money, Price
from contracts.canonical.party import Address
from contracts.canonical.pricing import PriceBasis
from contracts.canonical.shapes import (
    Canonical,
    Instant,
    Quantity,
    ShortText,
    Text,
    WantedQuantity,
)

Commercial = Literal[
    "accepted", "provisional", "confirmed", "on-exception", "cancelling", "cancelled"
]
CreditState = Literal["unchecked", "approved", "held", "released", "refused"]
Fulfilment = Literal[
    "not-released",
    "backordered",
    "released",
    "suspended",
    "partially-shipped",
    "shipped",
    "cancelled",
    "rejected",
]
Billing = Literal["not-invoiced", "partially-invoiced", "invoiced", "paid", "credited"]
PoNumber = Annotated[str, msgspec.Meta(min_length=1, max_length=35)]


class OrderLineRequest(Canonical, frozen=True, kw_only=True):
    """One line as a channel asks for it. `unit_price` is the price agreed, net, if any."""

    item: Reference
    quantity: WantedQuantity
    unit_price: Price | None = None
    description: ShortText | None = None

    def __post_init__(self) -> None:
        """Refuse a quantity nobody can ship and a price nobody can pay."""
        if not self.quantity.is_finite() or not Decimal(0) < self.quantity <= Decimal(10_000_000):
            raise ValueError("quantity must be above 0 and at most 10000000")
        if self.unit_price is not None and self.unit_price.amount < 0:
            raise ValueError("unitPrice must not be negative")


class OrderRequest(Canonical, frozen=True, kw_only=True):
    """An order as a channel places it (sales/v1 `POST orders`)."""

    customer: Reference
    lines: Annotated[tuple[OrderLineRequest, ...], msgspec.Meta(min_length=1, max_length=2000)]
    currency: Currency
    po_number: PoNumber | None = None
    order_date: date | None = None
    requested_delivery_date: date | None = None
    ship_to: Address | None = None
    promise: Annotated[str, msgspec.Meta(max_length=2048)] | None = None
    quote: Reference | None = None
    """The CRM's deal this order comes from, as `sf:006...`."""
    note: Text | None = None


class Allocation(Canonical, frozen=True, kw_only=True):
    """How much of a line one warehouse is to ship."""

    warehouse: str
    quantity: Quantity


class OrderLine(Canonical, frozen=True, kw_only=True):
    """One line as it was agreed.

    `backordered` is what no warehouse has yet; it is allocated when stock arrives.
    """

    number: int
    item: ItemId
    description: str
    quantity: Quantity
    unit_price: Money
    net_amount: Money
    basis: PriceBasis
    shipped: Quantity = Decimal(0)
    invoiced: Quantity = Decimal(0)
    credited: Quantity = Decimal(0)
    allocations: tuple[Allocation, ...] = ()
    backordered: Quantity = Decimal(0)


class Release(Canonical, frozen=True, kw_only=True):
    """One fulfilment order: what one warehouse was told to ship. A split order has several."""

    reference: str
    warehouse: str | None
    number: str | None
    state: Literal["open", "suspended", "shipped", "cancelled"]


class OrderShipment(Canonical, frozen=True, kw_only=True):
    """Goods of an order that left a warehouse, and the shipment the ERP posted for them."""

    id: str
    warehouse: str
    pieces: Quantity
    shipped_at: Instant
    erp_number: str | None = None
    tracking_numbers: tuple[str, ...] = ()
    carrier: str | None = None


class OrderInvoice(Canonical, frozen=True, kw_only=True):
    """An invoice of an order and what of it is still to be paid."""

    number: str
    net_amount: Money
    gross_amount: Money
    remaining: Money
    invoice_date: date
    due_date: date | None = None


class Hold(Canonical, frozen=True, kw_only=True):
    """Why an order waits, and who can end it."""

    kind: Literal["credit", "price-approval", "manual"]
    reason: str
    since: Instant


class Order(Canonical, frozen=True, kw_only=True):
    """An order and where it stands on each of its four axes."""

    id: OrderId
    reference: ExternalReference
    customer: CustomerId
    customer_name: str
    currency: Currency
    lines: tuple[OrderLine, ...]
    net_amount: Money
    tax_amount: Money | None
    gross_amount: Money | None
    commercial: Commercial
    credit: CreditState
    fulfilment: Fulfilment
    billing: Billing
    channel: str
    placed_at: Instant
    updated_at: Instant
    revision: int
    po_number: str | None = None
    order_date: date | None = None
    requested_delivery_date: date | None = None
    ship_to: Address | None = None
    warehouse: str | None = None
    hold: Hold | None = None
    exception: "OrderException | None" = None
    known_as: tuple[SystemId, ...] = ()
    quote: Reference | None = None
    releases: tuple[Release, ...] = ()
    shipments: tuple[OrderShipment, ...] = ()
    invoices: tuple[OrderInvoice, ...] = ()


class OrderException(Canonical, frozen=True, kw_only=True):
    """What stopped an order, and what may be done about it."""

    id: str
    category: str
    title: str
    detail: str
    actor: str
    remedies: tuple[str, ...]
    opened_at: Instant
    runbook: str


class TimelineEntry(Canonical, frozen=True, kw_only=True):
    """One thing that happened, told so that a sales rep understands it."""

    at: Instant
    what: str
    says: str
    system: str | None = None
    actor: str | None = None


class Timeline(Canonical, frozen=True, kw_only=True):
    """The story of an order: where it is and why, oldest entry first."""

    order: OrderId
    summary: str
    next: str
    """What happens next, and what it waits for."""
    entries: tuple[TimelineEntry, ...]
