"""The main road: from an order to the ERP, the warehouse and the CRM, exactly once."""

import asyncio

import pytest

from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio


async def test_an_order_is_confirmed_released_and_shown_in_the_crm(world):
    """One order in the ERP, one in the warehouse, and the rep reads where it is."""
    reply = await world.place(an_order(("1896-S", 2), ("1900-S", 4)), key="WEB-1")

    order = await world.reaches(reply.body.id, fulfilment="released")

    assert (reply.status, reply.location) == (201, f"/sales/v1/orders/{order.id}")
    assert order.reference == "WEB-1"
    assert str(order.net_amount) == "302.00 GBP"
    assert world.erp.ledger == [("order", "WEB-1")]
    assert world.wms.ledger == [("release", "WEB-1")]
    report = await world.crm_shows("WEB-1", "released to the warehouse")
    assert (report.commercial, report.fulfilment) == ("confirmed", "released")
    assert report.order == order.id


async def test_who_does_not_wait_is_told_as_soon_as_it_is_durable(world):
    """202 with the order as accepted; the rest follows."""
    reply = await world.place(an_order(), wait=None)

    assert (reply.status, reply.body.commercial, reply.etag) == (202, "accepted", "1")
    await world.reaches(reply.body.id, fulfilment="released")


async def test_fifty_equal_orders_at_once_become_one(world):
    """The same key fifty times at once: one order, and everybody is answered the same id."""
    replies = await asyncio.gather(*(world.place(an_order(), key="TWICE") for _ in range(50)))

    assert len({reply.body.id for reply in replies}) == 1
    await world.reaches(replies[0].body.id, fulfilment="released")
    assert world.erp.orders_for("TWICE") == ["TWICE"]
