"""A cancellation against confirmation and shipment: each interleaving ends in exactly one of two.

Cancelled, and everything that was done is undone, each once; or not cancelled, with the reason on
the timeline and the order where it would have been without.
"""

from datetime import timedelta

import pytest

from contracts.problems import ProblemError
from process_apis.quote_to_order.settings import OrderSettings
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["the warehouse allocates", "allocated here"])
async def world(tmp_path, request):
    """A distributor that hardly waits for calls in doubt, allocating one way or the other."""
    settings = OrderSettings(settle_before_undo=timedelta(seconds=0.3))
    distributor = World(tmp_path, orders=settings, allocates=request.param)
    await distributor.opens()
    yield distributor
    await distributor.closes()


def is_balanced(vendor, made):
    """Whatever was made under a reference was taken back exactly once."""
    done = [reference for operation, reference in vendor.ledger if operation == made]
    undone = [reference for operation, reference in vendor.ledger if operation == "cancel"]
    return sorted(done) == sorted(undone)


async def is_cancelled(world, order_id):
    order = await world.reaches(order_id, commercial="cancelled")
    assert is_balanced(world.erp, "order"), world.erp.ledger
    assert is_balanced(world.wms, "release"), world.wms.ledger
    assert ("shipment", order.reference) not in world.erp.ledger
    assert await world.exceptions() == ()
    return order


async def is_not_cancelled(world, order_id, **axes):
    order = await world.reaches(order_id, commercial="confirmed", **axes)
    assert ("cancel", order.reference) not in world.erp.ledger
    said = [entry.says for entry in (await world.story(order_id)).entries]
    reasons = ("The order is not cancelled", "Goods have left the warehouse")
    assert any(line.startswith(reasons) for line in said), said
    await world.until(lambda: _no_exception(world), what="no exception to be open")
    return order


async def _no_exception(world):
    return await world.exceptions() == ()


async def placed(world, **fields):
    reply = await world.place(an_order(("1896-S", 5)), key="RACE", **fields)
    return reply.body


async def test_before_the_erp_was_asked(world):
    await world.records.refresh()
    world.erp.away = True
    order = await placed(world, wait=None)

    await world.cancels(order.id)
    world.erp.away = False

    await is_cancelled(world, order.id)


@pytest.mark.parametrize("vendor", ["erp", "wms"])
async def test_while_a_system_is_working_on_the_order(world, vendor):
    """The answer comes after the cancellation: what it did is known, and taken back."""
    getattr(world, vendor).takes_seconds = 0.2
    order = await placed(world, wait=None)
    call = {"erp": "place", "wms": "release"}[vendor]
    await world.until(lambda: call in getattr(world, vendor).calls, what="the call")

    await world.cancels(order.id)

    await is_cancelled(world, order.id)


@pytest.mark.parametrize("vendor", ["erp", "wms"])
async def test_while_nobody_knows_whether_a_system_has_it(world, vendor):
    """The answer was lost and the system is away: it is looked for, and taken back once."""
    system, made = (world.erp, "order") if vendor == "erp" else (world.wms, "release")
    system.loses_answers = 1
    order = await placed(world, wait=None)
    await world.until(lambda: (made, "RACE") in system.ledger, what="the call to have its effect")
    system.away = True
    await world.cancels(order.id)
    system.away = False

    await is_cancelled(world, order.id)


async def test_after_the_warehouse_has_it(world):
    order = await placed(world)
    await world.reaches(order.id, fulfilment="released")

    await world.cancels(order.id)

    await is_cancelled(world, order.id)


async def test_after_the_goods_left_and_before_anybody_told(world):
    """The warehouse refuses: the order goes on, and the shipment is posted when it is told."""
    order = await placed(world)
    order = await world.reaches(order.id, fulfilment="released")
    world.wms.gone.add("RACE")

    await world.cancels(order.id)
    await is_not_cancelled(world, order.id, fulfilment="released")
    await world.ships(order, ("1896-S", 5))

    await is_not_cancelled(world, order.id, fulfilment="shipped")
    await world.journal_state(order.id, "shipped")
    assert world.erp.shipped["RACE"] == {"item_1896-S": 5}


async def test_goods_leave_while_the_cancellation_is_on_its_way(world):
    """The warehouse cannot be reached for it; then its message comes that the goods are gone."""
    order = await placed(world)
    order = await world.reaches(order.id, fulfilment="released")
    world.wms.away = True
    await world.cancels(order.id)
    await world.reaches(order.id, commercial="cancelling")

    await world.ships(order, ("1896-S", 2))

    await is_not_cancelled(world, order.id, fulfilment="partially-shipped")
    world.wms.away = False
    assert "cancel" not in [operation for operation, _ in world.wms.ledger]


async def test_after_the_goods_left_and_everybody_knows(world):
    order = await placed(world)
    order = await world.reaches(order.id, fulfilment="released")
    await world.ships(order, ("1896-S", 5))
    await world.reaches(order.id, fulfilment="shipped")

    with pytest.raises(ProblemError) as refused:
        await world.cancels(order.id)

    assert refused.value.problem.slug == "order-not-cancellable"
    assert ("cancel", "RACE") not in world.erp.ledger


async def test_the_warehouse_said_yes_and_ships_all_the_same(world):
    """Cancelled on its word; then goods leave: never silently, and the ERP's order is kept."""
    order = await placed(world)
    order = await world.reaches(order.id, fulfilment="released")
    world.erp.away = True
    await world.cancels(order.id)
    await world.until(lambda: ("cancel", "RACE") in world.wms.ledger, what="the warehouse")
    await world.until(lambda: "cancel" in world.erp.calls, what="the ERP to be asked")

    await world.ships(order, ("1896-S", 5))

    order = await world.reaches(order.id, commercial="on-exception")
    assert order.exception.category == "rollback-incomplete"
    assert "although the warehouse had taken" in order.exception.detail


async def test_one_part_of_a_split_order_had_left(tmp_path):
    """The second part is taken back, the first has gone: it ships, and the rest is sent again."""
    world = World(tmp_path, allocates=True)
    world.has_item("CHAIR", "10.00")
    world.wms.stock_of["item_CHAIR"] = {"EAST": 3, "WEST": 5}
    await world.opens()
    reply = await world.place(an_order(("CHAIR", 8)), key="RACE")
    order = await world.reaches(reply.body.id, fulfilment="released")
    world.wms.gone.add("RACE")

    await world.cancels(order.id)

    await world.until(lambda: "RACE+3" in world.wms.releases, what="the rest to be sent again")
    order = await is_not_cancelled(world, order.id, fulfilment="released")
    assert [(r.reference, r.state) for r in order.releases] == [
        ("RACE", "open"),
        ("RACE+2", "cancelled"),
        ("RACE+3", "open"),
    ]
    assert world.wms.ledger == [
        ("release", "RACE"),
        ("release", "RACE+2"),
        ("cancel", "RACE+2"),
        ("release", "RACE+3"),
    ]
    await world.closes()
