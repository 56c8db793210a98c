"""The pickers, acting by themselves: what is released and allocated leaves after a while."""

from datetime import datetime

from deploy.sandbox.autopilot import Pace, before
from deploy.sandbox.shiphero.floor import Floor
from deploy.sandbox.shiphero.moments import write_moment
from deploy.sandbox.shiphero.records import lines_of
from deploy.sandbox.shiphero.refusals import Refusal
from deploy.sandbox.vault import Index, Record, Table

__all__ = ["Pickers"]


class Pickers:
    """Ship what lies ready."""

    def __init__(self, orders: Table, floor: Floor) -> None:
        self._orders = orders
        self._floor = floor
        self._ready: Index | None = None

    def act(self, now: datetime, pace: Pace) -> int:
        """Ship what is due; what is held or waits for stock stays."""
        if self._ready is None:
            self._ready = self._orders.index("ready", _is_ready)
        due = write_moment(before(now, pace.ship_after))
        done = 0
        for order in [one for one in self._ready.get(True) if one["updated_at"] <= due]:
            if done >= pace.at_once:
                break
            done += self._ship(order, pace)
        return done

    def _ship(self, order: Record, pace: Pace) -> int:
        lines = lines_of(order)
        first = not any(line.shipped for line in lines)
        halves = first and pace.ships_in_parts(order["order_number"])
        pieces: dict[str, int] = {}
        for line in lines:
            quantity = (line.allocated + 1) // 2 if halves else line.allocated
            if quantity:
                pieces[line.sku] = pieces.get(line.sku, 0) + quantity
        if not pieces:
            return 0
        try:
            self._floor.ship(order["order_number"], pieces)
        except Refusal:
            return 0
        return 1


def _is_ready(order: Record) -> bool | None:
    """Pending and under no hold."""
    is_held = any(order["holds"].values())
    return (order["fulfillment_status"] == "pending" and not is_held) or None
