"""One process of several that take of the same stock or credit: for tests of claims.

    python -m tests.claims_program URL NAME stock HOLDERS
    python -m tests.claims_program URL NAME credit HOLDERS

Says `ready`, waits for a line, and then prints one for every answer it has: `NAME HOLDER
PLACE=QUANTITY...`, or `NAME HOLDER CREDIT=AMOUNT`.
"""

import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from contracts.canonical.stock import StockAt, StockPosition
from contracts.ports.inventory import ReserveStock, WantedStock
from contracts.ports.wms import StockPositions
from process_apis.inventory.api import InventoryApi
from process_apis.inventory.settings import InventorySettings
from runtime.clock import SystemClock
from runtime.store.engine import Store
from tests.scenarios.world import World, an_order

CUSTOMER = "30000"
LIMIT = 6000

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


async def reserve(url, name, numbers):
    """Reserve for holders, many at once."""
    store = Store(url)
    store.open()
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

    told()
    await asyncio.gather(*(one(number) for number in numbers))


async def order(url, name, numbers):
    """Place orders of one customer, many at once; none of them ever comes into the ERP."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), url=url)
        world.has_customer(CUSTOMER, limit=LIMIT)
        world.erp.place_order = never
        await world.opens()

        async def one(number):
            wanted = an_order(("1896-S", 1 + number % 3), customer=f"cust_{CUSTOMER}")
            placed = (await world.place(wanted, key=f"K-{number}", wait=0)).body
            print(name, f"K-{number}", f"{placed.credit}={placed.gross_amount.amount}", flush=True)

        await one(numbers[0])  # so that every copy is there, and the race is about credit alone
        told()
        await asyncio.gather(*(one(number) for number in numbers[1:]))
        await asyncio.sleep(3600)


async def never(_order):
    """An ERP that never comes to an end with an order."""
    await asyncio.sleep(3600)


def told():
    """Say that the race may begin, and wait until it does."""
    print("ready", flush=True)
    sys.stdin.readline()


TAKERS = {"stock": reserve, "credit": order}

if __name__ == "__main__":
    url, name, what, holders = sys.argv[1:]
    asyncio.run(TAKERS[what](url, name, [int(number) for number in holders.split(",")]))
