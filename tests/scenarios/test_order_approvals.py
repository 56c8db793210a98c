"""Prices below the ERP's: tolerated, approved by somebody else, or refused, by region."""

from decimal import Decimal

import pytest

from contracts.ports.quote_to_order import Approval
from contracts.problems import ProblemError
from process_apis.quote_to_order.settings import (
    CHANNELS,
    ApprovalRule,
    ChannelPolicy,
    OrderSettings,
)
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio

UK = {"region": "the UK", "countries": ("GB",)}
RULES = (
    ApprovalRule(**UK, threshold=Decimal("0.10"), approver="sales lead"),
    ApprovalRule(**UK, threshold=Decimal("0.25"), approver="director"),
    ApprovalRule(region="all other regions", threshold=Decimal("0.05"), approver="export desk"),
)


@pytest.fixture
async def world(tmp_path):
    """A distributor whose shop may give two per cent, and more with somebody's approval."""
    shop = ChannelPolicy(pricing="tolerance", tolerance=Decimal("0.02"))
    settings = OrderSettings(approvals=RULES, channels={**CHANNELS, "sales": shop})
    distributor = World(tmp_path, orders=settings)
    await distributor.opens()
    yield distributor
    await distributor.closes()


async def decides(world, order, decision="approve", **call):
    with world.call(**{"consumer": "desk", "key": world.key(), **call}):
        return await world.sales.approve_order(order, Approval(decision=decision, note="seen to"))


async def test_a_price_that_needs_approval_holds_the_order_and_names_who_decides(world):
    reply = await world.place(an_order(("1896-S", 2, "92.00")), key="LOW")

    assert (reply.status, reply.body.hold.kind) == (202, "price-approval")
    assert reply.body.hold.reason == (
        "1896-S at 92.00 GBP is 8.0 % under 100.00 GBP; in the UK the sales lead decides"
    )
    await world.crm_shows("LOW", "Waits for price approval since")
    assert world.erp.ledger == []

    await decides(world, reply.body.id, subject="Ann")
    order = await world.reaches(reply.body.id, fulfilment="released")

    assert str(world.erp.orders["LOW"].net_amount) == "184.00 GBP"
    assert (order.hold, await world.exceptions()) == (None, ())
    said = [(entry.says, entry.actor) for entry in (await world.story(order.id)).entries]
    assert ("Ann approved the price: seen to", "Ann") in said


async def test_a_price_further_down_goes_to_somebody_higher_up(world):
    reply = await world.place(an_order(("1896-S", 2, "80.00")))

    assert reply.body.hold.reason.endswith("the director decides")


async def test_a_price_below_every_rule_is_refused_as_ever(world):
    with pytest.raises(ProblemError) as refused:
        await world.place(an_order(("1896-S", 2, "70.00")))

    assert refused.value.problem.slug == "price-mismatch"


async def test_a_price_within_the_tolerance_needs_nobody(world):
    reply = await world.place(an_order(("1896-S", 2, "98.50")))

    assert reply.body.commercial == "confirmed"


async def test_nobody_approves_an_own_price(world):
    """Not the person, not the channel while it names no person; not by the remedy either."""
    reply = await world.place(an_order(("1896-S", 2, "92.00")), consumer="crm", subject="Bob")
    await world.until(world.exceptions, what="the hold")

    for own in ({"consumer": "crm", "subject": "Bob"}, {"consumer": "crm"}):
        with pytest.raises(ProblemError) as refused:
            await decides(world, reply.body.id, **own)
        assert refused.value.problem.slug == "approval-not-allowed"
    await decides(world, reply.body.id, consumer="crm", subject="Ann")

    await world.reaches(reply.body.id, commercial="confirmed")


@pytest.mark.parametrize("word", ["release", "accept"])
async def test_the_exception_queue_approves_as_well(world, word):
    reply = await world.place(an_order(("1896-S", 2, "92.00")))
    await world.until(world.exceptions, what="the hold")

    await world.mends(reply.body.id, word)

    await world.reaches(reply.body.id, commercial="confirmed")


async def test_a_refused_price_takes_the_order_back(world):
    reply = await world.place(an_order(("1896-S", 2, "92.00")), key="LOW")
    await world.until(world.exceptions, what="the hold")

    await decides(world, reply.body.id, "refuse")

    await world.reaches(reply.body.id, commercial="cancelled")
    assert world.erp.ledger == []
    assert await world.exceptions() == ()


async def test_what_does_not_wait_for_a_price_cannot_be_approved(world):
    reply = await world.place(an_order(("1896-S", 2)))

    with pytest.raises(ProblemError) as refused:
        await decides(world, reply.body.id)

    assert refused.value.problem.slug == "approval-not-allowed"


async def test_an_approved_order_still_needs_credit(world):
    """Approving a price says nothing of what the customer owes."""
    world.has_customer("40000", limit=100)
    reply = await world.place(an_order(("1896-S", 2, "92.00"), customer="cust_40000"))
    assert reply.body.hold.kind == "price-approval"
    await world.until(world.exceptions, what="the hold")

    await decides(world, reply.body.id)

    async def held_for_credit():
        order = await world.order(reply.body.id)
        return order if order.hold and order.hold.kind == "credit" else None

    order = await world.until(held_for_credit, what="the credit to be checked")
    assert (order.credit, world.erp.ledger) == ("held", [])


async def test_parts_of_a_piece_are_refused_where_they_can_be_put_right(world):
    """The warehouse picks whole pieces: better said to the shop than found by the warehouse."""
    world.has_item("CABLE", "2.00", unit="M")
    with pytest.raises(ProblemError) as refused:
        await world.place(an_order(("CABLE", "2.5"), ("1896-S", "1.5")))

    assert refused.value.problem.slug == "quantity-not-whole"
    (fault,) = refused.value.problem.errors
    assert (fault.pointer, fault.allowed) == ("/lines/1/quantity", "a whole number")
