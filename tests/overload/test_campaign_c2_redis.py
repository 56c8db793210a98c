"""Campaign C2 in its smoke size: whatever Redis does, callers see 200 or 429."""

import pytest

from tests.overload.redis_faults import run

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_a_redis_in_trouble_costs_no_caller_an_error(tmp_path):
    """Within the shares while it lasts, exact again two seconds after it ended."""
    found = await run(tmp_path, ("kill", "hang", "read-only", "spoilt"), seconds=2.0)

    assert [each.exact for each in found] == [True] * 4, found


async def test_the_campaign_catches_a_gateway_that_trusts_redis(tmp_path):
    (found,) = await run(tmp_path, ("kill",), seconds=2.0, defect="trusting")

    assert found.errors > 0
