"""What goes wrong on the way, and how it ends well or stops where somebody sees it."""

from datetime import timedelta

import pytest

from contracts.outcomes import Rejected, Throttled
from process_apis.quote_to_order.settings import OrderSettings
from tests.scenarios.world import World, a_quote, an_order

pytestmark = pytest.mark.anyio


async def test_a_lost_answer_of_the_erp_is_looked_up_and_not_repeated(world):
    """The ERP created the order and its answer was lost: it is found, not created again."""
    world.erp.loses_answers = 1

    reply = await world.place(an_order(), key="LOST-1")

    assert reply.body.commercial == "confirmed"
    assert world.erp.orders_for("LOST-1") == ["LOST-1"]
    assert "place in doubt" in world.erp.calls


async def test_a_lost_answer_of_the_warehouse_is_looked_up_and_not_repeated(world):
    world.wms.loses_answers = 1

    reply = await world.place(an_order(), key="LOST-2")
    await world.reaches(reply.body.id, fulfilment="released")

    assert world.wms.ledger == [("release", "LOST-2")]


async def test_a_throttled_order_waits_as_long_as_it_was_asked_to(world):
    world.erp.refuses.append(Throttled(system="business_central", retry_after=0.3))

    reply = await world.place(an_order())

    assert reply.body.commercial == "confirmed"
    entries = (await world.story(reply.body.id)).entries
    assert any("asks for a pause" in entry.says for entry in entries)


async def test_with_the_erp_down_an_order_is_provisional_and_confirmed_afterwards(world):
    """Accepted on last known data, shown as pending, confirmed when the ERP is back."""
    await world.pricing.validate_quote(a_quote(("1896-S", 2)))
    world.erp.away = True
    world.time_passes(minutes=5)

    reply = await world.place(an_order(("1896-S", 2)), key="NIGHT", wait=0.5)
    assert reply.status == 202
    assert reply.body.commercial == "provisional"
    report = await world.crm_shows("NIGHT", "pending ERP confirmation")
    assert report.commercial == "provisional"

    world.erp.away = False
    await world.reaches(reply.body.id, commercial="confirmed", fulfilment="released")
    await world.crm_shows("NIGHT", "released to the warehouse")
    assert world.erp.orders_for("NIGHT") == ["NIGHT"]


async def test_a_customer_nobody_ever_heard_of_becomes_an_exception_when_the_erp_is_back(world):
    """Well formed, so it is accepted while nobody can tell; it proves wrong later."""
    world.erp.away = True
    reply = await world.place(an_order(("1896-S", 1, "100.00"), customer="bc:NOBODY"), wait=0.2)
    assert reply.body.commercial == "provisional"

    world.erp.away = False
    order = await world.reaches(reply.body.id, commercial="on-exception")

    assert order.exception.category == "master-data-mismatch"
    assert world.erp.ledger == []


async def test_a_price_that_moved_while_the_erp_was_down_is_an_exception_with_a_remedy(world):
    """The customer was told one price: sales decides, not the system."""
    await world.pricing.validate_quote(a_quote(("1896-S", 2)))
    world.erp.away = True
    world.time_passes(minutes=5)
    reply = await world.place(an_order(("1896-S", 2)), key="MOVED", wait=0.2)
    world.erp.prices["cust_10000", "item_1896-S"] = [("0", "120.00")]
    world.erp.away = False

    order = await world.reaches(reply.body.id, commercial="on-exception")
    assert order.exception.category == "pricing-mismatch"
    await world.crm_shows("MOVED", "prices changed")

    await world.mends(order.id, "accept")
    order = await world.reaches(order.id, commercial="confirmed")
    assert str(world.erp.orders["MOVED"].net_amount) == "200.00 GBP"


async def test_an_erp_that_computes_another_amount_stops_the_order(world):
    """To the penny: a cent more in the ERP is an exception, and accepting it is a decision."""
    from decimal import Decimal

    world.erp.adds_to_amounts = Decimal("0.01")
    reply = await world.place(an_order(("1896-S", 2)), key="PENNY")
    order = await world.reaches(reply.body.id, commercial="on-exception")
    assert order.exception.category == "pricing-mismatch"
    assert world.wms.ledger == []

    await world.mends(order.id, "accept")
    order = await world.reaches(order.id, fulfilment="released")

    assert str(order.net_amount) == "200.01 GBP"
    assert world.erp.orders_for("PENNY") == ["PENNY"]


