"""What an order file holds once it is read: documents to submit, and rows set aside with a reason.

A document is an order or a credit. Its number is the invoice number of the file: the idempotency
key, the PO number and the external reference in every system. Amounts are net, in GBP.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

import msgspec

__all__ = ["CURRENCY", "Document", "Line", "OrderFile", "OrderFileError", "Reason"]

CURRENCY: Final = "GBP"

Kind = Literal["order", "credit"]


class OrderFileError(Exception):
    """The file as a whole cannot be used; the message says why and what to do."""


class Reason(StrEnum):
    """Why a row is set aside. A row has one reason: the first that applies, in this order."""

    UNREADABLE = "unreadable"
    """Fields missing, or a quantity, price, time, number or customer of no known form."""
    ADJUSTMENT_DOCUMENT = "adjustment-document"
    """An invoice number starting with `A` corrects the books; nothing was sold."""
    NO_CUSTOMER = "no-customer"
    ADJUSTMENT_CODE = "adjustment-code"
    """A stock code that is not five digits and up to two letters: postage, fees, samples."""
    ZERO_PRICE = "zero-price"
    NEGATIVE_PRICE = "negative-price"
    QUANTITY_SIGN = "quantity-sign"
    """Zero or negative on an order; zero or positive on a cancellation."""
    OTHER_CUSTOMER = "other-customer"
    """A customer that is not the one of the document's first usable row."""


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One usable row: an item, how many of it (positive), and the price agreed for one."""

    item: str
    quantity: int
    unit_price: Decimal
    description: str | None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The usable rows of one invoice number, in file order.

    `ordered_on` is the date of the first usable row. `net_amount` is positive for a credit too.
    """

    number: str
    kind: Kind
    customer: str
    ordered_on: date
    lines: tuple[Line, ...]
    net_amount: Decimal


class OrderFile(msgspec.Struct, frozen=True, kw_only=True):
    """A whole order file. `documents` are in the order of their first row in the file.

    `invoices` counts invoice numbers, those without one usable row included. `first_lines` tells
    the line of the file on which a reason first applied; `adjustment_codes` how often each code
    occurred.
    """

    path: Path
    rows: int
    invoices: int
    documents: tuple[Document, ...]
    set_aside: dict[Reason, int]
    first_lines: dict[Reason, int]
    adjustment_codes: dict[str, int]

    @property
    def usable_rows(self) -> int:
        """How many rows are in a document."""
        return self.rows - sum(self.set_aside.values())
