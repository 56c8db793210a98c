"""Posting: shipments and invoices out of orders, invoices and credit memos out of drafts, payments.

What is posted can no longer be modified; an order that is fully shipped and invoiced is gone.
Sources: Sales-Post (CalcInvoice), Sales Header (Shipping Advice), Customer
(CheckBlockedCustOnDocs).
"""

from decimal import Decimal
from typing import Any

from deploy.sandbox.business_central.amounts import calculate, exact, money, written
from deploy.sandbox.business_central.documents import SalesDocuments
from deploy.sandbox.business_central.errors import dialog
from deploy.sandbox.business_central.guids import EMPTY_GUID, line_guid, new_etag, new_guid
from deploy.sandbox.business_central.headers import refuse_blocked
from deploy.sandbox.business_central.kinds import KINDS
from deploy.sandbox.business_central.lines import Line, quantities
from deploy.sandbox.business_central.transaction import ChangeKind
from deploy.sandbox.vault import Record

__all__ = ["Posting"]

_ORDERS = KINDS["salesOrders"]
_INVOICES = KINDS["salesInvoices"]
_CREDIT_MEMOS = KINDS["salesCreditMemos"]
_NOTHING = "There is nothing to post because the document does not contain a quantity or amount."
_NO_LINES = "Please add at least one line item to the {noun}."
_SHIPS = frozenset({"All", "Invoice", "Ship"})
_INVOICED = frozenset({"All", "Invoice"})
_TO_POST = ("shipQuantity", "invoiceQuantity", "shippedQuantity", "invoicedQuantity")


