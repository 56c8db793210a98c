"""What a redrive would do, counted; and how long it would take, as far as anybody can know."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from contracts.ports.accounts import AccountBudget, Budgets
from runtime.journal.codec import Types, decode_effects
from runtime.journal.faults import UnknownKind, UnreadableProcess
from runtime.journal.incidents import Action, Category
from runtime.journal.process import Outlook
from runtime.journal.selecting import Selection, taken
from runtime.journal.times import from_micros
from runtime.store.schema import process

__all__ = ["Counted", "Estimate", "count", "estimate"]

_AT_ONCE: Final = 500
"""How many processes are read at a time: a page of records, not ten thousand."""
_RATE: Final = "rate"


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What of a selection would be acted on. `calls` are by our name of the system."""

    total: int
    not_allowed: int
    more: bool
    by_category: dict[Category, int]
    looked_up_first: int
    standing: dict[str, int]
    checked_again: int
    calls: dict[str, int]
    oldest: datetime | None
    without_effect: dict[str, int]
    """How many would stay as they are, by the reason."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """How long it takes; `slowest` names what sets it."""

    calls: dict[str, int]
    seconds: float
    slowest: str


def count(connection: Connection, asked: Selection, action: Action, types: Types) -> Counted:
    """Count what acting on these exceptions comes to; changes nothing."""
    rows, not_allowed, more = taken(connection, asked, action, types)
    looks = dict(_looks(connection, [row.process_id for row in rows], action, types))
    standing: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    without_effect: Counter[str] = Counter()
    looked_up = checked = 0
    for row in rows:
        standing.update(e.name for e in decode_effects(row.effects) if e.undone_at is None)
        outlook, why_not = looks.get(row.process_id, (_NOTHING_KNOWN, None))
        if why_not is not None:
            without_effect[why_not] += 1
            continue
        looked_up += bool(row.in_doubt) or outlook.looks_up_first
        if action is not Action.CANCEL:
            checked += outlook.checks_again
            calls.update(outlook.calls)
    return Counted(
        total=len(rows),
        not_allowed=not_allowed,
        more=more,
        by_category=dict(Counter(Category(row.category) for row in rows).most_common()),
        looked_up_first=looked_up,
        standing=dict(standing.most_common()),
        checked_again=checked,
        calls=dict(calls),
        oldest=from_micros(min(row.opened_at for row in rows)) if rows else None,
        without_effect=dict(without_effect.most_common()),
    )


_NOTHING_KNOWN: Final = Outlook()


def _looks(
    connection: Connection, ids: Sequence[str], action: Action, types: Types
) -> Iterator[tuple[str, tuple[Outlook, str | None]]]:
    """The outlook of each process, and why the action would change nothing, if it would not."""
    for start in range(0, len(ids), _AT_ONCE):
        page = select(process).where(process.c.id.in_(ids[start : start + _AT_ONCE]))
        for row in connection.execute(page):
            yield row.id, (_outlook(row, types), types.why_not(row, action))


def _outlook(row: Any, types: Types) -> Outlook:
    """What a kind says of a process; of a record nobody can read it says nothing."""
    try:
        look = types[row.kind].outlook
        return _NOTHING_KNOWN if look is None else look(types.read(row))
    except (UnknownKind, UnreadableProcess):
        return _NOTHING_KNOWN


def estimate(
    total: int, rate: float, calls: Mapping[str, int], budgets: Budgets | None
) -> Estimate:
    """Say how many calls each account gets, and how long all takes.

    What an account has free now costs no time; what exceeds it comes at the account's own pace.
    Others use the accounts too, and calls fail: it is a lower bound, in seconds. Without budgets
    the calls stay under our names of the systems and only the rate counts.
    """
    accounts = {} if budgets is None else {s: one for one in budgets.accounts for s in one.serves}
    by_account: Counter[str] = Counter()
    for system, number in calls.items():
        by_account[accounts[system].account if system in accounts else system] += number
    spans = {_RATE: total / rate}
    for one in () if budgets is None else budgets.accounts:
        spans[one.account] = _span(one, by_account.get(one.account, 0))
    slowest = max(spans, key=lambda name: spans[name])
    return Estimate(calls=dict(by_account), seconds=round(spans[slowest], 1), slowest=slowest)


def _span(account: AccountBudget, calls: int) -> float:
    """How many seconds an account needs for so many calls more."""
    if not calls:
        return 0.0
    needed = 0.0
    if account.limit is not None and account.per_second:
        needed = max(0, calls - max(0, account.limit - account.used)) / account.per_second
    per_call, restore = account.credits_per_call, account.credits_per_second
    if account.credits_left is not None and per_call and restore:
        needed = max(needed, max(0.0, calls * per_call - account.credits_left) / restore)
    return account.paused_seconds + needed
