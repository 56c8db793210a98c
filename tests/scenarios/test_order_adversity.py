"""Where an order could be doubled, go out at a wrong price or on credit nobody has: it is not."""

from decimal import Decimal

import pytest

from contracts.outcomes import Rejected
from contracts.problems import ProblemError
from tests.scenarios.world import a_quote, an_order

pytestmark = pytest.mark.anyio


async def test_a_mispriced_order_tried_again_is_looked_up_and_not_created_again(world):
    """The ERP has it already; whoever says retry means that somebody put it right over there."""
    world.erp.adds_to_amounts = Decimal("0.01")
    reply = await world.place(an_order(("1896-S", 2)), key="PENNY")
    await world.reaches(reply.body.id, commercial="on-exception")

    await world.mends(reply.body.id, "retry")
    await world.until(lambda: len(placings(world)) > 1, what="the second look")

    assert placings(world) == ["place", "place in doubt"]


async def test_a_provisional_order_is_not_held_for_its_own_amount(world):
    """What it adds to the customer's exposure counts once, also while it is checked again."""
    world.has_customer("40000", limit=500)
    await knows(world, "cust_40000")
    world.erp.away = True
    world.time_passes(minutes=5)
    reply = await world.place(an_order(("1896-S", 4), customer="cust_40000"), wait=0.2)
    assert reply.body.commercial == "provisional"

    world.erp.away = False

    await world.reaches(reply.body.id, commercial="confirmed", credit="approved")


async def test_two_deals_won_at_once_cannot_share_the_same_credit(world):
    """Counted as soon as it is checked, not only when the ERP is told."""
    world.has_customer("40000", limit=300)
    await knows(world, "cust_40000")
    world.erp.takes_seconds = 0.05
    deals = [world.has_deal(f"006A00000000{i}EIAV", customer="cust_40000") for i in range(2)]

    for number, deal in enumerate(deals):
        await world.orders.deal_won(deal.id, f"N-{number}")
    await world.until(lambda: world.wms.ledger, what="one of them to be released")

    assert [view.exception.category for view in await world.exceptions()] == ["credit-hold"]
    assert len(world.erp.orders) == 1


async def test_accepting_a_price_that_moved_does_not_grant_credit(world):
    """Sales decides on the price, finance on the credit: one remedy does not stand for both."""
    world.has_customer("40000", limit=500)
    await knows(world, "cust_40000")
    world.erp.away = True
    world.time_passes(minutes=5)
    reply = await world.place(an_order(("1896-S", 4), customer="cust_40000"), key="MOVED", wait=0.2)
    world.erp.prices["cust_40000", "item_1896-S"] = [("0", "120.00")]
    world.erp.balances["cust_40000"] = Decimal(400)
    world.erp.away = False
    order = await world.reaches(reply.body.id, commercial="on-exception")

    await world.mends(order.id, "accept")

    order = await world.reaches(order.id, credit="held")
    assert str(order.net_amount) == "400.00 GBP"
    assert world.erp.ledger == []


async def test_accepting_a_price_never_sends_a_line_out_for_nothing(world):
    """A line nobody could price while the ERP was down gets the ERP's price, not zero."""
    world.erp.away = True
    order = an_order(("1896-S", 1, "90.00"), ("1900-S", 2))
    reply = await world.place(order, key="HALF", wait=0.2)
    assert reply.body.commercial == "provisional"
    world.erp.away = False
    order = await world.reaches(reply.body.id, commercial="on-exception")
    assert order.exception.category == "pricing-mismatch"

    await world.mends(order.id, "accept")

    await world.reaches(order.id, commercial="confirmed")
    assert str(world.erp.orders["HALF"].net_amount) == "141.00 GBP"


async def test_a_credit_that_may_be_posted_cannot_be_cancelled_as_if_it_were_not(world):
    """The ERP holds the memo at another amount: its goods stay taken, and nobody is told lies."""
    await world.place(an_order(("1896-S", 4, "90.00")), key="SOLD", consumer="importer")
    world.erp.adds_to_memos = Decimal("0.01")
    reply = await world.credit(an_order(("1896-S", 4, "90.00")), key="C-1")
    await world.until(world.exceptions, what="the exception")
    world.erp.adds_to_memos = Decimal(0)

    with pytest.raises(ProblemError) as refused:
        await world.mends(reply.body.id, "cancel")
    again = await world.credit(an_order(("1896-S", 4, "90.00")), key="C-2")

    assert refused.value.problem.slug == "remedy-not-allowed"
    assert again.body.billing != "credited"
    assert [ref for op, ref in world.erp.ledger if op == "memo"] == ["C-1"]


async def test_an_amendment_in_two_currencies_is_refused(world):
    """A price in euros never becomes the same number of pounds."""
    refusal = Rejected(system="business_central", reason="business-rule", detail="no")
    world.erp.refuses.append(refusal)
    placed = an_order(("1896-S", 1, "90.00"))
    reply = await world.place(placed, key="EUR", consumer="importer")
    await world.reaches(reply.body.id, commercial="on-exception")
    amended = an_order(("1896-S", 1, "90.00"), currency="EUR")
    mixed = an_order(customer="cust_10000")
    mixed = type(mixed)(customer=mixed.customer, currency="GBP", lines=amended.lines)

    with pytest.raises(ProblemError) as refused:
        await world.mends(reply.body.id, "amend", amended=mixed)

    assert refused.value.problem.slug == "currency-mismatch"


async def test_a_deal_that_a_rep_ordered_already_is_not_ordered_again_when_it_is_won(world):
    """The order names its deal, then the CRM tells that it was won: a person decides, once."""
    deal = world.has_deal()
    reply = await world.place(an_order(quote=deal.id), key="BY-HAND")
    await world.reaches(reply.body.id, fulfilment="released")

    await world.orders.deal_won(deal.id, "N-1")
    (view,) = await world.until(world.exceptions, what="the exception")

    assert "BY-HAND" in view.exception.detail
    assert world.erp.ledger == [("order", "BY-HAND")]

    await world.mends(view.order, "cancel")
    await world.reaches(view.order, commercial="cancelled")
    assert world.erp.ledger == [("order", "BY-HAND")]


async def test_a_repeat_is_answered_as_the_first_also_where_another_consumer_has_the_key(world):
    """Two partners number alike; what moved since the first call refuses no repeat of it."""
    order = an_order(("1896-S", 1, "100.00"))
    await world.place(order, key="INV-1", consumer="partner-acme")
    first = await world.place(order, key="INV-1", consumer="partner-globex")
    moves_price(world, "120.00")

    again = await world.place(order, key="INV-1", consumer="partner-globex")

    assert first.body.reference != "INV-1"
    assert again.body.id == first.body.id


async def test_another_order_under_a_used_key_is_not_answered_as_the_first(world):
    """Not even where it would be refused anyway: its sender would take it for accepted."""
    await world.place(an_order(("1896-S", 1, "100.00")), key="INV-1")

    with pytest.raises(ProblemError) as refused:
        await world.place(an_order(("1896-S", 9, "99.00")), key="INV-1")

    assert refused.value.problem.slug == "idempotency-key-reused"


def moves_price(world, price):
    world.erp.prices["cust_10000", "item_1896-S"] = [("0", price)]
    world.records.ladders.doubt_all()


def placings(world):
    return [call for call in world.erp.calls if call.startswith("place")]


async def knows(world, customer):
    """Have price and credit of a customer read once, so that there are copies to fall back on."""
    await world.pricing.validate_quote(
        a_quote(("1896-S", 2), customer=customer, parts=("price", "credit"))
    )
