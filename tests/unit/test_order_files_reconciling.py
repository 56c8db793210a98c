"""The books are said to agree only when they do: what the ERP no longer holds is a difference."""

from datetime import date
from decimal import Decimal

import pytest

from deploy.ledger_reading import LedgerEntry
from deploy.order_files.documents import Document, Line
from deploy.order_files.outcomes import Accepted
from deploy.order_files.reconciling import reconcile, tally


def a_document(number="536365", net="20.00", kind="order"):
    line = Line(item="85123A", quantity=4, unit_price=Decimal("5.00"), description=None)
    return Document(
        number=number,
        kind=kind,
        customer="17850",
        ordered_on=date(2010, 12, 1),
        lines=(line,),
        net_amount=Decimal(net),
    )


def a_row(operation="salesOrders.create", amount="20.00", **more):
    told = {"reference": "536365", "currency": "GBP", "entity": "a"} | more
    return LedgerEntry(
        sequence=1,
        system="business_central",
        operation=operation,
        external_reference=told["reference"],
        amount=Decimal(amount),
        currency=told["currency"],
        entity=told["entity"],
    )


def books_of(*rows, document=None):
    document = document or a_document()
    accepted = Accepted(replayed=False, net_amount=document.net_amount)
    return reconcile(
        [document],
        {document.number: accepted},
        {},
        erp=tally(rows, {document.number: document}),
        totals=None,
        pending=0,
    )


def test_what_the_erp_holds_once_at_the_files_amount_agrees():
    assert books_of(a_row()).agree


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ((), "not in the ERP"),
        ((a_row(), a_row("salesOrders.delete")), "not in the ERP"),
        ((a_row(amount="20.01"),), "the ERP has another amount"),
        ((a_row(currency="EUR"),), "the ERP has another currency"),
        ((a_row(), a_row("salesOrders.delete"), a_row(entity="b", amount="19.99")),
         "the ERP has another amount"),
    ],
)  # fmt: skip
def test_everything_else_is_a_difference(rows, what):
    (difference,) = books_of(*rows).differences

    assert difference.what == what


def test_an_order_that_was_deleted_and_made_again_is_no_duplicate():
    books = books_of(a_row(), a_row("salesOrders.delete"), a_row(entity="b"))

    assert books.agree


def test_the_same_order_twice_in_the_erp_never_agrees():
    books = books_of(a_row(), a_row(entity="b"))

    assert (books.agree, books.doubled) == (False, ("536365",))
