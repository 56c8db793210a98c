"""Master data written over the API: customers, items and the small sets they refer to."""

from collections.abc import Mapping
from typing import Any

from deploy.sandbox.business_central.bodies import checked
from deploy.sandbox.business_central.books import Books
from deploy.sandbox.business_central.documents import blank_row
from deploy.sandbox.business_central.errors import BusinessCentralError, dialog
from deploy.sandbox.business_central.guids import EMPTY_GUID, new_etag, new_guid
from deploy.sandbox.business_central.prices import LCY
from deploy.sandbox.business_central.schema import EntitySet
from deploy.sandbox.vault import Record

__all__ = ["Masters"]

Fields = dict[str, Any]
_IDENTITY = {"customers": ("number", "CU", 70001), "items": ("number", "IT", 80001)}
# property -> the set it must be found in, and the vendor's name for that record
_CUSTOMER_REFERENCES = (
    ("paymentTermsId", "paymentTerms", "Payment Terms"),
    ("shipmentMethodId", "shipmentMethods", "Shipment Method"),
    ("paymentMethodId", "paymentMethods", "Payment Method"),
)


class Masters:
    """Creates, changes and deletes the records of the sets of master data."""

    def __init__(self, books: Books, sets: Mapping[str, EntitySet]) -> None:
        self._books = books
        self._sets = sets

    def create(self, entity_set: EntitySet, body: Fields, **given: Any) -> Record:
        """A new record; ``given`` is what the address says (the journal of a payment).

        Raises:
            BusinessCentralError: the body is wrong, or there is such a record already.
        """
        fields, _ = checked(body, entity_set)
        name = entity_set.name
        if name == "items" and "inventory" in fields:
            raise dialog("Inventory cannot be changed during on insert.")
        with self._books.transactions.one():
            record = {"@odata.etag": "", **blank_row(entity_set), "id": new_guid(), **given}
            self._apply(name, record, fields)
            self._identify(name, record)
            return self._put(name, record, "created")

    def change(self, entity_set: EntitySet, record: Record, body: Fields) -> Record:
        """The record after a PATCH."""
        fields, _ = checked(body, entity_set)
        with self._books.transactions.one():
            changed = dict(record)
            self._apply(entity_set.name, changed, fields)
            key = _key_of(entity_set.name, changed)
            if key is not None and changed[key] != record[key]:
                self._refuse_twin(entity_set.name, key, changed)
            return self._put(entity_set.name, changed, "updated")

    def delete(self, entity_set: EntitySet, record: Record) -> None:
        """Delete a record that no open document needs."""
        name = entity_set.name
        if name == "customers" and self._books.has_documents(record["number"]):
            raise dialog(
                f"You cannot delete Customer {record['number']} because there is at least one "
                "outstanding document for this customer."
            )
        with self._books.transactions.one():
            self._books.table(name).delete(record["id"])
            self._books.transactions.changed(name, record["id"], "deleted")

    def _put(self, name: str, record: Record, kind: Any) -> Record:
        record["@odata.etag"] = new_etag()
        record["lastModifiedDateTime"] = self._books.now()
        self._books.table(name).put(record["id"], record)
        self._books.transactions.changed(name, record["id"], kind)
        return record

    def _identify(self, name: str, record: Record) -> None:
        """Give a number where none was sent; refuse one that is taken."""
        key = _key_of(name, record)
        if key is None:
            return
        if not record[key] and name in _IDENTITY:
            _, prefix, first = _IDENTITY[name]
            record[key] = self._books.next_number(name, prefix, first)
        self._refuse_twin(name, key, record)

    def _refuse_twin(self, name: str, key: str, record: Record) -> None:
        if self._books.finder(name, key) is None:
            return
        if self._books.find(name, key, record[key]) is not None:
            raise BusinessCentralError(
                400,
                "Internal_EntityWithSameKeyExists",
                f"The record in table {self._sets[name].entity.title()} already exists. "
                f"Identification fields and values: No.='{record[key]}'",
            )

    def _apply(self, name: str, record: Record, fields: Fields) -> None:
        if name == "customers":
            self._apply_customer(record, fields)
        elif name == "items":
            self._apply_item(record, fields)
        elif name == "customerPayments":
            self._apply_payment(record, fields)
        for field, value in fields.items():
            prop = self._sets[name].properties[field]
            record[field] = float(value) if prop.kind == "dec" else value

    def _apply_customer(self, record: Record, fields: Fields) -> None:
        if not fields.get("displayName", record["displayName"]):
            sent = "displayName" in fields
            raise dialog(
                'The blank "displayName" is not allowed.'
                if sent
                else 'A "displayName" must be provided.'
            )
        for field, entity_set, caption in _CUSTOMER_REFERENCES:
            wanted = fields.get(field, EMPTY_GUID)
            if wanted != EMPTY_GUID and wanted not in self._books.table(entity_set):
                raise dialog(f'The "{field}" does not match to a {caption}.')
        if "taxAreaId" in fields:
            area = self._books.table("taxAreas").get(fields["taxAreaId"])
            record["taxAreaDisplayName"] = "" if area is None else area["displayName"]
        self._pair(record, fields, ("currencyId", "currencyCode"), "currencies", "Currency")
        if record["currencyCode"] in {"", LCY}:
            record["currencyId"], record["currencyCode"] = EMPTY_GUID, LCY

    def _apply_item(self, record: Record, fields: Fields) -> None:
        self._pair(record, fields, ("taxGroupId", "taxGroupCode"), "taxGroups", "Tax Group")
        pair = ("itemCategoryId", "itemCategoryCode")
        self._pair(record, fields, pair, "itemCategories", "Item Category")
        pair = ("baseUnitOfMeasureId", "baseUnitOfMeasureCode")
        self._pair(record, fields, pair, "unitsOfMeasure", "Unit of Measure")

    def _apply_payment(self, record: Record, fields: Fields) -> None:
        key = fields.get("appliesToInvoiceId")
        if key is not None:
            invoice = self._books.table("salesInvoices").get(key)
            if invoice is None or not invoice.get("posted"):
                raise dialog(
                    'The "appliesToInvoiceId" should be the ID of an Open, Paid, Corrective, or '
                    "Canceled Invoice."
                )
            record["appliesToInvoiceNumber"] = invoice["header"]["number"]
        if "customerNumber" in fields or "customerId" in fields:
            number, identity = fields.get("customerNumber"), fields.get("customerId")
            found = (
                self._books.table("customers").get(identity)
                if identity
                else self._books.find("customers", "number", number or "")
            )
            if found is None:
                field = "customerId" if identity else "customerNumber"
                raise dialog(f'The "{field}" does not match to a Customer.')
            if number and found["number"] != number:
                raise dialog("The customer values do not match to a specific Customer.")
            record["customerId"], record["customerNumber"] = found["id"], found["number"]

    def _pair(
        self,
        record: Record,
        fields: Fields,
        names: tuple[str, str],
        entity_set: str,
        caption: str,
    ) -> None:
        """An id and a code that say the same: set both from whichever was sent."""
        key, code = fields.get(names[0]), fields.get(names[1])
        if key is None and code is None:
            return
        found: Record | None
        if key not in {None, EMPTY_GUID}:
            found = self._books.table(entity_set).get(str(key))
            wrong = names[0]
        elif code:
            found = self._books.find(entity_set, "code", code)
            wrong = names[1]
        else:
            record[names[0]], record[names[1]] = EMPTY_GUID, ""
            return
        if found is None:
            raise dialog(f'The "{wrong}" does not match to a {caption}.')
        if code and key not in {None, EMPTY_GUID} and found["code"] != code:
            raise dialog(f"The {caption.lower()} values do not match to a specific {caption}.")
        record[names[0]], record[names[1]] = found["id"], found["code"]
        fields.pop(names[0], None)
        fields.pop(names[1], None)


def _key_of(name: str, record: Record) -> str | None:
    """The property that identifies a record to people."""
    if name in _IDENTITY:
        return _IDENTITY[name][0]
    return "code" if "code" in record else None
