"""What integration operations sees (operations/v1), and what they may do about it.

Orders and their stories, processes by any business id, exceptions and remedies, redrives, lanes,
subscribers, the vendors' budgets and breakers, the audit record, and reconciliation.
"""

from typing import Protocol

from contracts.canonical.order import Order, Timeline
from contracts.ports import examples
from contracts.ports.accounts import Budgets, Circuit, CircuitChange, Circuits
from contracts.ports.audit import AuditPage, AuditQuery, AuditVerdict, Verification
from contracts.ports.binding import Reply, operation
from contracts.ports.processes import (
    Lanes,
    ProcessPage,
    ProcessQuery,
    ProcessStory,
    Redelivery,
    RedeliveryDone,
    Subscribers,
)
from contracts.ports.quote_to_order import (
    ExceptionPage,
    ExceptionQuery,
    ExceptionView,
    OrderPage,
    OrderQuery,
    Remedy,
    Totals,
    TotalsQuery,
)
from contracts.ports.reconciliation import (
    DifferencePage,
    DifferenceQuery,
    Retelling,
    Retold,
    StartSweep,
    Sweep,
    Sweeps,
)
from contracts.ports.redrives import (
    ItemQuery,
    Redrive,
    RedriveChange,
    RedriveItems,
    RedrivePreview,
    Redrives,
    StartRedrive,
)

READ = "operations:read"
WRITE = "operations:write"


class Operations(Protocol):
    """The API of the people who keep orders moving."""

    @operation(
        "GET",
        "/orders",
        scope=READ,
        limit="operations",
        problems=("customer-unknown",),
        examples={"customer": examples.CUSTOMER, "po": "PO-1207"},
    )
    async def find_orders(self, query: OrderQuery) -> OrderPage:
        """Find any consumer's orders by PO number, customer or reference."""
        ...

    @operation(
        "GET", "/orders/{order}/timeline", scope=READ, limit="operations", problems=("not-found",)
    )
    async def order_timeline(self, order: str) -> Timeline:
        """Tell where an order is and why."""
        ...

    @operation("GET", "/exceptions", scope=READ, limit="operations")
    async def list_exceptions(self, query: ExceptionQuery) -> ExceptionPage:
        """List what stopped orders, who must act, and what they may do."""
        ...

    @operation(
        "GET", "/exceptions/{exception}", scope=READ, limit="operations", problems=("not-found",)
    )
    async def get_exception(self, exception: str) -> ExceptionView:
        """Show one exception, open or closed, and what may be done about it."""
        ...

    @operation(
        "POST",
        "/exceptions/{exception}/remedies",
        scope=WRITE,
        status=202,
        also=(200,),
        idempotency="required",
        limit="operations",
        problems=("not-found", "remedy-not-allowed", "amount-too-large"),
        examples={"body": examples.REMEDY},
    )
    async def apply_remedy(self, exception: str, body: Remedy) -> Reply[Order]:
        """Apply a remedy to an exception; it is audited with who applied it."""
        ...

    @operation(
        "GET",
        "/totals",
        scope=READ,
        limit="operations",
        criticality="bulk",
        budget_ms=30_000,
        examples={"channel": "sales"},
    )
    async def totals(self, query: TotalsQuery) -> Totals:
        """Sum up a channel's orders and credit memos, to be reconciled with the ERP."""
        ...

    # -- processes and redrives ----------------------------------------------------------------

    @operation("GET", "/processes", scope=READ, limit="operations")
    async def find_processes(self, query: ProcessQuery) -> ProcessPage:
        """Find processes by any business id, or list them."""
        ...

    @operation(
        "GET", "/processes/{process}", scope=READ, limit="operations", problems=("not-found",)
    )
    async def process_story(self, process: str) -> ProcessStory:
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
    async def preview_redrive(self, body: StartRedrive) -> RedrivePreview:
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
    async def start_redrive(self, body: StartRedrive) -> Reply[Redrive]:
        """Work off exceptions at a rate; each is acted on once, however many redrive it."""
        ...

    @operation("GET", "/redrives", scope=READ, limit="operations")
    async def list_redrives(self) -> Redrives:
        """List redrives, newest first."""
        ...

    @operation(
        "GET", "/redrives/{redrive}", scope=READ, limit="operations", problems=("not-found",)
    )
    async def get_redrive(self, redrive: str) -> Redrive:
        """Show how far a redrive is."""
        ...

    @operation(
        "GET", "/redrives/{redrive}/items", scope=READ, limit="operations", problems=("not-found",)
    )
    async def list_redrive_items(self, redrive: str, query: ItemQuery) -> RedriveItems:
        """List the exceptions of a redrive, and what became of each."""
        ...

    @operation(
        "POST",
        "/redrives/{redrive}/changes",
        scope=WRITE,
        idempotency="required",
        limit="operations",
        problems=("not-found", "conflict"),
        examples={"body": examples.REDRIVE_CHANGE},
    )
    async def change_redrive(self, redrive: str, body: RedriveChange) -> Redrive:
        """Pause, resume or end a redrive; what was applied stays applied."""
        ...

    # -- what waits, and for whom ----------------------------------------------------------------

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
        idempotency="required",
        limit="operations",
        problems=("not-found",),
        examples={"subscriber": "crm-orders", "body": examples.REDELIVERY},
    )
    async def redeliver(self, subscriber: str, body: Redelivery) -> RedeliveryDone:
        """Try again what a subscriber refused for good."""
        ...

    # -- the vendors -----------------------------------------------------------------------------

    @operation("GET", "/budgets", scope=READ, limit="operations")
    async def budgets(self) -> Budgets:
        """Show what each vendor account allows, and when it would be used up."""
        ...

    @operation("GET", "/breakers", scope=READ, limit="operations")
    async def breakers(self) -> Circuits:
        """Show every circuit breaker towards the vendors."""
        ...

    @operation(
        "POST",
        "/breakers/{breaker}/changes",
        scope=WRITE,
        idempotency="required",
        limit="operations",
        problems=("not-found",),
        examples={"breaker": "wms.write", "body": examples.RESET},
    )
    async def change_breaker(self, breaker: str, body: CircuitChange) -> Circuit:
        """Trip a breaker by hand, or give it back to its own judgement; audited."""
        ...

    # -- evidence --------------------------------------------------------------------------------

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
    async def start_sweep(self, body: StartSweep) -> Reply[Sweep]:
        """Begin to compare what the systems hold with what the journal accepted."""
        ...

    @operation("GET", "/sweeps", scope=READ, limit="operations")
    async def list_sweeps(self) -> Sweeps:
        """List sweeps, newest first."""
        ...

    @operation("GET", "/sweeps/{sweep}", scope=READ, limit="operations", problems=("not-found",))
    async def get_sweep(self, sweep: str) -> Sweep:
        """Show a sweep and its statement."""
        ...

    @operation(
        "GET",
        "/sweeps/{sweep}/differences",
        scope=READ,
        limit="operations",
        problems=("not-found",),
    )
    async def list_differences(self, sweep: str, query: DifferenceQuery) -> DifferencePage:
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
    async def retell_crm(self, sweep: str, body: Retelling) -> Retold:
        """Tell the CRM again how the orders stand that a sweep found it does not show so."""
        ...
