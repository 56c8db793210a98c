"""Under which documents of other systems an order is found, added as they become known.

Whoever has a shipment, a tracking number, an invoice or a credit memo in hand finds the order by
it. The numbers are business ids of the process from the move on that learned them, whichever step
or signal that was; the orders' own numbers are said by the moves that make them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from process_apis.quote_to_order.records import CreditRecord, OrderRecord
from runtime.journal.process import (
    Again,
    Ignore,
    Move,
    Process,
    ProcessType,
    Signal,
    Step,
    StepContext,
    Term,
    Wait,
)

__all__ = ["findable"]

_SignalFunction = Callable[[Process[Any], Signal], "Move[Any] | Ignore | None"]


def findable(kind: ProcessType[Any]) -> ProcessType[Any]:
    """Answer the process type, each move of which adds the numbers it learned."""
    return replace(
        kind,
        steps={state: _step(step) for state, step in kind.steps.items()},
        on_signal={name: _signal(function) for name, function in kind.on_signal.items()},
    )


def _step(step: Step[Any]) -> Step[Any]:
    async def run(process: Process[Any], context: StepContext) -> Move[Any] | Again[Any] | Wait:
        outcome = await step(process, context)
        return _numbered(process, outcome) if isinstance(outcome, Move) else outcome

    return run


def _signal(function: _SignalFunction) -> _SignalFunction:
    def offered(process: Process[Any], signal: Signal) -> Move[Any] | Ignore | None:
        answer = function(process, signal)
        return _numbered(process, answer) if isinstance(answer, Move) else answer

    return offered


def _numbered(process: Process[Any], move: Move[Any]) -> Move[Any]:
    if move.data is process.data:
        return move
    learned = set(_numbers(move.data)) - set(_numbers(process.data))
    if not learned:
        return move
    terms = tuple(Term(kind=kind, value=number) for kind, number in sorted(learned))
    return replace(move, terms=(*move.terms, *terms))


def _numbers(record: OrderRecord | CreditRecord) -> Iterator[tuple[str, str]]:
    """Every document's number, as kind and value."""
    if isinstance(record, CreditRecord):
        yield from _known("credit-memo", record.memo_number)
        return
    for shipment in record.shipments:
        yield from _known("shipment", shipment.id, shipment.erp_number)
        yield from _known("tracking", *shipment.tracking)
    yield from _known("invoice", *(each.number for each in record.invoices))


def _known(kind: str, *numbers: str | None) -> Iterator[tuple[str, str]]:
    return ((kind, number) for number in numbers if number)