class Posting:
    """The posting routines over the documents of one company."""

    def __init__(self, documents: SalesDocuments) -> None:
        self._documents = documents
        self._books = documents.books

    def ship_and_invoice(self, order: Record) -> None:
        """Post what every line has to ship and to invoice."""
        self._documents.refuse_edit(_ORDERS, order)
        lines = order["lines"]
        if not lines:
            raise dialog(_NO_LINES.format(noun="document"))
        shipping = [(line, quantities(line)[2]) for line in lines]
        shipping = [(line, quantity) for line, quantity in shipping if quantity]
        invoicing = [(line, quantities(line)[3]) for line in lines]
        invoicing = [(line, quantity) for line, quantity in invoicing if quantity]
        if not shipping and not invoicing:
            raise dialog(_NOTHING)
        customer = self._customer(order)
        refuse_blocked(customer, _SHIPS if shipping else _INVOICED, "post")
        if shipping and not order["header"]["partialShipping"]:
            _refuse_partial(lines)
        with self._books.transactions.one():
            if shipping:
                self._ship(order, shipping)
            if invoicing:
                self._invoice(order, invoicing)
            self._advance(order, dict_of(shipping), dict_of(invoicing))

    def bill_shipped(self, order: Record) -> Record:
        """Bill what is shipped and not billed, as a person does; answer the posted invoice.

        Raises:
            BusinessCentralError: there is nothing to bill, or the customer is blocked for it.
        """
        owed = []
        for line in order["lines"]:
            shipped, invoiced, _, _ = quantities(line)
            if shipped > invoiced:
                owed.append((line, shipped - invoiced))
        if not owed:
            raise dialog(_NOTHING)
        refuse_blocked(self._customer(order), _INVOICED, "post")
        with self._books.transactions.one():
            number = self._invoice(order, owed)
            self._advance(order, {}, dict_of(owed))
        found = self._books.find("salesInvoices", "number", number)
        if found is None:
            raise dialog(_NOTHING)
        return found

    def post_invoice(self, invoice: Record) -> None:
        """Post a draft invoice: it gets its posted number and is open until it is paid."""
        if invoice.get("posted"):
            raise dialog("The action can be applied to a draft invoice only.")
        if not invoice["lines"]:
            raise dialog(_NO_LINES.format(noun="invoice"))
        refuse_blocked(self._customer(invoice), _SHIPS, "post")
        with self._books.transactions.one():
            number = self._books.next_number("postedInvoices", "PS-INV", 103001)
            self._move_stock(invoice["lines"], -1)
            self._open_invoice({**invoice, "draft": invoice["header"]["number"]}, number)

    def post_credit_memo(self, memo: Record) -> None:
        """Post a draft credit memo; against an invoice it lowers what remains of it."""
        if memo.get("posted"):
            raise dialog("The action can be applied to a draft credit memo only.")
        if not memo["lines"]:
            raise dialog(_NO_LINES.format(noun="credit memo"))
        refuse_blocked(self._customer(memo), frozenset({"All"}), "post")
        with self._books.transactions.one():
            self._move_stock(memo["lines"], 1)
            self._close_credit_memo(memo, "Paid" if self._applied(memo) else "Open")

    def cancel_invoice(self, invoice: Record) -> None:
        """Undo a posted, unpaid invoice with a posted corrective credit memo."""
        header = invoice["header"]
        if not invoice.get("posted"):
            raise dialog("The action can be applied to a posted invoice only.")
        if header["status"] == "Canceled":
            raise dialog("The invoice cannot be canceled because it has already been canceled.")
        if header["remainingAmount"] != header["totalAmountIncludingTax"]:
            raise dialog(
                "Canceling the invoice failed because of the following error: \\\\"
                "You cannot cancel this posted sales invoice because it is fully or "
                "partially paid.."
            )
        with self._books.transactions.one():
            memo = self._corrective(invoice)
            self._move_stock(memo["lines"], 1)
            self._close_credit_memo(memo, "Corrective")
            self._put_invoice(invoice, status="Canceled", remainingAmount=0.0)

    def corrective_credit_memo(self, invoice: Record) -> Record:
        """A draft credit memo over everything that a posted invoice holds."""
        if not invoice.get("posted"):
            raise dialog("The action can be applied to a posted invoice only.")
        if invoice["header"]["status"] in {"Canceled", "Corrective"}:
            raise dialog("The invoice cannot be canceled because it has already been canceled.")
        with self._books.transactions.one():
            return self._corrective(invoice)

    def cancel_credit_memo(self, memo: Record) -> None:
        """Undo a posted corrective credit memo: only its amount and status, as for a mistake."""
        if not memo.get("posted"):
            raise dialog("The action can be applied to a posted credit memo only.")
        if memo["header"]["status"] == "Canceled":
            raise dialog(
                "The credit memo cannot be cancelled because it has already been canceled."
            )
        with self._books.transactions.one():
            header = {**memo["header"], "status": "Canceled"}
            self._move_stock(memo["lines"], -1)
            self._put("salesCreditMemos", {**memo, "header": header})
            self._owe(header, 1)
            self._books.transactions.book(
                "salesCreditMemos.cancel",
                reference=memo["reference"],
                **self._documents.facts(memo),
            )

    def pay(self, invoice: Record, amount: Decimal) -> Record:
        """A payment received: what remains goes down, and at nothing the invoice is Paid.

        Raises:
            BusinessCentralError: the invoice is not open, or less remains than is paid.
        """
        header = invoice["header"]
        remaining = exact(header["remainingAmount"])
        if header["status"] != "Open":
            raise dialog("Payments can be applied to an open invoice only.")
        if not 0 < amount <= remaining:
            raise dialog(f"The amount must be above 0 and at most {written(remaining)}.")
        with self._books.transactions.one():
            left = remaining - amount
            paid = self._put_invoice(
                invoice, status="Open" if left else "Paid", remainingAmount=float(left)
            )
            lcy = self._books.lcy_cents(amount, header["currencyCode"])
            self._books.add(header["customerNumber"], balance=-lcy)
            self._books.transactions.book(
                "customerPayments.post",
                reference=invoice["reference"],
                amount=money(amount),
                currency=header["currencyCode"],
                entity=header["id"],
                detail={"invoice": header["number"], "remaining": str(money(left))},
            )
        return paid

    def _ship(self, order: Record, shipping: list[tuple[Line, Decimal]]) -> None:
        books, header = self._books, order["header"]
        identity = new_guid()
        number = books.next_number("salesShipments", "PS-SHPT", 102001)
        rows = _portions(identity, shipping, "shippedQuantity")
        posted = self._posted_header("salesShipments", header)
        posted |= {
            "@odata.etag": new_etag(),
            "id": identity,
            "number": number,
            "orderNumber": header["number"],
            "invoiceDate": header["orderDate"],
            "postingDate": header["postingDate"],
            "paymentTermsCode": self._code("paymentTerms", header["paymentTermsId"]),
            "shipmentMethodCode": self._code("shipmentMethods", header["shipmentMethodId"]),
            "lastModifiedDateTime": books.now(),
        }
        record = {"header": posted, "lines": rows, "reference": order["reference"]}
        books.table("salesShipments").put(identity, record)
        self._move_stock(rows, -1)
        books.transactions.book(
            "salesShipments.post",
            reference=order["reference"],
            entity=identity,
            detail={
                "order": header["number"],
                "shipment": number,
                "lines": [
                    {"item": row.get("lineObjectNumber"), "quantity": row["quantity"]}
                    for row in rows
                ],
            },
        )

    def _invoice(self, order: Record, invoicing: list[tuple[Line, Decimal]]) -> str:
        header = order["header"]
        identity = new_guid()
        number = self._books.next_number("postedInvoices", "PS-INV", 103001)
        posted = self._posted_header("salesInvoices", header)
        posted |= {
            "id": identity,
            "orderId": header["id"],
            "orderNumber": header["number"],
            "invoiceDate": header["orderDate"],
            "discountAmount": _share_of_discount(invoicing),
        }
        self._documents.headers.apply(_INVOICES, posted, {})
        rows = _portions(identity, invoicing, "invoicedQuantity")
        record = {"header": posted, "lines": rows, "reference": order["reference"]}
        self._open_invoice(record, number)
        return number

    def _open_invoice(self, invoice: Record, number: str) -> None:
        """Compute, number and store a posted invoice, and book what the customer owes now."""
        created = "draft" not in invoice
        lines, totals = calculate(invoice["lines"], exact(invoice["header"]["discountAmount"]))
        gross = float(totals.net + totals.tax)
        header = {
            **invoice["header"],
            "number": number,
            "status": "Open",
            "totalAmountExcludingTax": float(totals.net),
            "totalTaxAmount": float(totals.tax),
            "totalAmountIncludingTax": gross,
            "remainingAmount": gross,
        }
        record = {**invoice, "header": header, "lines": lines, "posted": True}
        self._put("salesInvoices", record, created=created)
        self._owe(header, 1)
        self._books.transactions.book(
            "salesInvoices.post",
            reference=invoice["reference"],
            **self._documents.facts(record),
            detail={"order": header["orderNumber"], "invoice": number},
        )

    def _advance(
        self, order: Record, shipped: dict[str, Decimal], invoiced: dict[str, Decimal]
    ) -> None:
        """Move the order's lines on, or take the order away when nothing is left of it."""
        rows = []
        for line in order["lines"]:
            found = {name: value for name, value in line.items() if name not in _TO_POST}
            before = quantities(line)
            for name, so_far, more in (
                ("shippedQuantity", before[0], shipped),
                ("invoicedQuantity", before[1], invoiced),
            ):
                total = so_far + more.get(line["id"], Decimal(0))
                if total:
                    found[name] = float(total)
            if found != line:
                found["@odata.etag"] = new_etag()
            rows.append(found)
        if all(_is_done(row) for row in rows):
            self._documents.remove(_ORDERS, order)
        else:
            self._documents.store(_ORDERS, {**order, "lines": rows})

    def _corrective(self, invoice: Record) -> Record:
        header = invoice["header"]
        posted = self._posted_header("salesCreditMemos", header)
        posted |= {
            "creditMemoDate": self._books.today().isoformat(),
            "discountAmount": header["discountAmount"],
            "invoiceId": header["id"],
            "invoiceNumber": header["number"],
            "status": "Draft",
        }
        return self._documents.open(_CREDIT_MEMOS, posted, invoice["lines"], invoice["reference"])

    def _close_credit_memo(self, memo: Record, status: str) -> None:
        number = self._books.next_number("postedCreditMemos", "PS-CR", 104001)
        header = {**memo["header"], "number": number, "status": status}
        record = {**memo, "header": header, "posted": True}
        self._put("salesCreditMemos", record)
        self._owe(header, -1)
        self._books.transactions.book(
            "salesCreditMemos.post",
            reference=memo["reference"],
            **self._documents.facts(record),
            detail={"invoice": header["invoiceNumber"], "creditMemo": number},
        )

    def _applied(self, memo: Record) -> bool:
        """Set the memo off against its invoice; answers whether nothing of the memo is left."""
        key = memo["header"]["invoiceId"]
        invoice = self._books.table("salesInvoices").get(key) if key != EMPTY_GUID else None
        if invoice is None or invoice["header"]["status"] != "Open":
            return False
        credit = exact(memo["header"]["totalAmountIncludingTax"])
        remaining = exact(invoice["header"]["remainingAmount"])
        left = max(remaining - credit, Decimal(0))
        self._put_invoice(invoice, status="Open" if left else "Paid", remainingAmount=float(left))
        return credit <= remaining

    def _put_invoice(self, invoice: Record, **values: Any) -> Record:
        record = {**invoice, "header": {**invoice["header"], **values}}
        return self._put("salesInvoices", record)

    def _put(self, entity_set: str, record: Record, *, created: bool = False) -> Record:
        header = {
            **record["header"],
            "@odata.etag": new_etag(),
            "lastModifiedDateTime": self._books.now(),
        }
        stored = {**record, "header": header}
        self._books.table(entity_set).put(header["id"], stored)
        kind: ChangeKind = "created" if created else "updated"
        self._books.transactions.changed(entity_set, header["id"], kind)
        return stored

    def _owe(self, header: Line, sign: int) -> None:
        currency = header["currencyCode"]
        gross = self._books.lcy_cents(exact(header["totalAmountIncludingTax"]), currency)
        net = self._books.lcy_cents(exact(header["totalAmountExcludingTax"]), currency)
        self._books.add(header["customerNumber"], balance=sign * gross, sales=sign * net)

    def _move_stock(self, lines: list[Line], sign: int) -> None:
        """Stock in or out; the card's tag and time stay, inventory is not a field of it."""
        items = self._books.table("items")
        for line in lines:
            item = items.get(line.get("itemId", ""))
            if item is not None and line.get("quantity"):
                stock = item["inventory"] + sign * line["quantity"]
                items.put(item["id"], {**item, "inventory": stock})

    def _posted_header(self, entity_set: str, header: Line) -> Line:
        """The fields that the header of the new document shares with this one."""
        blank = self._documents.blanks[entity_set]
        return {name: header.get(name, value) for name, value in blank.items()}

    def _code(self, entity_set: str, key: str) -> str:
        found = self._books.table(entity_set).get(key)
        return "" if found is None else str(found["code"])

    def _customer(self, record: Record) -> Record:
        found = self._books.table("customers").get(record["header"]["customerId"])
        if found is None:
            raise dialog("The sell-to customer cannot be found.")
        return found


