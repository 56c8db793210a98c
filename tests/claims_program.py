"""One process of several that take of the same stock or credit: for tests of claims.

    python -m tests.claims_program URL NAME stock HOLDERS

Prints a line for every answer it has, each before the next question: `NAME HOLDER ITEM=QUANTITY...`
"""

import asyncio
import sys
from datetime import UTC, datetime
from decimal import Decimal

from contracts.canonical.stock import StockAt, StockPosition
from contracts.ports.inventory import ReserveStock, WantedStock
from contracts.ports.wms import StockPositions
from process_apis.inventory.api import InventoryApi
from process_apis.inventory.settings import InventorySettings
from runtime.clock import SystemClock
from runtime.store.engine import Store

ITEMS = ("item_A", "item_B", "item_C")
THERE = {"EAST": 60, "WEST": 40}
"""Of each item, whatever is promised of it: nothing is shipped."""


class FullShelf:
    """A warehouse that always has the same."""

    async def stock(self, body):
        now = datetime.now(UTC)
        return StockPositions(positions=tuple(shelf_of(item, now) for item in body.items))


def shelf_of(item, now):
    places = tuple(
        StockAt(warehouse=name, on_hand=Decimal(n), available=Decimal(n))
        for name, n in THERE.items()
    )
    return StockPosition(item=item, places=places, as_of=now)


def wanted_by(number):
    """What the holder of a number wants: one to three items."""
    some = ITEMS[number % 3 :] + ITEMS[: number % 3]
    quantities = (Decimal(1 + number % 4), Decimal(2), Decimal("0.5"))
    lines = zip(some, quantities, strict=True)
    return tuple(WantedStock(item=item, quantity=q) for item, q in lines)[: 1 + number % 3]


async def reserve(store, name, numbers):
    """Reserve for holders, many at once."""
    inventory = InventoryApi(
        wms=FullShelf(), store=store, settings=InventorySettings(), clock=SystemClock()
    )
    await inventory.open()

    async def one(number):
        answer = await inventory.reserve(
            ReserveStock(holder=f"H-{number}", lines=wanted_by(number), seconds=3600)
        )
        kept = " ".join(f"{line.item}@{line.warehouse}={line.quantity}" for line in answer.lines)
        print(name, answer.holder, kept, flush=True)

    await asyncio.gather(*(one(number) for number in numbers))


TAKERS = {"stock": reserve}


async def main(url, name, what, holders):
    store = Store(url)
    store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    numbers = [int(number) for number in holders.split(",")]
    await TAKERS[what](store, name, numbers)
    store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
