"""Finance holds an order in the ERP after it was confirmed: the warehouse stops, and goes on."""

from datetime import timedelta

import pytest

from contracts.outcomes import Rejected
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio


async def released(world, *lines, key="HOLD"):
    reply = await world.place(an_order(*lines or (("1896-S", 5),)), key=key)
    return await world.reaches(reply.body.id, fulfilment="released")


async def test_a_hold_stops_the_warehouse_and_is_shown_to_sales(world):
    order = await released(world)

    await world.holds(order, "30 days overdue")
    order = await world.reaches(order.id, fulfilment="suspended", credit="held")

    assert (order.hold.kind, order.hold.reason) == ("credit", "30 days overdue")
    assert world.wms.held == {"HOLD"}
    (view,) = await world.exceptions()
    assert view.exception.category == "credit-hold"
    await world.crm_shows("HOLD", "On credit hold since")

    await world.lets_go(order)
    order = await world.reaches(order.id, fulfilment="released", credit="released")
    assert world.wms.held == set()
    assert (order.hold, await world.exceptions()) == (None, ())
    await world.crm_shows("HOLD", "released to the warehouse")


async def test_an_order_held_before_it_is_released_is_not_released(world):
    """The warehouse is away, the hold comes: when it is back, it gets nothing until finance does"""
    world.wms.away = True
    reply = await world.place(an_order(("1896-S", 5)), key="HOLD")
    order = await world.reaches(reply.body.id, commercial="confirmed")

    await world.holds(order)
    await world.reaches(order.id, credit="held")
    world.wms.away = False
    world.time_passes(minutes=2)
    await world.journal_state(order.id, "suspended")
    assert world.wms.ledger == []

    await world.lets_go(order)
    await world.reaches(order.id, fulfilment="released")
    assert world.wms.ledger == [("release", "HOLD")]


async def test_a_release_whose_answer_was_lost_is_stopped_all_the_same(world):
    """Nobody knew that the warehouse had it: it is looked for, and held."""
    world.wms.loses_answers = 1
    world.wms.takes_seconds = 0.2
    reply = await world.place(an_order(("1896-S", 5)), key="HOLD", wait=None)
    await world.until(lambda: world.wms.ledger, what="the warehouse to get it")
    order = await world.order(reply.body.id)
    world.wms.away = True

    await world.holds(order)
    await world.reaches(order.id, credit="held")
    world.wms.away = False
    world.time_passes(minutes=2)

    await world.reaches(order.id, fulfilment="suspended")
    assert world.wms.held == {"HOLD"}


async def test_older_news_of_a_hold_is_no_news(world):
    """Held, released, and the first message once more: the order stays released."""
    order = await released(world)
    noon = world.clock.now()
    await world.holds(order, as_of=noon)
    await world.reaches(order.id, fulfilment="suspended")
    await world.lets_go(order, as_of=noon + timedelta(minutes=5))
    await world.reaches(order.id, fulfilment="released")

    await world.holds(order, as_of=noon + timedelta(minutes=1))
    await world.holds(order, as_of=noon)
    await world.holds(order, held=False, as_of=noon + timedelta(minutes=6))

    await world.until(lambda: _heard(world, order), what="the news to be heard")
    assert (await world.order(order.id)).fulfilment == "released"


async def _heard(world, order):
    process = await world.journal.get(order.id)
    return len(process.data.erp_holds) == 1 and process.data.erp_holds[0].as_of > (
        world.clock.now() + timedelta(minutes=5)
    )


async def test_two_holds_are_lifted_one_by_one(world):
    """A customer blocked for shipping and an order in review: both must go."""
    order = await released(world)
    await world.holds(order, kind="customer-blocked")
    await world.reaches(order.id, fulfilment="suspended")
    await world.holds(order, kind="order-in-review")
    await world.lets_go(order, kind="customer-blocked")

    await world.until(lambda: _noted(world, order), what="both to be noted")
    assert (await world.order(order.id)).fulfilment == "suspended"
    await world.lets_go(order, kind="order-in-review")

    await world.reaches(order.id, fulfilment="released")


async def _noted(world, order):
    holds = (await world.journal.get(order.id)).data.erp_holds
    return sorted(hold.held for hold in holds) == [False, True]


async def test_goods_that_leave_in_spite_of_a_hold_are_told_as_they_are(world):
    """The warehouse was quicker: the hold stands, the goods are posted, nobody is misled."""
    order = await released(world)
    world.wms.refuses.append(
        Rejected(system="shiphero", reason="business-rule", detail="it has shipped")
    )
    await world.holds(order)
    await world.reaches(order.id, credit="held")
    await world.ships(order, ("1896-S", 5))

    order = await world.reaches(order.id, fulfilment="shipped")
    await world.journal_state(order.id, "shipped")

    said = [entry.says for entry in (await world.story(order.id)).entries]
    assert any("could not stop" in line for line in said)
    assert any("5 pieces left EAST" in line for line in said)
    assert world.erp.ledger.count(("shipment", "HOLD")) == 1
    assert await world.exceptions() == ()


async def test_what_is_left_of_a_part_shipped_order_is_stopped(world):
    order = await released(world)
    await world.ships(order, ("1896-S", 2))
    await world.reaches(order.id, fulfilment="partially-shipped")
    world.wms.gone.clear()

    await world.holds(order)
    await world.reaches(order.id, fulfilment="suspended")
    await world.lets_go(order)

    await world.reaches(order.id, fulfilment="partially-shipped", credit="released")


async def test_a_held_order_can_be_cancelled_without_being_let_go(world):
    order = await released(world)
    await world.holds(order)
    await world.reaches(order.id, fulfilment="suspended")

    await world.cancels(order.id)

    await world.reaches(order.id, commercial="cancelled")
    assert ("let go", "HOLD") not in world.wms.ledger
    assert world.wms.ledger[-1] == ("cancel", "HOLD")


async def test_finance_may_release_here_what_the_erp_still_holds(world):
    order = await released(world)
    await world.holds(order)
    await world.reaches(order.id, fulfilment="suspended")

    await world.mends(order.id, "release")

    await world.reaches(order.id, fulfilment="released", credit="released")
