"""ShipHero's own words: its GraphQL documents, inputs, answers and webhook bodies.

Nothing outside the `wire` files and `mapping.py` knows them: what every document and answer has in
common is in `wire_graphql.py`. The documents are held to the vendor's schema by a test. Source:
developer.shiphero.com.
"""

from typing import Final

import msgspec

from system_apis.wms.shiphero.wire_graphql import NEXT, Edges, Payload, Reply

PENDING: Final = "pending"
CANCELED: Final = "canceled"
SHIPMENT_UPDATE: Final = "Shipment Update"
INVENTORY_UPDATE: Final = "Inventory Update"
ORDER_CANCELED: Final = "Order Canceled"
TOLD: Final = (SHIPMENT_UPDATE, INVENTORY_UPDATE, ORDER_CANCELED)
"""The messages we want."""
SIGNATURE_HEADER: Final = "x-shiphero-hmac-sha256"
MESSAGE_HEADER: Final = "x-shiphero-message-id"

_ORDER: Final = (
    "id legacy_id order_number partner_order_id fulfillment_status updated_at shipments{id} "
    "holds{fraud_hold payment_hold operator_hold address_hold shipping_method_hold client_hold}"
)
CREATE_ORDER: Final = (
    "mutation($data:CreateOrderInput!){order_create(data:$data){complexity order{" + _ORDER + "}}}"
)
CANCEL_ORDER: Final = (
    "mutation($data:CancelOrderInput!){order_cancel(data:$data){complexity order{" + _ORDER + "}}}"
)
UPDATE_HOLDS: Final = (
    "mutation($data:UpdateOrderHoldsInput!)"
    "{order_update_holds(data:$data){complexity order{" + _ORDER + "}}}"
)
FIND_ORDERS: Final = (
    "query($reference:String!){orders(partner_order_id:$reference)"
    "{complexity data(first:10){edges{node{" + _ORDER + "}}}}}"
)
ORDERS_SINCE: Final = (
    "query($since:ISODateTime,$after:String,$status:String)"
    "{orders(updated_from:$since,fulfillment_status:$status)"
    "{complexity data(first:25,after:$after){edges{node{" + _ORDER + "}}" + NEXT + "}}}"
)
_LABELS: Final = "shipping_labels{id package_number carrier tracking_number}"
SHIPMENTS_SINCE: Final = (
    "query($since:ISODateTime,$after:String){shipments(date_from:$since)"
    "{complexity data(first:25,after:$after){edges{node{id legacy_id created_date total_packages "
    "order{partner_order_id order_number} warehouse{identifier} " + _LABELS + "}}" + NEXT + "}}}"
)
"""Without their lines, each of which has a price of its own."""
SHIPMENT_LINES: Final = (
    "query($id:String,$after:String){shipment(id:$id){complexity data{"
    "line_items(first:25,after:$after)"
    "{edges{node{quantity shipping_label_id line_item{sku}}}" + NEXT + "}}}}"
)
CREATE_WEBHOOK: Final = (
    "mutation($data:CreateWebhookInput!)"
    "{webhook_create(data:$data){complexity webhook{shared_signature_secret}}}"
)
DELETE_WEBHOOK: Final = (
    "mutation($data:DeleteWebhookInput!){webhook_delete(data:$data){complexity}}"
)
WEBHOOKS: Final = "query{webhooks{complexity data(first:25){edges{node{name url}}}}}"
WAREHOUSES: Final = "query{account{complexity data{warehouses{id identifier}}}}"
_PRODUCT: Final = (
    "complexity data{sku warehouse_products{warehouse_identifier on_hand available active}}"
)
MOST_ITEMS: Final = 50
"""Products asked for in one document."""


def stock_document(items: int) -> str:
    """The document that asks for so many products at once, each under an alias of its own."""
    names = ",".join(f"$s{at}:String" for at in range(items))
    asked = " ".join(f"p{at}:product(sku:$s{at}){{{_PRODUCT}}}" for at in range(items))
    return f"query({names}){{{asked}}}"


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A record as the vendor writes it."""


class NewAddress(Wire, frozen=True, kw_only=True):
    """Where an order goes."""

    first_name: str
    last_name: str
    company: str
    address1: str
    city: str
    state: str
    zip: str
    country: str
    country_code: str


class NewLineItem(Wire, frozen=True, kw_only=True):
    """A line to pick."""

    sku: str
    partner_line_item_id: str
    quantity: int
    price: str
    product_name: str
    warehouse_id: str | None = None


class NewOrder(Wire, frozen=True, kw_only=True):
    """An order to be created."""

    order_number: str
    partner_order_id: str
    shop_name: str
    currency: str
    subtotal: str
    total_price: str
    shipping_address: NewAddress
    line_items: list[NewLineItem]
    required_ship_date: str | None = None
    packing_note: str | None = None
    allow_partial: bool = False


class Cancellation(Wire, frozen=True, kw_only=True):
    """Which order is to be cancelled, and why."""

    order_id: str
    reason: str


class HoldUpdate(Wire, frozen=True, kw_only=True):
    """Whether an order waits for its payment."""

    order_id: str
    payment_hold: bool


class NewWebhook(Wire, frozen=True, kw_only=True):
    """Where messages of a type are to be sent."""

    name: str
    shop_name: str
    url: str | None = None


class Webhook(Wire, frozen=True, kw_only=True):
    """A webhook just registered; its secret is shown this once."""

    shared_signature_secret: str


class KnownWebhook(Wire, frozen=True, kw_only=True):
    """A webhook there is."""

    name: str | None = None
    url: str | None = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What registering and removing answer."""

    complexity: float = 0.0
    webhook: Webhook | None = None


