"""From a start to the rows that begin a process: values in, values out, no I/O."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import structs

from contracts.context import SYSTEM, CallContext
from runtime.journal.accepting import NewProcess
from runtime.journal.codec import NO_EFFECTS, encode
from runtime.journal.process import REFERENCE_LIMIT, Process, ProcessType, Says, Start
from runtime.journal.propagation import Subscriber
from runtime.journal.rows import delivery_rows, entry_rows, term_rows
from runtime.journal.times import maybe_micros, to_micros

ACCEPTED = "accepted"
"""The event of the first line of every timeline."""


def begin(
    start: Start[Any],
    kind: ProcessType[Any],
    *,
    call: CallContext,
    process_id: str,
    now: datetime,
    holder: str | None,
    lease: timedelta,
    subscribers: Sequence[Subscriber],
) -> tuple[NewProcess, Process[Any]]:
    """Rows and value of a new process, leased to `holder` from birth if there is one.

    The first line of the timeline names the call that asked for it.

    Raises ValueError for a reference that some system could not carry.
    """
    if not 0 < len(start.reference) <= REFERENCE_LIMIT:
        raise ValueError(f"a reference has 1 to {REFERENCE_LIMIT} characters")
    initial = kind.lifecycle.initial
    process = Process(
        id=process_id,
        kind=start.kind,
        version=kind.version,
        reference=start.reference,
        consumer=start.consumer,
        operation=start.operation,
        key=start.key,
        lane=start.lane,
        entity=start.entity,
        state=initial,
        data=start.data,
        attempts=0,
        effects=(),
        revision=1,
        created_at=now,
        updated_at=now,
        step_at=start.due or (now if initial in kind.steps else None),
    )
    at = to_micros(now)
    new = NewProcess(
        asked=start.reference,
        row=_row(start, process, holder, to_micros(now + lease)),
        entries=entry_rows(
            process_id, at, ACCEPTED, initial, _asked_by(call, start.says), revision=1
        ),
        terms=term_rows(process_id, start.terms),
        deliveries=delivery_rows(None, 1, at, start.emits, subscribers),
    )
    return new, process


CORRELATION = "correlationId"
TRACEPARENT = "traceparent"


def _asked_by(call: CallContext, says: tuple[Says, ...]) -> tuple[Says, ...]:
    """Put the call on the first line; work that nobody called for names none."""
    if call is SYSTEM:
        return says
    asked: dict[str, Any] = {CORRELATION: call.correlation_id}
    if call.traceparent is not None:
        asked[TRACEPARENT] = call.traceparent
    first, *rest = says or (Says(text=""),)
    return (structs.replace(first, data={**first.data, **asked}), *rest)


def trace_of(asked: Mapping[str, Any]) -> str | None:
    """Answer the trace of the call that the data of a timeline's first line names."""
    trace = asked.get(TRACEPARENT)
    return trace if isinstance(trace, str) else None


def _row(
    start: Start[Any], process: Process[Any], holder: str | None, lease_until: int
) -> dict[str, Any]:
    at = to_micros(process.created_at)
    step_at = maybe_micros(process.step_at)
    return {
        "id": process.id,
        "kind": process.kind,
        "version": process.version,
        "reference": process.reference,
        "consumer": process.consumer,
        "operation": process.operation,
        "key": process.key,
        "fingerprint": start.fingerprint,
        "lane": int(process.lane),
        "entity": process.entity,
        "behind": False,
        "state": process.state,
        "data": encode(start.data),
        "effects": NO_EFFECTS,
        "attempts": 0,
        "in_doubt": False,
        "settled_at": None,
        "step_at": step_at,
        "due_at": step_at if holder is None else lease_until,
        "lease_owner": holder,
        "fence": 0 if holder is None else 1,
        "unread": 0,
        "incident_id": None,
        "incident_category": None,
        "incident_passes": False,
        "done": False,
        "revision": 1,
        "created_at": at,
        "updated_at": at,
    }
