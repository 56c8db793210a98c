"""operations/v1: thin over the process tier, for the people who keep orders moving.

Longer than it is deep: one method an operation, each a call of the process that knows.
"""

import msgspec

from contracts.canonical.order import Order, Timeline
from contracts.ports.accounts import Budgets, Circuit, CircuitChange, Circuits
from contracts.ports.audit import AuditPage, AuditQuery, AuditVerdict, Verification
from contracts.ports.binding import Reply
from contracts.ports.processes import (
    Lanes,
    Processes,
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
    QuoteToOrder,
    Remedy,
    Totals,
    TotalsQuery,
)
from contracts.ports.reconciliation import (
    DifferencePage,
    DifferenceQuery,
    Reconciliation,
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


class OperationsApi:
    """Implements `contracts.ports.operations.Operations`."""

    def __init__(
        self, *, orders: QuoteToOrder, processes: Processes, reconciliation: Reconciliation
    ) -> None:
        self._orders = orders
        self._processes = processes
        self._reconciliation = reconciliation

    # -- orders ----------------------------------------------------------------------------------

    async def find_orders(self, query: OrderQuery) -> OrderPage:
        """Find any consumer's orders, newest first."""
        return await self._orders.search(query)

    async def order_timeline(self, order: str) -> Timeline:
        """Tell where an order is and why."""
        return await self._orders.timeline(order)

    async def list_exceptions(self, query: ExceptionQuery) -> ExceptionPage:
        """List what stopped orders, who must act, and what they may do."""
        return await self._orders.exceptions(query)

    async def get_exception(self, exception: str) -> ExceptionView:
        """Show one exception and what may be done about it."""
        return await self._orders.exception(exception)

    async def apply_remedy(self, exception: str, body: Remedy) -> Reply[Order]:
        """Apply a remedy; the journal audits who did."""
        return await self._orders.remedy(exception, body)

    async def totals(self, query: TotalsQuery) -> Totals:
        """Sum up a channel's orders and credit memos."""
        return await self._orders.totals(query)

    # -- processes and redrives ------------------------------------------------------------------

    async def find_processes(self, query: ProcessQuery) -> ProcessPage:
        """Find processes by any business id, or list them."""
        return await self._processes.find(query)

    async def process_story(self, process: str) -> ProcessStory:
        """Tell everything the journal knows of a process."""
        return await self._processes.story(process)

    async def preview_redrive(self, body: StartRedrive) -> RedrivePreview:
        """Show what a redrive would do."""
        return await self._processes.preview(body)

    async def start_redrive(self, body: StartRedrive) -> Reply[Redrive]:
        """Work off exceptions at a rate."""
        started = await self._processes.redrive(body)
        location = f"/operations/v1/redrives/{started.body.id}"
        return msgspec.structs.replace(started, location=location)

    async def list_redrives(self) -> Redrives:
        """List redrives, newest first."""
        return await self._processes.redrives()

    async def get_redrive(self, redrive: str) -> Redrive:
        """Show how far a redrive is."""
        return await self._processes.redrive_of(redrive)

    async def list_redrive_items(self, redrive: str, query: ItemQuery) -> RedriveItems:
        """List the exceptions of a redrive."""
        return await self._processes.redrive_items(redrive, query)

    async def change_redrive(self, redrive: str, body: RedriveChange) -> Redrive:
        """Pause, resume or end a redrive."""
        return await self._processes.change_redrive(redrive, body)

    # -- what waits, and for whom ----------------------------------------------------------------

    async def lanes(self) -> Lanes:
        """Show each lane's queue."""
        return await self._processes.lanes()

    async def subscribers(self) -> Subscribers:
        """Show each subscriber's queue."""
        return await self._processes.subscribers()

    async def redeliver(self, subscriber: str, body: Redelivery) -> RedeliveryDone:
        """Try again what a subscriber refused for good."""
        return await self._processes.redeliver(subscriber, body)

    # -- the vendors -----------------------------------------------------------------------------

    async def budgets(self) -> Budgets:
        """Show what each vendor account allows."""
        return await self._processes.budgets()

    async def breakers(self) -> Circuits:
        """Show every circuit breaker."""
        return await self._processes.circuits()

    async def change_breaker(self, breaker: str, body: CircuitChange) -> Circuit:
        """Trip a breaker by hand, or reset it."""
        return await self._processes.change_circuit(breaker, body)

    # -- evidence --------------------------------------------------------------------------------

    async def audit(self, query: AuditQuery) -> AuditPage:
        """Show the audit record."""
        return await self._processes.audit(query)

    async def verify_audit(self, body: Verification) -> AuditVerdict:
        """Verify the whole record."""
        return await self._processes.verify_audit(body)

    async def start_sweep(self, body: StartSweep) -> Reply[Sweep]:
        """Begin to compare the systems with the journal."""
        started = await self._reconciliation.sweep(body)
        location = f"/operations/v1/sweeps/{started.body.id}"
        return msgspec.structs.replace(started, location=location)

    async def list_sweeps(self) -> Sweeps:
        """List sweeps, newest first."""
        return await self._reconciliation.sweeps()

    async def get_sweep(self, sweep: str) -> Sweep:
        """Show a sweep and its statement."""
        return await self._reconciliation.sweep_of(sweep)

    async def list_differences(self, sweep: str, query: DifferenceQuery) -> DifferencePage:
        """List what a sweep found."""
        return await self._reconciliation.differences(sweep, query)

    async def retell_crm(self, sweep: str, body: Retelling) -> Retold:
        """Tell the CRM again."""
        return await self._reconciliation.retell(sweep, body)