def dict_of(portions: list[tuple[Line, Decimal]]) -> dict[str, Decimal]:
    """The portions by line id."""
    return {line["id"]: quantity for line, quantity in portions}


def _portions(document: str, portions: list[tuple[Line, Decimal]], so_far: str) -> list[Line]:
    """Lines of a posted document: the part of each that is posted, with its discount."""
    rows = []
    for line, quantity in portions:
        row = {name: value for name, value in line.items() if name not in _TO_POST}
        row.pop("@odata.etag", None)
        row["id"] = line_guid(document, line["sequence"])
        row["quantity"] = float(quantity)
        if line.get("discountAmount"):
            part = _part(exact(line["discountAmount"]), line, so_far, quantity)
            row["discountAmount"] = float(part)
        rows.append(row)
    return rows


def _share_of_discount(invoicing: list[tuple[Line, Decimal]]) -> float:
    """The invoice discount that falls on what is invoiced now."""
    share = Decimal(0)
    for line, quantity in invoicing:
        allocated = exact(line.get("invoiceDiscountAllocation", 0))
        if allocated:
            share += _part(allocated, line, "invoicedQuantity", quantity)
    return float(share)


def _part(amount: Decimal, line: Line, so_far: str, quantity: Decimal) -> Decimal:
    """The part of an amount that falls on the next ``quantity``: the parts add up to the whole."""
    whole, done = exact(line["quantity"]), exact(line.get(so_far, 0))
    return money(amount * (done + quantity) / whole) - money(amount * done / whole)


def _refuse_partial(lines: list[Line]) -> None:
    for line in lines:
        shipped, _, to_ship, _ = quantities(line)
        if shipped + to_ship != exact(line.get("quantity", 0)):
            raise dialog(
                "This document cannot be shipped completely. "
                "Change the value in the Shipping Advice field to Partial."
            )


def _is_done(line: Line) -> bool:
    shipped, invoiced, _, _ = quantities(line)
    return shipped == invoiced == exact(line.get("quantity", 0))
