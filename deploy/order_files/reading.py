"""Reading a wholesaler's order file: csv or csv.gz, a row a line of an invoice.

Columns are found by name (`InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID`; a
`Description` is taken along, anything else ignored). Nothing is guessed: a row that does not say
clearly what was ordered is set aside with its reason.
"""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Final, Literal

import msgspec

from contracts.canonical.money import line_amount
from deploy.order_files.documents import (
    CURRENCY,
    Document,
    Line,
    OrderFile,
    OrderFileError,
    Reason,
)

__all__ = ["COLUMNS", "read"]

COLUMNS: Final = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
_DESCRIPTION: Final = "Description"
_LONGEST_DESCRIPTION: Final = 100
_GZIP_MAGIC: Final = b"\x1f\x8b"

_ITEM: Final = re.compile(r"[0-9]{5}[A-Z]{0,2}")
_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/\-]{0,34}")
_CUSTOMER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,19}")
_PRICE: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,4})?")
_QUANTITY: Final = re.compile(r"-?[0-9]{1,7}")
_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([ T][0-9:.]+)?")

Kind = Literal["order", "credit", "adjustment"]


class _Head(msgspec.Struct, kw_only=True):
    """A document while its rows are being collected."""

    number: str
    kind: Kind
    customer: str = ""
    ordered_on: date = date.min
    lines: list[Line] = []


class _Rows:
    """Sorts rows into documents. What repeats (codes, prices, days) is parsed once."""

    def __init__(self) -> None:
        self.heads: dict[str, _Head] = {}
        self.set_aside: Counter[Reason] = Counter()
        self.first_lines: dict[Reason, int] = {}
        self.codes: Counter[str] = Counter()
        self._items: dict[str, str | None] = {}
        self._prices: dict[str, Decimal | None] = {}
        self._quantities: dict[str, int | None] = {}
        self._days: dict[str, date | None] = {}

    def leave(self, reason: Reason, line: int) -> None:
        """Set the row on this line of the file aside."""
        self.set_aside[reason] += 1
        self.first_lines.setdefault(reason, line)

    def take(self, fields: Sequence[str], description: str, line: int) -> None:
        """Put a row into its document, or set it aside."""
        number, code, quantity_text, time, price_text, customer = fields
        head = self.heads.get(number) or self._open(number)
        price = self._price(price_text)
        day = self._day(time)
        quantity = self._quantity(quantity_text)
        if (
            head is None
            or price is None
            or day is None
            or quantity is None
            or (customer and not _CUSTOMER.fullmatch(customer))
        ):
            self.leave(Reason.UNREADABLE, line)
            return
        item = self._item(code)
        reason = _objection(head, customer, item, price, quantity)
        if reason is not None:
            if reason is Reason.ADJUSTMENT_CODE:
                self.codes[code.strip().upper()] += 1
            self.leave(reason, line)
            return
        if not head.lines:
            head.customer, head.ordered_on = customer, day
        head.lines.append(
            Line(
                item=item or "",
                quantity=abs(quantity),
                unit_price=price,
                description=_description(description),
            )
        )

    def documents(self) -> Iterable[Document]:
        """Answer every document with a usable row, in file order."""
        for head in self.heads.values():
            if head.lines and head.kind != "adjustment":
                amounts = (
                    line_amount(Decimal(line.quantity), line.unit_price, CURRENCY)
                    for line in head.lines
                )
                yield Document(
                    number=head.number,
                    kind=head.kind,
                    customer=head.customer,
                    ordered_on=head.ordered_on,
                    lines=tuple(head.lines),
                    net_amount=sum(amounts, Decimal("0.00")),
                )

    def _open(self, number: str) -> _Head | None:
        if not _NUMBER.fullmatch(number):
            return None
        kind: Kind = "order"
        if number[0] in "Cc":
            kind = "credit"
        elif number[0] in "Aa":
            kind = "adjustment"
        head = self.heads[number] = _Head(number=number, kind=kind)
        return head

    def _item(self, code: str) -> str | None:
        if code not in self._items:
            upper = code.strip().upper()
            self._items[code] = upper if _ITEM.fullmatch(upper) else None
        return self._items[code]

    def _price(self, text: str) -> Decimal | None:
        if text not in self._prices:
            self._prices[text] = Decimal(text) if _PRICE.fullmatch(text) else None
        return self._prices[text]

    def _quantity(self, text: str) -> int | None:
        if text not in self._quantities:
            self._quantities[text] = int(text) if _QUANTITY.fullmatch(text) else None
        return self._quantities[text]

    def _day(self, text: str) -> date | None:
        if text not in self._days:
            self._days[text] = _date_part(text)
        return self._days[text]


