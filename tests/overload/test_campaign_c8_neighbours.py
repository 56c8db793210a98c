"""Campaign C8 in its smoke size: neighbours are held to what is theirs."""

import pytest

from tests.overload.neighbours import neighboured

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_a_noisy_partner_and_a_hung_upstream_fail_nobody_else(tmp_path):
    """How much later others are answered is the full run's to say."""
    found = await neighboured(tmp_path, turns=1, seconds=5.0, seed=8)

    assert found.failed == 0
    assert found.noisy("429") > 10 * found.noisy("200")
    assert found.hung("504") > 0
    assert found.hung("503") > 0


async def test_the_campaign_catches_a_plan_without_limits(tmp_path):
    found = await neighboured(tmp_path, turns=1, seconds=5.0, seed=8, limited=False)

    assert found.noisy("429") == 0
    assert found.failed or found.slower > 1.3
