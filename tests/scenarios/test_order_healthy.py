"""The main road: from an order to the ERP, the warehouse and the CRM, exactly once."""

import asyncio

import msgspec
import pytest

from contracts.ports.quote_to_order import OrderQuery
from tests.postgres_server import a_postgresql_database
from tests.scenarios.world import World, an_order

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


@pytest.mark.parametrize("consumer", ["shop", "importer"])
async def test_lines_carry_the_items_names(world, consumer):
    """What a line calls the item itself, or else its name in the ERP: also at agreed prices."""
    plain, named = an_order(("1896-S", 2, "100.00"), ("1900-S", 4, "25.50")).lines
    lines = (plain, msgspec.structs.replace(named, description="Chair, red"))
    reply = await world.place(msgspec.structs.replace(an_order(), lines=lines), consumer=consumer)

    order = await world.reaches(reply.body.id, fulfilment="released")

    words = ["Item 1896-S", "Chair, red"]
    assert [line.description for line in order.lines] == words
    assert world.erp.words[order.reference] == world.wms.words[order.reference] == words


async def test_the_crm_is_told_the_orders_id_with_the_first_news_of_it(world):
    """While the ERP is away the CRM knows no more than that the order is accepted, and its id."""
    world.erp.away = True
    with world.call(key="INV-7", wait=0, consumer="importer"):
        placed = await world.sales.place_order(an_order(("1896-S", 1, "100.00")))
        again = await world.sales.place_order(an_order(("1896-S", 1, "100.00")))

    told = await world.crm_shows("INV-7", "pending ERP confirmation")
    assert placed.body.id == again.body.id == told.order != ""
    assert (await world.order(told.order)).reference == "INV-7"


async def test_fifty_equal_orders_at_once_become_one(world):
    """The same key fifty times at once: one order, and everybody is answered the same id."""
    replies = await asyncio.gather(*(world.place(an_order(), key="TWICE") for _ in range(50)))

    assert len({reply.body.id for reply in replies}) == 1
    await world.reaches(replies[0].body.id, fulfilment="released")
    assert world.erp.orders_for("TWICE") == ["TWICE"]


async def test_on_postgresql_it_is_the_same_story(tmp_path):
    """Orders, credits, search, totals and exceptions do not depend on the store."""
    world = World(tmp_path, url=a_postgresql_database())
    await world.opens()
    sold = await world.place(an_order(("1896-S", 5, "9.99")), key="536365", consumer="importer")
    await world.reaches(sold.body.id, fulfilment="released")
    given_back = await world.credit(an_order(("1896-S", 2, "9.99")), key="C536365")
    unmatched = await world.credit(an_order(("1900-S", 2, "9.99")), key="C536366")

    found = await world.operations.find_orders(OrderQuery(customer="10000", limit=2))
    totals = await world.totals("order-file")

    assert given_back.body.billing == "credited"
    assert [order.id for order in found.orders] == [unmatched.body.id, given_back.body.id]
    assert found.cursor is not None
    assert [view.order for view in await world.exceptions()] == [unmatched.body.id]
    assert totals.net_ordered == {"GBP": "49.95"}
    assert totals.net_credited == {"GBP": "19.98"}
    await world.closes()


async def test_a_customer_with_two_hundred_orders_is_credited_without_reading_them_all_again(world):
    """Only what changed since the last credit is read: matching stays a matter of moments."""
    for n in range(200):
        await world.place(
            an_order(("1896-S", 5, "9.99"), ("1900-S", 5, "1.00")),
            key=f"S-{n}",
            consumer="importer",
            wait=None,
        )
    await world.until(lambda: len(world.wms.ledger) == 200, what="two hundred orders")
    await world.credit(an_order(("1896-S", 2, "9.99")), key="C-1")
    loop = asyncio.get_running_loop()
    began = loop.time()

    reply = await world.credit(an_order(("1896-S", 2, "9.99")), key="C-2")

    assert reply.body.billing == "credited"
    assert loop.time() - began < 0.5
