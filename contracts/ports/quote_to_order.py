"""From quote to confirmed order (process/quote-to-order/v1)."""

from typing import Annotated, Literal, Protocol

import msgspec

from contracts.canonical.ids import CustomerId, ExternalReference
from contracts.canonical.order import Order, OrderException, OrderRequest, Timeline
from contracts.canonical.shapes import Canonical, Instant, Text
from contracts.outcomes import Category
from contracts.ports import examples
from contracts.ports.binding import Reply, operation

READ = "process:orders:read"
WRITE = "process:orders:write"
APPROVE = "process:orders:approve"


class PlaceOrder(Canonical, frozen=True, kw_only=True):
    """An order to accept. The call context carries consumer, key and fingerprint."""

    order: OrderRequest
    channel: Annotated[str, msgspec.Meta(max_length=40)]
    """Which channel's policies apply, as `sales`, `crm` or `order-file`."""


class OrderQuery(Canonical, frozen=True, kw_only=True):
    """Which orders are wanted. Newest first; give `cursor` back to go on."""

    po: Annotated[str, msgspec.Meta(min_length=1, max_length=35)] | None = None
    customer: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=35)] | None = None
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class OrderPage(Canonical, frozen=True, kw_only=True):
    """A page of orders; `cursor` is absent on the last page."""

    orders: tuple[Order, ...]
    cursor: str | None = None


class Cancellation(Canonical, frozen=True, kw_only=True):
    """Why an order is taken back."""

    reason: Text


class Approval(Canonical, frozen=True, kw_only=True):
    """What is decided about a price below the ERP's. `note` goes into the audit trail."""

    decision: Literal["approve", "refuse"]
    note: Text


class CreditRequest(Canonical, frozen=True, kw_only=True):
    """Goods or money to be given back, to be matched to earlier orders of the same customer.

    Lines name item, quantity (positive) and the unit price the file gave. Matched by customer and
    item with enough quantity left, newest order first; what cannot be matched becomes an
    exception, never a guess.
    """

    request: OrderRequest
    channel: Annotated[str, msgspec.Meta(max_length=40)]


class ExceptionQuery(Canonical, frozen=True, kw_only=True):
    """Which exceptions are wanted. Oldest first; give `cursor` back to go on."""

    category: Category | None = None
    open: bool = True
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class ExceptionView(Canonical, frozen=True, kw_only=True):
    """An exception and the order it stopped."""

    exception: OrderException
    order: str
    reference: ExternalReference
    customer: CustomerId | None
    closed_at: Instant | None = None


class ExceptionPage(Canonical, frozen=True, kw_only=True):
    """A page of exceptions; `cursor` is absent on the last page."""

    exceptions: tuple[ExceptionView, ...]
    cursor: str | None = None


class Remedy(Canonical, frozen=True, kw_only=True):
    """What is to be done about an exception. `note` goes into the audit trail."""

    action: Literal["retry", "accept", "amend", "release", "cancel"]
    note: Text
    amended: OrderRequest | None = None
    """The corrected order; only with `amend`."""


class Totals(Canonical, frozen=True, kw_only=True):
    """Sums over a channel's orders and credit memos, for reconciliation; amounts as strings.

    `unreadable` orders and credits, of whatever channel, are in none of the figures: what is stored
    of them cannot be read, and each waits as an exception.
    """

    channel: str
    orders: int
    confirmed: int
    credits: int
    credited: int
    exceptions: dict[str, int]
    net_ordered: dict[str, str]
    net_credited: dict[str, str]
    unreadable: int = 0


