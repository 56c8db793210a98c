"""What the company says of price, credit, tax and stock (process/pricing-credit/v1)."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal, Protocol

import msgspec

from contracts.canonical.credit import CreditDecision
from contracts.canonical.ids import CustomerId, Reference
from contracts.canonical.money import Currency, Money
from contracts.canonical.order import OrderLineRequest
from contracts.canonical.party import Address, Customer
from contracts.canonical.pricing import PricedLine
from contracts.canonical.shapes import Canonical, Instant, Standing, WantedQuantity
from contracts.canonical.stock import LineAvailability
from contracts.canonical.tax import TaxAssessment
from contracts.ports import examples
from contracts.ports.binding import operation
from contracts.problems import Fault

READ = "process:pricing-credit"


class WantedLine(Canonical, frozen=True, kw_only=True):
    """An item and how many of it. `unit_price`: the net price the caller believes is agreed."""

    item: Reference
    quantity: WantedQuantity
    unit_price: Money | None = None

    def __post_init__(self) -> None:
        """Refuse a quantity nobody can ship."""
        if not self.quantity.is_finite() or not Decimal(0) < self.quantity <= Decimal(10_000_000):
            raise ValueError("quantity must be above 0 and at most 10000000")


WantedLines = Annotated[tuple[WantedLine, ...], msgspec.Meta(min_length=1, max_length=2000)]


class PriceCheck(Canonical, frozen=True, kw_only=True):
    """What is this worth to this customer? Without `currency`, in the customer's own."""

    customer: Reference
    lines: WantedLines
    currency: Currency | None = None
    on: date | None = None


class PriceAnswer(Canonical, frozen=True, kw_only=True):
    """Prices, line by line, in one currency."""

    customer: CustomerId
    currency: Currency
    lines: tuple[PricedLine, ...]
    net_amount: Money
    standing: Standing


class CreditCheck(Canonical, frozen=True, kw_only=True):
    """May this customer owe us this much more?"""

    customer: Reference
    amount: Money


class CreditAnswer(Canonical, frozen=True, kw_only=True):
    """The verdict, with the figures it rests on, in the company's own currency."""

    customer: CustomerId
    decision: CreditDecision
    standing: Standing


class AvailabilityCheck(Canonical, frozen=True, kw_only=True):
    """Can this be shipped now, and from where?"""

    lines: WantedLines


class AvailabilityAnswer(Canonical, frozen=True, kw_only=True):
    """What of each line can be shipped now. `sufficient` is True when all of it can."""

    lines: tuple[LineAvailability, ...]
    sufficient: bool
    warehouse: str | None
    """The one warehouse that can ship everything; None when none can alone."""
    standing: Standing


class TaxCheck(Canonical, frozen=True, kw_only=True):
    """What tax does a sale to this customer carry? Without `ship_to`, to its own address."""

    customer: Reference
    lines: WantedLines
    currency: Currency | None = None
    ship_to: Address | None = None


class TaxAnswer(Canonical, frozen=True, kw_only=True):
    """The tax, with the net amounts it was worked out on."""

    customer: CustomerId
    assessment: TaxAssessment
    net_amount: Money
    standing: Standing


class Eligibility(Canonical, frozen=True, kw_only=True):
    """Whether the customer may buy and the items may be sold; one fault a reason."""

    eligible: bool
    faults: tuple[Fault, ...]
    standing: Standing


Part = Literal["price", "credit", "tax", "availability"]
ALL_PARTS: tuple[Part, ...] = ("price", "credit", "tax", "availability")


class QuoteCheck(Canonical, frozen=True, kw_only=True):
    """Everything about a quote at once. Lines may carry the prices believed to be agreed.

    Without the `price` part the lines' own unit prices are taken as agreed, and every line must
    carry one. Eligibility of customer and items is always checked.
    """

    customer: Reference
    lines: Annotated[tuple[OrderLineRequest, ...], msgspec.Meta(min_length=1, max_length=2000)]
    currency: Currency | None = None
    ship_to: Address | None = None
    on: date | None = None
    parts: tuple[Part, ...] = ALL_PARTS


class PricePart(Canonical, frozen=True, kw_only=True):
    """The price of a quote; `answer` is absent when `standing` is unavailable."""

    standing: Standing
    answer: PriceAnswer | None = None
    mismatches: tuple[Fault, ...] = ()


