"""Cancellations after the fact: one credit memo against what was sold, or an exception."""

import asyncio
from datetime import date
from decimal import Decimal

import pytest

from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio

MARCH = date(2011, 3, 1)


async def sold(world, *lines, key, on=MARCH, customer="cust_10000"):
    return await world.place(
        an_order(*lines, customer=customer, order_date=on), key=key, consumer="importer"
    )


async def test_a_credit_goes_against_the_order_that_sold_the_goods(world):
    """Same customer, same item, enough left: one posted memo, at the price agreed."""
    await sold(world, ("1896-S", 10, "90.00"), ("1900-S", 5, "20.00"), key="536365")

    reply = await world.credit(
        an_order(("1896-S", 4, "90.00"), ("1900-S", 1, "20.00"), order_date=MARCH), key="C536400"
    )

    assert (reply.status, reply.body.billing) == (201, "credited")
    assert world.erp.ledger[-1] == ("memo", "C536400")
    assert str(world.erp.memos["C536400"].net_amount) == "380.00 GBP"
    entries = (await world.story(reply.body.id)).entries
    assert any(entry.says == "Goes against 536365." for entry in entries)


async def test_a_line_nobody_bought_makes_the_whole_credit_an_exception(world):
    """Never a guess, never half a memo."""
    await sold(world, ("1896-S", 10, "90.00"), key="536365")

    reply = await world.credit(an_order(("1896-S", 4, "90.00"), ("1900-S", 1, "20.00")), key="C1")

    assert reply.body.commercial == "on-exception"
    assert reply.body.exception.category == "master-data-mismatch"
    assert world.erp.memos == {}


async def test_more_cannot_be_credited_than_was_sold(world):
    """Two credits of six from ten pieces: one is posted, the other waits for somebody."""
    await sold(world, ("1896-S", 10, "90.00"), key="536365")

    replies = await asyncio.gather(
        *(world.credit(an_order(("1896-S", 6, "90.00")), key=f"C{i}") for i in range(2))
    )

    assert sorted(reply.body.commercial for reply in replies) == ["confirmed", "on-exception"]
    assert len(world.erp.memos) == 1


async def test_an_exception_does_not_hold_up_the_customers_next_credit(world):
    await sold(world, ("1896-S", 10, "90.00"), key="536365")
    await world.credit(an_order(("1908-S", 1, "0.85")), key="C-BAD")

    reply = await world.credit(an_order(("1896-S", 1, "90.00")), key="C-GOOD")

    assert reply.body.billing == "credited"


async def test_another_customers_order_is_never_credited(world):
    await sold(world, ("1896-S", 10, "90.00"), key="536365", customer="cust_20000")

    reply = await world.credit(an_order(("1896-S", 1, "90.00")))

    assert reply.body.commercial == "on-exception"


async def test_a_credit_waits_until_its_order_is_in_the_erp(world):
    """Accepted in any order, posted in the right one."""
    await world.records.refresh()
    world.erp.away = True
    await world.place(
        an_order(("1896-S", 10, "90.00")), key="536365", consumer="importer", wait=None
    )
    credit = await world.credit(an_order(("1896-S", 4, "90.00")), key="C536400", wait=0.3)
    assert credit.status == 202

    world.erp.away = False
    await world.reaches(credit.body.id, billing="credited")

    assert world.erp.ledger == [("order", "536365"), ("memo", "C536400")]


async def test_a_retry_after_the_missing_order_came_posts_the_credit(world):
    reply = await world.credit(an_order(("1896-S", 4, "90.00")), key="C-EARLY")
    assert reply.body.commercial == "on-exception"
    await sold(world, ("1896-S", 10, "90.00"), key="536365")

    await world.mends(reply.body.id, "retry")

    await world.reaches(reply.body.id, billing="credited")


async def test_a_lost_answer_posts_no_second_memo(world):
    await sold(world, ("1896-S", 10, "90.00"), key="536365")
    world.erp.loses_answers = 1

    reply = await world.credit(an_order(("1896-S", 4, "90.00")), key="C1")

    assert reply.body.billing == "credited"
    assert world.erp.ledger.count(("memo", "C1")) == 1


async def test_the_books_agree_to_the_penny(world):
    """File, journal and ERP: the same sums, and every exception counted."""
    await sold(world, ("1896-S", 3, "91.37"), ("1908-S", 7, "0.83"), key="536365")
    await sold(world, ("1900-S", 1, "25.55"), key="536366")
    await world.credit(an_order(("1896-S", 1, "91.37")), key="C1")
    await world.credit(an_order(("1900-S", 9, "25.55")), key="C2")

    totals = await world.totals("order-file")

    assert (totals.orders, totals.confirmed, totals.credits, totals.credited) == (2, 2, 2, 1)
    assert totals.net_ordered == {"GBP": "305.47"}
    assert totals.net_credited == {"GBP": "91.37"}
    assert totals.exceptions == {"master-data-mismatch": 1}
    in_erp = sum((o.net_amount.amount for o in world.erp.orders.values()), Decimal(0))
    assert str(in_erp) == totals.net_ordered["GBP"]


async def test_sums_asked_for_all_the_time_are_those_of_a_fresh_start(world):
    """What is added up from changes is what adding up everything comes to, at any moment."""
    asked = []

    async def keeps_asking():
        while True:
            asked.append(await world.totals("order-file"))
            await asyncio.sleep(0.005)

    asking = asyncio.create_task(keeps_asking())
    for n in range(30):
        world.erp.loses_answers = n % 3 == 0
        await sold(world, ("1896-S", 3, f"{n + 1}.37"), key=f"S-{n}")
        await world.credit(an_order(("1896-S", 1 + n % 5, f"{n + 1}.37")), key=f"C-{n}")
    for view in await world.exceptions():
        await world.mends(view.order, "cancel")
    asking.cancel()
    before = await world.totals("order-file")

    await world.restarts()

    assert before == await world.totals("order-file")
    assert (before.orders, before.confirmed, before.credited, before.exceptions) == (30, 30, 18, {})
    assert len(asked) > 10
