"""How every step calls another system, and what follows when it does not end as done."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError
from process_apis.quote_to_order import outcomes
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.records import OrderRecord
from runtime.journal.process import Again, Move, Process, StepContext, Wait

Outcome = Move[OrderRecord] | Again[OrderRecord] | Wait


@contextmanager
def working(process: Process[OrderRecord], context: StepContext) -> Iterator[CallContext]:
    """Run calls as part of a process: nobody waits for them but the step's own deadline."""
    call = CallContext(
        correlation_id=f"order-{process.id}",
        consumer="quote-to-order",
        traceparent=context.traceparent,
        deadline=context.clock.monotonic() + context.call_seconds,
        idempotency_key=process.reference,
        criticality=process.lane.name.lower(),
    )
    with calling(call):
        yield call


def failed(
    process: Process[OrderRecord],
    context: StepContext,
    fault: CallFailedError,
    *,
    event: str,
    doing: str,
    give_up_after: timedelta,
) -> Outcome:
    """Decide what follows: another try of what was `doing`, or `event` and somebody who looks."""
    return outcomes.after_failure(
        process,
        context,
        fault.failure,
        ORDER,
        event=event,
        doing=doing,
        give_up_after=give_up_after,
    )
