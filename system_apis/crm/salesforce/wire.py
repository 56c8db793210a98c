"""Salesforce's own words: objects, fields, queries and error codes.

Nothing outside this file and `mapping.py` knows them. `__c` objects and fields are our managed
package's. Source: REST API developer guide, SOQL and SOSL reference.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T")

VERSION: Final = "v67.0"
ROOT: Final = f"/services/data/{VERSION}"
TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105  # an address
QUERY_PATH: Final = f"{ROOT}/query"
UPSERT_ORDERS_PATH: Final = f"{ROOT}/composite/sobjects/ERP_Order__c/Reference__c"
UPSERT_SHIPMENTS_PATH: Final = f"{ROOT}/composite/sobjects/Shipment__c/Shipment_No__c"
UPSERT_INVOICES_PATH: Final = f"{ROOT}/composite/sobjects/ERP_Invoice__c/Invoice_No__c"
LIMIT_HEADER: Final = "sforce-limit-info"
CALL_OPTIONS: Final = "sforce-call-options"
QUERY_OPTIONS: Final = "sforce-query-options"
ORDER_OBJECT: Final = "ERP_Order__c"
SHIPMENT_OBJECT: Final = "Shipment__c"
INVOICE_OBJECT: Final = "ERP_Invoice__c"
SHIPMENT_KEY: Final = "Shipment_No__c"
INVOICE_KEY: Final = "Invoice_No__c"
ACCOUNT_OBJECT: Final = "Account"

LIMIT_REACHED: Final = "REQUEST_LIMIT_EXCEEDED"
ROW_LOCKED: Final = "UNABLE_TO_LOCK_ROW"
NOT_NOW: Final = frozenset({ROW_LOCKED, "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", LIMIT_REACHED})
WRITTEN_MEANWHILE: Final = "DUPLICATE_VALUE"
"""An upsert met another one of the same key; the next one finds what it wrote."""
PARENT_UNKNOWN: Final = "INVALID_FIELD"
PARENT_UNKNOWN_TEXT: Final = "Foreign key external ID"
CHANGED: Final = frozenset({"PRECONDITION_FAILED", "CONFLICT"})
OUTBOUND: Final = "http://soap.sforce.com/2005/09/outbound"

_DEAL_FIELDS: Final = (
    "Id,Name,IsWon,CurrencyIsoCode,PO_Number__c,Requested_Delivery_Date__c,SystemModstamp,"
    "AccountId,Account.ERP_Customer_No__c,"
    "(SELECT ProductCode,Quantity,UnitPrice,Description FROM OpportunityLineItems ORDER BY Id)"
)


def deal_query(deal: str) -> str:
    """One deal with its lines."""
    return f"SELECT {_DEAL_FIELDS} FROM Opportunity WHERE Id = {literal(deal)}"  # noqa: S608  # escaped


def won_query(since: str) -> str:
    """Deals that are won and changed since an instant, oldest change first."""
    return (
        f"SELECT {_DEAL_FIELDS} FROM Opportunity "  # noqa: S608  # an instant of ours
        f"WHERE IsWon = true AND SystemModstamp >= {since} ORDER BY SystemModstamp, Id"
    )


_REPORT_FIELDS: Final = (
    "Reference__c,Status__c,Credit_Status__c,Fulfilment_Status__c,Billing_Status__c,Message__c,"
    "Hold_Reason__c,Order_Id__c,Net_Amount__c,Currency__c,Version__c,Opportunity__c,"
    "ERP_Order_No__c,Warehouse_Order_No__c,Account__r.ERP_Customer_No__c"
)


def reports_query(since: str | None) -> str:
    """The rows of orders, changed since an instant, oldest change first."""
    changed = f"WHERE SystemModstamp >= {since} " if since is not None else ""
    return f"SELECT {_REPORT_FIELDS} FROM ERP_Order__c {changed}ORDER BY SystemModstamp, Id"  # noqa: S608  # an instant of ours


def shown_query(references: Iterable[str]) -> str:
    """The rows of these orders."""
    named = ",".join(literal(each) for each in references)
    return f"SELECT {_REPORT_FIELDS} FROM ERP_Order__c WHERE Reference__c IN ({named})"  # noqa: S608  # escaped


def versions_query(object_: str, key: str, numbers: Iterable[str]) -> str:
    """How new the rows of documents are."""
    told = ",".join(literal(number) for number in numbers)
    return f"SELECT {key},Version__c FROM {object_} WHERE {key} IN ({told})"  # noqa: S608  # escaped


def account_query(field: str, value: str) -> str:
    """Both names of one account."""
    return f"SELECT Id,ERP_Customer_No__c FROM Account WHERE {field} = {literal(value)}"  # noqa: S608  # escaped


def products_query(products: Iterable[str]) -> str:
    """The item codes of products."""
    ids = ",".join(literal(product) for product in products)
    return f"SELECT Id,ProductCode FROM Product2 WHERE Id IN ({ids})"  # noqa: S608  # escaped


def literal(value: str) -> str:
    """A string literal of SOQL: backslash and quote are escaped."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What the token endpoint answers; it does not say how long the session lasts."""

    access_token: str


