"""An order file says what was ordered, or a row of it says why it cannot be used."""

import gzip
from datetime import date
from decimal import Decimal

import pytest

from deploy.order_files.documents import OrderFileError, Reason
from deploy.order_files.reading import read

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
GOOD = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom"


def a_file(tmp_path, *rows, header=HEADER, name="orders.csv"):
    path = tmp_path / name
    path.write_bytes("\r\n".join([header, *rows, ""]).encode())
    return path


def test_rows_of_one_invoice_become_one_order_at_the_prices_agreed(tmp_path):
    """Number, customer, day, codes in upper case, and the net amount rounded line by line."""
    found = read(
        a_file(
            tmp_path,
            GOOD,
            "536366,22633,WARMER,3,2010-12-01 08:28:00,1.855,13047,France",
            "536365,15056bl,PARASOL,2,2010-12-01 08:27:00,5.95,17850,United Kingdom",
        )
    )

    first, second = found.documents
    assert (first.number, first.kind, first.customer) == ("536365", "order", "17850")
    assert first.ordered_on == date(2010, 12, 1)
    assert [(line.item, line.quantity) for line in first.lines] == [("85123A", 6), ("15056BL", 2)]
    assert first.net_amount == Decimal("27.20")
    assert second.net_amount == Decimal("5.57"), "3 x 1.855 is 5.565, half away from zero"
    assert (found.rows, found.usable_rows, found.invoices) == (3, 3, 2)


def test_a_cancellation_becomes_a_credit_with_positive_quantities(tmp_path):
    """The ERP's credit memo knows no negative quantity."""
    (credit,) = read(
        a_file(tmp_path, "C536379,22632,X,-12,2010-12-01 09:41:00,2.10,14527,EIRE")
    ).documents

    assert (credit.kind, credit.lines[0].quantity) == ("credit", 12)
    assert credit.net_amount == Decimal("25.20")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("536370,22633,X,3,2010-12-01 08:28:00,1.85,,France", Reason.NO_CUSTOMER),
        ("536370,22633,X,3,2010-12-01 08:28:00,0.0,13047,France", Reason.ZERO_PRICE),
        ("536370,22633,X,3,2010-12-01 08:28:00,-2.5,13047,France", Reason.NEGATIVE_PRICE),
        ("536370,22633,X,-3,2010-12-01 08:28:00,1.85,13047,France", Reason.QUANTITY_SIGN),
        ("536370,22633,X,0,2010-12-01 08:28:00,1.85,13047,France", Reason.QUANTITY_SIGN),
        ("C536370,22633,X,3,2010-12-01 08:28:00,1.85,13047,France", Reason.QUANTITY_SIGN),
        ("536370,POST,X,3,2010-12-01 08:28:00,18,13047,France", Reason.ADJUSTMENT_CODE),
        ("536370,2263,X,3,2010-12-01 08:28:00,18,13047,France", Reason.ADJUSTMENT_CODE),
        ("536370,22633ABC,X,3,2010-12-01 08:28:00,18,13047,France", Reason.ADJUSTMENT_CODE),
        ("A563185,B,Adjust,1,2010-12-01 08:28:00,99,13047,UK", Reason.ADJUSTMENT_DOCUMENT),
        ("536370,22633,X,three,2010-12-01 08:28:00,1.85,13047,France", Reason.UNREADABLE),
        ("536370,22633,X,1_0,2010-12-01 08:28:00,1.85,13047,France", Reason.UNREADABLE),
        ("536370,22633,X,3,2010-12-01 08:28:00,NaN,13047,France", Reason.UNREADABLE),
        ("536370,22633,X,3,2010-02-30 08:28:00,1.85,13047,France", Reason.UNREADABLE),
        ("536370,22633,X,3,yesterday,1.85,13047,France", Reason.UNREADABLE),
        (",22633,X,3,2010-12-01 08:28:00,1.85,13047,France", Reason.UNREADABLE),
        ("536370,22633,X,3", Reason.UNREADABLE),
        ("536365,22633,X,3,2010-12-01 08:28:00,1.85,13047,France", Reason.OTHER_CUSTOMER),
    ],
)
def test_a_row_that_cannot_be_used_is_set_aside_with_its_reason(tmp_path, row, reason):
    """The good row beside it is ordered all the same, and the file's line is told."""
    found = read(a_file(tmp_path, GOOD, row))

    assert found.set_aside == {reason: 1}
    assert found.first_lines == {reason: 3}
    assert [document.number for document in found.documents] == ["536365"]
    assert len(found.documents[0].lines) == 1


def test_adjustment_codes_are_named_with_their_counts(tmp_path):
    """Whoever owns the file sees what was not ordered."""
    row = "53637{},{},X,1,2010-12-01 08:28:00,18,13047,France"
    found = read(a_file(tmp_path, row.format(1, "POST"), row.format(2, "post"), row.format(3, "M")))

    assert found.adjustment_codes == {"POST": 2, "M": 1}


def test_a_gzipped_file_with_a_byte_order_mark_reads_the_same(tmp_path):
    """Spreadsheets write the mark; the file's name decides nothing."""
    path = tmp_path / "orders"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + f"{HEADER}\n{GOOD}\n".encode()))

    assert read(path).documents == read(a_file(tmp_path, GOOD)).documents


def test_a_byte_that_is_no_text_costs_the_description_and_not_the_order(tmp_path):
    """A pound sign in an old code page is no reason to lose an order."""
    path = a_file(tmp_path, GOOD)
    path.write_bytes(path.read_bytes().replace(b"HOLDER", b"HOLDER \xa3"))

    (order,) = read(path).documents
    assert order.lines[0].description is None


def test_columns_are_found_by_name_wherever_they_stand(tmp_path):
    """The country and the description may be missing altogether."""
    header = "CustomerID,UnitPrice,Quantity,StockCode,InvoiceNo,InvoiceDate"
    found = read(a_file(tmp_path, "17850,2.55,6,85123A,536365,2010-12-01", header=header))

    assert found.documents[0].net_amount == Decimal("15.30")


def test_a_missing_column_is_named(tmp_path):
    """So is what the file has instead."""
    path = a_file(tmp_path, header=HEADER.replace("CustomerID", "Customer ID"))

    with pytest.raises(OrderFileError, match=r"no column CustomerID.*Customer ID"):
        read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "no column InvoiceNo"),
        (gzip.compress(GOOD.encode() * 1000)[:-20], "ends in the middle"),
        (b"\x1f\x8bnot gzip at all", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_so(tmp_path, content, said):
    """One sentence, and never half a file."""
    path = tmp_path / "orders.csv.gz"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(OrderFileError, match=said):
        read(path)
