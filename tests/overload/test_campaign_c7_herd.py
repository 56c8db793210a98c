"""Campaign C7 in its smoke size: a herd is one call a key, and absurd settings change nothing."""

import pytest

from tests.overload.herd import run

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_a_herd_is_one_miss_a_key_and_absurd_settings_are_refused(tmp_path):
    found = await run(tmp_path, callers=1_000, seed=7)

    assert found.clean, found


async def test_the_campaign_catches_a_cache_where_everybody_asks(tmp_path):
    assert (await run(tmp_path, callers=300, seed=7, defect="each-asks")).misses > 20


async def test_the_campaign_catches_a_reload_that_drops_the_old_one_first(tmp_path):
    found = await run(tmp_path, callers=50, seed=7, defect="blind-reload")

    assert found.misses == found.keys
    assert not found.answered_after
