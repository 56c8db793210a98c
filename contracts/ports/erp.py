"""What an ERP does for us, in our words (system/erp/v1)."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Protocol

import msgspec

from contracts.canonical.credit import CreditPosition
from contracts.canonical.documents import (
    CreditMemo,
    CreditMemoRequest,
    Invoice,
    Shipment,
    ShippedLine,
)
from contracts.canonical.ids import CustomerId, ExternalReference, ItemId
from contracts.canonical.item import Item
from contracts.canonical.money import Currency, Money
from contracts.canonical.party import Address, Customer
from contracts.canonical.pricing import PriceLadder
from contracts.canonical.shapes import Canonical, Instant, Quantity
from contracts.ports import examples
from contracts.ports.binding import CacheRule, operation
from contracts.ports.changes import Changes

READ = "system:erp:read"
WRITE = "system:erp:write"


class PriceEnquiry(Canonical, frozen=True, kw_only=True):
    """Which prices are wanted: every break of each item for the customer, on a day."""

    customer: CustomerId
    items: Annotated[tuple[ItemId, ...], msgspec.Meta(min_length=1, max_length=2000)]
    on: date | None = None


class PriceLadders(Canonical, frozen=True, kw_only=True):
    """The ladders found; an item the ERP does not know or sell is missing."""

    ladders: tuple[PriceLadder, ...]


class ErpOrderLine(Canonical, frozen=True, kw_only=True):
    """One line of an order for the ERP. Without `unit_price` the ERP prices it itself."""

    item: ItemId
    quantity: Quantity
    description: str | None = None
    unit_price: Money | None = None


class PlaceErpOrder(Canonical, frozen=True, kw_only=True):
    """An order to be created once. `in_doubt`: an earlier try may have created it already."""

    reference: ExternalReference
    customer: CustomerId
    currency: Currency
    lines: tuple[ErpOrderLine, ...]
    in_doubt: bool = False
    order_date: date | None = None
    requested_delivery_date: date | None = None
    ship_to: Address | None = None


class ErpOrder(Canonical, frozen=True, kw_only=True):
    """An order as the ERP holds it. `found`: it was there already, created by an earlier try."""

    id: str
    number: str
    reference: ExternalReference
    customer: CustomerId
    net_amount: Money
    gross_amount: Money
    found: bool
    state: str
    """`draft`, `in-review` or `open`; `completed` once everything is posted."""
    changed_at: Instant | None = None


class ErpOrderPage(Canonical, frozen=True, kw_only=True):
    """Orders of the order book by time of change; `cursor` is absent on the last page."""

    orders: tuple[ErpOrder, ...]
    cursor: str | None = None


class CancelErpOrder(Canonical, frozen=True, kw_only=True):
    """Which order to take back; one that was never created counts as cancelled."""

    reference: ExternalReference
    customer: CustomerId


class Cancelled(Canonical, frozen=True, kw_only=True):
    """What cancelling did. `was_there` is False when there was nothing to take back."""

    was_there: bool


class CustomerPage(Canonical, frozen=True, kw_only=True):
    """Customers by time of change; `cursor` is absent on the last page."""

    customers: tuple[Customer, ...]
    cursor: str | None = None


class ItemPage(Canonical, frozen=True, kw_only=True):
    """Items by time of change; `cursor` is absent on the last page."""

    items: tuple[Item, ...]
    cursor: str | None = None


class OrderDocuments(Canonical, frozen=True, kw_only=True):
    """Everything posted for an order so far."""

    shipments: tuple[Shipment, ...]
    invoices: tuple[Invoice, ...]


class DocumentPage(Canonical, frozen=True, kw_only=True):
    """Posted documents by time of change; `cursor` is absent on the last page.

    A payment shows as an invoice that changed: less of it remains, or it is paid.
    """

    shipments: tuple[Shipment, ...]
    invoices: tuple[Invoice, ...]
    cursor: str | None = None


class PostShipment(Canonical, frozen=True, kw_only=True):
    """What has left the warehouse of an order, to be posted as shipped but not billed.

    `lines` are what has left since the order began, an item at a time: posting brings the ERP to
    these figures, so that a repetition finds nothing to post. `shipment` is our id of what left
    last. `in_doubt`: an earlier try may have posted it already.
    """

    reference: ExternalReference
    customer: CustomerId
    shipment: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    lines: Annotated[tuple[ShippedLine, ...], msgspec.Meta(min_length=1, max_length=2000)]
    shipped_at: Instant
    tracking_number: str | None = None
    in_doubt: bool = False


class PostedShipment(Canonical, frozen=True, kw_only=True):
    """What posting did. Without `number` there was nothing to post: the ERP had it all."""

    number: str | None
    order_number: str
    complete: bool
    """Whether everything ordered is shipped now."""


class ExchangeRate(Canonical, frozen=True, kw_only=True):
    """How many units of the company's own currency one unit of `currency` is worth."""

    currency: Currency
    rate: Decimal
    as_of: Instant


