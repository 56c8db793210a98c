"""What cannot be ordered is refused with its own problem, and nothing has changed anywhere."""

from decimal import Decimal

import msgspec
import pytest

from contracts.problems import ProblemError
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio


def a_blocked_customer(world):
    world.has_customer("30000", blocked="all")
    return an_order(customer="cust_30000")


def a_blocked_item(world):
    world.has_item("OLD", "5.00", blocked=True)
    return an_order(("OLD", 1))


CASES = {
    "customer-unknown": lambda _: an_order(customer="cust_99999"),
    "customer-blocked": a_blocked_customer,
    "item-unknown": lambda _: an_order(("1896-S", 1), ("NO-SUCH", 1)),
    "item-blocked": a_blocked_item,
    "currency-mismatch": lambda _: an_order(currency="EUR"),
    "price-mismatch": lambda _: an_order(("1896-S", 1, "99.99")),
    "promise-invalid": lambda _: an_order(promise="made.up"),
}


@pytest.mark.parametrize("slug", CASES)
async def test_each_refusal_has_its_own_problem_and_leaves_no_trace(world, slug):
    """The caller learns what is wrong; no system has heard of the order."""
    with pytest.raises(ProblemError) as refused:
        await world.place(CASES[slug](world), key="REFUSED")

    assert refused.value.problem.slug == slug
    assert not refused.value.problem.retryable
    assert world.erp.ledger == world.wms.ledger == []
    assert (await world.totals("sales")).orders == 0


async def test_a_wrong_price_is_named_with_the_right_one(world):
    """The rep sees which line is wrong and what the price is."""
    with pytest.raises(ProblemError) as refused:
        await world.place(an_order(("1896-S", 1), ("1900-S", 1, "20.00")))

    (fault,) = refused.value.problem.errors
    assert (fault.pointer, fault.allowed) == ("/lines/1/unitPrice", "25.50 GBP")


async def test_the_key_can_be_used_again_after_a_refusal(world):
    """A refusal takes nothing, not even the key."""
    with pytest.raises(ProblemError):
        await world.place(an_order(("NO-SUCH", 1)), key="SAME")

    reply = await world.place(an_order(), key="SAME")

    assert reply.status == 201


async def test_a_key_with_another_body_is_refused(world):
    await world.place(an_order(("1896-S", 2)), key="SAME")

    with pytest.raises(ProblemError) as refused:
        await world.place(an_order(("1896-S", 3)), key="SAME")

    assert refused.value.problem.slug == "idempotency-key-reused"


async def test_an_order_sent_again_after_its_price_changed_is_answered_as_before(world):
    """The second call repeats the first; it is not judged by today's prices."""
    request = an_order(("1896-S", 2, "100.00"))
    first = await world.place(request, key="AGAIN")
    world.erp.prices["cust_10000", "item_1896-S"] = [("0", "120.00")]
    world.records.ladders.doubt_all()

    second = await world.place(request, key="AGAIN")

    assert second.body.id == first.body.id
    assert world.erp.orders_for("AGAIN") == ["AGAIN"]


async def test_two_consumers_with_one_key_get_two_orders(world):
    """Keys belong to their consumer; the second order's reference says so."""
    one = await world.place(an_order(), key="INV-1", consumer="shop")
    other = await world.place(an_order(), key="INV-1", consumer="dealer")

    assert one.body.reference == "INV-1"
    assert other.body.reference.startswith("INV-1-")
    assert len(world.erp.ledger) == 2


async def test_an_agreed_price_stands_on_a_channel_that_honours_it(world):
    """An order file's prices are what was agreed, and the ERP's order carries them."""
    reply = await world.place(an_order(("1896-S", 3, "91.37")), consumer="importer", key="536365")

    assert reply.body.lines[0].basis == "agreed"
    assert str(world.erp.orders["536365"].net_amount) == "274.11 GBP"
    assert "prices" not in world.erp.calls


async def test_a_consumer_with_the_scope_for_agreed_prices_has_them_honoured(world):
    reply = await world.place(
        an_order(("1896-S", 1, "1.00")), scopes=frozenset({"orders:agreed-prices"})
    )

    assert (reply.body.channel, str(reply.body.net_amount)) == ("order-file", "1.00 GBP")


async def test_a_customer_without_a_limit_costs_the_erp_no_credit_call(world):
    await world.place(an_order(("1896-S", 1, "1.00")), consumer="importer")

    assert "credit" not in world.erp.calls


async def test_an_order_for_another_account_looks_like_one_for_nobody(world):
    """A partner cannot find out which customers there are."""
    with pytest.raises(ProblemError) as refused:
        await world.place(an_order(customer="cust_20000"), accounts=("cust_10000",))

    assert refused.value.problem.slug == "customer-unknown"


async def test_a_promise_holds_the_price_and_holds_once(world):
    """What a validation promised is what the order gets, whatever the list says by then."""
    quote = await world.sales.validate_quote(a_promising_quote())
    world.erp.prices["cust_10000", "item_1896-S"] = [("0", "130.00")]
    world.records.ladders.doubt_all()
    order = an_order(("1896-S", 2), promise=quote.promise)

    first = await world.place(order, key="P-1")
    again = await world.place(order, key="P-1")
    with pytest.raises(ProblemError) as used:
        await world.place(order, key="P-2")

    assert (first.body.lines[0].unit_price.amount, first.body.id) == (Decimal(100), again.body.id)
    assert used.value.problem.slug == "promise-invalid"


async def test_a_promise_for_other_goods_is_worth_nothing(world):
    quote = await world.sales.validate_quote(a_promising_quote())

    with pytest.raises(ProblemError) as refused:
        await world.place(an_order(("1896-S", 3), promise=quote.promise))

    assert refused.value.problem.slug == "promise-invalid"


def a_promising_quote():
    from tests.scenarios.world import a_quote

    return a_quote(("1896-S", 2))


def test_what_is_sent_is_read_strictly():
    """A quantity nobody can ship never reaches a decision."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"customer":"c","currency":"GBP","lines":[{"item":"i","quantity":"0"}]}',
            type=type(an_order()),
        )
