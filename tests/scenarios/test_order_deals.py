"""A deal closed in the CRM becomes exactly one order, told or found."""

import pytest

from contracts.outcomes import CallFailedError
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio

DEAL = "006A000000AbCdEIAV"


async def test_a_deal_closed_twice_becomes_one_order(world):
    """Salesforce delivers closed-won at least once; the customer gets exactly one order."""
    world.has_deal(DEAL)

    assert await world.orders.deal_won(DEAL, "message-1")
    assert not await world.orders.deal_won(DEAL, "message-1")
    assert not await world.orders.deal_won(f"sf:{DEAL}", "message-2")

    await world.until(lambda: world.wms.ledger, what="the deal's order to be released")
    assert world.erp.ledger == [("order", f"SF-{DEAL}")]
    report = await world.crm_shows(f"SF-{DEAL}", "released to the warehouse")
    assert (report.quote, report.customer) == (f"sf:{DEAL}", "cust_10000")


async def test_the_short_form_of_a_deals_id_is_the_same_deal(world):
    """Fifteen characters or eighteen: one deal (Salesforce object ids)."""
    world.has_deal(DEAL)

    assert await world.orders.deal_won(DEAL[:15], "m-1")
    assert not await world.orders.deal_won(DEAL, "m-2")


async def test_a_lost_notification_is_made_good_by_looking(world):
    """The push is a hint; the CRM's list of won deals is the truth."""
    world.has_deal(DEAL)

    assert await world.deal_watch.look() == 1
    assert await world.deal_watch.look() == 0

    await world.until(lambda: world.wms.ledger, what="the deal's order to be released")
    assert world.erp.ledger == [("order", f"SF-{DEAL}")]


async def test_a_crm_that_is_away_costs_nothing_but_time(world):
    world.has_deal(DEAL)
    world.crm.away = True
    with pytest.raises(CallFailedError):
        await world.deal_watch.look()
    await world.orders.deal_won(DEAL, "m-1")

    world.crm.away = False

    await world.until(lambda: world.wms.ledger, what="the deal's order to be released")


async def test_a_deal_that_cannot_be_ordered_is_shown_to_its_rep(world):
    """What an API caller would be refused, the rep reads on the deal."""
    world.has_deal(DEAL, customer="bc:99999")

    await world.orders.deal_won(DEAL, "m-1")

    report = await world.crm_shows(f"SF-{DEAL}", "Stopped")
    assert report.commercial == "on-exception"
    assert world.erp.ledger == []


async def test_a_deal_that_is_not_won_any_more_is_not_ordered(world):
    world.has_deal(DEAL, won=False)

    await world.orders.deal_won(DEAL, "m-1")

    page = await world.until(lambda: cancelled(world), what="the order to be dropped")
    assert page.lines == ()
    assert world.erp.ledger == []


async def cancelled(world):
    (found,) = await world.journal.find(_reference(f"SF-{DEAL}"))
    order = await world.order(found.id)
    return order if order.commercial == "cancelled" else None


def _reference(value):
    from runtime.journal.process import Term

    return Term(kind="reference", value=value)


async def test_orders_are_found_by_what_people_know_of_them(world):
    """PO number, customer, reference; newest first, page by page; of others nothing."""
    from contracts.ports.quote_to_order import OrderQuery

    for n in range(5):
        await world.place(an_order(po_number=f"PO-{n % 2}"), key=f"F-{n}")
    await world.place(an_order(customer="cust_20000", po_number="PO-0"), key="G-1")

    async def found(consumer_accounts=None, **query):
        with world.call(accounts=consumer_accounts):
            page = await world.sales.find_orders(OrderQuery(**query))
        return [order.reference for order in page.orders], page.cursor

    assert (await found(po="PO-1"))[0] == ["F-3", "F-1"]
    assert (await found(reference="F-2"))[0] == ["F-2"]
    assert (await found(customer="bc:20000"))[0] == ["G-1"]
    first, cursor = await found(customer="10000", limit=3)
    rest, end = await found(customer="10000", limit=3, cursor=cursor)
    assert (first + rest, end) == (["F-4", "F-3", "F-2", "F-1", "F-0"], None)
    assert (await found(("cust_20000",), po="PO-0"))[0] == ["G-1"]
    assert (await found(("cust_20000",)))[0] == ["G-1"]
    assert (await found(("cust_20000",), reference="F-1"))[0] == []


async def test_another_accounts_order_is_not_found(world):
    from contracts.problems import ProblemError

    reply = await world.place(an_order())

    for ask in (world.sales.get_order, world.sales.order_timeline):
        with world.call(accounts=("cust_20000",)), pytest.raises(ProblemError) as refused:
            await ask(reply.body.id)
        assert refused.value.problem.slug == "not-found"
