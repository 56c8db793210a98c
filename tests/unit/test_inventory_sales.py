"""What sales is told can be shipped is what can be promised."""

from decimal import Decimal

import pytest

from contracts.ports.inventory import ReleaseReservation, ReserveStock, WantedStock
from contracts.ports.pricing_credit import AvailabilityCheck, QuoteCheck, WantedLine
from runtime.store.faults import StoreUnavailable
from tests.scenarios.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path):
    distributor = World(tmp_path)
    distributor.wms.stock_of["item_1896-S"] = {"EAST": 10, "WEST": 5}
    await distributor.opens()
    yield distributor
    await distributor.closes()


def lines(quantity):
    return (WantedLine(item="1896-S", quantity=Decimal(quantity)),)


async def available(world, quantity):
    answer = await world.sales.check_availability(AvailabilityCheck(lines=lines(quantity)))
    return answer.lines[0].available, answer.warehouse


async def reserve(world, quantity):
    wanted = (WantedStock(item="item_1896-S", quantity=Decimal(quantity)),)
    await world.inventory.reserve(ReserveStock(holder="R-1", lines=wanted))


async def test_what_is_reserved_for_another_order_is_not_offered(world):
    """The warehouse's own figure has not changed."""
    assert await available(world, 9) == (9, "EAST")

    await reserve(world, 8)

    assert await available(world, 9) == (7, None)
    assert await available(world, 5) == (5, "WEST")
    await world.inventory.release(ReleaseReservation(holder="R-1"))
    assert await available(world, 9) == (7, None), "until the stock is read anew"


async def test_a_validation_says_so_too_and_does_not_fail_with_the_store(world):
    """When nobody can say what is promised, the warehouse's figure is shown as stale."""
    await reserve(world, 8)
    check = QuoteCheck(customer="bc:10000", currency="GBP", lines=lines(9), parts=("availability",))

    told = await world.pricing.validate_quote(check)
    world.pricing._reserved = unreachable
    blind = await world.pricing.validate_quote(check)

    assert told.availability.answer.lines[0].available == 7
    assert told.availability.standing.freshness == "firm"
    assert blind.availability.answer.lines[0].available == 9
    assert blind.availability.standing.freshness == "stale"


async def test_inventory_says_when_the_store_does_not_answer(world):
    """None is not the same as nothing."""
    world.inventory._claims.totals = away
    assert await world.inventory.reserved({}) is None


async def unreachable(_positions):
    return None


async def away(*_asked):
    raise StoreUnavailable
