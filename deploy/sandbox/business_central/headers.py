"""The header of a document: who buys, where it goes, in which currency, on which terms."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from deploy.sandbox.business_central.books import NO_DAY, Books
from deploy.sandbox.business_central.errors import dialog
from deploy.sandbox.business_central.guids import EMPTY_GUID
from deploy.sandbox.business_central.kinds import Kind
from deploy.sandbox.business_central.prices import LCY
from deploy.sandbox.business_central.taxes import is_sales_tax
from deploy.sandbox.vault import Record

__all__ = ["HeaderWriter", "refuse_blocked"]

Header = dict[str, Any]
_ADDRESS = (
    ("AddressLine1", "addressLine1"),
    ("AddressLine2", "addressLine2"),
    ("City", "city"),
    ("Country", "country"),
    ("State", "state"),
    ("PostCode", "postalCode"),
)
_CUSTOMER = frozenset({"customerId", "customerNumber"})
_BILL_TO = frozenset({"billToCustomerId", "billToCustomerNumber"})
_REFERENCES = (
    ("paymentTermsId", "paymentTerms", "Payment Terms"),
    ("shipmentMethodId", "shipmentMethods", "Shipment Method"),
    ("customerReturnReasonId", "customerReturnReasons", "Reason Code"),
)


def refuse_blocked(customer: Record, refused_for: frozenset[str], verb: str) -> None:
    """Refuse what a customer's `blocked` forbids; ``verb`` is create or post.

    Source: Customer, CheckBlockedCustOnDocs.
    """
    if customer["blocked"] in refused_for:
        raise dialog(
            f"You cannot {verb} this type of document when Customer {customer['number']} "
            f"is blocked with type {customer['blocked']}"
        )


class HeaderWriter:
    """Writes the headers of every kind of document."""

    def __init__(self, books: Books, blanks: Mapping[str, Header]) -> None:
        self._books = books
        self._blanks = blanks

    def customer(self, fields: Header, kind: str = "sell-to") -> Record:
        """The customer that a body names by id, by number or by both.

        Raises:
            BusinessCentralError: named not at all, wrongly, or as two different ones.
        """
        prefix = "billToCustomer" if kind == "bill-to" else "customer"
        key, number = fields.get(f"{prefix}Id"), fields.get(f"{prefix}Number")
        if not key and not number:
            raise dialog('A "customerNumber" or a "customerId" must be provided.')
        by_id = self._books.table("customers").get(key) if key else None
        by_number = self._books.find("customers", "number", number) if number else None
        if (key and by_id is None) or (number and by_number is None):
            raise dialog(f"The {kind} customer cannot be found.")
        if by_id is not None and by_number is not None and by_id is not by_number:
            raise dialog(f"The {kind} customer values do not match to a specific Customer.")
        found = by_id or by_number
        if found is None:
            raise dialog(f"The {kind} customer cannot be found.")
        return found

    def new(self, kind: Kind, customer: Record, fields: Header) -> Header:
        """A header with what the customer brings, overlaid with what the caller sent."""
        today = self._books.today().isoformat()
        header = {**self._blanks[kind.name], "customerId": customer["id"]}
        header["customerNumber"] = customer["number"]
        header["customerName"] = customer["displayName"]
        for party in ("sellTo", "billTo", "shipTo"):
            if f"{party}City" in header:
                for field, source in _ADDRESS:
                    header[party + field] = customer[source]
        if "shipToName" in header:
            header["shipToName"] = customer["displayName"]
        self._bill(header, customer)
        header[kind.date] = header["postingDate"] = today
        header["currencyId"] = customer["currencyId"]
        header["currencyCode"] = customer["currencyCode"] or LCY
        header["paymentTermsId"] = customer["paymentTermsId"]
        header["shipmentMethodId"] = customer["shipmentMethodId"]
        header["salesperson"] = customer["salespersonCode"]
        header["phoneNumber"] = customer["phoneNumber"]
        header["email"] = customer["email"]
        header["status"] = kind.status
        if "partialShipping" in header:
            header["partialShipping"] = True
        self.apply(kind, header, fields)
        return header

    def apply(self, kind: Kind, header: Header, fields: Header) -> None:
        """Write what a caller sent into the header, checking every reference."""
        self._currency(header, fields)
        for name, entity_set, caption in _REFERENCES:
            wanted = fields.get(name, EMPTY_GUID)
            if wanted != EMPTY_GUID and wanted not in self._books.table(entity_set):
                raise dialog(f'The "{name}" does not match to a {caption}.')
        if fields.get("pricesIncludeTax"):
            self._refuse_tax_in_prices(header)
        if not _BILL_TO.isdisjoint(fields):
            self._bill(header, self.customer(fields, "bill-to"))
        if "invoiceId" in fields or "invoiceNumber" in fields:
            fields = {**fields, **self._invoice(fields)}
        for name, value in fields.items():
            if name not in _CUSTOMER and name not in _BILL_TO and "currency" not in name:
                header[name] = float(value) if name == "discountAmount" else value
        if "dueDate" in header and "dueDate" not in fields:
            header["dueDate"] = self._due(header["paymentTermsId"], header[kind.date])

    def tax_area(self, customer: Record) -> str:
        """The code of the customer's tax area, empty when it has none."""
        area = self._books.table("taxAreas").get(customer["taxAreaId"])
        return str(area["code"]) if area is not None else ""

    def _bill(self, header: Header, customer: Record) -> None:
        header["billToName"] = customer["displayName"]
        header["billToCustomerId"] = customer["id"]
        header["billToCustomerNumber"] = customer["number"]
        for field, source in _ADDRESS:
            header["billTo" + field] = customer[source]

    def _invoice(self, fields: Header) -> Header:
        """The posted invoice that a credit memo is for, named by id, number or both."""
        key, number = fields.get("invoiceId"), fields.get("invoiceNumber")
        if key is not None:
            found = self._books.table("salesInvoices").get(key)
        else:
            found = self._books.find("salesInvoices", "number", number or "")
        if found is None or not found.get("posted"):
            raise dialog('The "invoiceId" does not match to an Invoice.')
        header = found["header"]
        if number is not None and header["number"] != number:
            raise dialog('The "invoiceId" and "invoiceNumber" do not match to a specific Invoice.')
        return {"invoiceId": header["id"], "invoiceNumber": header["number"]}

    def _currency(self, header: Header, fields: Header) -> None:
        if "currencyId" not in fields and "currencyCode" not in fields:
            return
        key, code = fields.get("currencyId"), fields.get("currencyCode")
        by_code = self._books.find("currencies", "code", code or LCY)
        if by_code is None:
            raise dialog('The "currencyCode" does not match to a Currency.')
        found = by_code
        if key is not None and key != EMPTY_GUID:
            by_id = self._books.table("currencies").get(key)
            if by_id is None:
                raise dialog('The "currencyId" does not match to a Currency.')
            if code is not None and by_id is not by_code:
                raise dialog("The currency values do not match to a specific Currency.")
            found = by_id
        header["currencyCode"] = found["code"]
        header["currencyId"] = EMPTY_GUID if found["code"] == LCY else found["id"]

    def _refuse_tax_in_prices(self, header: Header) -> None:
        customer = self._books.table("customers").get(header["customerId"])
        if customer is not None and is_sales_tax(self.tax_area(customer)):
            raise dialog(
                'The "pricesIncludeTax" cannot be set to true if VAT Calculation Type is Sales Tax.'
            )
        raise dialog("Prices Including VAT is not set up for this company.")

    def _due(self, terms: str, day: str) -> str:
        found = self._books.table("paymentTerms").get(terms)
        days = "" if found is None else found["dueDateCalculation"].rstrip("D")
        if not days.isdigit() or day == NO_DAY:
            return day
        start = date.fromisoformat(day)
        return (start + min(timedelta(days=int(days)), date.max - start)).isoformat()
