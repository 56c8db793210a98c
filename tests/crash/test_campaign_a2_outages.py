"""Campaign A2 in its smoke size: it passes, and catches the defects planted for it."""

import pytest

from tests.crash.outages import run
from tests.crash.result import shown

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_the_campaign_passes_and_catches_its_planted_defects(tmp_path):
    """No violation, evidence that the faults were met, and a red run on every defect."""
    for result in await run(tmp_path, size="smoke", seed=20261122):
        assert result.verdict == "passed", shown(result).decode()
