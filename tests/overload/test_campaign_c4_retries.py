"""Campaign C4 in its smoke size: an upstream in trouble is not asked a multiple."""

import pytest

from tests.overload.retries import run

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_attempts_stay_within_their_budget_and_all_is_well_after_the_healing(tmp_path):
    found = await run(tmp_path, rate=150, seconds=3, seed=1)

    assert found.clean, found


async def test_the_campaign_catches_a_gateway_that_retries_everything(tmp_path):
    found = await run(tmp_path, rate=150, seconds=1, seed=1, defect=True)

    assert max(each.factor for each in found.phases) > 1.2
