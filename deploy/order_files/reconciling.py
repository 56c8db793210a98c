"""Do file, journal and ERP tell the same story? Compared document by document, to the penny.

The file says what was sold; the journal what was accepted and what became an exception; the ERP's
own ledger what was really posted, and how often. A document that was refused, is in exception or is
still on its way is no difference: it is shown apart, with its amount.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from contracts.ports.quote_to_order import Totals
from deploy.ledger_reading import LedgerEntry
from deploy.order_files.documents import CURRENCY, Document
from deploy.order_files.outcomes import Accepted, Outcome, Refused, Undelivered

__all__ = ["Books", "Difference", "ErpBook", "Side", "reconcile", "tally"]

ORDER_POSTED: Final = "salesOrders.create"
ORDER_DELETED: Final = "salesOrders.delete"
CREDIT_PREFIX: Final = "salesCreditMemos."


class Side(msgspec.Struct, kw_only=True, rename="camel"):
    """What one book says: how many documents, and their net amounts in the file's currency.

    `net` is orders minus credits.
    """

    orders: int = 0
    credits: int = 0
    ordered: Decimal = Decimal("0.00")
    credited: Decimal = Decimal("0.00")
    net: Decimal = Decimal("0.00")

    @property
    def documents(self) -> int:
        """Orders and credits."""
        return self.orders + self.credits

    def add(self, kind: str, amount: Decimal) -> None:
        """Count one document."""
        if kind == "order":
            self.orders += 1
            self.ordered += amount
            self.net += amount
        else:
            self.credits += 1
            self.credited += amount
            self.net -= amount


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A document on which the books do not agree. Amounts are net; None: not in that book."""

    number: str
    what: str
    file: Decimal
    journal: Decimal | None
    erp: Decimal | None


class ErpBook(msgspec.Struct, frozen=True, kw_only=True):
    """What the ERP posted for a document, by its number: the amounts of every posting.

    Those of the documents `in_other_currency` are not comparable with the file's.
    """

    postings: dict[str, list[Decimal]]
    in_other_currency: frozenset[str] = frozenset()

    def amount(self, number: str) -> Decimal | None:
        """Answer the net amount posted for a document, None when it never was."""
        posted = self.postings.get(number)
        return None if posted is None else sum(posted, Decimal(0))


