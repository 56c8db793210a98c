"""The durable processes, whatever their kind (process/journal/v1)."""

from typing import Annotated, Any, Literal, Protocol

import msgspec

from contracts.canonical.shapes import Canonical, Instant, Text
from contracts.ports import examples
from contracts.ports.accounts import Budgets, Circuit, CircuitChange, Circuits
from contracts.ports.audit import AuditPage, AuditQuery, AuditVerdict, Verification
from contracts.ports.binding import Reply, operation
from contracts.ports.redrives import (
    ItemQuery,
    Redrive,
    RedriveChange,
    RedriveItems,
    RedrivePreview,
    Redrives,
    StartRedrive,
)

READ = "process:journal:read"
WRITE = "process:journal:write"

LaneName = Literal["capture", "status", "sync", "bulk"]
_Cursor = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ProcessQuery(Canonical, frozen=True, kw_only=True):
    """Which processes are wanted, newest first.

    `id` is any business id: of the order, the ERP, the warehouse or the CRM, a PO number, a
    reference, a key, a customer or an exception. A system's prefix (`bc:`, `wms:`, `sf:`) may be
    left out.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    kind: _Word | None = None
    state: _Word | None = None
    consumer: _Word | None = None
    lane: LaneName | None = None
    open: bool = False
    excepted: bool = False
    cursor: _Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class ProcessView(Canonical, frozen=True, kw_only=True):
    """A process without its data. `due_at`: when its step or timer is due; None while it waits.

    `exception` is the id of the open one, if there is any.
    """

    id: str
    kind: str
    reference: str
    consumer: str
    lane: LaneName
    state: str
    attempts: int
    done: bool
    revision: int
    created_at: Instant
    updated_at: Instant
    due_at: Instant | None = None
    exception: str | None = None


class ProcessPage(Canonical, frozen=True, kw_only=True):
    """A page of processes; `cursor` is absent on the last page."""

    processes: tuple[ProcessView, ...]
    cursor: str | None = None


class EffectView(Canonical, frozen=True, kw_only=True):
    """Something done in another system, and whether it was undone."""

    name: str
    key: str
    done_at: Instant | None = None
    undone_at: Instant | None = None


class JournalEntry(Canonical, frozen=True, kw_only=True):
    """One line of the journal: the move, the state after it, and what it says."""

    sequence: int
    at: Instant
    event: str
    state: str
    says: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class SignalView(Canonical, frozen=True, kw_only=True):
    """A signal a process was sent; `consumed_at` None: it is kept until the state wants it."""

    name: str
    key: str
    at: Instant
    consumed_at: Instant | None = None


class ProcessStory(Canonical, frozen=True, kw_only=True):
    """Everything the journal knows of one process."""

    process: ProcessView
    effects: tuple[EffectView, ...]
    signals: tuple[SignalView, ...]
    ids: dict[str, tuple[str, ...]]
    entries: tuple[JournalEntry, ...]


class LaneView(Canonical, frozen=True, kw_only=True):
    """One lane: what is due, at work, waiting for its time, and waiting to be told something.

    `excepted` of all these need a person.
    """

    lane: LaneName
    due: int
    at_work: int
    timed: int
    parked: int
    excepted: int
    oldest_due_seconds: float | None = None


class Lanes(Canonical, frozen=True, kw_only=True):
    """Every lane, the most critical first."""

    lanes: tuple[LaneView, ...]


class SubscriberView(Canonical, frozen=True, kw_only=True):
    """One subscriber's queue. `set_aside` were refused for good and wait for a person."""

    subscriber: str
    waiting: int
    set_aside: int
    oldest_seconds: float | None = None
    last_reason: str | None = None


class Subscribers(Canonical, frozen=True, kw_only=True):
    """Everybody who is told what happens."""

    subscribers: tuple[SubscriberView, ...]


class Redelivery(Canonical, frozen=True, kw_only=True):
    """Deliveries set aside to be tried again. `note` goes into the audit trail."""

    note: Text


class RedeliveryDone(Canonical, frozen=True, kw_only=True):
    """How many deliveries are due again."""

    deliveries: int


