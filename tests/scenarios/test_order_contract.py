"""What the contract allows is never called malformed: it is done, or refused for its meaning."""

import msgspec
import pytest
from pyreqwest.client import ClientBuilder

from contracts.canonical.money import money
from contracts.outcomes import Rejected
from contracts.ports.pricing_credit import CreditCheck
from contracts.ports.quote_to_order import CreditRequest, PlaceOrder
from contracts.problems import ProblemError
from contracts.versions import VERSIONS
from runtime.rest.remote import remote
from runtime.rest.routes import application, router_for
from tests.scenarios.world import an_order
from tests.serving import serving

pytestmark = pytest.mark.anyio

PROCESS = next(api for api in VERSIONS if api.name == "process/quote-to-order")


async def test_an_amendment_without_an_order_is_refused_and_the_exception_stays_open(world):
    """Nothing is guessed: the operator is told what is missing and what else may be done."""
    world.erp.refuses.append(
        Rejected(system="business_central", reason="business-rule", detail="no VAT set-up")
    )
    reply = await world.place(an_order(("1896-S", 2)), key="HALF")
    await world.reaches(reply.body.id, commercial="on-exception")

    with pytest.raises(ProblemError) as refused:
        await world.mends(reply.body.id, "amend")

    problem = refused.value.problem
    assert (problem.slug, problem.errors[0].pointer) == ("remedy-not-allowed", "/amended")
    assert "amend" in problem.extensions["allowed"]
    assert len(await world.exceptions()) == 1


async def test_a_channel_nobody_configured_is_refused_with_those_there_are(world):
    """The tier above learns which channels may be named."""
    with world.call(key="NOWHERE"), pytest.raises(ProblemError) as refused:
        await world.orders.place(PlaceOrder(order=an_order(("1896-S", 2)), channel="nowhere"))

    problem = refused.value.problem
    assert (problem.slug, problem.status) == ("channel-unknown", 409)
    assert "sales" in problem.errors[0].allowed
    assert world.erp.ledger == []


async def test_an_amount_in_money_nobody_trades_in_is_not_a_system_that_is_down(world):
    """Asking again would not help: the caller must hear that, and not be told to retry."""
    check = CreditCheck(customer="bc:10000", amount=money(28, "XTS"))
    with pytest.raises(ProblemError) as refused:
        await world.pricing.check_credit(check)
    assert (refused.value.problem.slug, refused.value.problem.retryable) == (
        "currency-mismatch",
        False,
    )

    world.erp.away = True
    with pytest.raises(ProblemError) as refused:
        await world.pricing.check_credit(msgspec.structs.replace(check, amount=money(28, "SEK")))
    assert refused.value.problem.slug == "upstream-unavailable"


async def test_a_document_nobody_can_add_up_is_refused_before_it_is_accepted(world):
    """Each line fits and the sum does not: nothing may be kept that can never be shown."""
    dear = an_order(("1896-S", 10, "999999999999"))
    async with serving(application([router_for(PROCESS, world.orders)])) as address:
        apart = remote(PROCESS, address, ClientBuilder().build())
        with world.call(key="DEAR"), pytest.raises(ProblemError) as refused:
            await apart.credit(CreditRequest(request=dear, channel="sales"))

    assert refused.value.problem.slug == "amount-too-large"
    assert (await world.totals("sales")).credits == 0
