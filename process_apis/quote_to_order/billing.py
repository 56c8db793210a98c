"""What was billed for an order and paid of it: facts from the ERP, each counted once."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec import Struct

from contracts.canonical.documents import Invoice, Payment
from contracts.canonical.money import Money
from contracts.canonical.order import Billing
from process_apis.quote_to_order.records import AgreedLine, InvoiceRecord, OrderRecord

NOTHING = Decimal(0)


class Billed(Struct, frozen=True, kw_only=True):
    """An order's bills after one more document, and that document in words."""

    record: OrderRecord
    says: str
    is_new: bool
    """An invoice nobody had heard of; otherwise money came, or an invoice was taken back."""


def with_invoice(record: OrderRecord, invoice: Invoice) -> Billed | None:
    """Count an invoice by its number; None when it says nothing that is not known."""
    known = next((each for each in record.invoices if each.number == invoice.number), None)
    if invoice.state == "cancelled":
        return None if known is None else _without(record, known)
    if known is None:
        return _added(record, invoice)
    remaining = NOTHING if invoice.state == "paid" else invoice.remaining.amount
    return _paid_down(record, known, remaining)


def with_payment(record: OrderRecord, payment: Payment) -> Billed | None:
    """Count money by what remains of its invoice; None when that is known already.

    Raises `LookupError` for an invoice nobody has told of yet.
    """
    known = next((each for each in record.invoices if each.number == payment.invoice), None)
    if known is None:
        raise LookupError(payment.invoice)
    remaining = payment.remaining
    left = known.remaining - payment.amount.amount if remaining is None else remaining.amount
    return _paid_down(record, known, max(left, NOTHING))


def is_paid(record: OrderRecord) -> bool:
    """Tell whether nothing remains of any invoice."""
    return all(not invoice.remaining for invoice in record.invoices)


def billing_of(record: OrderRecord) -> Billing:
    """Answer how far the order is billed and paid, as one word."""
    if not record.invoices:
        return "not-invoiced"
    if sum((invoice.net for invoice in record.invoices), NOTHING) < record.net:
        return "partially-invoiced"
    return "paid" if is_paid(record) else "invoiced"


def _added(record: OrderRecord, invoice: Invoice) -> Billed:
    currency = record.currency
    known = InvoiceRecord(
        invoice.number,
        invoice.net_amount.amount,
        invoice.gross_amount.amount,
        NOTHING if invoice.state == "paid" else invoice.remaining.amount,
        invoice.invoice_date,
        invoice.due_date,
    )
    said = f"Invoice {known.number} over {invoice.gross_amount} was posted"
    if known.due_date is not None:
        said += f", due on {known.due_date:%-d %B %Y}"
    paid = known.gross - known.remaining
    if known.remaining == 0 and known.gross:
        said += "; it is paid already"
    elif paid > 0:
        said += f"; {Money(amount=paid, currency=currency)} of it is paid already"
    after = msgspec.structs.replace(
        record,
        invoices=(*record.invoices, known),
        lines=_billed_lines(record.lines, invoice),
    )
    return Billed(record=after, says=said + ".", is_new=True)


def _billed_lines(lines: Sequence[AgreedLine], invoice: Invoice) -> tuple[AgreedLine, ...]:
    left: dict[str, Decimal] = {}
    for bill in invoice.lines:
        left[bill.item] = left.get(bill.item, NOTHING) + bill.quantity
    billed = []
    for line in lines:
        part = min(left.get(line.item, NOTHING), line.quantity - line.invoiced)
        if part > 0:
            left[line.item] -= part
            billed.append(msgspec.structs.replace(line, invoiced=line.invoiced + part))
        else:
            billed.append(line)
    return tuple(billed)


def _paid_down(record: OrderRecord, known: InvoiceRecord, remaining: Decimal) -> Billed | None:
    """What remains only ever falls: older news of the same invoice says nothing."""
    if remaining >= known.remaining:
        return None
    currency = record.currency
    came = Money(amount=known.remaining - remaining, currency=currency)
    said = f"{came} was received for invoice {known.number}; "
    said += (
        f"{Money(amount=remaining, currency=currency)} remains to be paid."
        if remaining
        else "it is paid in full."
    )
    paid = msgspec.structs.replace(known, remaining=remaining)
    invoices = tuple(paid if each.number == known.number else each for each in record.invoices)
    after = msgspec.structs.replace(record, invoices=invoices)
    return Billed(record=after, says=said, is_new=False)


def _without(record: OrderRecord, known: InvoiceRecord) -> Billed:
    invoices = tuple(each for each in record.invoices if each.number != known.number)
    said = f"Invoice {known.number} was cancelled in the ERP."
    after = msgspec.structs.replace(record, invoices=invoices)
    return Billed(record=after, says=said, is_new=False)
