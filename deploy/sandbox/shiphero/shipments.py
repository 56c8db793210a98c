"""Shipments: goods that leave, package by package, and the messages that tell of them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from deploy.sandbox.shiphero.moments import write_moment
from deploy.sandbox.shiphero.orders import Orders
from deploy.sandbox.shiphero.records import legacy, lines_of, opaque
from deploy.sandbox.shiphero.refusals import invalid, not_found
from deploy.sandbox.shiphero.stock import Stock
from deploy.sandbox.shiphero.webhooks import Webhooks
from deploy.sandbox.vault import Record, Vault
from deploy.sandbox.vendor import VendorContext

__all__ = ["Shipments"]

FIRST_SHIPMENT = 60_000_001


class Shipments:
    """The shipments table and the one way in which goods leave."""

    def __init__(
        self,
        vault: Vault,
        context: VendorContext,
        *,
        orders: Orders,
        stock: Stock,
        webhooks: Webhooks,
    ) -> None:
        self._context = context
        self._orders = orders
        self._stock = stock
        self._webhooks = webhooks
        self.table = vault.table("shipments")
        self._by_order = self.table.index("order_id")
        last = max((s["legacy_id"] for s in self.table.values()), default=FIRST_SHIPMENT - 1)
        self._next = last + 1

    def of(self, order: Record) -> list[Record]:
        """The shipments of an order, oldest first."""
        return self._by_order.get(order["id"])

    def get(self, shipment_id: str) -> Record:
        """The shipment with this id.

        Raises:
            Refusal: there is none.
        """
        number = legacy("Shipment", shipment_id)
        shipment = None if number is None else self.table.get(str(number))
        if shipment is None:
            raise not_found("Shipment", shipment_id)
        return shipment

    def search(self, arguments: Mapping[str, Any]) -> list[tuple[str, Record]]:
        """Shipments with their positions, by id."""
        order_id, tracking = arguments.get("order_id"), arguments.get("tracking_number")
        since, until = arguments.get("date_from"), arguments.get("date_to")
        found = []
        if order_id:
            candidates = self._by_order.get(order_id)
        elif since:
            candidates = self.table.recent(lambda shipment: shipment["created_date"]).since(since)
        else:
            candidates = list(self.table.values())
        for shipment in candidates:
            created = shipment["created_date"]
            if (since and created < since) or (until and created > until):
                continue
            numbers = [label["tracking_number"] for label in shipment["labels"]]
            if tracking is None or tracking in numbers:
                found.append((f"{shipment['legacy_id']:012d}", shipment))
        return found

    def create(self, data: Mapping[str, Any]) -> Record:
        """``shipment_create``: somebody else's labels, or none.

        Raises:
            Refusal: no such order, line or warehouse, or more than is pending or in stock.
        """
        order = self._orders.get(data["order_id"])
        code = self._stock.warehouse(data["warehouse_id"])
        wanted = {}
        for item in data["line_items"]:
            number = legacy("LineItem", item["line_item_id"])
            if number is None or all(line.legacy_id != number for line in lines_of(order)):
                raise not_found("Line item", item["line_item_id"])
            wanted[number] = (code, item["quantity"])
        labels = data.get("labels") or []
        return self.ship(order, wanted, packages=max(1, len(labels)), labels=labels)

    def ship(
        self,
        order: Record,
        wanted: Mapping[int, tuple[str, int]],
        *,
        packages: int,
        labels: list[Mapping[str, Any]] | None = None,
    ) -> Record:
        """Let goods leave one warehouse: ``wanted`` is its code and pieces, by line number.

        Raises:
            Refusal: the order is held or not pending, or more than is pending or in stock.
        """
        held = [hold for hold, on in order["holds"].items() if on]
        if held:
            raise invalid(f"Order {order['order_number']} is on hold: {', '.join(held)}")
        if order["fulfillment_status"] != "pending":
            raise invalid(f"Order {order['order_number']} is {order['fulfillment_status']}")
        if not wanted:
            raise invalid(f"Order {order['order_number']}: nothing to ship")
        code = next(iter(wanted.values()))[0]
        lines = [
            self._stock.ship(line, *wanted[line.legacy_id]) if line.legacy_id in wanted else line
            for line in lines_of(order)
        ]
        shipment = self._record(order, code, wanted, packages, labels or [])
        order = self._orders.shipped(order, lines)
        self.table.put(str(shipment["legacy_id"]), shipment)
        self._next += 1
        self._note(order, shipment)
        self._tell(order, shipment)
        return shipment

    def _record(
        self,
        order: Record,
        code: str,
        wanted: Mapping[int, tuple[str, int]],
        packages: int,
        labels: list[Mapping[str, Any]],
    ) -> Record:
        number = self._next
        now = write_moment(self._context.clock.now())
        packages = min(packages, len(wanted))
        shipping = order.get("shipping_lines") or {}
        made = []
        for at in range(packages):
            given = labels[at] if at < len(labels) else {}
            tracking = given.get("tracking_number") or f"XD{number}{at + 1:02d}GB"
            made.append(
                {
                    "id": opaque("ShippingLabel", number * 100 + at),
                    "legacy_id": number * 100 + at,
                    "order_id": order["id"],
                    "order_number": order["order_number"],
                    "shipment_id": opaque("Shipment", number),
                    "carrier": given.get("carrier") or shipping.get("carrier") or "royal_mail",
                    "shipping_method": given.get("shipping_method")
                    or shipping.get("method")
                    or "standard",
                    "shipping_name": given.get("shipping_name") or "Standard",
                    "cost": given.get("cost") or "0.00",
                    "tracking_number": tracking,
                    "tracking_url": given.get("tracking_url")
                    or f"https://track.example/{tracking}",
                    "package_number": at + 1,
                    "status": "valid",
                    "created_date": now,
                    "warehouse": code,
                    "warehouse_id": self._stock.ids[code],
                }
            )
        return {
            "id": opaque("Shipment", number),
            "legacy_id": number,
            "order_id": order["id"],
            "warehouse": code,
            "warehouse_id": self._stock.ids[code],
            "created_date": now,
            "completed": True,
            "delivered": False,
            "picked_up": False,
            "refunded": False,
            "shipped_off_shiphero": bool(labels),
            "total_packages": packages,
            "labels": made,
            "lines": [  # number, order line, pieces, package
                [number * 1000 + at, line, pieces, at % packages]
                for at, (line, (_, pieces)) in enumerate(wanted.items())
            ],
        }

    def _note(self, order: Record, shipment: Record) -> None:
        prices = {line.legacy_id: Decimal(line.price) for line in lines_of(order)}
        skus = {line.legacy_id: line.sku for line in lines_of(order)}
        self._context.ledger.append(
            system="wms",
            operation="shipment",
            external_reference=order.get("partner_order_id") or order["order_number"],
            amount=sum(
                (prices[line] * pieces for _, line, pieces, _ in shipment["lines"]), Decimal(0)
            ),
            currency=order.get("currency"),
            entity=shipment["id"],
            detail={
                "order": order["id"],
                "warehouse": shipment["warehouse"],
                "packages": shipment["total_packages"],
                "lines": [
                    {"sku": skus[line], "quantity": pieces}
                    for _, line, pieces, _ in shipment["lines"]
                ],
            },
        )

    def _tell(self, order: Record, shipment: Record) -> None:
        """One Shipment Update per package: who wants the shipment must add the packages up."""
        if not self._webhooks.wanted("Shipment Update"):
            return
        by_number = {line.legacy_id: line for line in lines_of(order)}
        for at, label in enumerate(shipment["labels"]):
            packed = [
                {
                    "id": by_number[line].partner_line_item_id,
                    "shiphero_id": line,
                    "quantity": pieces,
                    "sku": by_number[line].sku,
                    "serial_numbers": [],
                    "package": label["package_number"],
                    "lot_id": None,
                    "lot_name": None,
                    "lot_expiration_date": None,
                }
                for _, line, pieces, package in shipment["lines"]
                if package == at
            ]
            self._webhooks.emit("Shipment Update", _message(order, shipment, label, packed))


def _message(
    order: Record, shipment: Record, label: Record, packed: list[dict[str, Any]]
) -> dict[str, Any]:
    warehouse_number = legacy("Warehouse", shipment["warehouse_id"])
    return {
        "test": "0",
        "fulfillment": {
            "shipment_id": shipment["legacy_id"],
            "shipment_uuid": shipment["id"],
            "warehouse": shipment["warehouse"],
            "warehouse_id": warehouse_number,
            "warehouse_uuid": shipment["warehouse_id"],
            "partner_order_id": order.get("partner_order_id"),
            "order_id": order["legacy_id"],
            "order_uuid": order["id"],
            "order_number": order["order_number"],
            "tracking_number": label["tracking_number"],
            "custom_tracking_url": label["tracking_url"],
            "package_number": label["package_number"],
            "total_packages": shipment["total_packages"],
            "shipping_method": label["shipping_method"],
            "shipping_carrier": label["carrier"],
            "completed": shipment["completed"],
            "created_at": shipment["created_date"],
            "order_gift_note": order.get("gift_note"),
            "shipping_address": order.get("shipping_address") or {},
            "line_items": packed,
            "packages": [
                {
                    "name": f"package {label['package_number']}",
                    "tracking_number": label["tracking_number"],
                    "line_items": [
                        {"sku": item["sku"], "quantity": item["quantity"]} for item in packed
                    ],
                }
            ],
        },
    }