class TotalsQuery(Canonical, frozen=True, kw_only=True):
    """Which channel's totals are wanted."""

    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class QuoteToOrder(Protocol):
    """The durable process that turns a quote into a confirmed, released order, exactly once."""

    @operation(
        "POST",
        "/orders",
        scope=WRITE,
        status=202,
        also=(200, 201),
        idempotency="required",
        limit="orders",
        criticality="capture",
        budget_ms=30_000,
        max_body_bytes=1_048_576,
        problems=(
            "channel-unknown",
            "customer-unknown",
            "customer-blocked",
            "customer-ineligible",
            "item-unknown",
            "item-blocked",
            "price-mismatch",
            "quantity-not-whole",
            "currency-mismatch",
            "promise-invalid",
            "idempotency-key-reused",
            "amount-too-large",
        ),
        examples={"body": {"order": examples.ORDER, "channel": "sales"}},
    )
    async def place(self, body: PlaceOrder) -> Reply[Order]:
        """Accept an order durably and start its process; 201 when it is confirmed in time."""
        ...

    @operation("GET", "/orders/{order}", scope=READ, problems=("not-found",))
    async def get(self, order: str) -> Reply[Order]:
        """Answer an order by its id."""
        ...

    @operation(
        "GET",
        "/orders",
        scope=READ,
        problems=("customer-unknown",),
        examples={"customer": examples.CUSTOMER, "po": "PO-1207"},
    )
    async def search(self, query: OrderQuery) -> OrderPage:
        """Find orders by PO number, customer or reference."""
        ...

    @operation("GET", "/orders/{order}/timeline", scope=READ, problems=("not-found",))
    async def timeline(self, order: str) -> Timeline:
        """Tell where an order is and why."""
        ...

    @operation(
        "POST",
        "/orders/{order}/cancellations",
        scope=WRITE,
        status=202,
        also=(200,),
        idempotency="required",
        limit="orders",
        criticality="capture",
        budget_ms=30_000,
        problems=("not-found", "order-not-cancellable"),
        examples={"body": examples.CANCELLATION},
    )
    async def cancel(self, order: str, body: Cancellation) -> Reply[Order]:
        """Take an order back, undoing what was done for it in reverse."""
        ...

    @operation(
        "POST",
        "/orders/{order}/approvals",
        scope=APPROVE,
        status=202,
        idempotency="required",
        limit="orders",
        criticality="capture",
        problems=("not-found", "approval-not-allowed"),
        examples={"body": examples.APPROVAL},
    )
    async def approve(self, order: str, body: Approval) -> Reply[Order]:
        """Approve or refuse the price an order waits with; not for who placed it."""
        ...

    @operation(
        "POST",
        "/credits",
        scope=WRITE,
        status=202,
        also=(200, 201),
        idempotency="required",
        limit="orders",
        criticality="capture",
        budget_ms=30_000,
        max_body_bytes=1_048_576,
        problems=(
            "channel-unknown",
            "customer-unknown",
            "item-unknown",
            "idempotency-key-reused",
            "amount-too-large",
        ),
        examples={"body": {"request": examples.CREDIT, "channel": "sales"}},
    )
    async def credit(self, body: CreditRequest) -> Reply[Order]:
        """Accept a cancellation after the fact and turn it into a credit memo of the ERP."""
        ...

    @operation("GET", "/exceptions", scope=READ, limit="operations")
    async def exceptions(self, query: ExceptionQuery) -> ExceptionPage:
        """List what stopped orders, and what may be done about it."""
        ...

    @operation(
        "GET", "/exceptions/{exception}", scope=READ, limit="operations", problems=("not-found",)
    )
    async def exception(self, exception: str) -> ExceptionView:
        """Show one exception, open or closed, and what may be done about it."""
        ...

    @operation(
        "POST",
        "/exceptions/{exception}/remedies",
        scope=WRITE,
        status=202,
        idempotency="required",
        limit="operations",
        problems=("not-found", "remedy-not-allowed", "amount-too-large"),
        examples={"body": examples.REMEDY},
    )
    async def remedy(self, exception: str, body: Remedy) -> Reply[Order]:
        """Apply a remedy to an exception; it is audited with who applied it."""
        ...

    @operation(
        "GET",
        "/totals",
        scope=READ,
        limit="operations",
        criticality="bulk",
        budget_ms=30_000,
        examples={"channel": "sales"},
    )
    async def totals(self, query: TotalsQuery) -> Totals:
        """Sum up a channel's orders and credit memos, to be reconciled with the ERP."""
        ...
