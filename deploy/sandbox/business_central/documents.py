"""Quotes, orders, draft invoices and draft credit memos: written, changed, deleted, shown."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from deploy.sandbox.business_central.amounts import Totals, calculate, exact, money, written
from deploy.sandbox.business_central.bodies import checked
from deploy.sandbox.business_central.books import Books
from deploy.sandbox.business_central.errors import bad_request, dialog
from deploy.sandbox.business_central.guids import EMPTY_GUID, new_etag, new_guid
from deploy.sandbox.business_central.headers import HeaderWriter, refuse_blocked
from deploy.sandbox.business_central.kinds import KINDS, Kind
from deploy.sandbox.business_central.lines import Line, LineWriter, Setting, quantities
from deploy.sandbox.business_central.prices import Buyer
from deploy.sandbox.business_central.schema import EntitySet
from deploy.sandbox.vault import Record

__all__ = ["SalesDocuments", "blank_row"]

_STEP = 10_000
_RECREATED = ("itemId", "lineType", "description", "quantity", "locationId", "shipmentDate")
_EMPTY: dict[str, Any] = {
    "guid": EMPTY_GUID,
    "code": "",
    "text": "",
    "dec": 0.0,
    "int": 0,
    "bool": False,
    "date": "0001-01-01",
    "stamp": "0001-01-01T00:00:00Z",
}


def blank_row(entity_set: EntitySet) -> dict[str, Any]:
    """A row of the set in which nothing has been said yet."""
    return {
        name: prop.values[0] if prop.kind == "enum" else _EMPTY[prop.kind]
        for name, prop in entity_set.properties.items()
    }


class SalesDocuments:
    """The documents of one company. Every method is one transaction or part of a surrounding one.

    A record is ``{"header", "lines", "next", "reference", ...}``: the header as the API shows it,
    the lines as stored, the next line's sequence, and the external reference exactly as the caller
    wrote it.
    """

    def __init__(self, books: Books, sets: Mapping[str, EntitySet]) -> None:
        self.books = books
        self._sets = sets
        blanks = {name: blank_row(found) for name, found in sets.items() if name[:5] == "sales"}
        self.blanks = blanks
        self.headers = HeaderWriter(books, blanks)
        self.lines = LineWriter(books, blanks)

    def create(self, kind: Kind, body: dict[str, Any]) -> Record:
        """A new document out of a request's body, with the lines nested in it."""
        fields, nested = checked(body, self._sets[kind.name])
        rows = [self._line_fields(kind, row) for row in nested.get(kind.lines, ())]
        customer = self.headers.customer(fields)
        refuse_blocked(customer, kind.refused_for, "create")
        header = self.headers.new(kind, customer, fields)
        reference = body.get("externalDocumentNumber") or ""
        with self.books.transactions.one():
            return self.open(kind, header, rows, reference)

    def open(
        self, kind: Kind, header: Line, rows: list[Line], reference: str, *, book: bool = True
    ) -> Record:
        """Number and store a draft with these lines, and unless told otherwise book it."""
        books = self.books
        identity = new_guid()
        number = books.next_number(kind.name, kind.series, kind.first)
        header = {"@odata.etag": "", **header, "id": identity, "number": number}
        setting = self.setting(kind, header)
        at = range(_STEP, _STEP * (len(rows) + 1), _STEP)
        lines = [
            self.lines.new(setting, identity, sequence, row)
            for sequence, row in zip(at, rows, strict=True)
        ]
        following = _STEP * (len(rows) + 1)
        record = {"header": header, "lines": lines, "next": following, "reference": reference}
        stored = self.store(kind, record, created=True)
        if book:
            books.transactions.book(
                f"{kind.name}.create",
                reference=reference,
                **self.facts(stored),
                detail={"number": number},
            )
        return stored

    def change(self, kind: Kind, record: Record, body: dict[str, Any]) -> Record:
        """The document after a PATCH of its header; lines cannot be nested in one."""
        self.refuse_edit(kind, record)
        fields, nested = checked(body, self._sets[kind.name])
        if nested:
            raise bad_request("Deep update is not supported; change the lines one by one.")
        header = dict(record["header"])
        customer = self.headers.customer({**header, **fields}) if "customerId" in fields else None
        if "customerNumber" in fields and customer is None:
            customer = self.headers.customer({"customerNumber": fields["customerNumber"]})
        with self.books.transactions.one():
            if customer is not None and customer["id"] != header["customerId"]:
                refuse_blocked(customer, kind.refused_for, "create")
                record = {**record, "exposed": self._expose(record, (0, 0))}
                kept = {name: header[name] for name in ("id", "number", "externalDocumentNumber")}
                header = {**self.headers.new(kind, customer, fields), **kept, **fields}
            else:
                self.headers.apply(kind, header, fields)
            changed = {**record, "header": header}
            if "externalDocumentNumber" in fields:
                changed["reference"] = body["externalDocumentNumber"]
            moved = ("customerNumber", "currencyCode")
            if any(header[name] != record["header"][name] for name in moved):
                changed["lines"] = self._recreated(kind, changed)
            return self.store(kind, changed)

    def delete(self, kind: Kind, record: Record) -> None:
        """Delete a draft; what has been shipped must have been invoiced."""
        self.refuse_edit(kind, record)
        for line in record["lines"]:
            self._refuse_shipped(line)
        with self.books.transactions.one():
            self.remove(kind, record)
            self.books.transactions.book(
                f"{kind.name}.delete", reference=record["reference"], **self.facts(record)
            )

    def remove(self, kind: Kind, record: Record) -> None:
        """Take a document out of its set and its amounts out of the customer's sums."""
        identity = record["header"]["id"]
        self._expose(record, (0, 0))
        self.books.table(kind.name).delete(identity)
        self.books.transactions.changed(kind.name, identity, "deleted")

    def add_line(self, kind: Kind, record: Record, body: dict[str, Any]) -> Line:
        """A new line at the end of a document."""
        self.refuse_edit(kind, record)
        fields = self._line_fields(kind, body)
        identity = record["header"]["id"]
        if fields.get("documentId", identity) != identity:
            raise dialog('The value for "documentId" cannot be modified.')
        with self.books.transactions.one():
            sequence = record["next"]
            line = self.lines.new(self.setting(kind, record["header"]), identity, sequence, fields)
            changed = {
                **record,
                "lines": [*record["lines"], line],
                "next": sequence + _STEP,
            }
            stored = self.store(kind, changed)
        return self.lines.row(kind, stored, stored["lines"][-1])

    def change_line(self, kind: Kind, record: Record, line: Line, body: dict[str, Any]) -> Line:
        """The line after a PATCH; the header moves with it."""
        self.refuse_edit(kind, record)
        fields = self._line_fields(kind, body)
        if fields.get("documentId", record["header"]["id"]) != record["header"]["id"]:
            raise dialog('The value for "documentId" cannot be modified.')
        setting = self.setting(kind, record["header"])
        after = self.lines.changed(setting, line, fields) | {"@odata.etag": new_etag()}
        rows = [after if row["id"] == line["id"] else row for row in record["lines"]]
        with self.books.transactions.one():
            stored = self.store(kind, {**record, "lines": rows})
        after = next(row for row in stored["lines"] if row["id"] == line["id"])
        return self.lines.row(kind, stored, after)

    def delete_line(self, kind: Kind, record: Record, line: Line) -> None:
        """Delete one line of a draft."""
        self.refuse_edit(kind, record)
        self._refuse_shipped(line)
        rows = [row for row in record["lines"] if row["id"] != line["id"]]
        with self.books.transactions.one():
            self.store(kind, {**record, "lines": rows})

    def store(self, kind: Kind, record: Record, *, created: bool = False) -> Record:
        """Compute what follows from the lines, stamp, put, and keep the customer's sums."""
        books = self.books
        header = dict(record["header"])
        lines, totals = calculate(record["lines"], exact(header["discountAmount"]))
        _write_totals(header, totals)
        header["@odata.etag"] = new_etag()
        header["lastModifiedDateTime"] = books.now()
        stored = {**record, "header": header, "lines": lines}
        if kind.has_quantities_to_post:
            header["fullyShipped"] = bool(lines) and all(_is_shipped(line) for line in lines)
            stored["exposed"] = self._expose(record, self._exposure(header, lines))
        identity = header["id"]
        books.table(kind.name).put(identity, stored)
        books.transactions.changed(kind.name, identity, "created" if created else "updated")
        return stored

    def setting(self, kind: Kind, header: Line) -> Setting:
        """What the header says to its lines."""
        number = header["customerNumber"]
        seed = self.books.world.customers.get(number)
        customer = self.books.table("customers").get(header["customerId"])
        area = self.headers.tax_area(customer) if customer is not None else ""
        group = seed.price_group if seed is not None else ""
        buyer = Buyer(number, group, header["currencyCode"])
        return Setting(kind, buyer, area, self.books.today())

    def facts(self, record: Record) -> dict[str, Any]:
        """What a ledger row says of a document: net amount, currency and id."""
        header = record["header"]
        return {
            "amount": money(exact(header["totalAmountExcludingTax"])),
            "currency": header["currencyCode"],
            "entity": header["id"],
        }

    def rows(self, entity_set: str, record: Record) -> list[Line]:
        """The lines of a document as the API shows them."""
        kind = KINDS[entity_set]
        return [self.lines.row(kind, record, line) for line in record["lines"]]

    def refuse_edit(self, kind: Kind, record: Record) -> None:
        """Refuse a change of what is posted or under approval."""
        if record.get("posted"):
            raise dialog(f"The {kind.noun} has been posted and can no longer be modified.")
        header = record["header"]
        if header["status"] == "In_x0020_Review":
            raise dialog(
                f"Status must be equal to 'Open'  in Sales Header: No.={header['number']}. "
                "Current value is 'Pending Approval'."
            )

    def _line_fields(self, kind: Kind, body: dict[str, Any]) -> Line:
        fields, _ = checked(body, self._sets[kind.lines])
        return fields

    def _recreated(self, kind: Kind, record: Record) -> list[Line]:
        """The lines anew, priced for another customer or currency, as the vendor recreates them."""
        for line in record["lines"]:
            self._refuse_shipped(line)
        setting = self.setting(kind, record["header"])
        identity = record["header"]["id"]
        return [
            self.lines.new(
                setting,
                identity,
                line["sequence"],
                {name: line[name] for name in _RECREATED if name in line},
            )
            for line in record["lines"]
        ]

    def _refuse_shipped(self, line: Line) -> None:
        shipped, invoiced, _, _ = quantities(line)
        if shipped != invoiced:
            raise dialog(
                "Qty. Shipped Not Invoiced must be equal to '0'  in Sales Line: "
                f"Line No.={line['sequence']}. Current value is '{written(shipped - invoiced)}'."
            )

    def _exposure(self, header: Line, lines: list[Line]) -> tuple[int, int]:
        """Outstanding and shipped-not-invoiced amounts with tax, in cents of LCY."""
        outstanding, not_invoiced = Decimal(0), Decimal(0)
        for line in lines:
            quantity = exact(line.get("quantity", 0))
            if not quantity:
                continue
            gross = exact(line["amountExcludingTax"]) + exact(line["totalTaxAmount"])
            gross -= exact(line.get("invoiceDiscountAllocation", 0))
            if "shippedQuantity" not in line:
                outstanding += gross
                continue
            shipped, invoiced, _, _ = quantities(line)
            outstanding += gross * (quantity - shipped) / quantity
            not_invoiced += gross * (shipped - invoiced) / quantity
        currency = header["currencyCode"]
        books = self.books
        return books.lcy_cents(outstanding, currency), books.lcy_cents(not_invoiced, currency)

    def _expose(self, before: Record, after: tuple[int, int]) -> tuple[int, int]:
        """Move the customer's sums from what the record before said to ``after``."""
        was = before.get("exposed", (0, 0))
        number = before["header"]["customerNumber"]
        self.books.add(number, outstanding=after[0] - was[0], not_invoiced=after[1] - was[1])
        return after


def _is_shipped(line: Line) -> bool:
    return exact(line.get("quantity", 0)) == exact(line.get("shippedQuantity", 0))


def _write_totals(header: Line, totals: Totals) -> None:
    header["totalAmountExcludingTax"] = float(totals.net)
    header["totalTaxAmount"] = float(totals.tax)
    header["totalAmountIncludingTax"] = float(totals.net + totals.tax)
    if "remainingAmount" in header:
        header["remainingAmount"] = header["totalAmountIncludingTax"]
