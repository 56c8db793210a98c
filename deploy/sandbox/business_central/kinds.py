"""The four kinds of sales document that a caller can write, and in what they differ."""

import msgspec

__all__ = ["KINDS", "Kind"]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind: its sets, its numbers, its dates and the words the vendor uses for it."""

    name: str  # the entity set
    lines: str  # the set of its lines, also the navigation to them
    noun: str
    series: str  # the prefix of its draft numbers
    first: int
    date: str  # the document date
    status: str = "Draft"
    has_quantities_to_post: bool = False
    refused_for: frozenset[str] = frozenset({"All"})  # values of `blocked` that refuse creation


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="salesQuotes",
            lines="salesQuoteLines",
            noun="quote",
            series="S-QUO",
            first=1001,
            date="documentDate",
            refused_for=frozenset({"All", "Invoice", "Ship"}),
        ),
        Kind(
            name="salesOrders",
            lines="salesOrderLines",
            noun="order",
            series="S-ORD",
            first=101001,
            date="orderDate",
            has_quantities_to_post=True,
            refused_for=frozenset({"All", "Invoice", "Ship"}),
        ),
        Kind(
            name="salesInvoices",
            lines="salesInvoiceLines",
            noun="invoice",
            series="S-INV",
            first=102001,
            date="invoiceDate",
            refused_for=frozenset({"All", "Invoice"}),
        ),
        Kind(
            name="salesCreditMemos",
            lines="salesCreditMemoLines",
            noun="credit memo",
            series="S-CR",
            first=101001,
            date="creditMemoDate",
        ),
    )
}
