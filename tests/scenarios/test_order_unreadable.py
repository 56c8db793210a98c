"""An order whose record can no longer be read: it is left to a person, and hides nothing else."""

import pytest
from sqlalchemy import update

from contracts.outcomes import Rejected
from contracts.ports.quote_to_order import ExceptionQuery, OrderQuery
from contracts.problems import ProblemError
from process_apis.quote_to_order.book import OrderBook
from runtime.journal.faults import UnreadableProcess
from runtime.journal.incidents import Action
from runtime.store.schema import process
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio

DAMAGES = {"no JSON": {"data": b"\xff{"}, "a newer version": {"version": 99}}


@pytest.fixture(params=DAMAGES.values(), ids=DAMAGES)
def damage(request):
    return request.param


@pytest.fixture
async def world(tmp_path):
    """A distributor one of whose customers has a limit."""
    distributor = World(tmp_path)
    distributor.has_customer("30000", limit=1200)
    await distributor.opens()
    yield distributor
    await distributor.closes()


async def damaged(world, order, damage):
    """What is stored of an order is not what it was; answers what it was."""
    mine = process.c.id == order
    before = await world.store.read(
        lambda c: c.execute(process.select().where(mine)).one()._mapping
    )
    await world.store.write(lambda c: c.execute(update(process).where(mine).values(**damage)))
    return {name: before[name] for name in damage}


async def confirmed(world, key, **fields):
    reply = await world.place(an_order(**fields), key=key)
    return await world.reaches(reply.body.id, fulfilment="released")


async def stopped(world, key, *lines, **fields):
    refusal = Rejected(system="business_central", reason="business-rule", detail="no")
    world.erp.refuses.append(refusal)
    reply = await world.place(an_order(*lines, **fields), key=key)
    return await world.reaches(reply.body.id, commercial="on-exception")


async def set_aside(world, order, damage):
    """Damage a stopped order, and have somebody retry it: the journal cannot go on with it."""
    before = await damaged(world, order.id, damage)
    await world.journal.remedy(order.exception.id, Action.RETRY, "Mary")

    async def replaced():
        found = await world.journal.incidents(process_id=order.id)
        return next((each for each in found if each.id != order.exception.id), None)

    return await world.until(replaced, what="the order to be set aside"), before


async def test_no_list_hides_the_other_orders(world, damage):
    """All, a customer's, those under a PO number: page by page, each of the others once."""
    first = await confirmed(world, "FIRST", po_number="PO-7")
    spoiled = [await confirmed(world, f"SPOILED-{n}", po_number="PO-7") for n in range(3)]
    last = await confirmed(world, "LAST", po_number="PO-7")
    for each in spoiled:
        await damaged(world, each.id, damage)

    for asked in ({}, {"customer": "cust_10000"}, {"po": "PO-7"}):
        found, cursor = [], None
        while True:
            page = await world.orders.search(OrderQuery(**asked, cursor=cursor, limit=1))
            found += [order.id for order in page.orders]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == [last.id, first.id], asked

    by_reference = await world.orders.search(OrderQuery(reference="SPOILED-1"))
    assert by_reference.orders == ()
    with pytest.raises(UnreadableProcess):
        await world.orders.get(spoiled[0].id)


async def test_the_exception_queue_shows_its_own_exception_and_all_others(world, damage):
    """What operators must see: whose it is, what is wrong, and that its record comes first."""
    other = await stopped(world, "OTHER", customer="cust_20000")
    order = await stopped(world, "SPOILED")
    incident, before = await set_aside(world, order, damage)

    views = {view.order: view for view in await world.exceptions()}
    assert views.keys() == {order.id, other.id}
    shown = views[order.id]
    assert (shown.exception.id, shown.exception.category) == (incident.id, "contract-violation")
    assert (shown.reference, shown.customer) == ("SPOILED", "cust_10000")
    assert shown.exception.remedies == (), "nothing helps but its record"
    assert await world.operations.get_exception(incident.id) == shown
    with pytest.raises(ProblemError) as refused:
        await world.mends(order.id, "retry")
    assert refused.value.problem.slug == "remedy-not-allowed"

    await damaged(world, order.id, before)
    await world.mends(order.id, "retry")
    await world.reaches(order.id, commercial="confirmed")


