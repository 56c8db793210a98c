"""Orders in the warehouse: created, held, allocated, changed, canceled.

Neither ``order_number`` nor ``partner_order_id`` is unique: the warehouse takes the same order
twice, and the ledger shows it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from deploy.sandbox.shiphero.moments import write_moment
from deploy.sandbox.shiphero.records import ACCOUNT, Line, legacy, lines_of, opaque
from deploy.sandbox.shiphero.refusals import Refusal, invalid, not_found
from deploy.sandbox.shiphero.stock import Stock
from deploy.sandbox.shiphero.webhooks import Webhooks
from deploy.sandbox.vault import Record, Vault
from deploy.sandbox.vendor import VendorContext

__all__ = ["HOLDS", "Orders"]

HOLDS = (
    "fraud_hold",
    "payment_hold",
    "operator_hold",
    "address_hold",
    "shipping_method_hold",
    "client_hold",
)
MONEY = ("total_tax", "subtotal", "total_discounts", "total_price")
FIRST_ORDER = 100_000_001
FIRST_LINE = 1
_APART = frozenset({"line_items", "holds", "customer_account_id", "order_id", "note_attributes"})


class Orders:
    """The orders table, its indexes, and what may be done to an order."""

    def __init__(
        self, vault: Vault, context: VendorContext, stock: Stock, webhooks: Webhooks
    ) -> None:
        self._vault = vault
        self._context = context
        self._stock = stock
        self._webhooks = webhooks
        self.table = vault.table("orders")
        self._by_partner = self.table.index("partner_order_id")
        self._by_number = self.table.index("order_number")
        self._owed = self.table.index("owed", lambda order: order["owed"] or None)
        self._next = FIRST_ORDER
        self._next_line = FIRST_LINE
        self._moved: list[tuple[str, int]] = []  # (updated_at, order), old entries left in place
        for order in self.table.values():
            self._next = max(self._next, order["legacy_id"] + 1)
            self._next_line = max(self._next_line, *(line[0] + 1 for line in order["lines"]), 0)
            self._moved.append((order["updated_at"], order["legacy_id"]))
        self._moved.sort()

    def get(self, order_id: str) -> Record:
        """The order with this id.

        Raises:
            Refusal: there is none.
        """
        number = legacy("Order", order_id)
        order = None if number is None else self.table.get(str(number))
        if order is None:
            raise not_found("Order", order_id)
        return order

    def create(self, data: Mapping[str, Any]) -> Record:
        """Take an order; without a hold its stock is allocated at once.

        Raises:
            Refusal: an unknown SKU or warehouse, a quantity below 1, an amount that is none, no
            lines.
        """
        _check_money(data)
        lines = self._new_lines(data.get("line_items") or ())
        now = write_moment(self._context.clock.now())
        number = self._next
        given = data.get("holds") or {}
        order: Record = {
            "id": opaque("Order", number),
            "legacy_id": number,
            "account_id": ACCOUNT,
            "shop_name": "Manual Order",
            "source": "api",
            "fulfillment_status": "pending",
            "order_date": now,
            "allow_partial": False,
            **{name: value for name, value in data.items() if name not in _APART},
            "holds": {hold: bool(given.get(hold)) for hold in HOLDS},
            "created_at": now,
            "updated_at": now,
            "lines": lines,
            "owed": False,
        }
        if order.get("order_number") is None:
            order["order_number"] = str(number)
        self._next += 1
        order = self._allocated(order)
        self._put(order)
        self._note("order_create", order)
        return order

    def update(self, data: Mapping[str, Any]) -> Record:
        """Change what the caller names; lines, holds and stock stay.

        Raises:
            Refusal: no such order, an amount that is none, or the order is canceled.
        """
        order = self.get(data["order_id"])
        _check_money(data)
        self._refuse_canceled(order)
        changed = {name: value for name, value in data.items() if name not in _APART}
        order = self._touched({**order, **changed})
        self._put(order)
        return order

    def update_holds(self, data: Mapping[str, Any]) -> Record:
        """Set the holds named; the first one frees the stock, the last one lifted takes it.

        Raises:
            Refusal: no such order, or it is not pending any more.
        """
        order = self.get(data["order_id"])
        if order["fulfillment_status"] != "pending":
            raise invalid(f"Order {order['order_number']} is {order['fulfillment_status']}")
        named = {hold: bool(data[hold]) for hold in HOLDS if data.get(hold) is not None}
        holds = {**order["holds"], **named}
        if holds == order["holds"]:
            return order
        order = self._touched({**order, "holds": holds})
        order = self._released(order) if any(holds.values()) else self._allocated(order)
        self._put(order)
        held = [hold for hold, on in holds.items() if on]
        self._note("order_update_holds", order, {"holds": held})
        return order

    def cancel(self, data: Mapping[str, Any]) -> Record:
        """Cancel what has not shipped; canceling again changes nothing.

        Raises:
            Refusal: no such order, or it has shipments and ``force`` is not given.
        """
        order = self.get(data["order_id"])
        if order["fulfillment_status"] == "canceled":
            return order
        if any(line.shipped for line in lines_of(order)) and not data.get("force"):
            raise invalid(
                f"Order {order['order_number']} has valid labels or completed shipments and "
                "cannot be canceled"
            )
        reason = data.get("reason")
        return self._canceled(order, reason)

    def update_fulfillment_status(self, data: Mapping[str, Any]) -> Record:
        """Set the status by hand: ``pending``, ``fulfilled`` (nothing ships) or ``canceled``.

        Raises:
            Refusal: no such order or status.
        """
        order = self.get(data["order_id"])
        status = data["fulfillment_status"]
        if status not in {"pending", "fulfilled", "canceled"}:
            raise invalid(f"Fulfillment status {status!r} is not known")
        if status == order["fulfillment_status"]:
            return order
        if status == "canceled":
            return self._canceled(order, data.get("reason"))
        order = self._touched({**order, "fulfillment_status": status})
        if status == "pending":
            revived = [line._replace(canceled=False) for line in lines_of(order)]
            order = {**order, "lines": revived}
            order = order if any(order["holds"].values()) else self._allocated(order)
        else:
            order = self._released(order)
        self._put(order)
        self._note("order_update_fulfillment_status", order, {"status": status})
        return order

    def shipped(self, order: Record, lines: list[Line]) -> Record:
        """Take in lines after a shipment; with nothing pending the order is fulfilled."""
        done = all(line.pending == 0 for line in lines)
        status = "fulfilled" if done else order["fulfillment_status"]
        order = self._touched({**order, "lines": lines, "fulfillment_status": status})
        order = {**order, "owed": not done and any(line.backordered > 0 for line in lines)}
        self._put(order)
        return order

    def allocate_owed(self, sku: str) -> None:
        """Give stock that just came in to the orders that wait for it, oldest first."""
        for order in sorted(self._owed.get(True), key=lambda waiting: waiting["legacy_id"]):
            if any(line[2] == sku for line in order["lines"]):
                self._put(self._allocated(self._touched(order)))

    def owed_of(self, sku: str, code: str) -> int:
        """Pieces of an item that open orders wait for in this warehouse."""
        owed = 0
        for order in self._owed.get(True):
            for line in lines_of(order):
                place = line.warehouse or line.locked or next(iter(self._stock.ids))
                if line.sku == sku and place == code:
                    owed += line.backordered
        return owed

    def find(self, order_number: str) -> Record | None:
        """The order with this number that a person would mean: a pending one before any other."""
        found = self._by_number.get(order_number)
        pending = [order for order in found if order["fulfillment_status"] == "pending"]
        return next(iter(pending or found), None)

    def search(self, arguments: Mapping[str, Any]) -> list[tuple[str, Record]]:
        """Orders with their positions: by update time when that is asked for, else by id."""
        candidates, by_time = self._candidates(arguments)
        found = []
        for order in candidates:
            if _fits(order, arguments):
                stamp = f"{order['updated_at']}." if by_time else ""
                found.append((f"{stamp}{order['legacy_id']:012d}", order))
        return found

    def _candidates(self, arguments: Mapping[str, Any]) -> tuple[Iterable[Record], bool]:
        since, until = arguments.get("updated_from"), arguments.get("updated_to")
        by_time = bool(since or until)
        if arguments.get("partner_order_id") is not None:
            found = self._by_partner.get(arguments["partner_order_id"])
        elif arguments.get("order_number") is not None:
            found = self._by_number.get(arguments["order_number"])
        elif by_time:
            start = bisect_left(self._moved, (since or "", 0))
            end = bisect_left(self._moved, (until or "9", FIRST_ORDER * 10))
            moved = self._moved[start:end]
            entries = ((stamp, self.table.records[str(number)]) for stamp, number in moved)
            return (order for stamp, order in entries if order["updated_at"] == stamp), True
        else:
            return self.table.values(), False
        key = "updated_at" if by_time else "legacy_id"
        return sorted(found, key=lambda order: (order[key], order["legacy_id"])), by_time

    def _new_lines(self, given: Iterable[Mapping[str, Any]]) -> list[Line]:
        lines = []
        number = self._next_line
        for data in given:
            if data is None:
                continue
            quantity = data["quantity"]
            if quantity < 1:
                raise invalid(f"{data['sku']}: quantity {quantity} is not at least 1")
            _amount("price", data["price"])
            sku = self._stock.sku(data["sku"])
            locked = data.get("warehouse_id")
            lines.append(
                Line(
                    legacy_id=number,
                    partner_line_item_id=data["partner_line_item_id"],
                    sku=sku,
                    product_name=data.get("product_name") or self._context.world.items[sku].name,
                    quantity=quantity,
                    price=data["price"],
                    warehouse=None,
                    locked=self._stock.warehouse(locked) if locked else None,
                )
            )
            number += 1
        if not lines:
            raise invalid("An order needs at least one line item")
        self._next_line = number
        return lines

    def _allocated(self, order: Record) -> Record:
        if any(order["holds"].values()):
            return order
        address = order.get("shipping_address") or {}
        country = address.get("country_code") or address.get("country") or ""
        before = lines_of(order)
        lines = self._stock.allocate(before, self._stock.preferred(country))
        owed = any(line.backordered > 0 for line in lines)
        order = {**order, "lines": lines, "owed": owed}
        if lines != before and self._webhooks.wanted("Order Allocated"):
            self._webhooks.emit("Order Allocated", _event(order))
        return order

    def _released(self, order: Record) -> Record:
        before = lines_of(order)
        lines = self._stock.release(before)
        if lines != before and self._webhooks.wanted("Order Deallocated"):
            self._webhooks.emit("Order Deallocated", _event(order))
        return {**order, "lines": lines, "owed": False}

    def _canceled(self, order: Record, reason: str | None) -> Record:
        order = self._released(self._touched({**order, "fulfillment_status": "canceled"}))
        lines = [line._replace(canceled=line.pending > 0) for line in lines_of(order)]
        order = {**order, "lines": lines}
        self._put(order)
        self._note("order_cancel", order, {"reason": reason} if reason else None)
        self._webhooks.emit("Order Canceled", {**_event(order), "reason": reason})
        return order

    def _refuse_canceled(self, order: Record) -> None:
        if order["fulfillment_status"] == "canceled":
            raise invalid(f"Order {order['order_number']} is canceled")

    def _touched(self, order: Record) -> Record:
        return {**order, "updated_at": write_moment(self._context.clock.now())}

    def _put(self, order: Record) -> None:
        self.table.put(str(order["legacy_id"]), order)
        entry = (order["updated_at"], order["legacy_id"])
        at = bisect_left(self._moved, entry)
        if at == len(self._moved) or self._moved[at] != entry:
            self._moved.insert(at, entry)

    def _note(self, operation: str, order: Record, detail: Mapping[str, Any] | None = None) -> None:
        price = order.get("total_price")
        self._context.ledger.append(
            system="wms",
            operation=operation,
            external_reference=order.get("partner_order_id") or order["order_number"],
            amount=None if price is None else Decimal(price),
            currency=order.get("currency"),
            entity=order["id"],
            detail=detail,
        )


def _fits(order: Record, arguments: Mapping[str, Any]) -> bool:
    """Whether an order passes every filter that is given."""
    for name in ("partner_order_id", "order_number", "shop_name", "email", "fulfillment_status"):
        if arguments.get(name) is not None and order.get(name) != arguments[name]:
            return False
    for hold in ("fraud_hold", "payment_hold", "operator_hold", "address_hold"):
        if arguments.get(hold) is not None and order["holds"][hold] != arguments[hold]:
            return False
    for name, field in (("order_date", "order_date"), ("updated", "updated_at")):
        since, until = arguments.get(f"{name}_from"), arguments.get(f"{name}_to")
        if (since and order[field] < since) or (until and order[field] > until):
            return False
    sku = arguments.get("sku")
    return sku is None or any(line[2] == sku for line in order["lines"])


def _event(order: Record) -> dict[str, Any]:
    """What every message about an order carries."""
    return {
        "order_uuid": order["id"],
        "order_id": order["legacy_id"],
        "order_number": order["order_number"],
        "partner_order_id": order.get("partner_order_id"),
    }


def _check_money(data: Mapping[str, Any]) -> None:
    for name in MONEY:
        if data.get(name) is not None:
            _amount(name, data[name])


def _amount(name: str, written: str) -> Decimal:
    try:
        amount = Decimal(written)
    except InvalidOperation:
        raise _not_an_amount(name, written) from None
    if not amount.is_finite():
        raise _not_an_amount(name, written)
    return amount


def _not_an_amount(name: str, written: str) -> Refusal:
    return invalid(f"{name} {written!r} is not an amount")
