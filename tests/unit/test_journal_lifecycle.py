"""A lifecycle is a table: what it does not say is a bug, and its drawing comes from it."""

import pytest

from runtime.journal.codec import Types
from runtime.journal.process import Lifecycle, ProcessType, UndefinedMove
from tests.journal_orders import ORDER, Order, Vendor, the_order_process


def test_an_undefined_move_raises():
    """The journal never guesses where an event might lead."""
    with pytest.raises(UndefinedMove, match="order: no move from 'completed' on 'cancel'"):
        ORDER.after("completed", "cancel")


def test_the_table_is_drawn():
    """The diagram in the docs shows every row."""
    drawing = ORDER.mermaid()
    for (state, event), target in ORDER.moves.items():
        assert f"    {state} --> {target}: {event}\n" in drawing
    assert "    [*] --> ordering\n" in drawing
    assert "    completed --> [*]\n" in drawing


def test_a_broken_table_names_all_its_faults():
    """Dead ends, exits from the end and states nobody reaches are told at construction."""
    broken = Lifecycle(
        name="broken",
        initial="a",
        moves={("a", "go"): "b", ("end", "back"): "a", ("lost", "go"): "end"},
        terminal=frozenset({"end"}),
    )
    assert broken.faults() == (
        "end: terminal, but has a move out",
        "b: no move out, and not terminal",
        "end: cannot be reached from a",
        "lost: cannot be reached from a",
    )


def test_a_process_type_with_faults_is_refused():
    """A step for a state that does not exist is found before anything runs."""

    async def step(process, context):
        raise AssertionError

    kind = ProcessType(
        name="order", version=1, data_type=Order, lifecycle=ORDER, steps={"ordring": step}
    )
    with pytest.raises(ValueError, match="ordring"):
        Types([kind])
    Types([the_order_process(Vendor())])
