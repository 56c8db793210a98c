"""One line of a document: what it sells, at which price, taxed how, and what may be changed of it.

A line is stored as the properties that differ from the blank ones; ``LineWriter.row`` makes the
whole of it.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from deploy.sandbox.business_central.amounts import CENT, exact, money, written
from deploy.sandbox.business_central.books import Books
from deploy.sandbox.business_central.errors import BusinessCentralError, dialog
from deploy.sandbox.business_central.guids import line_guid, seed_etag
from deploy.sandbox.business_central.kinds import Kind
from deploy.sandbox.business_central.prices import Buyer
from deploy.sandbox.business_central.taxes import tax_percent
from deploy.sandbox.vault import Record

__all__ = ["LineWriter", "Setting", "quantities"]

Line = dict[str, Any]
_HUNDRED = Decimal(100)
# kept as sent; amounts come as decimals and are kept as numbers
_TEXTS = ("description", "description2", "taxCode", "shipmentDate", "itemVariantId")


class Setting(msgspec.Struct, frozen=True):
    """What the document says to its lines: who buys, in which tax area, on which day."""

    kind: Kind
    buyer: Buyer
    tax_area: str
    day: date


def quantities(line: Line) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Shipped, invoiced, to ship and to invoice; unless set, everything that is left."""
    quantity = exact(line.get("quantity", 0))
    shipped = exact(line.get("shippedQuantity", 0))
    invoiced = exact(line.get("invoicedQuantity", 0))
    to_ship = exact(line["shipQuantity"]) if "shipQuantity" in line else quantity - shipped
    left = shipped + to_ship - invoiced
    to_invoice = exact(line["invoiceQuantity"]) if "invoiceQuantity" in line else left
    return shipped, invoiced, to_ship, to_invoice


class LineWriter:
    """Writes and shows the lines of every kind of document."""

    def __init__(self, books: Books, blanks: Mapping[str, Line]) -> None:
        self._books = books
        self._blanks = blanks

    def new(self, setting: Setting, document: str, sequence: int, fields: Line) -> Line:
        """A line out of what a caller sent.

        Raises:
            BusinessCentralError: the item cannot be sold, or the values contradict each other.
        """
        line: Line = {"id": line_guid(document, sequence), "sequence": sequence}
        if fields.get("lineType") == "Comment":
            line["lineType"] = "Comment"
            line["description"] = fields.get("description", "")
            return line
        item = self._item(fields)
        _refuse_blocked(item)
        line |= {
            "itemId": item["id"],
            "lineType": "Item",
            "lineObjectNumber": item["number"],
            "description": item["displayName"],
            "unitOfMeasureId": item["baseUnitOfMeasureId"],
            "unitOfMeasureCode": item["baseUnitOfMeasureCode"],
            "taxCode": item["taxGroupCode"],
            "quantity": 0.0,
        }
        if "shipmentDate" in self._blanks[setting.kind.lines]:
            line["shipmentDate"] = setting.day.isoformat()
        self._set(setting, line, item, fields)
        return line

    def changed(self, setting: Setting, line: Line, fields: Line) -> Line:
        """The line after a change.

        Raises:
            BusinessCentralError: the change is not allowed, or goes below what has been shipped.
        """
        found = dict(line)
        if "sequence" in fields and fields["sequence"] != line["sequence"]:
            raise dialog(
                "The value for sequence cannot be modified. Delete and insert the line again."
            )
        number = fields.get("lineObjectNumber", line.get("lineObjectNumber"))
        if number != line.get("lineObjectNumber"):
            raise dialog('The value for "lineObjectNumber" cannot be modified.')
        item = None
        if line.get("lineType") != "Comment":
            item = self._item({"itemId": fields.get("itemId", line["itemId"])})
        self._set(setting, found, item, fields)
        return found

    def row(self, kind: Kind, document: Record, line: Line) -> Line:
        """The whole line as the API shows it."""
        tag = line.get("@odata.etag") or seed_etag(line["id"])
        row = {"@odata.etag": tag, **self._blanks[kind.lines], **line}
        row["documentId"] = document["header"]["id"]
        amount, tax = row["amountExcludingTax"], row["totalTaxAmount"]
        net = round(amount - row.get("invoiceDiscountAllocation", 0.0), 2)
        row["amountIncludingTax"] = row["netAmountIncludingTax"] = round(net + tax, 2)
        row["netAmount"] = net
        row["netTaxAmount"] = tax
        if kind.has_quantities_to_post and "quantity" in line:
            _, _, to_ship, to_invoice = quantities(line)
            row["shipQuantity"], row["invoiceQuantity"] = float(to_ship), float(to_invoice)
        return row

    def _item(self, fields: Line) -> Record:
        """The item a line names, which must be there."""
        if "itemId" in fields and "accountId" in fields:
            raise dialog('Both "itemId" and "accountId" are specified. Specify only one of them.')
        item: Record | None
        if "itemId" in fields:
            item = self._books.table("items").get(fields["itemId"])
            if item is None:
                raise dialog("Item does not exist.")
        elif "accountId" in fields:
            raise dialog("Account does not exist.")
        else:
            number = fields.get("lineObjectNumber", "")
            kind = fields.get("lineType", "Item")
            item = self._books.find("items", "number", number) if kind == "Item" else None
            if item is None:
                table = "Item" if kind == "Item" else kind.replace("_x0020_", " ")
                raise BusinessCentralError(
                    400,
                    "Internal_InvalidTableRelation",
                    f"The field No. of table Sales Line contains a value ({number}) that cannot be "
                    f"found in the related table ({table}).",
                )
        return item

    def _set(self, setting: Setting, line: Line, item: Record | None, fields: Line) -> None:
        for name in _TEXTS:
            if name in fields:
                line[name] = fields[name]
        if item is None:
            return
        if "locationId" in fields:
            if fields["locationId"] not in self._books.table("locations"):
                raise dialog("The location does not exist.")
            line["locationId"] = fields["locationId"]
        unit = fields.get("unitOfMeasureCode", item["baseUnitOfMeasureCode"])
        if unit != item["baseUnitOfMeasureCode"]:
            raise BusinessCentralError(
                400,
                "Internal_InvalidTableRelation",
                f"The field Unit of Measure Code of table Sales Line contains a value ({unit}) "
                "that cannot be found in the related table (Item Unit of Measure).",
            )
        line["taxPercent"] = float(tax_percent(setting.tax_area, line["taxCode"] or "ZERO"))
        self._set_price(setting, line, item, fields)
        if setting.kind.has_quantities_to_post:
            _set_quantities_to_post(line, fields)

    def _set_price(self, setting: Setting, line: Line, item: Record, fields: Line) -> None:
        """Quantity, then the price it brings unless one was sent, then the discount."""
        if "quantity" in fields:
            quantity = exact(fields["quantity"])
            _refuse_below_shipped(line, quantity)
            line["quantity"] = float(quantity)
        if "unitPrice" in fields:
            line["unitPrice"] = float(fields["unitPrice"])
        elif "quantity" in fields or "unitPrice" not in line:
            price = self._books.prices.price(
                item["number"],
                exact(item["unitPrice"]),
                setting.buyer,
                exact(line["quantity"]),
                setting.day,
            )
            if price.listed or "unitPrice" not in line:
                line["unitPrice"] = float(price.unit_price)
        full = money(exact(line["quantity"]) * exact(line["unitPrice"]))
        if "discountAmount" in fields:
            off = money(exact(fields["discountAmount"]))
            line["discountAmount"] = float(off)
            line["discountPercent"] = float((off * _HUNDRED / full).quantize(CENT)) if full else 0.0
        elif "discountPercent" in fields or line.get("discountPercent"):
            percent = exact(fields.get("discountPercent", line.get("discountPercent", 0)))
            if not 0 <= percent <= _HUNDRED:
                raise dialog("The line discount percentage must be between 0 and 100.")
            line["discountPercent"] = float(percent)
            line["discountAmount"] = float(money(full * percent / _HUNDRED))


