"""Business Central's own words: paths, properties, enumeration values and error codes.

Nothing outside the `wire` files and `mapping.py` knows them: here are records, `wire_filters.py`
has what they are chosen by, `wire_subscriptions.py` what tells of their changes. Only what is read
or written is declared; what the vendor adds is ignored. Source: API v2.0 reference and the AL
source of its pages.
"""

from decimal import Decimal
from typing import Final

import msgspec

from system_apis.erp.business_central.odata import Page

SCOPE: Final = "https://api.businesscentral.dynamics.com/.default"
NOTHING: Final = "_x0020_"
"""How an empty option is escaped on the wire."""
CUSTOMERS: Final = "customers"
ITEMS: Final = "items"
ORDERS: Final = "salesOrders"
QUOTES: Final = "salesQuotes"
INVOICES: Final = "salesInvoices"
SHIPMENTS: Final = "salesShipments"
CREDIT_MEMOS: Final = "salesCreditMemos"
TOLD: Final = (CUSTOMERS, ITEMS, ORDERS, INVOICES)
"""The sets whose changes we want to be told of; posted shipments cannot be subscribed to."""
EXCHANGE_RATES: Final = "currencyExchangeRates"
NET_PRICES: Final = "netPrices"
OPEN_ORDERS: Final = "openOrderAmounts"
PRICING_API: Final = "crossdock/pricing/v1.0"
POST_ACTION: Final = "Microsoft.NAV.post"
SHIP_ACTION: Final = "Microsoft.NAV.shipAndInvoice"
FINANCIAL_DETAIL: Final = "customerFinancialDetail"
ORDER_LINES: Final = "salesOrderLines"
QUOTE_LINES: Final = "salesQuoteLines"
INVOICE_LINES: Final = "salesInvoiceLines"
SHIPMENT_LINES: Final = "salesShipmentLines"

LONGEST_REFERENCE: Final = 35
LONGEST_CITY: Final = 30
LONGEST_STATE: Final = 30
LONGEST_POSTCODE: Final = 20
LONGEST_TEXT: Final = 100

ENTITY_CHANGED: Final = "Request_EntityChanged"
TOO_MANY_REQUESTS: Final = "Application_TooManyRequests"


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A record as the vendor writes it."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What the token endpoint answers."""

    access_token: str
    expires_in: float


class Company(Wire, frozen=True, kw_only=True):
    """A company of the environment."""

    id: str
    name: str


class FinancialDetail(Wire, frozen=True, kw_only=True):
    """A customer's balance and what of it is overdue, in LCY."""

    balance: Decimal
    overdue_amount: Decimal


class Customer(Wire, frozen=True, kw_only=True):
    """A customer, with what credit needs when expanded."""

    number: str
    display_name: str = ""
    address_line1: str = ""
    address_line2: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    postal_code: str = ""
    phone_number: str = ""
    email: str = ""
    salesperson_code: str = ""
    credit_limit: Decimal = Decimal(0)
    tax_area_display_name: str = ""
    tax_registration_number: str = ""
    currency_code: str = ""
    blocked: str = NOTHING
    last_modified_date_time: str = ""
    customer_financial_detail: FinancialDetail | None = None


CUSTOMER_FIELDS: Final = (
    "number,displayName,addressLine1,addressLine2,city,state,country,postalCode,phoneNumber,email,"
    "salespersonCode,creditLimit,taxAreaDisplayName,taxRegistrationNumber,currencyCode,blocked,"
    "lastModifiedDateTime"
)
CREDIT_FIELDS: Final = "number,creditLimit,blocked"


class Item(Wire, frozen=True, kw_only=True):
    """An item card."""

    number: str
    display_name: str = ""
    blocked: bool = False
    gtin: str = ""
    unit_price: Decimal = Decimal(0)
    tax_group_code: str = ""
    base_unit_of_measure_code: str = ""
    last_modified_date_time: str = ""


ITEM_FIELDS: Final = (
    "number,displayName,blocked,gtin,unitPrice,taxGroupCode,baseUnitOfMeasureCode,"
    "lastModifiedDateTime"
)