async def test_a_rule_of_the_erp_stops_the_order_until_it_is_amended(world):
    """The exception names what may be done; the amended order goes through."""
    world.erp.refuses.append(
        Rejected(system="business_central", reason="business-rule", detail="no VAT set-up")
    )
    reply = await world.place(an_order(("1896-S", 2)), key="RULE")
    order = await world.reaches(reply.body.id, commercial="on-exception")
    assert order.exception.category == "erp-business-rule"
    assert set(order.exception.remedies) == {"retry", "amend", "cancel"}
    await world.crm_shows("RULE", "Stopped")

    await world.mends(order.id, "amend", amended=an_order(("1900-S", 4)))
    order = await world.reaches(order.id, fulfilment="released")

    assert str(order.net_amount) == "102.00 GBP"
    assert await world.exceptions() == ()


async def test_a_refusal_of_the_warehouse_leaves_the_erp_order_and_is_tried_again(world):
    world.wms.refuses.append(
        Rejected(
            system="shiphero", reason="business-rule", detail="no", category="warehouse-rejection"
        )
    )
    reply = await world.place(an_order(), key="WMS-NO")
    order = await world.until(
        lambda: _with_exception(world, reply.body.id), what="the warehouse's refusal to show"
    )
    assert (order.commercial, order.exception.category) == ("confirmed", "warehouse-rejection")

    await world.mends(order.id, "retry")
    await world.reaches(order.id, fulfilment="released")

    assert world.erp.orders_for("WMS-NO") == ["WMS-NO"]


async def _with_exception(world, order_id):
    order = await world.order(order_id)
    return order if order.exception else None


async def test_a_system_away_for_too_long_becomes_somebodys_business(tmp_path):
    """Nobody waits for ever: after the bound it is an exception, and a retry still works."""
    world = World(tmp_path, orders=OrderSettings(give_up_after=timedelta(seconds=1)))
    await world.opens()
    await world.records.refresh()
    reply = await world.place(an_order(("1896-S", 2, "100.00")), key="X-1")
    world.erp.away = True
    reply = await world.place(an_order(("1896-S", 2, "100.00")), key="X-2", wait=5)
    order = await world.reaches(reply.body.id, commercial="on-exception")
    assert order.exception.category == "time-out"

    world.erp.away = False
    await world.mends(order.id, "retry")
    await world.reaches(order.id, fulfilment="released")
    await world.closes()


async def test_a_restart_in_the_middle_changes_nothing(world):
    """Accepted, the program stops, starts again, and the order goes on where it was."""
    await world.records.refresh()
    world.erp.away = True
    reply = await world.place(
        an_order(("1896-S", 2, "100.00")), consumer="importer", key="R-1", wait=None
    )
    await world.restarts()

    world.erp.away = False
    await world.reaches(reply.body.id, fulfilment="released")

    assert world.erp.ledger == [("order", "R-1")]
    assert world.wms.ledger == [("release", "R-1")]


async def test_the_timeline_reads_as_a_story(world):
    """Where is it, why, and what happens next, in a rep's words."""
    world.erp.loses_answers = 1
    reply = await world.place(an_order(), key="STORY")
    await world.reaches(reply.body.id, fulfilment="released")

    story = await world.story(reply.body.id)

    said = [entry.says for entry in story.entries]
    assert said[0] == "Accepted; it is placed in the ERP next."
    assert said[1].startswith("The ERP does not answer")
    assert said[2] == (
        "Confirmed by the ERP as order S-ORD101000; the first try had reached it after all."
    )
    assert said[3] == "Released to the warehouse as W000001."
    assert story.summary == (
        "Order STORY for Adatum, 200.00 GBP: "
        "Confirmed as ERP order S-ORD101000; released to the warehouse."
    )
    assert story.next == "The warehouse picks and ships the goods."
