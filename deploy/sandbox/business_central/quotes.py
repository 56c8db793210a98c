"""Quotes becoming orders or invoices: the quote is archived, its successor newly numbered."""

from deploy.sandbox.business_central.documents import SalesDocuments
from deploy.sandbox.business_central.errors import dialog
from deploy.sandbox.business_central.kinds import KINDS, Kind
from deploy.sandbox.business_central.lines import Line
from deploy.sandbox.vault import Record

__all__ = ["make_order", "make_sales_invoice", "send_quote"]

_QUOTES = KINDS["salesQuotes"]
_SOLD = (
    "itemId",
    "lineType",
    "lineObjectNumber",
    "description",
    "description2",
    "quantity",
    "unitPrice",
    "discountPercent",
    "discountAmount",
    "taxCode",
    "locationId",
)


def make_order(documents: SalesDocuments, quote: Record) -> Record:
    """An order with the quote's prices; the quote is gone."""
    return _make(documents, quote, KINDS["salesOrders"], "salesQuotes.makeOrder")


def make_sales_invoice(documents: SalesDocuments, quote: Record) -> Record:
    """A draft invoice with the quote's prices; the quote is gone."""
    return _make(documents, quote, KINDS["salesInvoices"], "salesQuotes.makeInvoice")


def send_quote(documents: SalesDocuments, quote: Record) -> Record:
    """Mark a quote as sent; there must be an address to send it to."""
    if not quote["header"]["email"]:
        raise dialog("The send-to email is empty. Specify email either for the customer.")
    header = {**quote["header"], "status": "Sent", "sentDate": documents.books.now()}
    with documents.books.transactions.one():
        return documents.store(_QUOTES, {**quote, "header": header})


def _make(documents: SalesDocuments, quote: Record, kind: Kind, operation: str) -> Record:
    if not quote["lines"]:
        raise dialog("Please add at least one line item to the quote.")
    header = quote["header"]
    customer = documents.headers.customer({"customerId": header["customerId"]})
    shared = set(documents.blanks[kind.name]) & set(documents.blanks["salesQuotes"])
    kept = {
        name: header[name]
        for name in sorted(shared - {"id", "number", "status", "lastModifiedDateTime"})
    }
    rows: list[Line] = [
        {name: line[name] for name in _SOLD if name in line} for line in quote["lines"]
    ]
    with documents.books.transactions.one():
        fresh = {**documents.headers.new(kind, customer, {}), **kept}
        made = documents.open(kind, fresh, rows, quote["reference"], book=False)
        documents.remove(_QUOTES, quote)
        documents.books.transactions.book(
            operation,
            reference=quote["reference"],
            **documents.facts(made),
            detail={"quote": header["number"], "number": made["header"]["number"]},
        )
    return made