class Processes(Protocol):
    """The journal, for the people who run it."""

    @operation("GET", "/processes", scope=READ, limit="operations")
    async def find(self, query: ProcessQuery) -> ProcessPage:
        """Find processes by any business id, or list them."""
        ...

    @operation(
        "GET", "/processes/{process}", scope=READ, limit="operations", problems=("not-found",)
    )
    async def story(self, process: str) -> ProcessStory:
        """Tell everything the journal knows of a process."""
        ...

    @operation(
        "POST",
        "/redrive-previews",
        scope=READ,
        limit="checks",
        max_body_bytes=1_048_576,
        budget_ms=30_000,
        problems=("remedy-not-allowed",),
        examples={"body": examples.REDRIVE},
    )
    async def preview(self, body: StartRedrive) -> RedrivePreview:
        """Show what a redrive would do, without doing it."""
        ...

    @operation(
        "POST",
        "/redrives",
        scope=WRITE,
        status=202,
        idempotency="required",
        limit="operations",
        max_body_bytes=1_048_576,
        problems=("remedy-not-allowed",),
        examples={"body": examples.REDRIVE},
    )
    async def redrive(self, body: StartRedrive) -> Reply[Redrive]:
        """Work off exceptions at a rate; each is acted on once, however many redrive it."""
        ...

    @operation("GET", "/redrives", scope=READ, limit="operations")
    async def redrives(self) -> Redrives:
        """List redrives, newest first."""
        ...

    @operation(
        "GET", "/redrives/{redrive}", scope=READ, limit="operations", problems=("not-found",)
    )
    async def redrive_of(self, redrive: str) -> Redrive:
        """Show how far a redrive is."""
        ...

    @operation(
        "GET", "/redrives/{redrive}/items", scope=READ, limit="operations", problems=("not-found",)
    )
    async def redrive_items(self, redrive: str, query: ItemQuery) -> RedriveItems:
        """List the exceptions of a redrive, and what became of each."""
        ...

    @operation(
        "POST",
        "/redrives/{redrive}/changes",
        scope=WRITE,
        idempotency="optional",
        limit="operations",
        problems=("not-found", "conflict"),
        examples={"body": examples.REDRIVE_CHANGE},
    )
    async def change_redrive(self, redrive: str, body: RedriveChange) -> Redrive:
        """Pause, resume or end a redrive; what was applied stays applied."""
        ...

    @operation("GET", "/lanes", scope=READ, limit="operations")
    async def lanes(self) -> Lanes:
        """Show each lane's queue."""
        ...

    @operation("GET", "/subscribers", scope=READ, limit="operations")
    async def subscribers(self) -> Subscribers:
        """Show the queue of everybody who is told what happens."""
        ...

    @operation(
        "POST",
        "/subscribers/{subscriber}/redeliveries",
        scope=WRITE,
        idempotency="optional",
        limit="operations",
        problems=("not-found",),
        examples={"subscriber": "crm-orders", "body": examples.REDELIVERY},
    )
    async def redeliver(self, subscriber: str, body: Redelivery) -> RedeliveryDone:
        """Try again what a subscriber refused for good."""
        ...

    @operation("GET", "/budgets", scope=READ, limit="operations")
    async def budgets(self) -> Budgets:
        """Show what each vendor account allows, and when it would be used up."""
        ...

    @operation("GET", "/circuits", scope=READ, limit="operations")
    async def circuits(self) -> Circuits:
        """Show every circuit breaker towards the vendors."""
        ...

    @operation(
        "POST",
        "/circuits/{circuit}/changes",
        scope=WRITE,
        idempotency="optional",
        limit="operations",
        problems=("not-found",),
        examples={"circuit": "wms.write", "body": examples.RESET},
    )
    async def change_circuit(self, circuit: str, body: CircuitChange) -> Circuit:
        """Trip a breaker by hand, or give it back to its own judgement; audited."""
        ...

    @operation("GET", "/audit", scope=READ, limit="operations")
    async def audit(self, query: AuditQuery) -> AuditPage:
        """Show the audit record, newest first."""
        ...

    @operation(
        "POST",
        "/audit-verdicts",
        scope=READ,
        limit="checks",
        criticality="bulk",
        budget_ms=30_000,
        examples={"body": {}},
    )
    async def verify_audit(self, body: Verification) -> AuditVerdict:
        """Verify the whole record: every chain, every line of every timeline."""
        ...
