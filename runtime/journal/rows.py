"""Values as rows: what one accept or one move adds to the tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from runtime.journal.codec import encode, optional
from runtime.journal.incidents import Category
from runtime.journal.process import Event, Says, Term
from runtime.journal.propagation import Subscriber

VERSIONS_PER_REVISION = 1000
"""Events of one commit get consecutive versions within the revision's own thousand."""


def entry_row(
    process_id: str, at: int, event: str, state: str, says: Says | None, *, revision: int
) -> dict[str, Any]:
    """One line of the timeline. `revision` is the process's after the change it tells of."""
    return {
        "process_id": process_id,
        "revision": revision,
        "at": at,
        "event": event,
        "state": state,
        "says": says.text if says else "",
        "data": optional(says.data) if says else None,
    }


def entry_rows(
    process_id: str, at: int, event: str, state: str, says: Sequence[Says], *, revision: int
) -> list[dict[str, Any]]:
    """At least one line for each move, so that every change of state is on record."""
    lines = says or (None,)
    return [entry_row(process_id, at, event, state, line, revision=revision) for line in lines]


def incident_row(
    incident_id: str, process_id: str, at: int, *, category: Category, says: str, detail: bytes
) -> dict[str, Any]:
    """An incident just opened. `detail` is JSON."""
    return {
        "id": incident_id,
        "process_id": process_id,
        "category": category.value,
        "says": says,
        "detail": detail,
        "opened_at": at,
        "closed_at": None,
        "closed_by": None,
        "remedied": 0,
    }


def term_rows(process_id: str, terms: Iterable[Term]) -> list[dict[str, Any]]:
    """Business ids to search by."""
    return [{"kind": t.kind, "value": t.value, "process_id": process_id} for t in terms]


def delivery_rows(
    reference: str | None,
    revision: int,
    at: int,
    events: Sequence[Event],
    subscribers: Sequence[Subscriber],
) -> list[dict[str, Any]]:
    """One delivery for each event and subscriber of its topic."""
    return [
        {
            "subscriber": subscriber.name,
            "entity": event.entity or reference,
            "version": revision * VERSIONS_PER_REVISION + number,
            "topic": event.topic,
            "payload": encode(event.data),
            "attempts": 0,
            "due_at": at,
            "lease_owner": None,
            "created_at": at,
            "done_at": None,
            "result": None,
            "set_aside": False,
        }
        for number, event in enumerate(events)
        for subscriber in subscribers
        if subscriber.wants(event.topic)
    ]
