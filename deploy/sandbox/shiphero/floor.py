"""The warehouse floor: what people there do, for tests and demonstrations.

No API of ShipHero makes a picker pick, so these are calls of the sandbox:
``/_sandbox/warehouse/...``.
"""

from collections.abc import Mapping

import msgspec

from deploy.sandbox.shiphero.orders import HOLDS
from deploy.sandbox.shiphero.records import Line, lines_of
from deploy.sandbox.shiphero.refusals import Refusal, invalid, not_found
from deploy.sandbox.shiphero.tokens import Tokens
from deploy.sandbox.shiphero.warehouse import Warehouse
from deploy.sandbox.vault import Record, Vault
from deploy.sandbox.wire import Reply, Request, json_reply

__all__ = ["Floor"]


class _Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What every request to the floor is: camel case, and nothing that is not known."""


class _Pieces(_Asked, frozen=True, kw_only=True):
    sku: str
    quantity: int


class _Ship(_Asked, frozen=True, kw_only=True):
    """Without lines: everything that is allocated. One shipment per warehouse."""

    order_number: str
    lines: list[_Pieces] | None = None
    packages: int = 1
    warehouse: str | None = None


class _Hold(_Asked, frozen=True, kw_only=True):
    order_number: str
    hold: str = "operator_hold"
    on: bool = True


class _Count(_Asked, frozen=True, kw_only=True):
    sku: str
    warehouse: str
    on_hand: int


class Floor:
    """The people of the warehouse."""

    def __init__(self, vault: Vault, warehouse: Warehouse, tokens: Tokens) -> None:
        self._vault = vault
        self._warehouse = warehouse
        self._tokens = tokens

    async def answer(self, request: Request) -> Reply:
        """Do what is asked: 200, or 400 for nonsense, 404 and 409 for a refusal."""
        deeds = {"ship": self._ship, "hold": self._hold, "count": self._count}
        action = request.path.rsplit("/", 1)[-1]
        if request.method == "POST" and action == "expire-tokens":
            with self._vault.batch():
                return json_reply(200, {"expired": self._tokens.expire_all()})
        if request.method != "POST" or action not in deeds:
            actions = ", ".join((*deeds, "expire-tokens"))
            return json_reply(404, {"error": f"POST /_sandbox/warehouse/ one of {actions}"})
        try:
            with self._vault.batch():
                return json_reply(200, deeds[action](request.body))
        except msgspec.MsgspecError as unclear:
            return json_reply(400, {"error": str(unclear)})
        except Refusal as refusal:
            return json_reply(404 if refusal.is_absence else 409, {"error": refusal.message})

    def _ship(self, body: bytes) -> object:
        return self._leave(msgspec.json.decode(body, type=_Ship))

    def ship(self, order_number: str, pieces: Mapping[str, int]) -> object:
        """Let pieces of an order leave, by SKU; answer what the floor's own call answers.

        Raises:
            Refusal: the order is held or not pending, or there is not so much.
        """
        lines = [_Pieces(sku=sku, quantity=quantity) for sku, quantity in pieces.items()]
        with self._vault.batch():
            return self._leave(_Ship(order_number=order_number, lines=lines))

    def _leave(self, asked: _Ship) -> object:
        order = self._order(asked.order_number)
        if asked.packages < 1:
            raise invalid("packages is at least 1")
        by_warehouse: dict[str, dict[int, tuple[str, int]]] = {}
        for line, pieces in self._picked(order, asked):
            code = asked.warehouse or line.warehouse
            if code not in self._warehouse.stock.ids:
                raise invalid(f"{line.sku} is allocated nowhere: name one of the warehouses")
            by_warehouse.setdefault(code, {})[line.legacy_id] = (code, pieces)
        if not by_warehouse:
            raise invalid(f"Order {asked.order_number}: nothing is allocated that could ship")
        shipments = []
        for wanted in by_warehouse.values():
            order = self._warehouse.orders.get(order["id"])
            shipment = self._warehouse.shipments.ship(order, wanted, packages=asked.packages)
            self._warehouse.tell_shipped(shipment)
            shipments.append(shipment)
        order = self._warehouse.orders.get(order["id"])
        return {
            "orderId": order["id"],
            "fulfillmentStatus": order["fulfillment_status"],
            "shipments": [_show(shipment) for shipment in shipments],
        }

    def _picked(self, order: Record, asked: _Ship) -> list[tuple[Line, int]]:
        """Lines and the pieces of each; a SKU on several lines fills the first ones first."""
        lines = lines_of(order)
        if asked.lines is None:
            return [(line, line.allocated) for line in lines if line.allocated]
        picked = []
        for wanted in asked.lines:
            left = wanted.quantity
            matching = [line for line in lines if line.sku == wanted.sku and line.pending]
            for at, line in enumerate(matching):
                last = at == len(matching) - 1  # takes what is left, so that too much is refused
                pieces = left if last else min(left, line.pending)
                if pieces:
                    picked.append((line, pieces))
                left -= pieces
            if not matching:
                raise invalid(f"{wanted.sku} is on no open line of {asked.order_number}")
        return picked

    def _hold(self, body: bytes) -> object:
        asked = msgspec.json.decode(body, type=_Hold)
        if asked.hold not in HOLDS:
            raise invalid(f"hold is one of {', '.join(HOLDS)}")
        order = self._order(asked.order_number)
        data = {"order_id": order["id"], asked.hold: asked.on}
        order = self._warehouse.orders.update_holds(data)
        return {"orderId": order["id"], "holds": order["holds"]}

    def _count(self, body: bytes) -> object:
        asked = msgspec.json.decode(body, type=_Count)
        stock = self._warehouse.stock
        if asked.warehouse not in stock.ids:
            raise not_found("Warehouse", asked.warehouse)
        data: Mapping[str, object] = {
            "sku": asked.sku,
            "warehouse_id": stock.ids[asked.warehouse],
            "quantity": asked.on_hand,
        }
        level = self._warehouse.count(data, sign=0)
        return {name: level[name] for name in ("sku", "on_hand", "allocated", "available")}

    def _order(self, order_number: str) -> Record:
        order = self._warehouse.orders.find(order_number)
        if order is None:
            raise not_found("Order", order_number)
        return order


def _show(shipment: Record) -> dict[str, object]:
    return {
        "id": shipment["id"],
        "warehouse": shipment["warehouse"],
        "trackingNumbers": [label["tracking_number"] for label in shipment["labels"]],
        "pieces": sum(line[2] for line in shipment["lines"]),
    }
