"""A remedy that would do nothing is refused, and says what would do something."""

import msgspec
import pytest

from contracts.problems import ProblemError
from process_apis.quote_to_order.settings import CHANNELS, ChannelPolicy, OrderSettings
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio


async def refused(world, order, action, **amended):
    with pytest.raises(ProblemError) as problem:
        await world.mends(order, action, **amended)
    return problem.value.problem


async def test_a_deal_whose_prices_are_wrong_cannot_be_accepted_as_it_is(world):
    """Nothing was ever agreed on it: correct the deal and try again."""
    lines = an_order(("1896-S", 2, "1.00")).lines
    deal = world.has_deal()
    world.crm.deals[deal.id] = msgspec.structs.replace(deal, lines=lines)
    await world.orders.deal_won(deal.id, "m-1")
    (view,) = await world.until(world.exceptions, what="the exception")
    assert view.exception.category == "pricing-mismatch"

    problem = await refused(world, view.order, "accept")

    assert problem.slug == "remedy-not-allowed"
    assert "accept" not in problem.extensions["allowed"]


async def test_a_credit_cannot_be_amended(world):
    reply = await world.credit(an_order(("1900-S", 2, "9.99")), key="C1")
    await world.until(world.exceptions, what="the exception")

    problem = await refused(world, reply.body.id, "amend", amended=an_order())

    assert problem.slug == "remedy-not-allowed"
    assert problem.extensions["allowed"] == ["cancel", "retry"]


async def test_an_order_whose_channel_is_gone_is_somebodys_question(tmp_path):
    """The configuration lost the channel while its orders were on the way."""
    shops = {**CHANNELS, "kiosk": ChannelPolicy(pricing="tolerance")}
    world = World(tmp_path, orders=OrderSettings(channels=shops), channels={"shop": "kiosk"})
    await world.opens()
    await world.records.refresh()
    world.erp.away = True
    world.time_passes(minutes=5)
    reply = await world.place(an_order(("1896-S", 2)), wait=None)
    assert reply.body.commercial == "provisional"
    world._orders = OrderSettings()
    await world.closes()
    await world.opens()
    world.erp.away = False

    order = await world.reaches(reply.body.id, commercial="on-exception")

    assert order.exception.category == "master-data-mismatch"
    assert "kiosk" in order.exception.detail
    await world.closes()
