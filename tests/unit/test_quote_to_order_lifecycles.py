"""The tables: sound, fully served by steps and signals, and drawn as the docs show them."""

from pathlib import Path

import pytest

from process_apis.quote_to_order import story
from process_apis.quote_to_order.lifecycle import CREDIT, ORDER, drawn

PAGE = Path(__file__).parents[2] / "docs" / "lifecycles.md"


@pytest.mark.parametrize("table", [ORDER, CREDIT], ids=lambda table: table.name)
def test_a_lifecycle_has_no_dead_ends_and_no_orphans(table):
    assert table.faults() == ()


def test_the_page_in_the_docs_is_drawn_from_the_tables():
    """Run `python -m process_apis.quote_to_order.lifecycle > docs/lifecycles.md` after a change."""
    assert PAGE.read_text() == drawn()


@pytest.mark.parametrize("state", sorted(ORDER.states | CREDIT.states))
def test_every_state_says_what_happens_next(state):
    assert story._NEXT[state]


@pytest.mark.parametrize("state", sorted(ORDER.states))
def test_an_order_can_be_taken_back_until_the_goods_have_left(state):
    final = {"shipped", "closed", "cancelled", "withdrawing", "rollback_incomplete"}

    assert ORDER.allows(state, "cancelled") == (state not in final)


def test_a_healthy_order_makes_two_moves():
    placed = ORDER.after(ORDER.initial, "placed")

    assert ORDER.after(placed, "released_to_warehouse") == "released"
