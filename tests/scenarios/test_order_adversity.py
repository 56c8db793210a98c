"""Where an order could be doubled, go out at a wrong price or on credit nobody has: it is not."""

from decimal import Decimal

import pytest

from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio


async def test_a_mispriced_order_tried_again_is_looked_up_and_not_created_again(world):
    """The ERP has it already; whoever says retry means that somebody put it right over there."""
    world.erp.adds_to_amounts = Decimal("0.01")
    reply = await world.place(an_order(("1896-S", 2)), key="PENNY")
    await world.reaches(reply.body.id, commercial="on-exception")

    await world.mends(reply.body.id, "retry")
    await world.until(lambda: len(placings(world)) > 1, what="the second look")

    assert placings(world) == ["place", "place in doubt"]


def placings(world):
    return [call for call in world.erp.calls if call.startswith("place")]