async def test_another_account_does_not_see_its_exception(world, damage):
    """The business ids it is found by are its customer's; they say whose eyes it is for."""
    order = await stopped(world, "SPOILED")
    incident, _ = await set_aside(world, order, damage)

    for account, sees in (("cust_10000", [order.id]), ("cust_20000", [])):
        with world.call(consumer="partner", accounts=(account,)):
            page = await world.orders.exceptions(ExceptionQuery())
            assert [view.order for view in page.exceptions] == sees
    with world.call(consumer="partner", accounts=("cust_20000",)):
        with pytest.raises(ProblemError) as refused:
            await world.orders.exception(incident.id)
        assert refused.value.problem.slug == "not-found"


async def test_the_sums_of_a_channel_say_how_many_they_are_without(world, damage):
    """The figures are those of all the others; nobody takes them for whole."""
    await confirmed(world, "GOOD")
    spoiled = await confirmed(world, "SPOILED")
    await damaged(world, spoiled.id, damage)

    totals = await world.totals("sales")

    assert (totals.orders, totals.net_ordered, totals.unreadable) == (1, {"GBP": "200.00"}, 1)


async def test_the_program_starts_beside_it_and_its_customer_goes_on_ordering(world):
    """A start counts what is on its way to the ERP; one record must not keep all others out."""
    spoiled = await stopped(world, "SPOILED")
    await damaged(world, spoiled.id, DAMAGES["no JSON"])
    await world.restarts()

    order = await confirmed(world, "NEXT")

    assert order.commercial == "confirmed"


async def test_what_it_takes_of_the_credit_stays_taken_after_a_restart(world):
    """It may be retried: 720 of 1200 are taken, whatever can be read of it; 480 are left."""
    spoiled = await stopped(world, "SPOILED", ("1896-S", 6), customer="cust_30000")
    await damaged(world, spoiled.id, DAMAGES["no JSON"])
    await world.restarts()

    over = await world.place(an_order(("1896-S", 5), customer="cust_30000"))
    within = await world.place(an_order(("1896-S", 3), customer="cust_30000"))

    assert (over.body.credit, within.body.credit) == ("held", "approved")


async def test_a_credit_beside_one_that_cannot_be_read_is_not_posted(world, damage):
    """It may take what the other has taken; and the orders of the customer stay matchable."""
    await confirmed(world, "SOLD", customer="cust_10000")
    first = await world.credit(an_order(("1896-S", 1)), key="C1")
    assert first.body.billing == "credited"
    await damaged(world, first.body.id, damage)

    second = await world.credit(an_order(("1896-S", 1)), key="C2")

    assert second.body.commercial == "on-exception"
    assert second.body.exception.detail.startswith("What C1 was credited for cannot be read")
    assert list(world.erp.memos) == ["C1"]


async def test_a_credit_goes_past_an_order_that_cannot_be_read(world, damage):
    """Nothing is matched to it; an order that can be read has enough left."""
    await confirmed(world, "SOLD")
    spoiled = await confirmed(world, "SPOILED")
    await damaged(world, spoiled.id, damage)

    reply = await world.credit(an_order(("1896-S", 1)), key="C1")

    assert reply.body.billing == "credited"
    assert "Goes against SOLD." in [e.says for e in (await world.story(reply.body.id)).entries]


async def test_a_deal_is_not_ordered_beside_an_order_that_cannot_be_read(world, damage):
    """That there is one, its columns say: somebody decides which of the two it is to be."""
    deal = world.has_deal()
    mine = await confirmed(world, "BY-HAND", quote=deal.id)
    await damaged(world, mine.id, damage)

    await world.orders.deal_won(deal.id.removeprefix("sf:"), "told once")

    async def stops():
        return [view for view in await world.exceptions() if "ordered already" in
                view.exception.detail]  # fmt: skip

    (view,) = await world.until(stops, what="the deal to stop")
    assert "as BY-HAND" in view.exception.detail
    assert world.erp.orders_for(view.reference) == []


async def test_a_sweep_does_not_call_it_an_order_that_was_never_accepted(world, damage):
    """The ERP holds it under its reference; whether anything differs, nobody can tell."""
    spoiled = await confirmed(world, "SPOILED")
    good = await confirmed(world, "GOOD")
    await damaged(world, spoiled.id, damage)
    book = OrderBook(world.store, world.journal.types)

    assert [order.id for order in await book.of([spoiled.id, good.id])] == [good.id]
    assert await book.named(["SPOILED"]) == []
    assert await book.is_unread("spoiled")
    assert not await book.is_unread("GOOD")
    assert not await book.is_unread("NOBODYS")
