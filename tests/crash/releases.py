"""The releases of the little order process that campaign A9 goes back and forth between.

Each takes the process type of the current release and answers its own.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from runtime.journal.process import Ignore, Lifecycle, Move, ProcessType, Says

PRINTING = 0.2
"""Seconds; so that every change of releases finds orders in the step that was added."""

Release = Callable[[ProcessType[Any]], ProcessType[Any]]


def current(type_: ProcessType[Any]) -> ProcessType[Any]:
    """As it is."""
    return type_


def with_a_step(type_: ProcessType[Any]) -> ProcessType[Any]:
    """Between the warehouse's release and the shipment, labels are printed: a step is added."""
    moves = dict(type_.lifecycle.moves)
    moves["releasing", "released"] = "labelling"
    moves["labelling", "labelled"] = "shipping"
    moves["labelling", "cancel"] = "compensating"
    lifecycle = structs.replace(type_.lifecycle, moves=moves)

    async def label(process, context):
        await asyncio.sleep(PRINTING)
        return Move(event="labelled", data=process.data)

    return _over(type_, lifecycle, {**type_.steps, "labelling": label})


def with_a_step_renamed(type_: ProcessType[Any]) -> ProcessType[Any]:
    """What was called releasing is called handing over, and nobody said so to the rows."""
    name = {"releasing": "handing_over"}
    moves = {
        (name.get(state, state), event): name.get(target, target)
        for (state, event), target in type_.lifecycle.moves.items()
    }
    lifecycle = structs.replace(type_.lifecycle, moves=moves)
    steps = {name.get(state, state): step for state, step in type_.steps.items()}
    return _over(type_, lifecycle, steps)


def misreading(type_: ProcessType[Any]) -> ProcessType[Any]:
    """Planted defect: rows in a state it does not know are taken for ones not begun."""
    moves = dict(type_.lifecycle.moves)
    moves["labelling", "ordered"] = "releasing"
    moves["labelling", "held"] = "held"
    moves["labelling", "cancel"] = "compensating"
    moves["releasing", "mislaid"] = "labelling"
    lifecycle = structs.replace(type_.lifecycle, moves=moves)
    careless = type_.steps["ordering"]

    async def order_again(process, context):
        return await careless(process, structs.replace(context, in_doubt=False))

    return _over(type_, lifecycle, {**type_.steps, "labelling": order_again})


def _over(
    type_: ProcessType[Any], lifecycle: Lifecycle, steps: Mapping[str, Any]
) -> ProcessType[Any]:
    """The type over another table; a cancellation is allowed where that table allows it."""

    def on_cancel(process, signal):
        if not lifecycle.allows(process.state, "cancel"):
            return Ignore(says=Says(text="Too late to cancel."))
        return Move(event="cancel", data=process.data, closes_incident=True)

    listens = {**type_.on_signal, "cancel": on_cancel}
    return structs.replace(type_, lifecycle=lifecycle, steps=steps, on_signal=listens)


RELEASES: Mapping[str, Release] = {
    "current": current,
    "step added": with_a_step,
    "step renamed": with_a_step_renamed,
    "misreading": misreading,
}
