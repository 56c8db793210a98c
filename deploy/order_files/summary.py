"""The summary an import ends with: figures, and the sentences a person reads."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from deploy.order_files.documents import CURRENCY, OrderFile, Reason
from deploy.order_files.outcomes import Accepted, Outcome, Refused, Undelivered
from deploy.order_files.reconciling import Books, Side

__all__ = ["Summary", "sentences", "summarised"]

_SHOWN: Final = 10

REASONS: Final[Mapping[Reason, str]] = {
    Reason.UNREADABLE: "cannot be read",
    Reason.ADJUSTMENT_DOCUMENT: "belong to an adjustment of the books (A...)",
    Reason.NO_CUSTOMER: "name no customer",
    Reason.ADJUSTMENT_CODE: "carry no stock code but a charge or adjustment",
    Reason.ZERO_PRICE: "have a price of zero",
    Reason.NEGATIVE_PRICE: "have a negative price",
    Reason.QUANTITY_SIGN: "have a quantity of the wrong sign, or none",
    Reason.OTHER_CUSTOMER: "name another customer than their invoice",
}


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All figures of one import. Amounts are decimal strings in `currency`.

    `exceptions` counts documents by the exception's category, or by the problem's slug where the
    gateway refused them; `confirmed` and `credited` count documents of this file.
    """

    file: str
    currency: str
    rows: int
    usable_rows: int
    set_aside: dict[str, int]
    adjustment_codes: dict[str, int]
    invoices: int
    documents: int
    orders_accepted: int
    credits_accepted: int
    confirmed: int
    credited: int
    exceptions: dict[str, int]
    refused: int
    undelivered: int
    under_way: int
    replayed: int
    nothing_changed: bool
    pauses_asked: int
    seconds: float
    documents_per_second: float
    orders_per_second: float
    """Confirmed orders over the whole time, from the first look at the gateway to the last."""
    books: Books
    reconciled: bool
    complete: bool

    @property
    def good(self) -> bool:
        """Tell whether everything came to an end and the books agree."""
        return self.complete and self.reconciled


def summarised(
    file: OrderFile,
    outcomes: Mapping[str, Outcome],
    exceptions: Mapping[str, str],
    books: Books,
    *,
    under_way: int,
    pauses_asked: int,
    seconds: float,
    moved: bool,
) -> Summary:
    """Add everything up. `moved`: something changed in the journal while this ran."""
    accepted: Counter[str] = Counter()
    stopped: Counter[str] = Counter()
    refused = undelivered = replayed = 0
    for document in file.documents:
        match outcomes.get(document.number):
            case Accepted(replayed=before):
                accepted[document.kind] += 1
                replayed += before
                if document.number in exceptions:
                    stopped[exceptions[document.number]] += 1
            case Refused(slug=slug):
                refused += 1
                stopped[slug] += 1
            case Undelivered() | None:
                undelivered += 1
    new = accepted.total() - replayed
    through = books.erp or books.file
    return Summary(
        file=str(file.path),
        currency=CURRENCY,
        rows=file.rows,
        usable_rows=file.usable_rows,
        set_aside={reason.value: count for reason, count in file.set_aside.items()},
        adjustment_codes=file.adjustment_codes,
        invoices=file.invoices,
        documents=len(file.documents),
        orders_accepted=accepted["order"],
        credits_accepted=accepted["credit"],
        confirmed=through.orders,
        credited=through.credits,
        exceptions=dict(stopped.most_common()),
        refused=refused,
        undelivered=undelivered,
        under_way=under_way,
        replayed=replayed,
        nothing_changed=not new and not moved and not undelivered,
        pauses_asked=pauses_asked,
        seconds=round(seconds, 2),
        documents_per_second=round(accepted.total() / seconds, 1) if seconds else 0.0,
        orders_per_second=round(through.orders / seconds, 1) if seconds else 0.0,
        books=books,
        reconciled=books.agree,
        complete=not undelivered and not under_way,
    )


def sentences(summary: Summary) -> Iterator[str]:
    """Say the summary, line by line."""
    yield from _about_the_file(summary)
    yield ""
    yield from _about_the_documents(summary)
    yield ""
    yield from _about_the_money(summary)


def _about_the_file(summary: Summary) -> Iterator[str]:
    yield f"{summary.rows:,} rows, {summary.invoices:,} invoice numbers in {summary.file}"
    yield f"  {summary.usable_rows:>9,} rows used, in {summary.documents:,} documents"
    for reason, count in summary.set_aside.items():
        yield f"  {count:>9,} set aside: they {REASONS[Reason(reason)]}"
    if summary.adjustment_codes:
        named = ", ".join(f"{code} ({n:,})" for code, n in summary.adjustment_codes.items())
        yield f"            (codes: {named})"


def _about_the_documents(summary: Summary) -> Iterator[str]:
    yield f"{summary.orders_accepted + summary.credits_accepted:,} documents accepted"
    yield f"  {summary.orders_accepted:>9,} orders, of which {summary.confirmed:,} confirmed"
    yield f"  {summary.credits_accepted:>9,} cancellations, of which {summary.credited:,} credited"
    for category, count in summary.exceptions.items():
        yield f"  {count:>9,} stopped: {category}"
    if summary.undelivered:
        yield f"  {summary.undelivered:>9,} not delivered; run the import again"
    if summary.under_way:
        yield f"  {summary.under_way:>9,} still under way; run the import again to see their end"
    if summary.nothing_changed:
        yield "  Everything had been accepted before: nothing changed."
    elif summary.replayed:
        yield f"  {summary.replayed:>9,} had been accepted before and were not repeated"
    yield (
        f"  {summary.seconds:>9,.1f} s: {summary.documents_per_second:,.1f} documents "
        f"and {summary.orders_per_second:,.1f} confirmed orders a second"
    )


def _about_the_money(summary: Summary) -> Iterator[str]:
    books = summary.books
    yield f"Net amounts in {summary.currency}      orders         credits             net"
    yield _row("file", books.file)
    yield _row("journal", books.journal) if books.journal is not None else "  journal  not read"
    yield _row("ERP", books.erp) if books.erp is not None else "  ERP      no ledger to read"
    apart = (
        ("refused by the gateway", books.refused),
        ("in exception", books.in_exception),
        ("in exception, yet in the ERP", books.erp_of_exceptions),
        ("not settled", books.unsettled),
    )
    for what, side in apart:
        if side.documents:
            yield f"  apart: {side.documents:,} documents {what}, {side.net:,} net"
    if books.other_documents:
        yield f"  The channel also carries {books.other_documents:,} documents of other files."
    if books.agree:
        yield "  They agree to the penny." if books.erp is not None else "  They agree."
        return
    for difference in books.differences[:_SHOWN]:
        yield (
            f"  DIFFERENT {difference.number}: {difference.what} (file {difference.file}, "
            f"journal {difference.journal}, ERP {difference.erp})"
        )
    if len(books.differences) > _SHOWN:
        yield f"  ... and {len(books.differences) - _SHOWN:,} more"
    for number in books.doubled[:_SHOWN]:
        yield f"  TWICE in the ERP: {number}"


def _row(name: str, side: Side) -> str:
    return f"  {name:<8} {side.ordered:>15,} {side.credited:>15,} {side.net:>15,}"
