"""The tables: sound, fully served by steps and signals, and drawn as the docs show them."""

from pathlib import Path

import pytest

from process_apis.quote_to_order import remedies, remedying, story
from process_apis.quote_to_order.axes import AXES, COMMERCIAL, credit_after
from process_apis.quote_to_order.lifecycle import CREDIT, ORDER, drawn
from process_apis.quote_to_order.records import COMMERCIAL_OF
from runtime.journal.incidents import Action
from runtime.journal.process import UndefinedMove

PAGE = Path(__file__).parents[2] / "docs" / "lifecycles.md"


@pytest.mark.parametrize("table", [ORDER, CREDIT, *AXES], ids=lambda table: table.name)
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
    final |= {"posting", "not_posted", "overshipped"}

    assert ORDER.allows(state, "cancelled") == (state not in final)


def test_a_healthy_order_makes_two_moves():
    placed = ORDER.after(ORDER.initial, "placed")

    assert ORDER.after(placed, "released_to_warehouse") == "released"


def test_whatever_an_order_does_next_its_commercial_axis_has_a_row_for_it():
    """The axis is read off the state: so each row of the big table must be one of the small."""
    for (before, event), after in ORDER.moves.items():
        turns = COMMERCIAL_OF.get(before, "confirmed"), COMMERCIAL_OF.get(after, "confirmed")
        assert turns[0] == turns[1] or COMMERCIAL.allows(*turns), (before, event, after)


def test_an_axis_refuses_what_its_table_lacks():
    """Credit that was never held is not released: a bug is raised, not guessed at."""
    assert credit_after("held", "released") == "released"
    with pytest.raises(UndefinedMove):
        credit_after("approved", "released")


def test_what_is_said_to_be_possible_is_what_the_table_of_remedies_does():
    """A remedy is offered where it does something, and done where it is offered."""
    asked = {Action.ACCEPT, Action.AMEND_AND_RETRY}
    conditional = {("stopped", Action.ACCEPT), ("mispriced", Action.ACCEPT)}
    rows = {(state, action) for state, action in remedying.TABLE if action in asked}

    assert rows == remedies._ROWS | conditional


def test_every_remedy_leads_somewhere_the_table_knows():
    assert {state for state, _ in remedying.TABLE} <= ORDER.states
