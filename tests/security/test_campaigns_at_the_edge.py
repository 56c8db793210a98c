"""Campaigns at the gateway's edge in their smoke size: each is kept, and each can be failed."""

import pytest

from tests.crash.command import campaign
from tests.crash.result import shown
from tests.security.__main__ import CAMPAIGNS

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]
SEED = 20261122
OF_THEIR_OWN = ("B1", "B3")
"""Told scene by scene in files of their own."""


@pytest.mark.parametrize("name", [name for name in CAMPAIGNS if name not in OF_THEIR_OWN])
async def test_a_campaign_finds_nothing_and_every_planted_defect_turns_it_red(tmp_path, name):
    """What it sends and what must come of it is in the module's docstring."""
    (result,) = await campaign(CAMPAIGNS[name])(tmp_path, size="smoke", seed=SEED)

    assert result.verdict == "passed", shown(result).decode()
    assert result.defects
