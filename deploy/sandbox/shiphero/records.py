"""How ShipHero names and shows its records: ids, lines, pages."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Any, NamedTuple

from deploy.sandbox.shiphero.refusals import invalid

__all__ = ["ACCOUNT", "Line", "cursor", "legacy", "lines_of", "opaque", "page", "show_line"]

LONGEST_PAGE = 100


def opaque(entity: str, legacy_id: int) -> str:
    """The id on the wire: base64 of ``Entity:number``."""
    return b64encode(f"{entity}:{legacy_id}".encode()).decode()


ACCOUNT = opaque("Account", 7001)


def legacy(entity: str, given: str) -> int | None:
    """The number inside an id of this entity, or None when it is no such id."""
    try:
        kind, _, number = b64decode(given, validate=True).decode("ascii").partition(":")
    except (Base64Error, UnicodeDecodeError, ValueError):
        return None
    return int(number) if kind == entity and number.isdigit() else None


class Line(NamedTuple):
    """One line of an order, kept small: an order's record holds a list of these."""

    legacy_id: int
    partner_line_item_id: str
    sku: str
    product_name: str
    quantity: int
    price: str
    warehouse: str | None  # code of the warehouse that the stock is allocated in
    locked: str | None  # code of the warehouse that the order asked for
    allocated: int = 0
    shipped: int = 0
    canceled: bool = False

    @property
    def pending(self) -> int:
        """Pieces that are still to be shipped."""
        return 0 if self.canceled else self.quantity - self.shipped

    @property
    def backordered(self) -> int:
        """Pieces still to be shipped that no stock is allocated to."""
        return self.pending - self.allocated


def lines_of(order: dict[str, Any]) -> list[Line]:
    """The lines of an order's record (after a replay they are plain lists)."""
    return [Line(*line) for line in order["lines"]]


def show_line(order: dict[str, Any], line: Line, warehouse_ids: dict[str, str]) -> dict[str, Any]:
    """A line as ``LineItem``; ``warehouse_ids`` are by code."""
    status = "pending"
    if line.canceled:
        status = "canceled"
    elif line.shipped >= line.quantity:
        status = "fulfilled"
    return {
        "id": opaque("LineItem", line.legacy_id),
        "legacy_id": line.legacy_id,
        "order_id": order["id"],
        "sku": line.sku,
        "partner_line_item_id": line.partner_line_item_id,
        "product_name": line.product_name,
        "quantity": line.quantity,
        "price": line.price,
        "fulfillment_status": status,
        "quantity_pending_fulfillment": line.pending,
        "quantity_allocated": line.allocated,
        "quantity_shipped": line.shipped,
        "backorder_quantity": line.backordered,
        "warehouse": line.warehouse,
        "warehouse_id": warehouse_ids[line.warehouse] if line.warehouse else None,
        "locked_to_warehouse_id": warehouse_ids[line.locked] if line.locked else None,
        "created_at": order["created_at"],
        "updated_at": order["updated_at"],
    }


def cursor(position: str) -> str:
    """A position in a list as an opaque cursor."""
    return b64encode(f"at:{position}".encode()).decode()


def page(
    records: Sequence[tuple[str, dict[str, Any]]], arguments: dict[str, Any]
) -> dict[str, Any]:
    """A Relay connection over records that come with their position, sorted by it, ascending.

    Cursors carry the position, not an offset: a record that arrives or moves between two pages
    shifts nothing else.
    """
    start, end = 0, len(records)
    if arguments.get("after"):
        after = _position(arguments["after"])
        while start < end and records[start][0] <= after:
            start += 1
    if arguments.get("before"):
        before = _position(arguments["before"])
        while end > start and records[end - 1][0] >= before:
            end -= 1
    first, last = arguments.get("first"), arguments.get("last")
    if (first is not None and first < 0) or (last is not None and last < 0):
        raise invalid("first and last cannot be negative")
    begin, stop = start, end
    if first is not None or last is None:
        stop = min(stop, begin + (LONGEST_PAGE if first is None else first))
    if last is not None:
        begin = max(begin, stop - last)
    shown = records[begin:stop]
    return {
        "edges": [{"cursor": cursor(position), "node": node} for position, node in shown],
        "pageInfo": {
            "hasNextPage": stop < len(records),
            "hasPreviousPage": begin > 0,
            "startCursor": cursor(shown[0][0]) if shown else None,
            "endCursor": cursor(shown[-1][0]) if shown else None,
        },
        "total_count": len(records),
    }


def _position(given: str) -> str:
    try:
        kind, _, position = b64decode(given, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError, ValueError):
        kind, position = "", ""
    if kind != "at":
        raise invalid(f"Invalid cursor: {given}")
    return position