class Error(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A refusal; inside a collection the code is called `statusCode`."""

    message: str = ""
    error_code: str = ""
    status_code: str = ""

    @property
    def code(self) -> str:
        """The code, wherever it stands."""
        return self.error_code or self.status_code


class RowResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one record of a collection."""

    success: bool
    id: str | None = None
    errors: list[Error] = []


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """Which object a record is of."""

    type: str


class AccountKey(msgspec.Struct, frozen=True, kw_only=True):
    """An account named by its customer number in the ERP."""

    ERP_Customer_No__c: str
    attributes: Attributes = Attributes(type=ACCOUNT_OBJECT)


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `ERP_Order__c` as we write it; what is None is emptied, what is unset is left."""

    Reference__c: str
    Status__c: str
    Credit_Status__c: str
    Fulfilment_Status__c: str
    Billing_Status__c: str
    Message__c: str
    Order_Id__c: str
    Net_Amount__c: Decimal
    Currency__c: str
    Version__c: int
    Hold_Reason__c: str | None = None
    ERP_Order_No__c: str | msgspec.UnsetType = msgspec.UNSET
    Warehouse_Order_No__c: str | msgspec.UnsetType = msgspec.UNSET
    Opportunity__c: str | msgspec.UnsetType = msgspec.UNSET
    Account__r: AccountKey | msgspec.UnsetType = msgspec.UNSET
    attributes: Attributes = Attributes(type=ORDER_OBJECT)


class OrderKey(msgspec.Struct, frozen=True, kw_only=True):
    """An order named by its reference."""

    Reference__c: str
    attributes: Attributes = Attributes(type=ORDER_OBJECT)


class ShipmentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `Shipment__c` as we write it; what is unset is left."""

    Shipment_No__c: str
    Version__c: int
    Shipped_At__c: str
    Status__c: str = "shipped"
    Quantity__c: Decimal | msgspec.UnsetType = msgspec.UNSET
    Tracking_No__c: str | msgspec.UnsetType = msgspec.UNSET
    ERP_Order__r: OrderKey | msgspec.UnsetType = msgspec.UNSET
    attributes: Attributes = Attributes(type=SHIPMENT_OBJECT)


class InvoiceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `ERP_Invoice__c` as we write it; what is unset is left."""

    Invoice_No__c: str
    Version__c: int
    Invoice_Date__c: str
    Status__c: str
    Total_Amount__c: Decimal | msgspec.UnsetType = msgspec.UNSET
    Remaining_Amount__c: Decimal | msgspec.UnsetType = msgspec.UNSET
    Currency__c: str | msgspec.UnsetType = msgspec.UNSET
    ERP_Order__r: OrderKey | msgspec.UnsetType = msgspec.UNSET
    attributes: Attributes = Attributes(type=INVOICE_OBJECT)


class DocumentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """How new the row of a document is."""

    Version__c: Decimal | None = None
    Shipment_No__c: str | None = None
    Invoice_No__c: str | None = None


class ShownOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `ERP_Order__c` as it is read back."""

    Reference__c: str
    Status__c: str | None = None
    Credit_Status__c: str | None = None
    Fulfilment_Status__c: str | None = None
    Billing_Status__c: str | None = None
    Message__c: str | None = None
    Hold_Reason__c: str | None = None
    Order_Id__c: str | None = None
    Net_Amount__c: Decimal | None = None
    Currency__c: str | None = None
    Version__c: Decimal | None = None
    Opportunity__c: str | None = None
    ERP_Order_No__c: str | None = None
    Warehouse_Order_No__c: str | None = None
    Account__r: "Account | None" = None


LONGEST_MESSAGE: Final = 4000
LONGEST_REASON: Final = 255


class Upsert(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A collection; each record stands alone."""

    records: list[T]
    allOrNone: bool = False  # noqa: N815  # the vendor's name


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account of a deal, or a row of the cross-reference."""

    Id: str | None = None
    ERP_Customer_No__c: str | None = None


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the cross-reference of products."""

    Id: str
    ProductCode: str | None = None


class DealLine(msgspec.Struct, frozen=True, kw_only=True):
    """A product of a deal."""

    ProductCode: str | None = None
    Quantity: Decimal = Decimal(0)
    UnitPrice: Decimal | None = None
    Description: str | None = None


class Deal(msgspec.Struct, frozen=True, kw_only=True):
    """An opportunity with its account's number and its products."""

    Id: str
    Name: str
    IsWon: bool
    SystemModstamp: str
    CurrencyIsoCode: str | None = None
    AccountId: str | None = None
    Account: "Account | None" = None
    PO_Number__c: str | None = None
    Requested_Delivery_Date__c: str | None = None
    OpportunityLineItems: "Rows[DealLine] | None" = None


class Rows(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The answer to a query, or to one inside another."""

    records: list[T]
    done: bool = True
    nextRecordsUrl: str | None = None  # noqa: N815  # the vendor's name


encode: Final = msgspec.json.Encoder(decimal_format="number").encode
token_decoder: Final = msgspec.json.Decoder(Token)
errors_decoder: Final = msgspec.json.Decoder(list[Error])
results_decoder: Final = msgspec.json.Decoder(list[RowResult])
deals_decoder: Final = msgspec.json.Decoder(Rows[Deal])
lines_decoder: Final = msgspec.json.Decoder(Rows[DealLine])
shown_decoder: Final = msgspec.json.Decoder(Rows[ShownOrder])
versions_decoder: Final = msgspec.json.Decoder(Rows[DocumentVersion])
accounts_decoder: Final = msgspec.json.Decoder(Rows[Account])
products_decoder: Final = msgspec.json.Decoder(Rows[Product])
