"""The steps of an order: at most one effect each, then a decision."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from contracts.canonical.money import Money
from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.crm import Crm
from contracts.ports.erp import CancelErpOrder, Erp, ErpOrderLine, PlaceErpOrder
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.wms import CancelRelease, ReleaseOrder, WarehouseLine, Wms
from process_apis.quote_to_order import checking, exposure, outcomes
from process_apis.quote_to_order.exposure import OpenExposure
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.outcomes import ERP_ORDER, WMS_ORDER
from process_apis.quote_to_order.queries import OrderQueries
from process_apis.quote_to_order.records import OrderRecord, changed
from process_apis.quote_to_order.settings import OrderSettings
from runtime.journal.incidents import Category
from runtime.journal.process import Again, Move, Process, Says, Step, StepContext, Wait

_FEW: Final = 10
"""So many orders of one deal are looked at."""

Outcome = Move[OrderRecord] | Again[OrderRecord] | Wait


@contextmanager
def working(process: Process[OrderRecord], context: StepContext) -> Iterator[CallContext]:
    """Run calls as part of a process: nobody waits for them but the step's own deadline."""
    call = CallContext(
        correlation_id=f"order-{process.id}",
        consumer="quote-to-order",
        traceparent=context.traceparent,
        deadline=context.clock.monotonic() + context.call_seconds,
        idempotency_key=process.reference,
        criticality=process.lane.name.lower(),
    )
    with calling(call):
        yield call


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
        exposure: OpenExposure,
        queries: OrderQueries,
    ) -> None:
        self._pricing = pricing
        self._erp = erp
        self._wms = wms
        self._crm = crm
        self._settings = settings
        self._exposure = exposure
        self._queries = queries

    def by_state(self) -> Mapping[str, Step[OrderRecord]]:
        """Answer the step of each state in which something is done."""
        return {
            "accepted": self.place,
            "provisional": self.check_again,
            "fetching": self.fetch,
            "confirmed": self.release,
            "withdrawing": self.undo,
        }

    async def place(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Create the order in the ERP, unless it has to go another way first."""
        record = process.data
        elsewhere = checking.opening(process, context)
        if elsewhere is not None:
            return elsewhere
        self._exposure.resumes(process)
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
        except CallFailedError as failed:
            return self._failed(process, context, failed, "stopped", "the order is placed there")
        self._exposure.counted(process, context.clock.now())
        return outcomes.placed(process, context, answer, ORDER)

    async def release(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Create the fulfilment order in the warehouse."""
        request = warehouse_order(process, in_doubt=context.in_doubt or process.data.maybe_released)
        if request is None:
            return outcomes.stopped(
                process,
                context,
                ORDER,
                event="warehouse_refused",
                category=Category.MASTER_DATA_MISMATCH,
                says="The order has no address to ship to.",
            )
        try:
            with working(process, context):
                answer = await self._wms.release(request)
        except CallFailedError as failed:
            return self._failed(
                process, context, failed, "warehouse_refused", "the goods are released"
            )
        return outcomes.released(process, context, answer)

    async def check_again(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Check a provisional order again; it goes on when everything is known for certain."""
        request = process.data.request
        if request is None:
            raise ValueError(f"{process.reference} has nothing that could be checked again")
        policy = self._settings.channels[process.data.channel]
        request, policy = checking.as_told(process.data, request, policy)
        with working(process, context), exposure.checking(process):
            checked = await checking.check(self._pricing, request, policy)
        move = checking.after_check(process, context, request, policy, checked)
        if isinstance(move, Move):
            self._exposure.decided(process, move.data)
            return move
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
        try:
            with working(process, context):
                others = await self._queries.by_term("deal", (process.key,), None, _FEW)
                twin = next((one for one in others if _stands_beside(process, one)), None)
                if twin is not None:
                    return checking.ordered_already(process, context, twin.reference)
                deal = await self._crm.get_deal(record.quote)
                if not deal.won:
                    return checking.not_won(process, context)
                request = checking.request_of(deal)
                policy = self._settings.channels[record.channel]
                checked = await checking.check(self._pricing, request, policy)
        except CallFailedError as failed:
            return self._failed(process, context, failed, "stopped", "the deal is read")
        move = checking.after_fetch(process, context, request, policy, checked)
        self._exposure.decided(process, move.data)
        return move

    async def undo(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Take back the last thing done that still stands; each exactly once."""
        record = process.data
        effect = process.next_undo()
        try:
            with working(process, context):
                if record.maybe_released or (effect is not None and effect.name == WMS_ORDER):
                    release = CancelRelease(
                        reference=process.reference, reason=record.reason or "cancelled"
                    )
                    there = (await self._wms.cancel_release(release)).was_there
                    return _undone(process, context, "warehouse", was_there=there)
                if record.maybe_placed or effect is not None:
                    order = CancelErpOrder(reference=process.reference, customer=record.customer)
                    there = (await self._erp.cancel_order(order)).was_there
                    return _undone(process, context, "ERP", was_there=there)
        except CallFailedError as failed:
            return self._not_undone(process, context, failed)
        return self._all_undone(process, context)

    def _all_undone(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        self._exposure.forget_process(process)
        after = changed(process.data, context.now, hold=None, trouble=None)
        return Move(
            event="all_undone",
            data=after,
            says=(Says(text="The order is cancelled; everything done for it was undone."),),
            emits=(
                outcomes.told("order.cancelled", process, after, context.now, state="cancelled"),
            ),
            closes_incident=True,
        )

    def _not_undone(
        self, process: Process[OrderRecord], context: StepContext, failed: CallFailedError
    ) -> Outcome:
        failure = failed.failure
        late = context.now - process.data.since > self._settings.give_up_after
        if not isinstance(failure, Rejected) and not late:
            return outcomes.again(context, failure, doing="the order is taken back")
        system = outcomes.system_words(failure.system)
        detail = failure.detail if isinstance(failure, Rejected) else "no usable answer"
        return outcomes.stopped(
            process,
            context,
            ORDER,
            event="rollback_stopped",
            category=Category.ROLLBACK_INCOMPLETE,
            says=f"The cancellation is incomplete: {system} could not take it back ({detail}).",
            detail={"system": failure.system},
        )

    def _failed(
        self,
        process: Process[OrderRecord],
        context: StepContext,
        failed: CallFailedError,
        event: str,
        doing: str,
    ) -> Outcome:
        return outcomes.after_failure(
            process,
            context,
            failed.failure,
            ORDER,
            event=event,
            doing=doing,
            give_up_after=self._settings.give_up_after,
        )


def _stands_beside(process: Process[OrderRecord], other: Process[Any]) -> bool:
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


def warehouse_order(process: Process[OrderRecord], *, in_doubt: bool) -> ReleaseOrder | None:
    """Say an order in the words of the warehouse port; None without an address."""
    record = process.data
    if record.ship_to is None:
        return None
    currency = record.currency
    return ReleaseOrder(
        reference=process.reference,
        lines=tuple(
            WarehouseLine(
                number=number,
                item=line.item,
                quantity=line.quantity,
                unit_price=Money(amount=line.unit_price, currency=currency),
                description=line.description or line.item.removeprefix("item_"),
            )
            for number, line in enumerate(record.lines, 1)
        ),
        ship_to=record.ship_to,
        total=Money(amount=record.net, currency=currency),
        warehouse=record.warehouse,
        po_number=record.po_number,
        ship_by=record.requested_delivery_date,
        in_doubt=in_doubt,
    )


def _undone(
    process: Process[OrderRecord], context: StepContext, where: str, *, was_there: bool
) -> Move[OrderRecord]:
    record = process.data
    if where == "warehouse":
        name = WMS_ORDER
        after = changed(record, context.now, fulfilment="cancelled", maybe_released=False)
    else:
        name = ERP_ORDER
        after = changed(record, context.now, maybe_placed=False)
    standing = (e for e in process.effects if e.name == name and e.undone_at is None)
    said = f"Cancelled in the {where}." if was_there else f"Nothing was left in the {where}."
    return Move(event="undone", data=after, says=(Says(text=said),), undoes=next(standing, None))
