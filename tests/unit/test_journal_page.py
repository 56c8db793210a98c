"""The page that explains the journal shows what the code does."""

from pathlib import Path

import pytest

from runtime.journal.crash_points import CRASH_POINTS
from runtime.journal.drawn import DRAWINGS, redrawn
from runtime.journal.incidents import Category
from runtime.store.schema import metadata

PAGE = Path(__file__).parents[2] / "docs" / "journal.md"


def test_the_tables_of_the_page_are_drawn_from_the_code():
    """Run `python -m runtime.journal.drawn docs/journal.md` after a change."""
    assert PAGE.read_text() == redrawn(PAGE.read_text())


def test_everything_named_is_on_the_page():
    """Every crash point, category and table of the store; a new one must be explained."""
    page = PAGE.read_text()
    for name in (*CRASH_POINTS, *Category, *metadata.tables):
        assert f"| {name} |" in page or f"[{name}]" in page, name


def test_a_page_that_shows_something_twice_or_not_at_all_is_refused():
    one = "<!-- drawn: lanes -->\n<!-- end -->\n"
    with pytest.raises(ValueError, match="each once"):
        redrawn(one)
    all_of_them = "".join(one.replace("lanes", name) for name in DRAWINGS)
    assert "| capture |" in redrawn(all_of_them)
    with pytest.raises(ValueError, match="each once"):
        redrawn(all_of_them + one)
