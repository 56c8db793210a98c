"""What was billed for an order and paid of it: facts from the ERP, each counted once."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from contracts.canonical.documents import Invoice, Payment
from contracts.canonical.money import Money
from contracts.canonical.order import Billing
from process_apis.quote_to_order.records import (
    AgreedLine,
    EarlyPayment,
    InvoiceRecord,
    OrderRecord,
)

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
    return _remaining(record, known, remaining, invoice.changed_at)


def with_payment(record: OrderRecord, payment: Payment) -> Billed | None:
    """Count money by what remains of its invoice; None when that is known already.

    Money for an invoice that nobody has told of is remembered until somebody does.
    """
    remaining = None if payment.remaining is None else payment.remaining.amount
    early = EarlyPayment(payment.invoice, payment.amount.amount, remaining, payment.as_of)
    if not any(each.number == payment.invoice for each in record.invoices):
        if early in record.paid_early:
            return None
        after = msgspec.structs.replace(record, paid_early=(*record.paid_early, early))
        return Billed(record=after, says="", is_new=False)
    return _paid(record, early)


def _paid(record: OrderRecord, payment: EarlyPayment) -> Billed | None:
    known = next(each for each in record.invoices if each.number == payment.invoice)
    left = payment.remaining
    if left is None:
        left = known.remaining - payment.amount
    return _remaining(record, known, max(left, NOTHING), payment.as_of)


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
        invoice.changed_at,
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
        paid_early=tuple(each for each in record.paid_early if each.invoice != known.number),
    )
    said += "."
    for payment in record.paid_early:
        earlier = _paid(after, payment) if payment.invoice == known.number else None
        if earlier is not None:
            after, said = earlier.record, f"{said} {earlier.says}"
    return Billed(record=after, says=said, is_new=True)


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


def _remaining(
    record: OrderRecord, known: InvoiceRecord, remaining: Decimal, as_of: datetime | None
) -> Billed | None:
    """Go by what remains. Without a time it only ever falls: more of it would be older news."""
    is_older = as_of is not None and known.as_of is not None and as_of < known.as_of
    untimed = as_of is None or known.as_of is None
    if remaining == known.remaining or is_older or (untimed and remaining > known.remaining):
        return None
    currency = record.currency
    came = known.remaining - remaining
    if came > 0:
        said = f"{Money(amount=came, currency=currency)} was received for invoice {known.number}; "
    else:
        said = f"{Money(amount=-came, currency=currency)} of invoice {known.number} went back; "
    said += (
        f"{Money(amount=remaining, currency=currency)} remains to be paid."
        if remaining
        else "it is paid in full."
    )
    paid = msgspec.structs.replace(known, remaining=remaining, as_of=as_of or known.as_of)
    invoices = tuple(paid if each.number == known.number else each for each in record.invoices)
    after = msgspec.structs.replace(record, invoices=invoices)
    return Billed(record=after, says=said, is_new=False)


def _without(record: OrderRecord, known: InvoiceRecord) -> Billed:
    invoices = tuple(each for each in record.invoices if each.number != known.number)
    said = f"Invoice {known.number} was cancelled in the ERP."
    after = msgspec.structs.replace(record, invoices=invoices)
    return Billed(record=after, says=said, is_new=False)
