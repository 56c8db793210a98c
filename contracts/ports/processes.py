"""The durable processes, whatever their kind (process/journal/v1)."""

from typing import Annotated, Any, Literal, Protocol

import msgspec

from contracts.canonical.shapes import Canonical, Instant, Text
from contracts.outcomes import Category
from contracts.ports import examples
from contracts.ports.accounts import Budgets, Circuit, CircuitChange, Circuits
from contracts.ports.binding import Reply, operation

READ = "process:journal:read"
WRITE = "process:journal:write"

LaneName = Literal["capture", "status", "sync", "bulk"]
RedriveAction = Literal["retry", "amend", "cancel"]
ItemOutcome = Literal["applied", "skipped", "failed"]
_Id = Annotated[str, msgspec.Meta(max_length=64)]
_Cursor = Annotated[str, msgspec.Meta(max_length=200)]
_PLACE = r"^[0-9]{1,18}\.[0-9]{1,18}\.[!-~]{1,100}$"
_Word = Annotated[str, msgspec.Meta(max_length=64)]


class ProcessQuery(Canonical, frozen=True, kw_only=True):
    """Which processes are wanted, newest first.

    `id` is any business id: of the order, the ERP, the warehouse or the CRM, a PO number, a
    reference, a key, a customer or an exception. A system's prefix (`bc:`, `wms:`, `sf:`) may be
    left out.
    """

    id: Annotated[str, msgspec.Meta(max_length=128)] | None = None
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
    action. `more`: there are more than one redrive takes.
    """

    exceptions: int
    by_category: dict[str, int]
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
    more. `rate` is in exceptions a second.
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
    """One exception of a redrive, and what became of it; `outcome` None: it waits."""

    exception: str
    process: str
    outcome: ItemOutcome | None = None
    reason: str | None = None
    at: Instant | None = None


class RedriveItems(Canonical, frozen=True, kw_only=True):
    """A page of a redrive's exceptions; `cursor` is absent on the last page."""

    items: tuple[RedriveItem, ...]
    cursor: str | None = None


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
