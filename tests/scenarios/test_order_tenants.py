"""A consumer that acts for some accounts sees and touches those alone, at the process itself.

The outer APIs check accounts too; what is shown here holds for whoever reaches the inner one.
"""

import pytest

from contracts.outcomes import Rejected
from contracts.ports.quote_to_order import (
    Cancellation,
    CreditRequest,
    ExceptionQuery,
    OrderQuery,
    PlaceOrder,
    Remedy,
    TotalsQuery,
)
from contracts.problems import ProblemError
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio

OURS, THEIRS = "cust_10000", "cust_20000"


def acme(world, key="ACME-1"):
    """Call as a partner that acts for one customer."""
    return world.call(consumer="partner-acme", key=key, accounts=(OURS,), wait=None)


async def stopped(world, customer, key):
    """An order that the ERP refuses."""
    refusal = Rejected(system="business_central", reason="business-rule", detail="no")
    world.erp.refuses.append(refusal)
    reply = await world.place(an_order(customer=customer), key=key)
    return await world.reaches(reply.body.id, commercial="on-exception")


async def test_another_accounts_order_is_not_found_whatever_is_asked_of_it(world):
    theirs = await stopped(world, THEIRS, "THEIRS")
    attempts = {
        "get": lambda: world.orders.get(theirs.id),
        "timeline": lambda: world.orders.timeline(theirs.id),
        "cancel": lambda: world.orders.cancel(theirs.id, Cancellation(reason="mine")),
        "remedy": lambda: world.orders.remedy(
            theirs.exception.id, Remedy(action="retry", note="mine")
        ),
    }

    slugs = {}
    with acme(world):
        for name, attempt in attempts.items():
            with pytest.raises(ProblemError) as refused:
                await attempt()
            slugs[name] = refused.value.problem.slug

    assert slugs == dict.fromkeys(attempts, "not-found")


async def test_exceptions_are_listed_for_the_callers_accounts_only(world):
    ours = await stopped(world, OURS, "OURS")
    await stopped(world, THEIRS, "THEIRS")

    with acme(world):
        seen = (await world.orders.exceptions(ExceptionQuery())).exceptions
    everybodys = await world.exceptions()

    assert [view.order for view in seen] == [ours.id]
    assert len(everybodys) == 2


async def test_sums_over_all_accounts_are_not_told_to_who_acts_for_some(world):
    with acme(world), pytest.raises(ProblemError) as refused:
        await world.orders.totals(TotalsQuery(channel="sales"))

    assert refused.value.problem.slug == "insufficient-scope"


async def test_a_search_tells_nothing_of_other_accounts_not_even_that_they_exist(world):
    """A customer of somebody else and one that nobody has are answered alike."""
    await world.place(an_order(customer=THEIRS, po_number="PO-7"), key="THEIRS")

    with acme(world):
        found = [
            await world.orders.search(query)
            for query in (OrderQuery(), OrderQuery(po="PO-7"), OrderQuery(reference="THEIRS"))
        ]
        slugs = set()
        for customer in (THEIRS, "cust_NOBODY"):
            with pytest.raises(ProblemError) as refused:
                await world.orders.search(OrderQuery(customer=customer))
            slugs.add(refused.value.problem.slug)

    assert [page.orders for page in found] == [(), (), ()]
    assert slugs == {"customer-unknown"}


async def test_a_search_by_reference_keeps_to_the_customer_it_names(world):
    await world.place(an_order(customer=THEIRS), key="THEIRS")

    page = await world.orders.search(OrderQuery(reference="THEIRS", customer=OURS))

    assert page.orders == ()


@pytest.mark.parametrize("erp_is_away", [False, True])
async def test_nothing_is_ordered_or_credited_for_another_account(world, erp_is_away):
    """Also while the ERP is away, when nobody can say who the customer is."""
    world.erp.away = erp_is_away
    order = an_order(("1896-S", 1, "100.00"), customer=THEIRS)
    slugs = set()

    for customer in (THEIRS, "bc:20000", "20000", " 20000 ", "CUST_20000"):
        named = type(order)(customer=customer, currency="GBP", lines=order.lines)
        with acme(world, key=f"TRY-{customer}"):
            for attempt in (
                world.orders.place(PlaceOrder(order=named, channel="sales")),
                world.orders.credit(CreditRequest(request=named, channel="sales")),
            ):
                with pytest.raises(ProblemError) as refused:
                    await attempt
                slugs.add(refused.value.problem.slug)

    assert slugs == {"customer-unknown"}
    assert world.erp.ledger == []


async def test_an_order_cannot_be_amended_into_another_account(world):
    """Whoever may mend an order of one customer does not thereby order for another."""
    ours = await stopped(world, OURS, "OURS")
    remedy = Remedy(action="amend", note="theirs now", amended=an_order(customer=THEIRS))

    with acme(world), pytest.raises(ProblemError) as refused:
        await world.orders.remedy(ours.exception.id, remedy)

    assert refused.value.problem.slug == "customer-unknown"


async def test_another_accounts_customer_is_told_as_one_that_never_was(world):
    """Guessing customers teaches nothing: not by the words, and not by what comes with them."""
    told = []
    for customer in (THEIRS, "cust_99999", "bc:20000", "bc:99999"):
        with acme(world, key=f"ACME-{customer}"), pytest.raises(ProblemError) as refused:
            await world.orders.place(PlaceOrder(order=an_order(customer=customer), channel="sales"))
        told.append(refused.value.problem)

    assert told[0].slug == "customer-unknown"
    assert all(each == told[0] for each in told)