class CreditPart(Canonical, frozen=True, kw_only=True):
    """The credit verdict of a quote; `decision` is absent when `standing` is unavailable."""

    standing: Standing
    decision: CreditDecision | None = None


class TaxPart(Canonical, frozen=True, kw_only=True):
    """The tax of a quote; `assessment` is absent when it could not be worked out."""

    standing: Standing
    assessment: TaxAssessment | None = None


class AvailabilityPart(Canonical, frozen=True, kw_only=True):
    """The stock of a quote; `answer` is absent when `standing` is unavailable."""

    standing: Standing
    answer: AvailabilityAnswer | None = None


QuoteVerdict = Literal["ready", "provisional", "held", "refused"]


class QuoteValidation(Canonical, frozen=True, kw_only=True):
    """The answer to a quote validation: never an error because one system is down.

    `ready`: every part is firm and nothing stands against the order. `provisional`: the same, on
    parts that are stale or unavailable. `held`: it could be ordered and would wait for credit or
    price approval. `refused`: `findings` say why it cannot be ordered as it is.
    """

    verdict: QuoteVerdict
    customer: CustomerId | None
    currency: Currency | None
    price: PricePart
    credit: CreditPart
    tax: TaxPart
    availability: AvailabilityPart
    eligibility: Eligibility
    findings: tuple["Finding", ...]
    net_amount: Money | None
    tax_amount: Money | None
    gross_amount: Money | None
    promise: str | None = None
    """Signed, expiring and single-use: an order that carries it gets what this answer says."""
    promise_expires_at: Instant | None = None


class Finding(Canonical, frozen=True, kw_only=True):
    """Something that stands against the quote: a slug of the problem catalogue, and where."""

    problem: str
    detail: str
    errors: tuple[Fault, ...] = ()


class CustomerView(Canonical, frozen=True, kw_only=True):
    """A customer as the channels see it, and how fresh that is."""

    customer: Customer
    standing: Standing


class PricingCredit(Protocol):
    """Price, credit, tax and stock: each alone, and together as a quote validation."""

    @operation(
        "POST",
        "/price-checks",
        scope=READ,
        limit="checks",
        budget_ms=3_000,
        problems=("customer-unknown", "item-unknown", "currency-mismatch", "amount-too-large"),
        examples={"body": examples.PRICE_CHECK},
    )
    async def check_prices(self, body: PriceCheck) -> PriceAnswer:
        """Price lines for a customer: list, customer price, quantity breaks, currency."""
        ...

    @operation(
        "POST",
        "/credit-checks",
        scope=READ,
        limit="checks",
        budget_ms=3_000,
        problems=("customer-unknown", "currency-mismatch", "amount-too-large"),
        examples={"body": examples.CREDIT_CHECK},
    )
    async def check_credit(self, body: CreditCheck) -> CreditAnswer:
        """Decide whether a customer may owe one more amount."""
        ...

    @operation(
        "POST",
        "/availability-checks",
        scope=READ,
        limit="checks",
        budget_ms=3_000,
        problems=("item-unknown",),
        examples={"body": examples.AVAILABILITY_CHECK},
    )
    async def check_availability(self, body: AvailabilityCheck) -> AvailabilityAnswer:
        """Tell what can be shipped now, and from which warehouse."""
        ...

    @operation(
        "POST",
        "/tax-checks",
        scope=READ,
        limit="checks",
        budget_ms=3_000,
        problems=("customer-unknown", "item-unknown", "amount-too-large"),
        examples={"body": examples.TAX_CHECK},
    )
    async def check_tax(self, body: TaxCheck) -> TaxAnswer:
        """Work out the tax of a sale."""
        ...

    @operation(
        "POST",
        "/quote-validations",
        scope=READ,
        limit="checks",
        budget_ms=3_000,
        problems=("amount-too-large",),
        examples={"body": examples.QUOTE_CHECK},
    )
    async def validate_quote(self, body: QuoteCheck) -> QuoteValidation:
        """Check everything about a quote in parallel under one deadline."""
        ...

    @operation(
        "GET",
        "/customers/{reference}",
        scope=READ,
        problems=("customer-unknown",),
        examples={"reference": examples.CUSTOMER},
    )
    async def get_customer(self, reference: str) -> CustomerView:
        """Answer a customer by canonical id or by a cross-referenced system's id."""
        ...


def age(as_of: datetime, now: datetime) -> float:
    """Seconds between an answer's origin and now, never negative."""
    return max(0.0, (now - as_of).total_seconds())
