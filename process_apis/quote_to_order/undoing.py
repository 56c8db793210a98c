"""Taking an order back: what was done is undone, last first, each thing exactly once.

Whoever is first at the warehouse counts. If it says that the goods have left, the order is not
cancelled: it goes on, and what had been taken back of it by then is released again.
"""

from typing import Final

import msgspec

from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.erp import CancelErpOrder, Erp
from contracts.ports.inventory import Inventory, ReleaseReservation
from contracts.ports.wms import CancelRelease, Wms
from contracts.problems import ProblemError
from process_apis.quote_to_order import goods, outcomes
from process_apis.quote_to_order.exposure import Exposure, token_of
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.outcomes import ERP_ORDER, RESERVATION, WMS_ORDER
from process_apis.quote_to_order.records import OrderRecord, changed
from process_apis.quote_to_order.settings import OrderSettings
from process_apis.quote_to_order.warehouse_moves import holder_of
from process_apis.quote_to_order.working import Outcome, working
from runtime.journal.incidents import Category
from runtime.journal.process import Again, Effect, Move, Process, Says, StepContext

_GONE: Final = "order-not-cancellable"
"""What the warehouse says of goods that have left or can no longer be stopped."""


class UndoSteps:
    """The step of an order that is taken back."""

    def __init__(
        self,
        *,
        erp: Erp,
        wms: Wms,
        inventory: Inventory | None,
        exposure: Exposure,
        settings: OrderSettings,
    ) -> None:
        self._erp = erp
        self._wms = wms
        self._inventory = inventory
        self._exposure = exposure
        self._settings = settings

    async def undo(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Take back the last thing done that still stands; each exactly once."""
        record, effect = process.data, process.next_undo()
        try:
            with working(process, context):
                if record.maybe_released:
                    return await self._from_warehouse(process, context, _doubtful(process))
                if effect is None and not record.maybe_placed:
                    return await self._all_undone(process, context)
                if effect is not None and effect.name == WMS_ORDER:
                    return await self._from_warehouse(process, context, effect.key)
                if effect is not None and effect.name == RESERVATION:
                    return await self._from_stock(process, context, effect)
                order = CancelErpOrder(reference=process.reference, customer=record.customer)
                there = (await self._erp.cancel_order(order)).was_there
        except CallFailedError as fault:
            return self._not_undone(process, context, fault)
        after = changed(record, context.now, maybe_placed=False)
        return _undone(process, after, ERP_ORDER, process.reference, _words("ERP", there))

    async def _from_warehouse(
        self, process: Process[OrderRecord], context: StepContext, reference: str
    ) -> Outcome:
        record = process.data
        reason = record.reason or "cancelled"
        try:
            body = CancelRelease(reference=reference, reason=reason)
            there = (await self._wms.cancel_release(body)).was_there
        except CallFailedError as fault:
            failure = fault.failure
            if isinstance(failure, Rejected) and failure.reason == _GONE:
                return _too_late(process, context)
            raise
        releases = tuple(
            msgspec.structs.replace(each, state="cancelled")
            if each.reference == reference and each.state != "planned"
            else each
            for each in goods.releases_of(record, process.reference)
        )
        after = msgspec.structs.replace(record, releases=releases, maybe_released=False)
        standing = [
            e for e in process.effects
            if e.name == WMS_ORDER and e.undone_at is None and e.key != reference
        ]  # fmt: skip
        if not standing:
            after = changed(after, context.now, fulfilment="cancelled")
        return _undone(
            process,
            changed(after, context.now),
            WMS_ORDER,
            reference,
            _words("warehouse", there),
        )

    async def _from_stock(
        self, process: Process[OrderRecord], context: StepContext, effect: Effect
    ) -> Outcome:
        """Give a reservation back; one that nobody can reach lapses by itself."""
        if self._inventory is not None:
            try:
                await self._inventory.release(ReleaseReservation(holder=effect.key))
            except ProblemError as fault:
                if fault.problem.retryable:
                    return _later(context)
        after = changed(process.data, context.now)
        return _undone(process, after, RESERVATION, effect.key, "The reserved stock is free again.")

    async def _all_undone(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        if self._inventory is not None and process.data.erp_number is not None:
            # A reservation whose answer never came is not on record as done.
            try:
                await self._inventory.release(ReleaseReservation(holder=holder_of(process)))
            except ProblemError as fault:
                if fault.problem.retryable:
                    return _later(context)
        await self._exposure.forget(process.data.customer, token_of(process))
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
        self, process: Process[OrderRecord], context: StepContext, fault: CallFailedError
    ) -> Outcome:
        failure = fault.failure
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


def _doubtful(process: Process[OrderRecord]) -> str:
    """Name the fulfilment order that may be there though nobody has its answer."""
    planned = goods.next_planned(process.data)
    if planned is not None:
        return planned.reference
    return goods.child(process.reference, len(goods.made(process.data.releases)) + 1)


def _later(context: StepContext) -> Outcome:
    return Again(at=context.retry_at(), in_doubt=False)


def _words(where: str, there: bool) -> str:  # noqa: FBT001  # one fact of two
    return f"Cancelled in the {where}." if there else f"Nothing was left in the {where}."


def _undone(
    process: Process[OrderRecord], after: OrderRecord, name: str, key: str, said: str
) -> Move[OrderRecord]:
    standing = (
        e for e in process.effects if (e.name, e.key) == (name, key) and e.undone_at is None
    )
    return Move(event="undone", data=after, says=(Says(text=said),), undoes=next(standing, None))


_TOO_LATE: Final = {
    "suspending": "too_late_on_hold",
    "suspended": "too_late_on_hold",
    "resuming": "too_late_on_hold",
    "confirmed": "too_late_in_part",
    "backordered": "too_late_in_part",
}
"""Where an order goes on that could not be taken back; `too_late` from anywhere else."""


def _too_late(process: Process[OrderRecord], context: StepContext) -> Move[OrderRecord]:
    """The goods have left, or are about to: the ERP's order is needed, and nothing is cancelled."""
    after = outcomes.goes_on(process.data, context.now)
    event = _TOO_LATE.get(goods.following(after), "too_late")
    state = ORDER.after(process.state, event)
    again = event == "too_late_in_part"
    said = "The order is not cancelled: the warehouse has shipped it already."
    if again:
        said += " What it had taken back is released again."
    return Move(
        event=event,
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told("order.released", process, after, context.now, state=state),),
    )
