"""What a sales channel sees (sales/v1): checks, orders, their story, cancellation, customers."""

from typing import Protocol

from contracts.canonical.order import Order, OrderRequest, Timeline
from contracts.ports import examples
from contracts.ports.binding import Reply, operation
from contracts.ports.pricing_credit import (
    AvailabilityAnswer,
    AvailabilityCheck,
    CreditAnswer,
    CreditCheck,
    CustomerView,
    PriceAnswer,
    PriceCheck,
    QuoteCheck,
    QuoteValidation,
    TaxAnswer,
    TaxCheck,
)
from contracts.ports.quote_to_order import Approval, Cancellation, OrderPage, OrderQuery


class Sales(Protocol):
    """The API a CRM, a channel or an order file talks to."""

    @operation(
        "POST",
        "/price-checks",
        scope="pricing:read",
        limit="checks",
        budget_ms=3_000,
        problems=(
            "customer-unknown",
            "item-unknown",
            "currency-mismatch",
            "upstream-unavailable",
            "amount-too-large",
        ),
        examples={"body": examples.PRICE_CHECK},
    )
    async def check_prices(self, body: PriceCheck) -> PriceAnswer:
        """Price lines for a customer: list, customer price, quantity breaks, currency."""
        ...

    @operation(
        "POST",
        "/credit-checks",
        scope="credit:read",
        limit="checks",
        budget_ms=3_000,
        problems=(
            "customer-unknown",
            "currency-mismatch",
            "upstream-unavailable",
            "amount-too-large",
        ),
        examples={"body": examples.CREDIT_CHECK},
    )
    async def check_credit(self, body: CreditCheck) -> CreditAnswer:
        """Decide whether a customer may owe one more amount."""
        ...

    @operation(
        "POST",
        "/availability-checks",
        scope="stock:read",
        limit="checks",
        budget_ms=3_000,
        problems=("item-unknown", "upstream-unavailable"),
        examples={"body": examples.AVAILABILITY_CHECK},
    )
    async def check_availability(self, body: AvailabilityCheck) -> AvailabilityAnswer:
        """Tell what can be shipped now, and from which warehouse."""
        ...

    @operation(
        "POST",
        "/tax-checks",
        scope="tax:read",
        limit="checks",
        budget_ms=3_000,
        problems=("customer-unknown", "item-unknown", "upstream-unavailable", "amount-too-large"),
        examples={"body": examples.TAX_CHECK},
    )
    async def check_tax(self, body: TaxCheck) -> TaxAnswer:
        """Work out the tax of a sale."""
        ...

    @operation(
        "POST",
        "/quote-validations",
        scope="quotes:validate",
        limit="checks",
        budget_ms=3_000,
        problems=("amount-too-large",),
        examples={"body": examples.QUOTE_CHECK},
    )
    async def validate_quote(self, body: QuoteCheck) -> QuoteValidation:
        """Check everything about a quote in parallel; one system being down never fails it."""
        ...

    @operation(
        "POST",
        "/orders",
        scope="orders:write",
        honours=("orders:agreed-prices",),
        status=202,
        also=(200, 201),
        idempotency="required",
        limit="orders",
        criticality="capture",
        budget_ms=30_000,
        max_body_bytes=1_048_576,
        problems=(
            "customer-unknown",
            "customer-blocked",
            "customer-ineligible",
            "item-unknown",
            "item-blocked",
            "price-mismatch",
            "quantity-not-whole",
            "currency-mismatch",
            "promise-invalid",
            "upstream-unavailable",
            "store-unavailable",
            "amount-too-large",
        ),
        examples={"body": examples.ORDER},
    )
    async def place_order(self, body: OrderRequest) -> Reply[Order]:
        """Place an order: 202 once it is durable, 201 when confirmed within `Prefer: wait`."""
        ...

    @operation("GET", "/orders/{order}", scope="orders:read", problems=("not-found",))
    async def get_order(self, order: str) -> Reply[Order]:
        """Answer an order by its id."""
        ...

    @operation(
        "GET",
        "/orders",
        scope="orders:read",
        problems=("customer-unknown",),
        examples={"customer": examples.CUSTOMER, "po": "PO-1207"},
    )
    async def find_orders(self, query: OrderQuery) -> OrderPage:
        """Find orders by PO number, customer or reference, newest first."""
        ...

    @operation("GET", "/orders/{order}/timeline", scope="orders:read", problems=("not-found",))
    async def order_timeline(self, order: str) -> Timeline:
        """Tell where an order is and why, as a story."""
        ...

    @operation(
        "POST",
        "/orders/{order}/cancellations",
        scope="orders:write",
        status=202,
        also=(200,),
        idempotency="required",
        limit="orders",
        criticality="capture",
        budget_ms=30_000,
        problems=("not-found", "order-not-cancellable"),
        examples={"body": examples.CANCELLATION},
    )
    async def cancel_order(self, order: str, body: Cancellation) -> Reply[Order]:
        """Take an order back before it is shipped."""
        ...

    @operation(
        "POST",
        "/orders/{order}/approvals",
        scope="orders:approve",
        status=202,
        idempotency="required",
        limit="orders",
        criticality="capture",
        problems=("not-found", "approval-not-allowed"),
        examples={"body": examples.APPROVAL},
    )
    async def approve_order(self, order: str, body: Approval) -> Reply[Order]:
        """Approve or refuse a price below the ERP's; somebody else than who placed the order."""
        ...

    @operation(
        "POST",
        "/credits",
        scope="orders:write",
        honours=("orders:agreed-prices",),
        status=202,
        also=(200, 201),
        idempotency="required",
        limit="orders",
        criticality="capture",
        budget_ms=30_000,
        max_body_bytes=1_048_576,
        problems=(
            "customer-unknown",
            "item-unknown",
            "upstream-unavailable",
            "store-unavailable",
            "amount-too-large",
        ),
        examples={"body": examples.CREDIT},
    )
    async def credit_order(self, body: OrderRequest) -> Reply[Order]:
        """Give back against earlier orders: matched by customer and item, never guessed."""
        ...

    @operation(
        "GET",
        "/customers/{reference}",
        scope="customers:read",
        problems=("customer-unknown", "not-found"),
        examples={"reference": examples.CUSTOMER},
    )
    async def get_customer(self, reference: str) -> CustomerView:
        """Answer a customer by canonical id or by a cross-referenced system's id."""
        ...
