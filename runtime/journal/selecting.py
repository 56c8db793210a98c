"""Which open incidents a redrive takes, and what taking them would mean."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, select

from runtime.journal.codec import Types, decode_effects
from runtime.journal.faults import UnknownKind
from runtime.journal.incidents import Action, Category
from runtime.journal.process import Term
from runtime.journal.times import from_micros, to_micros
from runtime.store.schema import incident, process, term

MOST = 10_000
"""How many incidents one redrive takes at the most."""


class Selection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Open incidents, the oldest first. What is left out or empty does not narrow.

    `term` is a business id of the process (kind `reference` for its reference). `incidents` are
    ids; with them the other conditions must hold too.
    """

    categories: tuple[Category, ...] = ()
    kinds: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    consumer: str | None = None
    term: Term | None = None
    opened_after: datetime | None = None
    opened_before: datetime | None = None
    incidents: tuple[str, ...] = ()
    limit: int = MOST


class Preview(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a redrive would do, counted.

    `in_doubt`: a look-up comes first, as a call may have got through. `with_effects`: something
    stands in another system already and will not be made again (by name in `effects`).
    `vendor_calls` by account are what the process types say going on from here takes;
    `unpriced` counts the processes they say nothing of. `not_allowed` are left out: their
    category does not allow the action.
    """

    total: int
    not_allowed: int
    by_category: dict[str, int]
    by_kind: dict[str, int]
    by_state: dict[str, int]
    in_doubt: int
    with_effects: int
    effects: dict[str, int]
    vendor_calls: dict[str, int]
    unpriced: int
    oldest: datetime | None
    is_cut: bool
    """There are more than the limit; they are not taken."""


def chosen(asked: Selection) -> Select[Any]:
    """The rows of a selection, and one more if there are more than its limit."""
    query = (
        select(
            incident.c.id,
            incident.c.process_id,
            incident.c.category,
            incident.c.remedied,
            incident.c.opened_at,
            process.c.kind,
            process.c.state,
            process.c.in_doubt,
            process.c.effects,
        )
        .join(process, process.c.id == incident.c.process_id)
        .where(incident.c.closed_at.is_(None))
    )
    if asked.categories:
        query = query.where(incident.c.category.in_([c.value for c in asked.categories]))
    if asked.kinds:
        query = query.where(process.c.kind.in_(asked.kinds))
    if asked.states:
        query = query.where(process.c.state.in_(asked.states))
    if asked.consumer is not None:
        query = query.where(process.c.consumer == asked.consumer)
    if asked.opened_after is not None:
        query = query.where(incident.c.opened_at >= to_micros(asked.opened_after))
    if asked.opened_before is not None:
        query = query.where(incident.c.opened_at < to_micros(asked.opened_before))
    if asked.incidents:
        query = query.where(incident.c.id.in_(asked.incidents))
    if asked.term is not None:
        query = query.where(_known_by(asked.term))
    return query.order_by(incident.c.id).limit(min(asked.limit, MOST) + 1)


def _known_by(asked: Term) -> Any:
    if asked.kind == "reference":
        return func.upper(process.c.reference) == asked.value.upper()
    known = select(term.c.process_id).where(term.c.kind == asked.kind, term.c.value == asked.value)
    return process.c.id.in_(known)


def taken(
    connection: Connection, asked: Selection, action: Action, types: Types
) -> tuple[list[Any], int, bool]:
    """The rows that may be acted on, how many may not, and whether there are more."""
    found = connection.execute(chosen(asked)).all()
    most = min(asked.limit, MOST)
    rows = [
        row
        for row in found[:most]
        if action in types.remedy(row.kind, Category(row.category)).actions
    ]
    return rows, len(found[:most]) - len(rows), len(found) > most


def preview(connection: Connection, asked: Selection, action: Action, types: Types) -> Preview:
    """Count what a selection comes to."""
    rows, not_allowed, is_cut = taken(connection, asked, action, types)
    standing = [_standing(row) for row in rows]
    calls: Counter[str] = Counter()
    unpriced = 0
    for (kind, state), count in Counter((row.kind, row.state) for row in rows).items():
        try:
            known = types[kind].vendor_calls.get(state)
        except UnknownKind:
            known = None
        if known is None:
            unpriced += count
        else:
            calls.update({account: each * count for account, each in known.items()})
    return Preview(
        total=len(rows),
        not_allowed=not_allowed,
        by_category=_counted(row.category for row in rows),
        by_kind=_counted(row.kind for row in rows),
        by_state=_counted(row.state for row in rows),
        in_doubt=sum(bool(row.in_doubt) for row in rows),
        with_effects=sum(bool(names) for names in standing),
        effects=_counted(name for names in standing for name in names),
        vendor_calls=dict(calls),
        unpriced=unpriced,
        oldest=from_micros(min(row.opened_at for row in rows)) if rows else None,
        is_cut=is_cut,
    )


def _standing(row: Any) -> list[str]:
    return [effect.name for effect in decode_effects(row.effects) if effect.undone_at is None]


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
