"""What the ERP connector reads and writes exists in the vendor's published tables."""

from pathlib import Path

import msgspec
import pytest

from system_apis.erp.business_central import wire

PUBLISHED = (
    Path(__file__).resolve().parents[2].parent
    / "shared/data/vendor/businesscentral/bc_api_v2_entities.json"
)
READ = {
    wire.Customer: "customers",
    wire.FinancialDetail: "customerFinancialDetails",
    wire.Item: "items",
    wire.Order: "salesOrders",
    wire.OrderLine: "salesOrderLines",
    wire.Quote: "salesQuotes",
    wire.QuoteLine: "salesQuoteLines",
    wire.Invoice: "salesInvoices",
    wire.DocumentLine: "salesInvoiceLines",
    wire.Shipment: "salesShipments",
    wire.CreditMemo: "salesCreditMemos",
    wire.ExchangeRate: "currencyExchangeRates",
}
WRITTEN = {
    wire.NewOrder: "salesOrders",
    wire.NewQuote: "salesQuotes",
    wire.NewCreditMemo: "salesCreditMemos",
}
SELECTED = {
    wire.CUSTOMER_FIELDS: "customers",
    wire.CREDIT_FIELDS: "customers",
    wire.ITEM_FIELDS: "items",
    wire.ORDER_FIELDS: "salesOrders",
}


@pytest.fixture(scope="module")
def published():
    if not PUBLISHED.exists():
        pytest.skip("the published table ../shared/data/vendor/businesscentral is not here")
    return msgspec.json.decode(PUBLISHED.read_bytes())["entitySets"]


def names_of(entity_set):
    """Fields and navigation properties of an entity set, by name."""
    return {field["name"]: field for field in entity_set["fields"]} | {
        link["name"]: link for link in entity_set["nav"]
    }


def told(struct):
    """The names a wire type puts on or takes off the wire, annotations of OData aside."""
    names = [field.encode_name for field in msgspec.structs.fields(struct)]
    return [name for name in names if not name.startswith("@")]


@pytest.mark.parametrize(("struct", "entity_set"), READ.items(), ids=str)
def test_every_field_that_is_read_is_published(published, struct, entity_set):
    """A misspelt field would read as its default for ever."""
    assert [name for name in told(struct) if name not in names_of(published[entity_set])] == []


@pytest.mark.parametrize(("struct", "entity_set"), WRITTEN.items(), ids=str)
def test_every_field_that_is_written_may_be_written(published, struct, entity_set):
    """A read-only or unknown field has the vendor refuse the whole document."""
    fields = names_of(published[entity_set])

    assert [name for name in told(struct) if name not in fields] == []
    assert [name for name in told(struct) if fields[name].get("readOnly")] == []


@pytest.mark.parametrize("lines", ["salesOrderLines", "salesQuoteLines", "salesCreditMemoLines"])
def test_every_field_of_a_new_line_may_be_written(published, lines):
    """The same line is written into orders, quotes and credit memos."""
    fields = names_of(published[lines])

    assert [name for name in told(wire.NewLine) if name not in fields] == []
    assert [name for name in told(wire.NewLine) if fields[name].get("readOnly")] == []


@pytest.mark.parametrize(("selected", "entity_set"), SELECTED.items(), ids=lambda v: str(v)[:24])
def test_every_selected_field_is_published(published, selected, entity_set):
    """An unknown name in $select is a bad request."""
    fields = names_of(published[entity_set])

    assert [name for name in selected.split(",") if name not in fields] == []


def test_a_reference_has_room_in_every_document(published):
    """One reference goes into orders, quotes and credit memos: it fits the shortest field."""
    lengths = {
        names_of(published[entity_set])["externalDocumentNumber"]["maxLength"]
        for entity_set in ("salesOrders", "salesQuotes", "salesCreditMemos")
    }

    assert min(lengths) == wire.LONGEST_REFERENCE


def test_every_status_is_one_of_the_published(published):
    """Enum values are compared as the vendor escapes them."""
    status = names_of(published["salesOrders"])["status"]

    assert {wire.DRAFT, wire.IN_REVIEW} <= set(status["values"])
    assert wire.ITEM_LINE in names_of(published["salesOrderLines"])["lineType"]["values"]
