"""What a CRM does for us, in our words (system/crm/v1)."""

from datetime import date
from typing import Annotated, Literal, Protocol

import msgspec

from contracts.canonical.documents import Quote
from contracts.canonical.ids import CustomerId, ExternalReference, ItemId, OrderId
from contracts.canonical.money import Money
from contracts.canonical.order import Billing, Commercial, CreditState, Fulfilment
from contracts.canonical.shapes import Canonical, Instant, Quantity
from contracts.ports import examples
from contracts.ports.binding import operation
from contracts.ports.changes import Changes, SystemCursor

READ = "system:crm:read"
WRITE = "system:crm:write"


class OrderReport(Canonical, frozen=True, kw_only=True):
    """Where an order stands, told to the CRM. `version` only ever grows for a reference."""

    reference: ExternalReference
    version: int
    order: OrderId
    customer: CustomerId
    commercial: Commercial
    credit: CreditState
    fulfilment: Fulfilment
    billing: Billing
    net_amount: Money
    message: str
    """What a sales rep reads: where the order is and what it waits for."""
    hold_reason: str | None = None
    quote: str | None = None
    erp_number: str | None = None
    warehouse_number: str | None = None


class Reports(Canonical, frozen=True, kw_only=True):
    """Up to 200 reports for one call to the CRM, at most one an order."""

    reports: Annotated[tuple[OrderReport, ...], msgspec.Meta(min_length=1, max_length=200)]


class ReportPage(Canonical, frozen=True, kw_only=True):
    """What the CRM shows of orders, by time of change; `cursor` is absent on the last page."""

    reports: tuple[OrderReport, ...]
    cursor: str | None = None


class ReportEnquiry(Canonical, frozen=True, kw_only=True):
    """Of which orders it is asked what the CRM shows."""

    references: Annotated[tuple[ExternalReference, ...], msgspec.Meta(min_length=1, max_length=200)]


class ShownReports(Canonical, frozen=True, kw_only=True):
    """What the CRM shows of the orders asked for; those it does not show are missing."""

    reports: tuple[OrderReport, ...]


class DocumentReport(Canonical, frozen=True, kw_only=True):
    """A shipment or an invoice of an order, told to the CRM under the document's number.

    `amount` and `remaining` are an invoice's with tax, `pieces` and `tracking` a shipment's. `on`
    is the day it is about. `version` only ever grows for a document.
    """

    reference: ExternalReference
    version: int
    order: OrderId
    kind: Literal["shipment", "invoice"]
    number: Annotated[str, msgspec.Meta(min_length=1, max_length=35)]
    on: date
    amount: Money | None = None
    remaining: Money | None = None
    pieces: Quantity | None = None
    tracking: Annotated[str, msgspec.Meta(max_length=80)] | None = None


class DocumentReports(Canonical, frozen=True, kw_only=True):
    """Up to 200 documents for one call to the CRM's shipments, and one to its invoices."""

    reports: Annotated[tuple[DocumentReport, ...], msgspec.Meta(min_length=1, max_length=200)]


class ReportResult(Canonical, frozen=True, kw_only=True):
    """What became of one report. `retryable` means the same report may succeed later."""

    reference: ExternalReference
    done: bool
    retryable: bool = False
    detail: str | None = None


class ReportResults(Canonical, frozen=True, kw_only=True):
    """One result a report, in the order they were sent."""

    results: tuple[ReportResult, ...]


class WonSince(Canonical, frozen=True, kw_only=True):
    """From when on won deals are wanted."""

    since: Instant
    cursor: SystemCursor | None = None


class WonDeals(Canonical, frozen=True, kw_only=True):
    """Deals won since an instant, oldest change first; `cursor` is absent on the last page."""

    deals: tuple[Quote, ...]
    cursor: str | None = None


class Crm(Protocol):
    """The CRM: authority for deals; a reader of everything else."""

    @operation(
        "GET",
        "/deals/{reference}",
        scope=READ,
        problems=("not-found",),
        examples={"reference": examples.DEAL},
    )
    async def get_deal(self, reference: str) -> Quote:
        """Answer a deal with its lines by the CRM's id (`sf:006...`)."""
        ...

    @operation(
        "GET",
        "/won-deals",
        scope=READ,
        criticality="sync",
        examples={"since": "2026-01-01T00:00:00Z"},
        problems=("not-found", "business-rule"),
    )
    async def won_deals(self, query: WonSince) -> WonDeals:
        """List deals won since an instant: the truth behind any notification that was lost."""
        ...

    @operation(
        "POST",
        "/order-reports",
        scope=WRITE,
        criticality="sync",
        limit="orders",
        idempotency="optional",
        max_body_bytes=2_097_152,
        examples={"body": examples.ORDER_REPORTS},
    )
    async def report_orders(self, body: Reports) -> ReportResults:
        """Tell the CRM where orders stand; the newest version of each is enough."""
        ...

    @operation("GET", "/order-reports", scope=READ, criticality="sync", problems=("not-found",))
    async def list_reports(self, query: Changes) -> ReportPage:
        """List what the CRM shows of orders, changed since an instant; without one all."""
        ...

    @operation(
        "POST",
        "/order-report-enquiries",
        scope=READ,
        criticality="sync",
        examples={"body": {"references": (examples.REFERENCE,)}},
    )
    async def find_reports(self, body: ReportEnquiry) -> ShownReports:
        """Answer what the CRM shows of these orders."""
        ...

    @operation(
        "POST",
        "/document-reports",
        scope=WRITE,
        criticality="sync",
        limit="orders",
        idempotency="optional",
        max_body_bytes=2_097_152,
        examples={"body": examples.DOCUMENT_REPORTS},
    )
    async def report_documents(self, body: DocumentReports) -> ReportResults:
        """Tell the CRM of shipments and invoices; one that is older than what it has is done."""
        ...

    @operation(
        "GET",
        "/customers/{reference}",
        scope=READ,
        problems=("customer-unknown",),
        examples={"reference": examples.CUSTOMER},
    )
    async def customer_of(self, reference: str) -> "AccountLink":
        """Answer which customer of the ERP an account of the CRM is, or the other way round."""
        ...

    @operation(
        "POST",
        "/product-enquiries",
        scope=READ,
        limit="checks",
        examples={"body": examples.PRODUCT_ENQUIRY},
        problems=("not-found",),
    )
    async def items_of(self, body: "ProductEnquiry") -> "ProductLinks":
        """Answer which items of the ERP these products of the CRM are."""
        ...


class AccountLink(Canonical, frozen=True, kw_only=True):
    """One row of the cross-reference between CRM accounts and customers."""

    account: str
    customer: CustomerId


class ProductLinks(Canonical, frozen=True, kw_only=True):
    """Rows of the cross-reference between CRM products and items; unknown products are missing."""

    links: tuple["ProductLink", ...]


class ProductLink(Canonical, frozen=True, kw_only=True):
    """One product of the CRM (`sf:01t...`) and the item it stands for."""

    product: str
    item: ItemId


class ProductEnquiry(Canonical, frozen=True, kw_only=True):
    """Which products are to be named as items, as `sf:01t...`."""

    products: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=200)]
