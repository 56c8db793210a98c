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
LIMIT_HEADER: Final = "sforce-limit-info"
CALL_OPTIONS: Final = "sforce-call-options"
QUERY_OPTIONS: Final = "sforce-query-options"
ORDER_OBJECT: Final = "ERP_Order__c"
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


LONGEST_MESSAGE: Final = 4000
LONGEST_REASON: Final = 255


class Upsert(msgspec.Struct, frozen=True, kw_only=True):
    """A collection; each record stands alone."""

    records: list[OrderRecord]
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
accounts_decoder: Final = msgspec.json.Decoder(Rows[Account])
products_decoder: Final = msgspec.json.Decoder(Rows[Product])