class WithReference(msgspec.Struct, frozen=True, kw_only=True):
    """The variables of a look-up."""

    reference: str


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """The variables of a list by time of change."""

    since: str | None = None
    after: str | None = None


class OfStatus(Since, frozen=True, kw_only=True):
    """The variables of a list of orders by time of change; without a status all of them."""

    status: str | None = None


class OfShipment(msgspec.Struct, frozen=True, kw_only=True):
    """The variables of a look at one shipment's lines."""

    id: str
    after: str | None = None


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in."""

    username: str
    password: str


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """A renewal without the password."""

    refresh_token: str


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What sign-in and renewal answer; only sign-in gives a refresh token."""

    access_token: str
    expires_in: float
    refresh_token: str | None = None


class Holds(Wire, frozen=True, kw_only=True):
    """Why an order may not be picked."""

    fraud_hold: bool | None = None
    payment_hold: bool | None = None
    operator_hold: bool | None = None
    address_hold: bool | None = None
    shipping_method_hold: bool | None = None
    client_hold: bool | None = None


class Named(Wire, frozen=True, kw_only=True):
    """A record of which only the name is asked for."""

    id: str


class Order(Wire, frozen=True, kw_only=True):
    """An order."""

    id: str
    legacy_id: int | None = None
    order_number: str | None = None
    partner_order_id: str | None = None
    fulfillment_status: str | None = None
    updated_at: str | None = None
    shipments: list["Named"] | None = None
    holds: Holds | None = None


class Mutated(msgspec.Struct, frozen=True, kw_only=True):
    """What a mutation of an order answers."""

    complexity: float = 0.0
    order: Order | None = None


class Level(Wire, frozen=True, kw_only=True):
    """Stock of a product in one warehouse."""

    warehouse_identifier: str | None = None
    on_hand: int | None = None
    available: int | None = None
    active: bool | None = None


class Product(Wire, frozen=True, kw_only=True):
    """A product and its stock."""

    sku: str
    warehouse_products: list[Level] | None = None


class Warehouse(Wire, frozen=True, kw_only=True):
    """A warehouse of the account."""

    id: str
    identifier: str


class Account(Wire, frozen=True, kw_only=True):
    """The account's warehouses."""

    warehouses: list[Warehouse] = []


class Label(Wire, frozen=True, kw_only=True):
    """One package of a shipment."""

    id: str
    package_number: int | None = None
    carrier: str | None = None
    tracking_number: str | None = None


class Sku(Wire, frozen=True, kw_only=True):
    """The item of an order's line."""

    sku: str


class ShipmentLine(Wire, frozen=True, kw_only=True):
    """Pieces of a line, and the package they are in."""

    quantity: int
    shipping_label_id: str | None = None
    line_item: Sku | None = None


class OrderName(Wire, frozen=True, kw_only=True):
    """What an order is known by."""

    partner_order_id: str | None = None
    order_number: str | None = None


class Place(Wire, frozen=True, kw_only=True):
    """The warehouse of a shipment."""

    identifier: str


class Shipment(Wire, frozen=True, kw_only=True):
    """Goods that left one warehouse together."""

    id: str
    legacy_id: int
    created_date: str
    total_packages: int | None = None
    order: OrderName | None = None
    warehouse: Place | None = None
    shipping_labels: list[Label] = []


class Packed(Wire, frozen=True, kw_only=True):
    """The lines of a shipment."""

    line_items: Edges[ShipmentLine]


class ShippedItem(Wire, frozen=True, kw_only=True):
    """What of a line is in a package."""

    sku: str
    quantity: int
    id: str | int | None = None


class Fulfillment(Wire, frozen=True, kw_only=True):
    """One package of a shipment."""

    shipment_id: str | int
    partner_order_id: str | None = None
    order_number: str | None = None
    warehouse: str | None = None
    tracking_number: str | None = None
    shipping_carrier: str | None = None
    package_number: int | None = None
    total_packages: int | None = None
    completed: bool | None = None
    created_at: str | None = None
    line_items: list[ShippedItem] = []


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook body; its type stands only here."""

    webhook_type: str
    fulfillment: Fulfillment | None = None
    partner_order_id: str | None = None
    order_number: str | None = None
    order_id: int | None = None
    inventory: list["StockNotice"] = []


class StockNotice(Wire, frozen=True, kw_only=True):
    """A product whose stock changed."""

    sku: str


tokens_decoder: Final = msgspec.json.Decoder(Tokens)
mutated_decoder: Final = msgspec.json.Decoder(Reply[Mutated])
orders_decoder: Final = msgspec.json.Decoder(Reply[Payload[Edges[Order]]])
products_decoder: Final = msgspec.json.Decoder(Reply[Payload[Product]])
shipments_decoder: Final = msgspec.json.Decoder(Reply[Payload[Edges[Shipment]]])
shipment_lines_decoder: Final = msgspec.json.Decoder(Reply[Payload[Packed]])
webhooks_decoder: Final = msgspec.json.Decoder(Reply[Payload[Edges[KnownWebhook]]])
registered_decoder: Final = msgspec.json.Decoder(Reply[Registered])
account_decoder: Final = msgspec.json.Decoder(Reply[Payload[Account]])
notification_decoder: Final = msgspec.json.Decoder(Notification)