class NetPrice(Wire, frozen=True, kw_only=True):
    """A row of the custom price page: one quantity break, resolved by the vendor."""

    item_number: str
    currency_code: str = ""
    unit_of_measure_code: str = ""
    minimum_quantity: Decimal
    unit_price: Decimal
    line_discount_percent: Decimal = Decimal(0)
    price_list_code: str = ""
    list_unit_price: Decimal


class OpenOrderAmounts(Wire, frozen=True, kw_only=True):
    """A row of the custom credit page."""

    outstanding_orders: Decimal = msgspec.field(default=Decimal(0), name="outstandingOrdersLCY")
    shipped_not_invoiced: Decimal = msgspec.field(default=Decimal(0), name="shippedNotInvoicedLCY")


class ExchangeRate(Wire, frozen=True, kw_only=True):
    """So much of a currency is worth so much of the company's own, from a day on."""

    starting_date: str
    exchange_rate_amount: Decimal
    relational_exchange_rate_amount: Decimal
    relational_currency_code: str = ""


class NewLine(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a document to be created; the vendor prices it unless told."""

    line_object_number: str
    quantity: Decimal
    line_type: str = ""
    description: str | None = None
    unit_price: Decimal | None = None
    discount_percent: Decimal | None = None


class NewOrder(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A sales order to be created with its lines (deep insert)."""

    external_document_number: str
    customer_number: str
    currency_code: str
    sales_order_lines: list[NewLine]
    order_date: str | None = None
    requested_delivery_date: str | None = None
    ship_to_name: str | None = None
    ship_to_contact: str | None = None
    ship_to_address_line1: str | None = None
    ship_to_city: str | None = None
    ship_to_country: str | None = None
    ship_to_state: str | None = None
    ship_to_post_code: str | None = None


class NewQuote(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A sales quote to be created with its lines."""

    external_document_number: str
    customer_number: str
    sales_quote_lines: list[NewLine]


class NewCreditMemo(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A credit memo to be created with its lines."""

    external_document_number: str
    customer_number: str
    currency_code: str
    sales_credit_memo_lines: list[NewLine]
    credit_memo_date: str | None = None
    posting_date: str | None = None


class OrderLine(Wire, frozen=True, kw_only=True):
    """A line of an open order, as far as credit and shipping are concerned."""

    id: str = ""
    etag: str = msgspec.field(default="", name="@odata.etag")
    line_type: str = ""
    line_object_number: str = ""
    sequence: int = 0
    quantity: Decimal
    ship_quantity: Decimal = Decimal(0)
    invoice_quantity: Decimal = Decimal(0)
    net_amount_including_tax: Decimal = Decimal(0)
    shipped_quantity: Decimal = Decimal(0)
    invoiced_quantity: Decimal = Decimal(0)


class Order(Wire, frozen=True, kw_only=True):
    """A sales order; it vanishes once it is posted in full."""

    id: str
    number: str
    external_document_number: str = ""
    customer_number: str = ""
    currency_code: str = ""
    total_amount_excluding_tax: Decimal = Decimal(0)
    total_amount_including_tax: Decimal = Decimal(0)
    status: str = "Draft"
    partial_shipping: bool = True
    last_modified_date_time: str = ""
    etag: str = msgspec.field(default="", name="@odata.etag")
    sales_order_lines: list[OrderLine] = []


ORDER_FIELDS: Final = (
    "id,number,externalDocumentNumber,customerNumber,currencyCode,totalAmountExcludingTax,"
    "totalAmountIncludingTax,status,lastModifiedDateTime"
)


class ShipQuantity(Wire, frozen=True, kw_only=True):
    """How much of a line is to be shipped next. Setting it makes the vendor bill as much."""

    ship_quantity: Decimal


class InvoiceQuantity(Wire, frozen=True, kw_only=True):
    """How much of a line is to be billed next; to be set after what is to be shipped."""

    invoice_quantity: Decimal


class PartialShipping(Wire, frozen=True, kw_only=True):
    """Whether an order may be shipped in parts."""

    partial_shipping: bool


class QuoteLine(Wire, frozen=True, kw_only=True):
    """A quote line as the vendor priced it."""

    line_object_number: str
    quantity: Decimal
    unit_price: Decimal
    discount_percent: Decimal = Decimal(0)
    unit_of_measure_code: str = ""


class Quote(Wire, frozen=True, kw_only=True):
    """A sales quote."""

    id: str
    currency_code: str = ""
    sales_quote_lines: list[QuoteLine] | None = None


class DocumentLine(Wire, frozen=True, kw_only=True):
    """A line of a posted document."""

    line_type: str = ""
    line_object_number: str = ""
    quantity: Decimal = Decimal(0)
    unit_price: Decimal = Decimal(0)
    discount_percent: Decimal = Decimal(0)
    tax_percent: Decimal = Decimal(0)
    net_amount: Decimal = Decimal(0)


class Invoice(Wire, frozen=True, kw_only=True):
    """A sales invoice, posted unless a draft."""

    id: str
    number: str
    order_id: str = ""
    order_number: str = ""
    external_document_number: str = ""
    customer_number: str = ""
    currency_code: str = ""
    last_modified_date_time: str = ""
    invoice_date: str = ""
    due_date: str = ""
    status: str = ""
    remaining_amount: Decimal = Decimal(0)
    total_amount_excluding_tax: Decimal = Decimal(0)
    total_amount_including_tax: Decimal = Decimal(0)
    sales_invoice_lines: list[DocumentLine] = []


class Shipment(Wire, frozen=True, kw_only=True):
    """A posted shipment."""

    id: str
    number: str
    external_document_number: str = ""
    order_number: str = ""
    customer_number: str = ""
    currency_code: str = ""
    posting_date: str = ""
    last_modified_date_time: str = ""
    sales_shipment_lines: list[DocumentLine] = []


class CreditMemo(Wire, frozen=True, kw_only=True):
    """A credit memo, posted unless a draft."""

    id: str
    number: str
    status: str
    currency_code: str = ""
    total_amount_excluding_tax: Decimal = Decimal(0)


ITEM_LINE: Final = "Item"
DRAFT: Final = "Draft"
IN_REVIEW: Final = "In_x0020_Review"

encode: Final = msgspec.json.Encoder(decimal_format="number").encode
token_decoder: Final = msgspec.json.Decoder(Token)
companies_decoder: Final = msgspec.json.Decoder(Page[Company])
customers_decoder: Final = msgspec.json.Decoder(Page[Customer])
items_decoder: Final = msgspec.json.Decoder(Page[Item])
prices_decoder: Final = msgspec.json.Decoder(Page[NetPrice])
open_orders_decoder: Final = msgspec.json.Decoder(Page[OpenOrderAmounts])
rates_decoder: Final = msgspec.json.Decoder(Page[ExchangeRate])
order_decoder: Final = msgspec.json.Decoder(Order)
orders_decoder: Final = msgspec.json.Decoder(Page[Order])
order_line_decoder: Final = msgspec.json.Decoder(OrderLine)
quote_decoder: Final = msgspec.json.Decoder(Quote)
quote_lines_decoder: Final = msgspec.json.Decoder(Page[QuoteLine])
invoices_decoder: Final = msgspec.json.Decoder(Page[Invoice])
shipments_decoder: Final = msgspec.json.Decoder(Page[Shipment])
credit_memo_decoder: Final = msgspec.json.Decoder(CreditMemo)
credit_memos_decoder: Final = msgspec.json.Decoder(Page[CreditMemo])


def item_line(number: str, quantity: Decimal, description: str | None = None) -> NewLine:
    """A line for an item, priced by the vendor."""
    return NewLine(
        line_type=ITEM_LINE, line_object_number=number, quantity=quantity, description=description
    )


def priced_line(
    number: str, quantity: Decimal, unit_price: Decimal, description: str | None = None
) -> NewLine:
    """A line for an item at an agreed price, from which no price list takes a discount."""
    return NewLine(
        line_type=ITEM_LINE,
        line_object_number=number,
        quantity=quantity,
        description=description,
        unit_price=unit_price,
        discount_percent=Decimal(0),
    )
