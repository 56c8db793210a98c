"""The campaigns in their smoke size: each passes, and catches the defects planted for it."""

from importlib import import_module

import pytest

from tests.crash.__main__ import CAMPAIGNS
from tests.crash.result import shown
from tests.crash.table import PAGE, page

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]

ELSEWHERE = {"A1", "A4"}
"""Their smoke sizes are stories of their own: test_campaign_a1_kill, test_campaign_a4_keys."""


@pytest.mark.parametrize("name", sorted(CAMPAIGNS.keys() - ELSEWHERE))
async def test_a_campaign_passes_and_catches_its_planted_defects(tmp_path, name):
    """No violation, evidence that the faults were met, and a red run on every defect."""
    for result in await import_module(CAMPAIGNS[name]).run(tmp_path, size="smoke", seed=20261122):
        assert result.verdict == "passed", shown(result).decode()


def test_the_published_table_is_what_the_result_files_say():
    """No figure of the page is written by hand; `python -m tests.crash.table` draws it."""
    assert PAGE.read_text(encoding="utf-8") == page()