def _date_part(text: str) -> date | None:
    form = _TIME.fullmatch(text)
    if form is None:
        return None
    try:
        return date.fromisoformat(form[1])
    except ValueError:
        return None


def _objection(
    head: _Head, customer: str, item: str | None, price: Decimal, quantity: int
) -> Reason | None:
    """Answer the first reason, in the order of `Reason`, why a readable row cannot be used."""
    if head.kind == "adjustment":
        reason = Reason.ADJUSTMENT_DOCUMENT
    elif not customer:
        reason = Reason.NO_CUSTOMER
    elif item is None:
        reason = Reason.ADJUSTMENT_CODE
    elif price <= 0:
        reason = Reason.NEGATIVE_PRICE if price else Reason.ZERO_PRICE
    elif (quantity < 0) is not (head.kind == "credit") or quantity == 0:
        reason = Reason.QUANTITY_SIGN
    elif head.lines and head.customer != customer:
        reason = Reason.OTHER_CUSTOMER
    else:
        return None
    return reason


def _description(text: str) -> str | None:
    """Bytes that are not UTF-8 cost a row its description, not the customer the order."""
    if not text or "\ufffd" in text:
        return None
    return text[:_LONGEST_DESCRIPTION]


def read(path: Path) -> OrderFile:
    """Read a whole order file.

    Raises:
        OrderFileError: there is no such file, it is no csv, or a column is missing.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            binary = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
            with io.TextIOWrapper(
                binary, encoding="utf-8-sig", errors="replace", newline=""
            ) as text:
                return _parsed(path, text)
    except (OSError, EOFError, zlib.error) as error:
        raise OrderFileError(f"{path} cannot be read: {_said(error)}") from None


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, EOFError | zlib.error):
        return "it ends in the middle, or is not what gzip wrote; fetch it again"
    return str(error)


def _parsed(path: Path, text: Iterable[str]) -> OrderFile:
    reader = csv.reader(text)
    rows = _Rows()
    count = 0
    try:
        header = [name.strip() for name in next(reader, [])]
        places = _places(path, header)
        describes = header.index(_DESCRIPTION) if _DESCRIPTION in header else None
        pick = itemgetter(*places)
        width = max(places) + 1 if describes is None else max(*places, describes) + 1
        for row in reader:
            if not row:
                continue
            count += 1
            if len(row) < width:
                rows.leave(Reason.UNREADABLE, reader.line_num)
            else:
                description = "" if describes is None else row[describes].strip()
                rows.take(pick(row), description, reader.line_num)
    except csv.Error as error:
        raise OrderFileError(f"{path}, line {reader.line_num}: not csv ({error})") from None
    return OrderFile(
        path=path,
        rows=count,
        invoices=len(rows.heads),
        documents=tuple(rows.documents()),
        set_aside=dict(rows.set_aside.most_common()),
        first_lines=rows.first_lines,
        adjustment_codes=dict(rows.codes.most_common()),
    )


def _places(path: Path, header: Sequence[str]) -> list[int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        found = ", ".join(header[:12]) or "nothing"
        raise OrderFileError(
            f"{path} has no column {' and no column '.join(missing)}. "
            f"Its first line has: {found}. Needed are {', '.join(COLUMNS)}."
        )
    return [header.index(name) for name in COLUMNS]
