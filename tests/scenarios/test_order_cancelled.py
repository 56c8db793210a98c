"""Taking an order back: everything done is undone in reverse, each once; or somebody is told."""

import asyncio

import pytest

from contracts.outcomes import Rejected
from contracts.problems import ProblemError
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio


async def test_a_released_order_is_undone_in_reverse(world):
    """The warehouse first, then the ERP; the rep sees it cancelled."""
    reply = await world.place(an_order(), key="BACK")
    await world.reaches(reply.body.id, fulfilment="released")

    await world.cancels(reply.body.id)

    order = await world.reaches(reply.body.id, commercial="cancelled")
    assert order.fulfilment == "cancelled"
    assert world.erp.ledger == [("order", "BACK"), ("cancel", "BACK")]
    assert world.wms.ledger == [("release", "BACK"), ("cancel", "BACK")]
    await world.crm_shows("BACK", "Cancelled")


async def test_cancelling_twice_undoes_once(world):
    reply = await world.place(an_order(), key="BACK")
    await world.reaches(reply.body.id, fulfilment="released")

    await asyncio.gather(*(world.cancels(reply.body.id) for _ in range(10)))

    await world.reaches(reply.body.id, commercial="cancelled")
    assert world.wms.ledger.count(("cancel", "BACK")) == 1
    assert world.erp.ledger.count(("cancel", "BACK")) == 1


async def test_an_undoing_whose_answer_is_lost_is_not_done_twice(world):
    reply = await world.place(an_order(), key="BACK")
    await world.reaches(reply.body.id, fulfilment="released")
    world.wms.loses_answers = world.erp.loses_answers = 1

    await world.cancels(reply.body.id)

    await world.reaches(reply.body.id, commercial="cancelled")
    assert world.wms.ledger.count(("cancel", "BACK")) == 1
    assert world.erp.ledger.count(("cancel", "BACK")) == 1


async def test_an_undoing_that_is_refused_is_a_visible_exception(world):
    """Never silently half undone: rollback incomplete, and completed when it can be."""
    reply = await world.place(an_order(), key="BACK")
    await world.reaches(reply.body.id, fulfilment="released")
    world.erp.refuses.append(
        Rejected(system="business_central", reason="order-not-cancellable", detail="posted")
    )

    await world.cancels(reply.body.id)
    order = await world.reaches(reply.body.id, commercial="on-exception")
    assert order.exception.category == "rollback-incomplete"
    assert world.wms.ledger[-1] == ("cancel", "BACK")

    await world.mends(order.id, "retry")
    await world.reaches(order.id, commercial="cancelled")
    assert world.wms.ledger.count(("cancel", "BACK")) == 1


async def test_what_has_been_shipped_cannot_be_cancelled(world):
    """The goods are gone; they can only be returned."""
    reply = await world.place(an_order(("1896-S", 5)))
    order = await world.reaches(reply.body.id, fulfilment="released")
    await world.ships(order, ("1896-S", 2))
    await world.reaches(order.id, fulfilment="partially-shipped")

    with pytest.raises(ProblemError) as refused:
        await world.cancels(order.id)

    assert refused.value.problem.slug == "order-not-cancellable"
    assert "cancel" not in world.wms.calls


async def test_a_shipment_in_parts_leaves_the_rest_open(world):
    reply = await world.place(an_order(("1896-S", 5)), key="PARTS")
    order = await world.reaches(reply.body.id, fulfilment="released")

    await world.ships(order, ("1896-S", 2))
    order = await world.reaches(order.id, fulfilment="partially-shipped")
    assert order.lines[0].shipped == 2
    await world.ships(order, ("1896-S", 3))

    await world.reaches(order.id, fulfilment="shipped")
    await world.crm_shows("PARTS", "left the warehouse")


async def test_a_cancellation_while_the_erp_is_in_doubt_takes_back_what_may_be_there(tmp_path):
    """The ERP has the order, nobody knows: the cancellation looks, and takes it back."""
    from datetime import timedelta

    from process_apis.quote_to_order.settings import OrderSettings
    from tests.scenarios.world import World

    world = World(tmp_path, orders=OrderSettings(settle_before_undo=timedelta(seconds=0.2)))
    await world.opens()
    await world.records.refresh()
    world.erp.loses_answers = 1
    reply = await world.place(
        an_order(("1896-S", 1, "1.00")), key="DOUBT", consumer="importer", wait=None
    )
    await world.until(lambda: world.erp.ledger, what="the order to reach the ERP")
    world.erp.away = True
    await world.cancels(reply.body.id)
    world.erp.away = False

    await world.reaches(reply.body.id, commercial="cancelled")

    assert world.erp.orders == {}
    assert world.erp.ledger == [("order", "DOUBT"), ("cancel", "DOUBT")]
    await world.closes()
