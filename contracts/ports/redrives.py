"""Many exceptions worked off at a rate, as `processes` offers it."""

from typing import Annotated, Any, Literal

import msgspec

from contracts.canonical.shapes import Canonical, Instant, Text
from contracts.outcomes import Category

RedriveAction = Literal["retry", "amend", "cancel"]
ItemOutcome = Literal["applied", "skipped", "failed"]
_Id = Annotated[str, msgspec.Meta(max_length=64)]
_Word = Annotated[str, msgspec.Meta(max_length=64)]


class RedriveSelection(Canonical, frozen=True, kw_only=True):
    """Which open exceptions are meant; what is left out does not narrow."""

    category: Category | None = None
    kind: _Word | None = None
    consumer: _Word | None = None
    opened_before: Instant | None = None
    opened_after: Instant | None = None
    exceptions: Annotated[tuple[_Id, ...], msgspec.Meta(max_length=10_000)] = ()


class RedrivePreview(Canonical, frozen=True, kw_only=True):
    """What a redrive would do.

    `looked_up_first` of them may have reached a system already: they are looked up before anything
    is done again. `standing_effects` are there, by what was done, and will not be done twice.
    `stale_prices` were taken at prices that are checked again before they are placed; one that
    moved becomes an exception. `vendor_calls` is about what each account would be asked, `seconds`
    about how long all takes at `rate` and within what the accounts allow now; `slowest` names what
    sets it: `rate` or an account. `not_allowed` are left out: their category does not offer the
    action. `more`: there are more than one redrive takes. `without_effect`, by the reason, are
    among the exceptions and will fail: as they stand now the action would change nothing.
    """

    exceptions: int
    by_category: dict[str, int]
    without_effect: dict[str, int]
    looked_up_first: int
    standing_effects: dict[str, int]
    stale_prices: int
    vendor_calls: dict[str, int]
    seconds: float
    slowest: str
    not_allowed: int = 0
    more: bool = False
    oldest: Instant | None = None


class StartRedrive(Canonical, frozen=True, kw_only=True):
    """Exceptions to work off at `rate` a second.

    `amendment` is a JSON merge patch (RFC 7396) of each order as it was asked for, only with
    `amend`; `note` goes into the audit trail.
    """

    selection: RedriveSelection
    action: RedriveAction
    note: Text
    rate: Annotated[float, msgspec.Meta(ge=0.001, le=1000)] = 10.0
    amendment: dict[str, Any] | None = None


class Redrive(Canonical, frozen=True, kw_only=True):
    """A redrive and how far it is.

    `skipped` had ended or been acted on by somebody else; `failed` do not allow the action any
    more, or it would have changed nothing. `rate` is in exceptions a second.
    """

    id: str
    action: RedriveAction
    state: Literal["running", "paused", "done", "cancelled"]
    actor: str
    note: str
    rate: float
    selected: int
    applied: int
    skipped: int
    failed: int
    started_at: Instant
    ended_at: Instant | None = None


class Redrives(Canonical, frozen=True, kw_only=True):
    """The redrives of late, newest first."""

    redrives: tuple[Redrive, ...]


class RedriveChange(Canonical, frozen=True, kw_only=True):
    """What an operator wants of a redrive under way. `note` goes into the audit trail."""

    action: Literal["pause", "resume", "cancel"]
    note: Text


class ItemQuery(Canonical, frozen=True, kw_only=True):
    """Which of a redrive's exceptions are wanted, in the order they are taken."""

    outcome: ItemOutcome | None = None
    cursor: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}$")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class RedriveItem(Canonical, frozen=True, kw_only=True):
    """One exception of a redrive, and what became of it; `outcome` None: it waits.

    `reason` says of one that was not acted on why.
    """

    exception: str
    process: str
    outcome: ItemOutcome | None = None
    reason: str | None = None
    at: Instant | None = None


class RedriveItems(Canonical, frozen=True, kw_only=True):
    """A page of a redrive's exceptions; `cursor` is absent on the last page."""

    items: tuple[RedriveItem, ...]
    cursor: str | None = None
