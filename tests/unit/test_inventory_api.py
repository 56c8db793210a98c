"""Inventory: nothing is promised twice, and what is promised comes back when it is not wanted."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from contracts.canonical.stock import StockAt, StockPosition
from contracts.outcomes import CallFailedError, Unavailable
from contracts.ports.inventory import (
    PromiseEnquiry,
    ReleaseReservation,
    ReservedStock,
    ReserveStock,
    WantedStock,
)
from contracts.ports.wms import StockPositions
from contracts.problems import ProblemError
from process_apis.inventory.api import InventoryApi
from process_apis.inventory.settings import InventorySettings
from tests.journal_orders import an_open_store, store_url  # noqa: F401  # a fixture

pytestmark = pytest.mark.anyio


class StandingClock:
    """A clock that goes on when it is told."""

    def __init__(self):
        self.at = datetime(2026, 11, 22, 9, tzinfo=UTC)

    def now(self):
        return self.at

    def monotonic(self):
        return self.at.timestamp()

    def forward(self, **by):
        self.at += timedelta(**by)


class Shelves:
    """A warehouse: what it has, and what its own orders take."""

    def __init__(self, clock):
        self.clock = clock
        self.away = False
        self.asked = 0
        self.has = {"item_A": {"EAST": 10, "WEST": 6}, "item_B": {"WEST": 4}}

    async def stock(self, body):
        self.asked += 1
        as_of = self.clock.now()
        await asyncio.sleep(0)
        if self.away:
            raise CallFailedError(
                Unavailable(system="wms", may_have_happened=False, because="away")
            )
        found = [item for item in body.items if item in self.has]
        return StockPositions(positions=tuple(self._position(item, as_of) for item in found))

    def allocates(self, item, warehouse, quantity):
        self.has[item][warehouse] -= quantity

    def _position(self, item, as_of):
        places = tuple(
            StockAt(warehouse=name, on_hand=Decimal(n), available=Decimal(n))
            for name, n in self.has[item].items()
        )
        return StockPosition(item=item, places=places, as_of=as_of)


@pytest.fixture
async def house(store_url):  # noqa: F811  # the fixture
    async with House(store_url) as built:
        yield built


class House:
    """Inventory over some shelves."""

    def __init__(self, url):
        self._url = url
        self.clock = StandingClock()
        self.shelves = Shelves(self.clock)

    async def __aenter__(self):
        self._opened = an_open_store(self._url)
        store = await self._opened.__aenter__()
        self.inventory = InventoryApi(
            wms=self.shelves, store=store, settings=InventorySettings(), clock=self.clock
        )
        await self.inventory.open()
        return self

    async def __aexit__(self, *raised):
        await self._opened.__aexit__(*raised)

    async def reserve(self, holder, preferred=None, *, seconds=60, all_or_nothing=False, **items):
        lines = tuple(
            WantedStock(item=f"item_{name}", quantity=Decimal(quantity))
            for name, quantity in items.items()
        )
        body = ReserveStock(
            holder=holder, lines=lines, seconds=seconds, all_or_nothing=all_or_nothing,
            preferred=preferred,
        )  # fmt: skip
        return await self.inventory.reserve(body)

    async def release(self, holder, **kept):
        lines = tuple(
            ReservedStock(item="item_A", warehouse=place, quantity=Decimal(quantity))
            for place, quantity in kept.items()
        )
        return await self.inventory.release(ReleaseReservation(holder=holder, lines=lines))

    async def promisable(self, item="A"):
        answer = await self.inventory.promisable(PromiseEnquiry(items=(f"item_{item}",)))
        return {place.warehouse: int(place.promisable) for place in answer.items[0].places}


def kept(answer):
    return {f"{line.item[-1]}@{line.warehouse}": int(line.quantity) for line in answer.lines}


async def test_what_is_reserved_can_be_promised_to_nobody_else(house):
    """The warehouse still shows it as available: it knows nothing of the order."""
    first = await house.reserve("R-1", A=7)
    second = await house.reserve("R-2", A=7)

    assert (kept(first), first.short) == ({"A@EAST": 7}, ())
    assert kept(second) == {"A@EAST": 1, "A@WEST": 6}
    assert await house.promisable() == {"EAST": 2, "WEST": 0}
    answer = await house.inventory.promisable(PromiseEnquiry(items=("item_A", "item_Z")))
    (position,) = answer.items
    assert [(int(p.available), int(p.reserved)) for p in position.places] == [(10, 8), (6, 6)]


async def test_a_holder_reserves_once(house):
    """Asked again, also for something else, it is answered what is reserved already."""
    first = await house.reserve("R-1", A=7)
    house.clock.forward(seconds=5)
    again = await house.reserve("R-1", A=7)
    other = await house.reserve("R-1", "WEST", A=9)

    assert again == first
    assert kept(other) == kept(first)
    assert [int(line.quantity) for line in other.short] == [2]
    assert await house.inventory.reservation("R-1") == first


async def test_what_nobody_has_is_short_and_with_all_or_nothing_nothing_is_taken(house):
    """The lines that are there are kept, or none is."""
    nothing = await house.reserve("R-1", B=9, A=1, all_or_nothing=True)
    some = await house.reserve("R-2", B=9, A=1, Z=2)

    assert kept(nothing) == {}
    assert {line.item: int(line.quantity) for line in nothing.short} == {"item_B": 9, "item_A": 1}
    assert kept(some) == {"B@WEST": 4, "A@WEST": 1}
    assert {line.item: int(line.quantity) for line in some.short} == {"item_B": 5, "item_Z": 2}
    with pytest.raises(ProblemError, match="not-found"):
        await house.inventory.reservation("R-1")


async def test_a_reservation_that_expires_is_given_back(house):
    """Nobody needs to do anything for it."""
    await house.reserve("R-1", A=16, seconds=30)
    assert await house.promisable() == {"EAST": 0, "WEST": 0}

    house.clock.forward(seconds=31)

    assert await house.promisable() == {"EAST": 10, "WEST": 6}
    with pytest.raises(ProblemError, match="not-found"):
        await house.inventory.reservation("R-1")


async def test_between_warehouse_and_reservation_nothing_is_promised_twice(house):
    """The warehouse has the order, but what is held of its stock was read before: it counts."""
    await house.reserve("R-1", "EAST", A=8)
    house.shelves.allocates("item_A", "EAST", 8)
    gone = await house.release("R-1")

    assert kept(gone) == {}
    assert await house.promisable() == {"EAST": 2, "WEST": 6}
    assert kept(await house.reserve("R-2", "EAST", A=9)) == {"A@EAST": 2, "A@WEST": 6}

    house.clock.forward(seconds=10)  # the stock is read anew
    assert await house.promisable() == {"EAST": 0, "WEST": 0}


async def test_part_of_a_reservation_is_given_back(house):
    """Of one warehouse, so much; what is not there cannot be given back."""
    await house.reserve("R-1", A=14)
    left = await house.release("R-1", EAST=4, WEST=99, EU=5)
    house.clock.forward(seconds=10)

    assert kept(left) == {"A@EAST": 6}
    assert await house.promisable() == {"EAST": 4, "WEST": 6}
    assert kept(await house.release("R-9")) == {}


async def test_one_call_reads_the_stock_for_everybody(house):
    """Within two seconds nobody asks again; 50 at once ask once."""
    await asyncio.gather(*(house.reserve(f"R-{n}", A=1) for n in range(50)))
    await house.promisable()

    assert house.shelves.asked == 1
    assert await house.promisable() == {"EAST": 0, "WEST": 0}


async def test_while_the_warehouse_is_away_its_last_word_is_used_for_a_minute(house):
    """Then nothing is promised any more."""
    await house.reserve("R-1", A=7)
    house.shelves.away = True
    house.clock.forward(seconds=50)

    assert kept(await house.reserve("R-2", A=3)) == {"A@WEST": 3}
    house.clock.forward(seconds=50)
    with pytest.raises(ProblemError, match="upstream-unavailable"):
        await house.reserve("R-3", A=1)


async def test_a_restart_loses_no_reservation(store_url):  # noqa: F811  # the fixture
    """What was answered is durable."""
    async with House(store_url) as house:
        await house.reserve("R-1", A=7, seconds=3600)
    async with House(store_url) as house:
        assert await house.promisable() == {"EAST": 3, "WEST": 6}
        assert kept(await house.reserve("R-1", A=7)) == {"A@EAST": 7}
