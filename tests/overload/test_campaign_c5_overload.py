"""Campaign C5 in its smoke size: the least urgent is shed first, and the work that fits is done."""

import pytest

from tests.overload.overloaded import SMOKE_STEPS, goodput_kept, overloaded

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_at_three_times_the_capacity_orders_are_captured_and_bulk_is_shed(tmp_path):
    """How much is done in a second is the full run's to say: here others use the machine, too."""
    _, overload = await overloaded(tmp_path, steps=SMOKE_STEPS, seconds=4.0, seed=5)

    shed = {kind: overload.shed[kind] / overload.asked[kind] for kind in overload.asked}
    assert shed["bulk"] > 0.5
    assert shed["bulk"] >= shed["sync"] >= shed["status"] >= shed["capture"]
    assert overload.answered["capture"] > 0
    assert overload.late < 0.1 * sum(overload.asked.values())


async def test_the_campaign_catches_a_gateway_that_sheds_nobody(tmp_path):
    """Everybody waits in one line until nobody is answered in time."""
    found = await overloaded(tmp_path, steps=SMOKE_STEPS, seconds=4.0, seed=5, shed=False)

    assert goodput_kept(found) < 0.9
    assert found[-1].late > 0.5 * sum(found[-1].asked.values())
