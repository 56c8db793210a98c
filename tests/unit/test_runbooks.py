"""Every exception names a page that exists, speaks of it, and offers what may really be done."""

from pathlib import Path

import pytest

from process_apis.quote_to_order.remedies import category_name, remedies_of
from runtime.journal.incidents import REMEDIES, Category

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("category", Category, ids=str)
def test_the_page_of_a_category_offers_exactly_its_remedies(category):
    """An operator who follows the page is never refused, and misses no way out."""
    page = (ROOT / REMEDIES[category].runbook).read_text(encoding="utf-8")

    assert f"Category `{category_name(category)}`. Who acts: {REMEDIES[category].who_acts}." in page
    every = {"retry", "amend", "accept", "release", "cancel"}
    offered = {remedy for remedy in every if f"**{remedy}**" in page}
    assert offered == set(remedies_of(category))
