"""Every exception names a page that exists, speaks of it, and offers what may really be done."""

from pathlib import Path

import pytest

from contracts.problems import CATALOGUE
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


@pytest.mark.parametrize("category", Category, ids=str)
def test_a_problem_of_the_same_cause_leads_to_the_page(category):
    """Whoever is refused finds the page that operations work by."""
    assert REMEDIES[category].runbook in {row.runbook for row in CATALOGUE.values()}


@pytest.mark.parametrize("slug", [row.slug for row in CATALOGUE.values() if row.runbook])
def test_the_page_a_problem_names_exists(slug):
    assert (ROOT / str(CATALOGUE[slug].runbook)).exists()


@pytest.mark.parametrize("category", Category, ids=str)
def test_a_page_tells_how_it_looks_what_to_do_and_when_it_is_over(category):
    """Whoever is called at night reads in one order on every page."""
    page = (ROOT / REMEDIES[category].runbook).read_text(encoding="utf-8")
    sections = [line for line in page.splitlines() if line.startswith("## ")]

    assert sections == [
        "## How it looks",
        "## Why it happens",
        "## What to check, in this order",
        "## What to do",
        "## Many at once",
        "## Escalate",
        "## It is over when",
    ]
    assert f"]({category_name(category)}.md)" in INDEX


INDEX = (ROOT / "docs" / "runbooks" / "README.md").read_text(encoding="utf-8")