def _refuse_blocked(item: Record) -> None:
    if item["blocked"]:
        raise BusinessCentralError(
            400,
            "Application_FieldValidationException",
            f"Blocked must be equal to 'No'  in Item: No.={item['number']}. "
            "Current value is 'Yes'.",
        )


def _refuse_below_shipped(line: Line, quantity: Decimal) -> None:
    shipped = exact(line.get("shippedQuantity", 0))
    if _exceeds(shipped, quantity):
        raise dialog(f"Quantity must not be less than {written(shipped)} in Sales Line.")


def _exceeds(quantity: Decimal, left: Decimal) -> bool:
    """Whether a quantity goes beyond what is left, or the other way than it (a return line)."""
    return quantity * left < 0 or abs(quantity) > abs(left)


def _set_quantities_to_post(line: Line, fields: Line) -> None:
    """`shipQuantity` resets `invoiceQuantity`; neither may exceed what is left.

    Source: Sales Line, validation of "Qty. to Ship" and "Qty. to Invoice".
    """
    if "quantity" in fields:
        line.pop("shipQuantity", None)
        line.pop("invoiceQuantity", None)
    if "shipQuantity" in fields:
        line.pop("invoiceQuantity", None)
        line["shipQuantity"] = float(fields["shipQuantity"])
        left = exact(line["quantity"]) - exact(line.get("shippedQuantity", 0))
        if _exceeds(exact(fields["shipQuantity"]), left):
            raise dialog(f"You cannot ship more than {written(left)} units.")
    if "invoiceQuantity" in fields:
        line["invoiceQuantity"] = float(fields["invoiceQuantity"])
        shipped, invoiced, to_ship, to_invoice = quantities(line)
        left = shipped + to_ship - invoiced
        if _exceeds(to_invoice, left):
            raise dialog(f"You cannot invoice more than {written(left)} units.")
