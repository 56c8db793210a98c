"""The record of who did what, and whether it is whole, as `processes` offers it."""

from typing import Annotated, Any, Literal

import msgspec

from contracts.canonical.shapes import Canonical, Instant

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_PLACE = r"^[0-9]{1,18}\.[0-9]{1,18}\.[!-~]{1,100}$"
"""A place in the record: when, the number within its chain, and the chain."""


class AuditQuery(Canonical, frozen=True, kw_only=True):
    """Which part of the audit record is wanted, newest first.

    `actor` is whoever acted, or the consumer that called.
    """

    actor: _Word | None = None
    cursor: Annotated[str, msgspec.Meta(pattern=_PLACE)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class AuditEntry(Canonical, frozen=True, kw_only=True):
    """One record of a chain; `hash` is over the one before it and this one."""

    chain: str
    sequence: int
    at: Instant
    hash: str
    record: dict[str, Any]


class AuditPage(Canonical, frozen=True, kw_only=True):
    """A page of the audit record; `cursor` is absent on the last page."""

    entries: tuple[AuditEntry, ...]
    cursor: str | None = None


ChainOf = Literal["audit", "lines"]


class Checkpoint(Canonical, frozen=True, kw_only=True):
    """Where one chain stood: of the audit's records, or of the lines of every timeline.

    Kept where nobody who can write the store can write, it shows later that an end was cut off.
    """

    chain: str
    of: ChainOf
    sequence: Annotated[int, msgspec.Meta(ge=0)]
    hash: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$", max_length=128)]


class Verification(Canonical, frozen=True, kw_only=True):
    """What the record is to be compared with besides itself: checkpoints kept elsewhere."""

    checkpoints: Annotated[tuple[Checkpoint, ...], msgspec.Meta(max_length=1000)] = ()


class AuditVerdict(Canonical, frozen=True, kw_only=True):
    """Whether the record of what happened is whole.

    `faults` says what is wrong, in words, at most 1,000 of them; `ends` is where each chain ends
    now, to be kept as checkpoints.
    """

    whole: bool
    faults: tuple[str, ...]
    records: int
    ends: tuple[Checkpoint, ...]
