"""What the systems disagree on (process/reconciliation/v1).

A sweep compares, for a span of time, every order the journal accepted with what CRM, ERP and
warehouse hold, both ways, and ends with a statement: complete, or these differences.
"""

from typing import Annotated, Literal, Protocol

import msgspec

from contracts.canonical.ids import ExternalReference
from contracts.canonical.shapes import Canonical, Instant, Text
from contracts.ports import examples
from contracts.ports.binding import Reply, operation

READ = "process:reconciliation:read"
WRITE = "process:reconciliation:write"

DifferenceKind = Literal[
    "missing-in-erp",
    "missing-in-wms",
    "missing-in-crm",
    "unknown-in-erp",
    "unknown-in-wms",
    "unknown-in-crm",
    "doubled-in-erp",
    "doubled-in-wms",
    "amount",
    "currency",
    "quantity",
    "status",
    "cancelled-in-erp",
    "cancelled-in-wms",
    "shipped-not-posted",
    "invoiced-not-told",
]
"""`unknown-in-x`: the system holds an order of ours that the journal does not know."""

SystemName = Literal["crm", "erp", "wms"]


class StartSweep(Canonical, frozen=True, kw_only=True):
    """What to compare: orders that changed since an instant.

    Those that changed within `settle_seconds` are still on their way: the next sweep's.
    """

    since: Instant
    settle_seconds: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 60


class Difference(Canonical, frozen=True, kw_only=True):
    """One disagreement: what the journal says and what the system says, in our words."""

    id: str
    kind: DifferenceKind
    system: SystemName
    reference: str
    ours: str | None
    theirs: str | None
    says: str
    actor: str
    runbook: str
    found_at: Instant
    order: str | None = None


class Sweep(Canonical, frozen=True, kw_only=True):
    """A sweep and its statement.

    `complete`: nothing is missing, doubled or different among `compared` orders between `since` and
    `until`. None while it runs, or when a system could not be read (`unread` names it).
    """

    id: str
    state: Literal["running", "done", "failed"]
    since: Instant
    until: Instant
    compared: dict[str, int]
    differences: int
    by_kind: dict[str, int]
    says: str
    started_at: Instant
    complete: bool | None = None
    unread: tuple[SystemName, ...] = ()
    ended_at: Instant | None = None


class Sweeps(Canonical, frozen=True, kw_only=True):
    """The sweeps of late, newest first."""

    sweeps: tuple[Sweep, ...]


class DifferenceQuery(Canonical, frozen=True, kw_only=True):
    """Which of a sweep's differences are wanted."""

    kind: DifferenceKind | None = None
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class DifferencePage(Canonical, frozen=True, kw_only=True):
    """A page of differences; `cursor` is absent on the last page."""

    differences: tuple[Difference, ...]
    cursor: str | None = None


class Retelling(Canonical, frozen=True, kw_only=True):
    """Which of a sweep's differences in the CRM are to end by telling it again.

    All of them, or those of the orders named. `note` goes into the audit trail.
    """

    note: Text
    references: Annotated[tuple[ExternalReference, ...], msgspec.Meta(max_length=500)] = ()


class Retold(Canonical, frozen=True, kw_only=True):
    """Of how many orders the CRM is told again, and why it is not told of others."""

    orders: int
    not_told: dict[str, str]


class Reconciliation(Protocol):
    """Compares the journal with CRM, ERP and warehouse, and says what is not as it should be."""

    @operation(
        "POST",
        "/sweeps",
        scope=WRITE,
        status=202,
        idempotency="required",
        limit="operations",
        criticality="bulk",
        examples={"body": {"since": "2026-11-22T00:00:00Z"}},
    )
    async def sweep(self, body: StartSweep) -> Reply[Sweep]:
        """Begin a sweep."""
        ...

    @operation("GET", "/sweeps", scope=READ, limit="operations")
    async def sweeps(self) -> Sweeps:
        """List sweeps, newest first."""
        ...

    @operation("GET", "/sweeps/{sweep}", scope=READ, limit="operations", problems=("not-found",))
    async def sweep_of(self, sweep: str) -> Sweep:
        """Show a sweep and its statement."""
        ...

    @operation(
        "GET",
        "/sweeps/{sweep}/differences",
        scope=READ,
        limit="operations",
        problems=("not-found",),
    )
    async def differences(self, sweep: str, query: DifferenceQuery) -> DifferencePage:
        """List what a sweep found."""
        ...

    @operation(
        "POST",
        "/sweeps/{sweep}/retellings",
        scope=WRITE,
        idempotency="optional",
        limit="operations",
        problems=("not-found",),
        examples={"body": examples.RETELLING},
    )
    async def retell(self, sweep: str, body: Retelling) -> Retold:
        """Tell the CRM again how the orders stand that a sweep found it does not show so."""
        ...
