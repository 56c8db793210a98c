"""Stock: what can be promised, where and by when."""

from contracts.canonical.ids import ItemId
from contracts.canonical.shapes import Canonical, Instant, Quantity


class StockAt(Canonical, frozen=True, kw_only=True):
    """One item in one warehouse. `available` = on hand - allocated, never below zero."""

    warehouse: str
    on_hand: Quantity
    available: Quantity


class StockPosition(Canonical, frozen=True, kw_only=True):
    """One item over all warehouses."""

    item: ItemId
    places: tuple[StockAt, ...]
    as_of: Instant


class LineAvailability(Canonical, frozen=True, kw_only=True):
    """What of one line can be shipped now, and from where."""

    item: ItemId
    requested: Quantity
    available: Quantity
    warehouse: str | None
    """The one warehouse that can ship all of it; None when none can alone."""
    sufficient: bool