class Erp(Protocol):
    """The ERP: authority for customers, items, prices, credit and the order book."""

    @operation(
        "GET",
        "/customers/{reference}",
        scope=READ,
        problems=("customer-unknown",),
        examples={"reference": examples.CUSTOMER},
        cache=CacheRule(entity="customer", fresh_seconds=5, stale_seconds=30, error_seconds=600),
    )
    async def get_customer(self, reference: str) -> Customer:
        """Answer a customer by canonical id or by the ERP's number (`bc:10000`)."""
        ...

    @operation("GET", "/customers", scope=READ, criticality="sync", problems=("not-found",))
    async def list_customers(self, query: Changes) -> CustomerPage:
        """List customers changed since an instant, all of them without one."""
        ...

    @operation(
        "GET",
        "/items/{reference}",
        scope=READ,
        problems=("item-unknown",),
        examples={"reference": examples.ITEM},
        cache=CacheRule(
            entity="item", fresh_seconds=30, stale_seconds=60, error_seconds=3_600, public=True
        ),
    )
    async def get_item(self, reference: str) -> Item:
        """Answer an item by canonical id or by the ERP's number (`bc:1896-S`)."""
        ...

    @operation("GET", "/items", scope=READ, criticality="sync", problems=("not-found",))
    async def list_items(self, query: Changes) -> ItemPage:
        """List items changed since an instant, all of them without one."""
        ...

    @operation(
        "POST",
        "/price-enquiries",
        scope=READ,
        limit="checks",
        examples={"body": examples.PRICE_ENQUIRY},
        problems=("customer-unknown",),
    )
    async def price_ladders(self, body: PriceEnquiry) -> PriceLadders:
        """Answer the prices the ERP itself would put on these lines."""
        ...

    @operation(
        "GET",
        "/customers/{reference}/credit-position",
        scope=READ,
        limit="checks",
        examples={"reference": examples.CUSTOMER},
        problems=("customer-unknown",),
    )
    async def credit_position(self, reference: str) -> CreditPosition:
        """Answer limit, balance, overdue and open orders of a customer."""
        ...

    @operation(
        "GET",
        "/exchange-rates/{currency}",
        scope=READ,
        examples={"currency": examples.CURRENCY},
        problems=("currency-mismatch",),
    )
    async def exchange_rate(self, currency: str) -> ExchangeRate:
        """Answer what a currency is worth in the company's own."""
        ...

    @operation(
        "POST",
        "/orders",
        scope=WRITE,
        status=201,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        max_body_bytes=2_097_152,
        problems=("business-rule", "customer-blocked"),
        examples={"body": examples.ERP_ORDER},
    )
    async def place_order(self, body: PlaceErpOrder) -> ErpOrder:
        """Create an order once per reference, looking first when an earlier try is in doubt."""
        ...

    @operation(
        "GET",
        "/customers/{customer}/orders/{reference}",
        scope=READ,
        examples={"customer": examples.CANONICAL_CUSTOMER, "reference": examples.REFERENCE},
    )
    async def find_order(self, customer: str, reference: str) -> ErpOrder:
        """Answer the order that carries this reference, posted or not; 404 if there is none."""
        ...

    @operation(
        "POST",
        "/order-cancellations",
        scope=WRITE,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        problems=("order-not-cancellable",),
        examples={"body": examples.ERP_CANCELLATION},
    )
    async def cancel_order(self, body: CancelErpOrder) -> Cancelled:
        """Take an order back that has not been posted; repeating it finds nothing to do."""
        ...

    @operation("GET", "/orders", scope=READ, criticality="sync", problems=("not-found",))
    async def list_orders(self, query: Changes) -> ErpOrderPage:
        """List orders of the order book changed since an instant, all of them without one."""
        ...

    @operation("GET", "/orders-in-review", scope=READ, criticality="sync", problems=("not-found",))
    async def list_orders_in_review(self, query: Changes) -> ErpOrderPage:
        """List every order of the order book that finance has in review now."""
        ...

    @operation(
        "POST",
        "/shipments",
        scope=WRITE,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        max_body_bytes=2_097_152,
        problems=("business-rule", "customer-blocked", "not-found", "conflict"),
        examples={"body": examples.SHIPMENT_TO_POST},
    )
    async def post_shipment(self, body: PostShipment) -> PostedShipment:
        """Bring the order's shipped quantities to what has left; bill nothing.

        `not-found` when there is no order of this reference, posted or not.
        """
        ...

    @operation("GET", "/documents", scope=READ, criticality="sync", problems=("not-found",))
    async def documents_since(self, query: Changes) -> DocumentPage:
        """List shipments and invoices posted, paid or changed since an instant."""
        ...

    @operation("GET", "/orders/{number}/documents", scope=READ)
    async def order_documents(self, number: str) -> OrderDocuments:
        """Answer the posted shipments and invoices of an order number."""
        ...

    @operation(
        "POST",
        "/credit-memos",
        scope=WRITE,
        status=201,
        limit="orders",
        idempotency="optional",
        max_body_bytes=2_097_152,
        problems=("business-rule",),
        examples={"body": examples.CREDIT_MEMO},
    )
    async def create_credit_memo(self, body: "PlaceCreditMemo") -> CreditMemo:
        """Create and post a credit memo once per reference."""
        ...


class PlaceCreditMemo(Canonical, frozen=True, kw_only=True):
    """A credit memo to be created once. `in_doubt`: an earlier try may have created it already."""

    memo: CreditMemoRequest
    in_doubt: bool = False
