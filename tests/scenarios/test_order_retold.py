"""The CRM is told again how an order stands: the order, its documents, and once however often."""

import pytest

from process_apis.quote_to_order.reports import DOCUMENTS, ORDERS, CrmTeller
from runtime.journal.worker import Worker
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio


async def shipped(world):
    reply = await world.place(an_order(("1896-S", 5)), key="TOLD")
    order = await world.reaches(reply.body.id, fulfilment="released")
    await world.ships(order, ("1896-S", 5))
    await world.reaches(order.id, fulfilment="shipped")
    await world.until(lambda: "TOLD" in world.crm.documents, what="the CRM to have the shipment")
    return await world.order(order.id)


async def test_a_crm_that_lost_an_order_is_told_of_it_and_of_its_documents(world):
    """It counts as newer than all the CRM was told before, and older than what follows."""
    order = await shipped(world)
    before = world.crm.shows("TOLD")
    world.crm.told.clear()
    world.crm.documents.clear()

    await CrmTeller(world.journal).tell([order], actor="Mary", note="restored")

    await world.until(lambda: "TOLD" in world.crm.told, what="the CRM to show the order")
    await world.until(lambda: "TOLD" in world.crm.documents, what="the CRM to show the shipment")
    after = world.crm.shows("TOLD")
    assert (after.fulfilment, after.erp_number) == (before.fulfilment, before.erp_number)
    assert before.version <= after.version < (order.revision + 1) * 1000


async def test_what_the_crm_is_about_to_be_told_is_not_told_twice(world):
    """Whoever asks again, or asks while news is on its way, adds nothing to the queue."""
    order = await shipped(world)
    await world.worker.drain()

    for _ in range(3):
        await CrmTeller(world.journal).tell([order], actor="Mary", note="again")

    waiting = [await world.journal.waiting_deliveries(name) for name in (ORDERS, DOCUMENTS)]
    assert waiting == [1, 1]
    world.worker = Worker(world.journal)
    await world.worker.start()
