"""Every campaign has a story of its own, and the page says what the result files say."""

from pathlib import Path

from tests.crash.__main__ import CAMPAIGNS
from tests.crash.table import PAGE, page

HERE = Path(__file__).parent


def test_every_campaign_runs_in_its_smoke_size():
    """A file each, so that they run beside each other."""
    told = {path.stem.split("_")[2].upper() for path in HERE.glob("test_campaign_*.py")}
    assert told == {name.partition("-")[0] for name in CAMPAIGNS}


def test_the_published_table_is_what_the_result_files_say():
    """No figure of the page is written by hand; `python -m tests.crash.table` draws it."""
    assert PAGE.read_text(encoding="utf-8") == page()
