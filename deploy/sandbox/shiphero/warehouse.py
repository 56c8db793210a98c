"""The warehouse behind the API: what each root field does, and how records are shown."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deploy.sandbox.shiphero.orders import Orders
from deploy.sandbox.shiphero.records import ACCOUNT, legacy, lines_of, opaque, page, show_line
from deploy.sandbox.shiphero.refusals import not_found
from deploy.sandbox.shiphero.shipments import Shipments
from deploy.sandbox.shiphero.stock import Stock
from deploy.sandbox.shiphero.webhooks import Webhooks
from deploy.sandbox.vault import Record, Vault
from deploy.sandbox.vendor import VendorContext

if TYPE_CHECKING:  # documents load graphql-core, which a start-up need not wait for
    from deploy.sandbox.shiphero.documents import Resolver, Run

__all__ = ["Warehouse"]

Payload = dict[str, Any]
RootResolver = Callable[[dict[str, Any], "Run"], Payload]


class Warehouse:
    """Everything ShipHero knows, with one method for each family of root fields."""

    def __init__(self, vault: Vault, context: VendorContext) -> None:
        self._world = context.world
        self.stock = Stock(vault, context.world, context.clock)
        self.webhooks = Webhooks(vault, context)
        self.orders = Orders(vault, context, self.stock, self.webhooks)
        self.shipments = Shipments(
            vault, context, orders=self.orders, stock=self.stock, webhooks=self.webhooks
        )

    def roots(self) -> Mapping[str, RootResolver]:
        """Root fields by name: arguments and run in, payload out, a ``Refusal`` when it says no."""
        orders, shipments = self.orders, self.shipments
        return {
            "account": self._account,
            "order": lambda given, run: _payload(run, data=orders.get(given["id"])),
            "orders": lambda given, run: _payload(run, data=orders.search(given)),
            "shipment": lambda given, run: _payload(
                run, data=shipments.get(given["id"]) if given.get("id") else None
            ),
            "shipments": lambda given, run: _payload(run, data=shipments.search(given)),
            "product": self._product,
            "warehouse_products": self._warehouse_products,
            "webhooks": lambda _, run: _payload(run, data=self.webhooks.all()),
            "uuid": self._uuid,
            "order_create": _mutation("order", orders.create),
            "order_update": _mutation("order", orders.update),
            "order_update_holds": _mutation("order", orders.update_holds),
            "order_update_fulfillment_status": _mutation("order", orders.update_fulfillment_status),
            "order_cancel": _mutation("order", orders.cancel),
            "shipment_create": _mutation("shipment", self._create_shipment),
            "inventory_add": _mutation("warehouse_product", lambda d: self.count(d, sign=1)),
            "inventory_remove": _mutation("warehouse_product", lambda d: self.count(d, sign=-1)),
            "inventory_subtract": _mutation("warehouse_product", lambda d: self.count(d, sign=-1)),
            "inventory_replace": _mutation("warehouse_product", lambda d: self.count(d, sign=0)),
            "webhook_create": _mutation("webhook", self.webhooks.create),
            "webhook_delete": _mutation("webhook", self.webhooks.delete),
        }

    def resolvers(self) -> "Mapping[str, Resolver]":
        """How fields that are not simply in the record are read."""
        stock, shipments = self.stock, self.shipments
        return {
            **dict.fromkeys(
                (
                    "OrdersQueryResult.data",
                    "ShipmentsQueryResult.data",
                    "WarehouseProductsQueryResult.data",
                    "WebhooksQueryResult.data",
                ),
                lambda source, given, _: (
                    None if source["data"] is None else page(source["data"], given)
                ),
            ),
            "Order.line_items": lambda order, given, _: page(self._lines(order), given),
            "Order.shipments": lambda order, _given, _run: shipments.of(order),
            "Order.allocations": lambda order, _given, _run: self._allocations(order),
            "Order.ready_to_ship": lambda order, _given, _run: _is_ready(order),
            "LineItem.product": lambda line, _given, _run: self._show_product(line["sku"]),
            "LineItem.product_id": lambda line, _given, _run: self._product_id(line["sku"]),
            "Shipment.order": lambda shipment, _given, _run: self.orders.get(shipment["order_id"]),
            "Shipment.warehouse": lambda shipment, _given, _run: self._show_warehouse(
                shipment["warehouse"]
            ),
            "Shipment.shipping_labels": lambda shipment, _given, _run: shipment["labels"],
            "Shipment.address": lambda shipment, _given, _run: self._destination(shipment),
            "Shipment.line_items": lambda shipment, given, _: page(
                self._shipped_lines(shipment), given
            ),
            "WarehouseProduct.product": lambda level, _given, _run: self._show_product(
                level["sku"]
            ),
            "WarehouseProduct.warehouse": lambda level, _given, _run: self._show_warehouse(
                level["warehouse_identifier"]
            ),
            "WarehouseProduct.backorder": lambda level, _given, _run: self.orders.owed_of(
                level["sku"], level["warehouse_identifier"]
            ),
            "Product.warehouse_products": lambda product, _given, _run: [
                stock.show(code, product["sku"]) for code in stock.ids
            ],
        }

    def _account(self, _given: dict[str, Any], run: "Run") -> Payload:
        warehouses = [self._show_warehouse(code) for code in self.stock.ids]
        account = {
            "id": ACCOUNT,
            "legacy_id": legacy("Account", ACCOUNT),
            "email": "warehouse@crossdock.example",
            "username": "crossdock",
            "status": "active",
            "warehouses": warehouses,
        }
        return _payload(run, data=account)

    def _product(self, given: dict[str, Any], run: "Run") -> Payload:
        sku = given.get("sku")
        if sku is None and given.get("id") is not None:
            sku = self.stock.sku_of(legacy("Product", given["id"]))
        if sku not in self._world.items:
            raise not_found("Product", str(given.get("sku") or given.get("id")))
        return _payload(run, data=self._show_product(sku))

    def _warehouse_products(self, given: dict[str, Any], run: "Run") -> Payload:
        code = given.get("warehouse_id")
        code = self.stock.warehouse(code) if code is not None else None
        sku = given.get("sku")
        found: list[tuple[str, Record]] = []
        if sku is None or sku in self._world.items:
            found = self.stock.levels(sku, code, given.get("updated_from"), given.get("updated_to"))
        if given.get("active") is not None:
            found = [pair for pair in found if pair[1]["active"] == given["active"]]
        return _payload(run, data=found)

    def _uuid(self, given: dict[str, Any], run: "Run") -> Payload:
        number = given["legacy_id"]
        return _payload(run, data={"id": opaque(given["entity"], number), "legacy_id": number})

    def count(self, data: Mapping[str, Any], *, sign: int) -> Record:
        """Add (1), remove (-1) or replace (0), then serve the orders that waited for the item."""
        code = self.stock.warehouse(data["warehouse_id"])
        sku = self.stock.sku(data["sku"])
        if sign:
            self.stock.adjust(code, sku, by=sign * data["quantity"])
        else:
            self.stock.adjust(code, sku, to=data["quantity"])
        self.orders.allocate_owed(sku)
        self.tell_stock([(code, sku)])
        return self.stock.show(code, sku)

    def _create_shipment(self, data: Mapping[str, Any]) -> Record:
        shipment = self.shipments.create(data)
        self.tell_shipped(shipment)
        return shipment

    def tell_shipped(self, shipment: Record) -> None:
        """Send the Inventory Update for what a shipment took with it."""
        if self.webhooks.wanted("Inventory Update"):
            shipped = [line["line_item"] for _, line in self._shipped_lines(shipment)]
            self.tell_stock([(shipment["warehouse"], line["sku"]) for line in shipped])

    def tell_stock(self, moved: list[tuple[str, str]]) -> None:
        """Send an Inventory Update for warehouse and item pairs whose count changed."""
        if not self.webhooks.wanted("Inventory Update"):
            return
        rows = []
        for code, sku in moved:
            levels = {place: self.stock.show(place, sku) for place in self.stock.ids}
            here = levels[code]
            rows.append(
                {
                    "sku": sku,
                    "inventory": sum(level["available"] for level in levels.values()),
                    "on_hand": sum(level["on_hand"] for level in levels.values()),
                    "backorder_quantity": sum(
                        self.orders.owed_of(sku, place) for place in self.stock.ids
                    ),
                    "virtual": False,
                    "updated_warehouse": {
                        "warehouse_id": self.stock.numbers[code],
                        "warehouse_uuid": self.stock.ids[code],
                        "identifier": code,
                        "inventory": here["available"],
                        "on_hand": here["on_hand"],
                    },
                }
            )
        self.webhooks.emit("Inventory Update", {"account_uuid": ACCOUNT, "inventory": rows})

    def _lines(self, order: Record) -> list[tuple[str, Record]]:
        return [
            (f"{line.legacy_id:012d}", show_line(order, line, self.stock.ids))
            for line in lines_of(order)
        ]

    def _allocations(self, order: Record) -> list[Record]:
        by_code: dict[str, list[Record]] = {}
        for line in lines_of(order):
            if line.allocated and line.warehouse:
                by_code.setdefault(line.warehouse, []).append(
                    {
                        "order_id": order["id"],
                        "line_item_id": opaque("LineItem", line.legacy_id),
                        "sku": line.sku,
                        "warehouse_id": self.stock.ids[line.warehouse],
                        "quantity_allocated": line.allocated,
                        "allocated_at": order["updated_at"],
                        "is_kit_component": False,
                    }
                )
        return [
            {
                "order_id": order["id"],
                "warehouse_id": self.stock.ids[code],
                "allocated_at": order["updated_at"],
                "allocation_reference": f"{order['legacy_id']}-{code}",
                "line_items": lines,
            }
            for code, lines in by_code.items()
        ]

    def _shipped_lines(self, shipment: Record) -> list[tuple[str, Record]]:
        order = self.orders.get(shipment["order_id"])
        by_number = {line.legacy_id: line for line in lines_of(order)}
        return [
            (
                f"{number:015d}",
                {
                    "id": opaque("ShipmentLineItem", number),
                    "legacy_id": number,
                    "shipment_id": shipment["id"],
                    "line_item_id": opaque("LineItem", line),
                    "line_item": show_line(order, by_number[line], self.stock.ids),
                    "shipping_label_id": shipment["labels"][package]["id"],
                    "quantity": pieces,
                },
            )
            for number, line, pieces, package in shipment["lines"]
        ]

    def _destination(self, shipment: Record) -> Record:
        address = self.orders.get(shipment["order_id"]).get("shipping_address") or {}
        names = (address.get("first_name"), address.get("last_name"))
        return {**address, "name": " ".join(name for name in names if name)}

    def _show_warehouse(self, code: str) -> Record:
        warehouse = self._world.warehouses[code]
        return {
            "id": self.stock.ids[code],
            "legacy_id": self.stock.numbers[code],
            "account_id": ACCOUNT,
            "identifier": code,
            "profile": code.lower(),
            "company_name": "Crossdock Trading",
            "address": {
                "name": warehouse.name,
                "address1": warehouse.street,
                "city": warehouse.city,
                "zip": warehouse.postcode,
                "country": warehouse.country,
            },
        }

    def _product_id(self, sku: str) -> str:
        return opaque("Product", self.stock.product_numbers[sku])

    def _show_product(self, sku: str) -> Record:
        item = self._world.items[sku]
        return {
            "id": self._product_id(sku),
            "legacy_id": self.stock.product_numbers[sku],
            "account_id": ACCOUNT,
            "sku": sku,
            "name": item.name,
            "barcode": item.gtin,
            "kit": False,
            "virtual": False,
            "dimensions": {"weight": f"{item.weight_kg * 1000 / 28:.2f}"},
        }


def _is_ready(order: Record) -> bool:
    """Nothing holds the order and all that is still to be shipped lies ready for it."""
    if order["fulfillment_status"] != "pending" or any(order["holds"].values()):
        return False
    return not order["owed"]


def _payload(run: "Run", **values: Any) -> Payload:
    return {"request_id": run.request_id, "complexity": run.complexity, **values}


def _mutation(name: str, work: Callable[[Mapping[str, Any]], Record | None]) -> RootResolver:
    return lambda given, run: _payload(run, **{name: work(given["data"])})