class Books(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The comparison. `file`, `journal` and `erp` are over the documents that went through.

    `journal` and `erp` are None when that book could not be read. `erp_of_exceptions` is what the
    ERP posted for documents that are in exception now. `other_documents` counts what else the
    channel carries in the journal: other files.
    """

    file: Side
    journal: Side | None
    erp: Side | None
    refused: Side
    in_exception: Side
    erp_of_exceptions: Side
    unsettled: Side
    differences: tuple[Difference, ...]
    doubled: tuple[str, ...]
    other_documents: int

    @property
    def agree(self) -> bool:
        """Tell whether all books that could be read agree to the penny, without a duplicate."""
        return not self.differences and not self.doubled


def tally(entries: Iterable[LedgerEntry], documents: Mapping[str, Document]) -> ErpBook:
    """Collect the ERP's postings for these documents; the ERP keeps references in capitals.

    An order that was deleted again is not posted any more.
    """
    standing: dict[str, list[LedgerEntry]] = {}
    by_reference = {number.upper(): document for number, document in documents.items()}
    for entry in entries:
        document = by_reference.get((entry.external_reference or "").upper())
        if document is None:
            continue
        posted = standing.setdefault(document.number, [])
        if document.kind == "order" and entry.operation == ORDER_DELETED:
            posted[:] = [one for one in posted if one.entity != entry.entity]
        elif _posts(entry, document) and entry.amount is not None:
            posted.append(entry)
    return ErpBook(
        postings={
            number: [one.amount for one in posted if one.amount is not None]
            for number, posted in standing.items()
            if posted
        },
        in_other_currency=frozenset(
            number
            for number, posted in standing.items()
            if any((one.currency or CURRENCY) != CURRENCY for one in posted)
        ),
    )


def _posts(entry: LedgerEntry, document: Document) -> bool:
    if document.kind == "order":
        return entry.operation == ORDER_POSTED
    return entry.operation.startswith(CREDIT_PREFIX) and entry.operation.endswith(".post")


def reconcile(
    documents: Iterable[Document],
    outcomes: Mapping[str, Outcome],
    exceptions: Mapping[str, str],
    *,
    erp: ErpBook | None,
    totals: Totals | None,
    pending: int,
) -> Books:
    """Compare the books.

    `exceptions` maps documents in exception to the exception's category. `pending` tells how many
    documents are still on their way: while there are any, one that is not in the ERP is no fault.
    """
    comparison = _Comparison(erp, pending=pending)
    for document in documents:
        outcome = outcomes.get(document.number, Undelivered(because="not-reached"))
        comparison.take(document, outcome, in_exception=document.number in exceptions)
    accepted = sum(isinstance(outcome, Accepted) for outcome in outcomes.values())
    carried = 0 if totals is None else totals.orders + totals.credits
    journal = comparison.journal if totals is not None else None
    if totals is not None and carried == accepted and not pending:
        journal = _journal_side(totals)
        comparison.totals_agree(journal)
    return Books(
        file=comparison.file,
        journal=journal,
        erp=comparison.erp if erp is not None else None,
        refused=comparison.refused,
        in_exception=comparison.in_exception,
        erp_of_exceptions=comparison.erp_of_exceptions,
        unsettled=comparison.unsettled,
        differences=tuple(comparison.differences),
        doubled=tuple(comparison.doubled),
        other_documents=max(carried - accepted, 0),
    )


def _journal_side(totals: Totals) -> Side:
    ordered = Decimal(totals.net_ordered.get(CURRENCY, "0.00"))
    credited = Decimal(totals.net_credited.get(CURRENCY, "0.00"))
    return Side(
        orders=totals.confirmed,
        credits=totals.credited,
        ordered=ordered,
        credited=credited,
        net=ordered - credited,
    )


class _Comparison:
    """The books while they are being compared."""

    def __init__(self, book: ErpBook | None, *, pending: int) -> None:
        self._book = book
        self._pending = pending
        self.file, self.journal, self.erp = Side(), Side(), Side()
        self.refused, self.in_exception, self.unsettled = Side(), Side(), Side()
        self.erp_of_exceptions = Side()
        self.differences: list[Difference] = []
        self.doubled: list[str] = []

    def take(self, document: Document, outcome: Outcome, *, in_exception: bool) -> None:
        """Put one document where it belongs."""
        number, kind, net = document.number, document.kind, document.net_amount
        posted = [] if self._book is None else self._book.postings.get(number, [])
        if len(posted) > 1:
            self.doubled.append(number)
        match outcome:
            case Refused():
                self.refused.add(kind, net)
                if posted:
                    self._differs(document, "refused, yet in the ERP", None)
            case Undelivered():
                self.unsettled.add(kind, net)
            case Accepted() if in_exception:
                self.in_exception.add(kind, net)
                if posted:
                    self.erp_of_exceptions.add(kind, sum(posted, Decimal(0)))
            case Accepted(net_amount=journalled):
                self._settled(document, journalled, posted)

    def totals_agree(self, journal: Side) -> None:
        """Hold the journal's own sums against the file's."""
        if (journal.ordered, journal.credited) != (self.file.ordered, self.file.credited):
            self.differences.append(
                Difference(
                    number="(all)",
                    what="the journal's sums are not the file's",
                    file=self.file.net,
                    journal=journal.net,
                    erp=None if self._book is None else self.erp.net,
                )
            )

    def _settled(
        self, document: Document, journalled: Decimal | None, posted: list[Decimal]
    ) -> None:
        kind, net = document.kind, document.net_amount
        if self._pending and self._book is not None and not posted:
            self.unsettled.add(kind, net)
            return
        self.file.add(kind, net)
        self.journal.add(kind, net if journalled is None else journalled)
        if journalled is not None and journalled != net:
            self._differs(document, "the journal has another amount", journalled)
        if self._book is None:
            return
        if not posted:
            self._differs(document, "not in the ERP", journalled)
            return
        self.erp.add(kind, sum(posted, Decimal(0)))
        if document.number in self._book.in_other_currency:
            self._differs(document, "the ERP has another currency", journalled)
        elif posted[0] != net:
            self._differs(document, "the ERP has another amount", journalled)

    def _differs(self, document: Document, what: str, journalled: Decimal | None) -> None:
        erp = None if self._book is None else self._book.amount(document.number)
        self.differences.append(
            Difference(
                number=document.number,
                what=what,
                file=document.net_amount,
                journal=journalled,
                erp=erp,
            )
        )
