"""Orders: drafts take items, activation closes them. Source: object reference, OrderStatus."""

from decimal import Decimal

from deploy.sandbox.salesforce.change import Change, money
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.lines import integrity, take_entry
from deploy.sandbox.salesforce.org import Caller, Org
from deploy.sandbox.salesforce.schema import ORDER_STATUSES
from deploy.sandbox.vault import Record

__all__ = [
    "after_item",
    "before_item",
    "before_order",
    "item_deleted",
    "keep_activated",
    "keep_item",
]

# what stays editable once an order is activated
_ORDER_OPEN = frozenset(
    {"Status", "Name", "Description", "PoNumber", "PoDate", "OrderReferenceNumber", "OwnerId"}
)
_ITEM_OPEN = frozenset({"Description", "ServiceDate", "EndDate"})


def before_order(change: Change) -> None:
    """A new order is a draft; activation needs an account and items; an activated order is closed.

    Raises:
        Refusal: one of these is not so.
    """
    record = change.record
    category = ORDER_STATUSES[record["Status"]]
    was = change.was("StatusCode")
    if change.before is None:
        if category != "Draft":
            raise Refusal(
                "FAILED_ACTIVATION",
                "An order must be created with a status of the category Draft",
                ("Status",),
            )
    elif was == "Activated":
        closed = sorted(
            name for name in change.touched if name not in _ORDER_OPEN and change.sets(name)
        )
        if closed:
            raise integrity(closed[0], "cannot be changed on an activated order")
    elif category == "Activated":
        _activate(change)
    if category == "Draft":
        record.pop("ActivatedDate", None)
        record.pop("ActivatedById", None)
    record["StatusCode"] = category


def before_item(change: Change) -> None:
    """An item of a draft order, priced; of an activated one only a few fields may change."""
    org, record = change.org, change.record
    order = org.living("Order", record["OrderId"])
    if order is None:
        raise Refusal("ENTITY_IS_DELETED", "entity is deleted", ("OrderId",), status=400)
    if order["StatusCode"] == "Activated":
        closed = sorted(name for name in change.touched if name not in _ITEM_OPEN)
        if change.before is None or closed:
            raise integrity(
                "OrderId" if change.before is None else closed[0],
                "products of an activated order cannot be added or changed",
            )
    if change.before is None:
        if "Pricebook2Id" not in order:
            raise integrity("OrderId", "the order has no price book")
        entry = take_entry(change, order)
        record.setdefault("UnitPrice", entry["UnitPrice"])
    if record["Quantity"] <= 0:
        raise integrity("Quantity", "must be more than zero")
    total = Decimal(str(record["UnitPrice"])) * Decimal(str(record["Quantity"]))
    record["TotalPrice"] = money(total)
    record["AvailableQuantity"] = record["Quantity"]


def after_item(change: Change) -> None:
    """Sum up on the order."""
    _sum(change.org, change.record["OrderId"], change.caller)


def item_deleted(org: Org, record: Record, caller: Caller) -> None:
    """Sum up what is left."""
    _sum(org, record["OrderId"], caller)


def keep_activated(_org: Org, record: Record, _started: str) -> None:
    """Activated orders are not deleted."""
    if record["StatusCode"] == "Activated":
        raise Refusal("DELETE_FAILED", "An activated order cannot be deleted")


def keep_item(org: Org, record: Record, _started: str) -> None:
    """Items of activated orders are not deleted."""
    order = org.living("Order", record["OrderId"])
    if order is not None and order["StatusCode"] == "Activated":
        raise Refusal("DELETE_FAILED", "Products of an activated order cannot be deleted")


def _activate(change: Change) -> None:
    record = change.record
    if "AccountId" not in record:
        raise Refusal("FAILED_ACTIVATION", "An order must have an account to be activated")
    if not change.org.children("OrderItem", "OrderId", record["Id"]):
        raise Refusal("FAILED_ACTIVATION", "An order must have at least one product.")
    record["ActivatedDate"] = change.org.stamp_now()
    record["ActivatedById"] = change.caller.user_id


def _sum(org: Org, order_id: str, caller: Caller) -> None:
    before = org.living("Order", order_id)
    if before is None:
        return
    items = org.children("OrderItem", "OrderId", order_id)
    total = money(sum((Decimal(str(item["TotalPrice"])) for item in items), Decimal(0)))
    org.put(org.schema.objects["Order"], {**before, "TotalAmount": total}, caller)
