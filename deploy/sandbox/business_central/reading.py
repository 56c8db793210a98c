"""What the API shows: rows of every set, found through an index where a filter allows it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from deploy.sandbox.business_central.books import DOCUMENTS, Books
from deploy.sandbox.business_central.documents import SalesDocuments
from deploy.sandbox.business_central.errors import dialog, not_found
from deploy.sandbox.business_central.filters import (
    Filter,
    Row,
    changed_since,
    equalities,
    stamp_key,
)
from deploy.sandbox.business_central.guids import seed_etag
from deploy.sandbox.business_central.query import Options, projected
from deploy.sandbox.business_central.schema import EntitySet
from deploy.sandbox.vault import Record

__all__ = ["Reading"]

_NO_PARENT = "You must specify an Id or a Document Id to get the lines."
_NO_JOURNAL = "You must specify a journal batch ID or a journal ID to get a journal line."


class Reading:
    """Rows of the company's sets."""

    def __init__(
        self, books: Books, documents: SalesDocuments, sets: Mapping[str, EntitySet]
    ) -> None:
        self._books = books
        self._documents = documents
        self._sets = sets

    def rows(self, entity_set: EntitySet, condition: Filter | None) -> Iterable[Row]:
        """Rows that may meet the condition: all of them, or those an index gives.

        Raises:
            BusinessCentralError: lines without their parent.
        """
        name = entity_set.name
        if entity_set.parent is not None:
            return self._orphans(entity_set, condition)
        if name == "customerFinancialDetails":
            return (self.financial_detail(row) for row in self._found("customers", condition))
        if name == "itemLedgerEntries":
            return self._ledger_entries()
        found = self._found(name, condition)
        if name == "customers":
            return map(self.customer, found)
        if name in DOCUMENTS:
            return (record["header"] for record in found)
        return found

    def row(self, entity_set: EntitySet, key: str) -> Row:
        """The row with this id.

        Raises:
            BusinessCentralError: 404, there is none.
        """
        name = entity_set.name
        if name in DOCUMENTS:
            return self._header(self._books.document(name, key))
        if entity_set.parent in DOCUMENTS:
            return self.line(entity_set, key)[1]
        if name == "itemLedgerEntries":
            found = next((row for row in self._ledger_entries() if row["id"] == key), None)
        else:
            table = "customers" if name == "customerFinancialDetails" else name
            found = self._books.table(table).get(key)
        if found is None:
            raise not_found()
        if name == "customerFinancialDetails":
            return self.financial_detail(found)
        return self.customer(found) if name == "customers" else found

    def line(self, entity_set: EntitySet, key: str) -> tuple[Record, Row]:
        """The document and the row of the line with this id.

        Raises:
            BusinessCentralError: 404, there is none.
        """
        parent = entity_set.parent or ""
        document = self._books.document_of_line(parent, key)
        for row in self.lines(parent, document) if document is not None else ():
            if row["id"] == key and document is not None:
                return document, row
        raise not_found()

    def lines(self, parent: str, document: Record) -> list[Row]:
        """The lines of a document."""
        if parent == "salesShipments":
            return [self._shipment_line(document, line) for line in document["lines"]]
        return self._documents.rows(parent, document)

    def expander(self, entity_set: EntitySet, options: Options) -> Callable[[Row, str], Any]:
        """What fills in a navigation of a row, with the options nested in the expansion."""

        def expand(row: Row, navigation: str) -> Any:
            inner = options.expand[navigation]
            found = self.related(entity_set, row, navigation)
            target = self._sets[entity_set.navigations[navigation].entity_set]
            deeper = self.expander(target, inner)
            if isinstance(found, list):
                where = inner.where
                rows = [one for one in found if where is None or where.holds(one)]
                for name, descending in reversed(inner.order):
                    rows.sort(key=lambda one, name=name: one[name], reverse=descending)  # type: ignore[misc]  # a default binds the loop's name
                stop = None if inner.top is None else inner.skip + inner.top
                return [projected(one, inner, deeper) for one in rows[inner.skip : stop]]
            return None if found is None else projected(found, inner, deeper)

        return expand

    def related(self, entity_set: EntitySet, row: Row, navigation: str) -> list[Row] | Row | None:
        """What a navigation leads to from a row."""
        name = entity_set.name
        if navigation.endswith("Lines"):
            return self.lines(name, self._books.document(name, row["id"]))
        match navigation:
            case "customerFinancialDetail":
                return self.financial_detail(row)
            case "location":
                return self._books.table("locations").get(row["locationId"])
            case "unitOfMeasure":
                return self._books.table("unitsOfMeasure").get(row["baseUnitOfMeasureId"])
            case "customerPayments":
                payments = self._books.table("customerPayments").values()
                return [one for one in payments if one["journalId"] == row["id"]]
        raise not_found()

    def customer(self, record: Record) -> Row:
        """A customer as the API shows it: what is due now is no field of the card."""
        if self._books.owes_anything(record["number"]):
            return {**record, "balanceDue": float(self._books.overdue(record["number"]))}
        return record

    def financial_detail(self, customer: Record) -> Row:
        """What a customer owes, in LCY."""
        number = customer["number"]
        sums = self._books.sums(number)
        return {
            "@odata.etag": customer["@odata.etag"],
            "id": customer["id"],
            "number": number,
            "balance": sums.balance / 100,
            "totalSalesExcludingTax": sums.sales / 100,
            "overdueAmount": float(self._books.overdue(number)),
            "lastModifiedDateTime": customer["lastModifiedDateTime"],
        }

    def _found(self, name: str, condition: Filter | None) -> Iterable[Record]:
        table = self._books.table(name)
        for field, values in equalities(condition):
            if field == "id":
                return [found for value in values if (found := table.get(value)) is not None]
            index = self._books.finder(name, field)
            if index is not None:
                return [record for value in values for record in index.get(value)]
        since = changed_since(condition)
        if since is not None:
            stamp_of = _document_stamp if name in DOCUMENTS else _stamp
            return table.recent(stamp_of).since(since)
        return table.values()

    def _header(self, record: Record) -> Row:
        header: Row = record["header"]
        return header

    def _orphans(self, entity_set: EntitySet, condition: Filter | None) -> Iterator[Row]:
        """Lines asked for without their parent: only by document or by own id."""
        parent = entity_set.parent or ""
        if parent not in DOCUMENTS:
            raise dialog(_NO_JOURNAL)
        for field, values in equalities(condition):
            if field == "documentId":
                table = self._books.table(parent)
                documents = [table.get(value) for value in values]
                return (row for one in documents if one for row in self.lines(parent, one))
            if field == "id":
                return (self.line(entity_set, value)[1] for value in values)
        raise dialog(_NO_PARENT)

    def _shipment_line(self, shipment: Record, line: Row) -> Row:
        blank = self._documents.blanks["salesShipmentLines"]
        row = {"@odata.etag": seed_etag(line["id"]), **blank}
        row |= {name: value for name, value in line.items() if name in blank}
        if row["lineType"] == "Comment":
            row["lineType"] = "_x0020_"
        row["documentId"] = shipment["header"]["id"]
        row["documentNo"] = shipment["header"]["number"]
        return row

    def _ledger_entries(self) -> Iterator[Row]:
        """Item ledger entries out of the posted shipments and credit memos, in posting order."""
        entry = 0
        for record in self._books.table("salesShipments").values():
            for line in record["lines"]:
                entry += 1
                yield self._entry(entry, record, line, "Sales_x0020_Shipment", -1)
        for record in self._books.table("salesCreditMemos").values():
            if record.get("posted"):
                for line in record["lines"]:
                    entry += 1
                    yield self._entry(entry, record, line, "Sales_x0020_Credit_x0020_Memo", 1)

    def _entry(self, entry: int, record: Record, line: Row, document: str, sign: int) -> Row:
        header = record["header"]
        quantity = line.get("quantity", 0.0) * sign
        item = self._books.table("items").get(line.get("itemId", ""))
        cost = 0.0 if item is None else round(item["unitCost"] * quantity, 2)
        return {
            "@odata.etag": seed_etag(line["id"]),
            "id": line["id"],
            "entryNumber": entry,
            "itemNumber": line.get("lineObjectNumber", ""),
            "postingDate": header["postingDate"],
            "entryType": "Sale",
            "sourceNumber": header["customerNumber"],
            "sourceType": "Customer",
            "documentNumber": header["number"],
            "documentType": document,
            "description": line.get("description", ""),
            "quantity": quantity,
            "salesAmountActual": round(line.get("unitPrice", 0.0) * -quantity, 2),
            "costAmountActual": cost,
            "lastModifiedDateTime": header["lastModifiedDateTime"],
        }


def _stamp(record: Record) -> str:
    return stamp_key(record.get("lastModifiedDateTime", ""))


def _document_stamp(record: Record) -> str:
    return _stamp(record["header"])
