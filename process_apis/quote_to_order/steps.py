"""The steps of an order: at most one effect each, then a decision."""

from collections.abc import Mapping
from typing import Final

from contracts.canonical.money import Money
from contracts.outcomes import CallFailedError
from contracts.ports.crm import Crm
from contracts.ports.erp import Erp, ErpOrderLine, PlaceErpOrder
from contracts.ports.inventory import Inventory
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.wms import Wms
from process_apis.quote_to_order import checking, exposure, outcomes
from process_apis.quote_to_order.exposure import Exposure
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.outcomes import ERP_ORDER
from process_apis.quote_to_order.queries import OrderQueries, Standing
from process_apis.quote_to_order.records import OrderRecord
from process_apis.quote_to_order.settings import OrderSettings
from process_apis.quote_to_order.undoing import UndoSteps
from process_apis.quote_to_order.warehouse_steps import WarehouseSteps
from process_apis.quote_to_order.working import Outcome, failed, working
from runtime.journal.incidents import Category
from runtime.journal.process import Again, Move, Process, Step, StepContext

_FEW: Final = 10
"""So many orders of one deal are looked at."""


class OrderSteps:
    """The steps of `lifecycle.ORDER` over the systems they act on."""

    def __init__(
        self,
        *,
        pricing: PricingCredit,
        erp: Erp,
        wms: Wms,
        crm: Crm,
        settings: OrderSettings,
        exposure: Exposure,
        queries: OrderQueries,
        inventory: Inventory | None = None,
    ) -> None:
        self._pricing = pricing
        self._erp = erp
        self._crm = crm
        self._settings = settings
        self._exposure = exposure
        self._queries = queries
        self._goods = WarehouseSteps(erp=erp, wms=wms, inventory=inventory, settings=settings)
        self._undoing = UndoSteps(
            erp=erp, wms=wms, inventory=inventory, exposure=exposure, settings=settings
        )

    def by_state(self) -> Mapping[str, Step[OrderRecord]]:
        """Answer the step of each state in which something is done."""
        return {
            "accepted": self.place,
            "provisional": self.check_again,
            "fetching": self.fetch,
            **self._goods.by_state(),
            "withdrawing": self._undoing.undo,
        }

    async def place(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Create the order in the ERP, unless it has to go another way first."""
        record = process.data
        elsewhere = checking.opening(process, context)
        if elsewhere is not None:
            return elsewhere
        await self._exposure.resumes(process)
        try:
            with working(process, context):
                answer = await self._erp.place_order(
                    erp_order(
                        process,
                        in_doubt=context.in_doubt
                        or record.maybe_placed
                        or outcomes.stands(process, ERP_ORDER),
                    )
                )
        except CallFailedError as fault:
            return self._failed(process, context, fault, "stopped", "the order is placed there")
        await self._exposure.counted(process, context.clock.now())
        return outcomes.placed(process, context, answer, ORDER)

    async def check_again(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Check a provisional order again; it goes on when everything is known for certain."""
        request = process.data.request
        if request is None:
            raise ValueError(f"{process.reference} has nothing that could be checked again")
        policy = self._settings.channels.get(process.data.channel)
        if policy is None:
            return _no_channel(process, context)
        request, policy = checking.as_told(process.data, request, policy)
        with working(process, context), exposure.asking(exposure.token_of(process)) as asked:
            checked = await checking.check(self._pricing, request, policy)
        move = checking.after_check(process, context, request, policy, checked)
        if isinstance(move, Move):
            return await self._counted(process, context, move, asked)
        if context.now - process.data.since > self._settings.give_up_after:
            return outcomes.stopped(
                process,
                context,
                ORDER,
                event="stopped",
                category=Category.TIME_OUT,
                says="The order could not be checked for too long.",
            )
        return move

    async def fetch(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Ask the CRM what was sold, and check it."""
        record = process.data
        if record.quote is None:
            raise ValueError(f"{process.reference} names no deal")
        policy = self._settings.channels.get(record.channel)
        if policy is None:
            return _no_channel(process, context)
        try:
            with working(process, context), exposure.asking() as asked:
                others = await self._queries.standing("deal", process.key, _FEW)
                twin = next((one for one in others if _stands_beside(process, one)), None)
                if twin is not None:
                    return checking.ordered_already(process, context, twin.reference)
                deal = await self._crm.get_deal(record.quote)
                if not deal.won:
                    return checking.not_won(process, context)
                request = checking.request_of(deal)
                checked = await checking.check(self._pricing, request, policy)
        except CallFailedError as fault:
            return self._failed(process, context, fault, "stopped", "the deal is read")
        move = checking.after_fetch(process, context, request, policy, checked)
        return await self._counted(process, context, move, asked)

    async def _counted(
        self,
        process: Process[OrderRecord],
        context: StepContext,
        move: Move[OrderRecord],
        asked: exposure.Asked,
    ) -> Outcome:
        """Make a move whose credit was decided on; again if it was given away meanwhile."""
        record = process.data if move.data is None else move.data
        if await self._exposure.decided(process, record, asked):
            return move
        return Again(at=context.retry_at(None), in_doubt=context.in_doubt)

    def _failed(
        self,
        process: Process[OrderRecord],
        context: StepContext,
        fault: CallFailedError,
        event: str,
        doing: str,
    ) -> Outcome:
        return failed(
            process,
            context,
            fault,
            event=event,
            doing=doing,
            give_up_after=self._settings.give_up_after,
        )


def _no_channel(process: Process[OrderRecord], context: StepContext) -> Outcome:
    """The configuration has lost the order's channel: nobody knows by what rules to check it."""
    return outcomes.stopped(
        process,
        context,
        ORDER,
        event="stopped",
        category=Category.MASTER_DATA_MISMATCH,
        says=f"There is no channel {process.data.channel} in the configuration any more.",
    )


def _stands_beside(process: Process[OrderRecord], other: Standing) -> bool:
    """Tell whether another order of the same deal is, or may come to be, in the ERP."""
    return other.id != process.id and other.state not in {"cancelled", "withdrawing"}


def erp_order(process: Process[OrderRecord], *, in_doubt: bool) -> PlaceErpOrder:
    """Say an order in the words of the ERP port, with the prices that were agreed."""
    record = process.data
    currency = record.currency
    return PlaceErpOrder(
        reference=process.reference,
        customer=record.customer,
        currency=currency,
        lines=tuple(
            ErpOrderLine(
                item=line.item,
                quantity=line.quantity,
                description=line.description,
                unit_price=Money(amount=line.unit_price, currency=currency),
            )
            for line in record.lines
        ),
        in_doubt=in_doubt,
        order_date=record.order_date,
        requested_delivery_date=record.requested_delivery_date,
        ship_to=record.ship_to,
    )
