"""Campaign C6 in its smoke size: a restart under keep-alive load fails no request."""

import pytest

from tests.overload.restarts import restarted

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_restarts_under_load_fail_nobody_and_double_nothing(tmp_path):
    seen = await restarted(tmp_path, restarts=3, seed=6)

    assert not any(seen.violations.values()), seen.violations
    assert seen.answered_between > 0
    assert seen.book.told_to_close > 0
    assert seen.pids == 4


@pytest.mark.parametrize("defect", ["abrupt", "own-socket"])
async def test_the_campaign_catches_a_gateway_that(tmp_path, defect):
    """Ends without a drain, or opens a socket that ends with it."""
    seen = await restarted(tmp_path, restarts=3, seed=6, defect=defect)

    assert any(seen.violations.values())
