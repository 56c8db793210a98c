"""Credit: over the limit an order is held, where finance sees it, and released by finance alone."""

import asyncio
from decimal import Decimal

import pytest

from contracts.problems import ProblemError
from tests.scenarios.world import a_quote, an_order

pytestmark = pytest.mark.anyio


async def test_an_order_over_the_limit_is_held_and_released_by_finance(world):
    """Accepted, not placed; the rep reads why; finance releases it and it goes on."""
    world.has_customer("40000", name="Litware", limit=500)
    reply = await world.place(an_order(("1896-S", 6), customer="cust_40000"), key="BIG")
    assert (reply.status, reply.body.credit) == (202, "held")
    report = await world.crm_shows("BIG", "On credit hold since")
    assert "over the limit of 500.00 GBP" in report.hold_reason
    (view,) = await world.exceptions(category="credit-hold")
    assert set(view.exception.remedies) == {"retry", "release", "cancel"}
    assert world.erp.ledger == []

    await world.mends(reply.body.id, "release")
    order = await world.reaches(reply.body.id, fulfilment="released")

    assert (order.credit, order.hold) == ("released", None)
    assert world.erp.orders_for("BIG") == ["BIG"]
    await world.crm_shows("BIG", "released to the warehouse")
    assert any("Mary released" in e.says for e in (await world.story(order.id)).entries)


async def test_a_held_order_is_checked_again_when_the_limit_is_raised(world):
    world.has_customer("40000", limit=500)
    reply = await world.place(an_order(("1896-S", 6), customer="cust_40000"))
    await world.until(world.exceptions, what="the hold")
    world.has_customer("40000", limit=5000)
    world.records.customers.doubt_all()
    world.records.positions.doubt_all()

    await world.mends(reply.body.id, "retry")

    order = await world.reaches(reply.body.id, fulfilment="released")
    assert order.credit == "approved"


async def test_a_remedy_of_another_category_is_refused(world):
    world.has_customer("40000", limit=500)
    reply = await world.place(an_order(("1896-S", 6), customer="cust_40000"))
    await world.until(world.exceptions, what="the hold")

    with pytest.raises(ProblemError) as refused:
        await world.mends(reply.body.id, "amend", amended=an_order())

    assert refused.value.problem.slug == "remedy-not-allowed"


async def test_a_held_order_can_be_cancelled_and_leaves_nothing_behind(world):
    world.has_customer("40000", limit=500)
    reply = await world.place(an_order(("1896-S", 6), customer="cust_40000"))
    await world.until(world.exceptions, what="the hold")

    await world.mends(reply.body.id, "cancel")

    await world.reaches(reply.body.id, commercial="cancelled")
    assert world.erp.ledger == []
    assert await world.exceptions() == ()


async def test_two_orders_at_once_cannot_share_the_same_credit(world):
    """What was accepted a moment ago counts, though the ERP does not know of it yet."""
    world.has_customer("40000", limit=500)
    world.erp.takes_seconds = 0.05

    first = await world.place(an_order(("1896-S", 4), customer="cust_40000"), wait=None)
    second = await world.place(an_order(("1896-S", 4), customer="cust_40000"), wait=None)

    assert (first.body.credit, second.body.credit) == ("approved", "held")


async def test_an_order_is_counted_once_whether_the_erp_has_it_or_not(world):
    """Neither twice while it is on the way, nor never while the copy of the position is old."""
    world.has_customer("40000", limit=1000)
    await world.place(an_order(("1896-S", 4), customer="cust_40000"))

    for _ in range(2):
        quote = await world.pricing.validate_quote(
            a_quote(("1896-S", 1), customer="cust_40000", parts=("price", "credit"))
        )
        assert quote.credit.decision.exposure_after.amount == Decimal(580)
        world.records.positions.doubt_all()
        await asyncio.sleep(0)
