"""What orders and credits listen to. Pure: the process and the signal in, a move out."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from contracts.canonical.shapes import Instant
from process_apis.quote_to_order import approvals, news, outcomes, remedies, remedying
from process_apis.quote_to_order.lifecycle import CREDIT, ORDER
from process_apis.quote_to_order.records import CreditRecord, OrderRecord, changed
from process_apis.quote_to_order.remedying import OrderAnswer
from runtime.journal.incidents import Action
from runtime.journal.process import REMEDY, Ignore, Move, Process, Says, Signal

CANCEL: Final = "cancel"
APPROVAL: Final = "approval"
GOODS_SHIPPED: Final = "wms.goods.shipped"
INVOICE_POSTED: Final = "erp.invoice.posted"
INVOICE_PAID: Final = "erp.invoice.paid"
SHIPMENT_POSTED: Final = "erp.shipment.posted"
HOLD_CHANGED: Final = "erp.hold.changed"
WMS_CANCELLED: Final = "wms.order.cancelled"
STOCK_ARRIVED: Final = "wms.record.changed"
"""Named as the taxonomy names the events of the systems that they carry."""

CreditAnswer = Move[CreditRecord] | Ignore | None


def order_signals(
    settle: timedelta,
) -> Mapping[str, Callable[[Process[OrderRecord], Signal], OrderAnswer]]:
    """Answer the signal functions of an order.

    `settle` is how long a call in doubt may still reach its system after a cancellation.
    """

    def cancelled(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
        return _cancelled(process, signal, settle)

    def remedied(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
        if signal.data.get("action") == Action.ACCEPT and approvals.waits(process):
            said = f"{remedying.actor_of(signal)} approved the price."
            return approvals.approved(process, signal, said)
        if signal.data.get("action") == Action.CANCEL:
            return _cancelled(process, signal, settle)
        return remedying.remedied(process, signal)

    return {
        CANCEL: cancelled,
        REMEDY: remedied,
        APPROVAL: approvals.decided,
        GOODS_SHIPPED: news.shipped,
        WMS_CANCELLED: news.taken_back,
        HOLD_CHANGED: news.HoldSignals(settle),
        SHIPMENT_POSTED: news.shipment_posted,
        INVOICE_POSTED: news.invoiced,
        INVOICE_PAID: news.paid,
    }


def _cancelled(process: Process[OrderRecord], signal: Signal, settle: timedelta) -> OrderAnswer:
    if not ORDER.allows(process.state, "cancelled"):
        return Ignore(says=Says(text=remedies.TOO_LATE))
    record = process.data
    if any(line.shipped for line in record.lines):
        return Ignore(says=Says(text=remedies.GONE))
    reason = str(signal.data.get("reason") or "cancelled by operations")
    placing = record.maybe_placed or (process.state == "accepted" and process.attempts > 0)
    releasing = record.maybe_released or (
        process.state in outcomes.RELEASING and process.attempts > 0
    )
    refuses = process.state == "held" and signal.name == REMEDY and record.credit == "held"
    after = changed(
        record,
        signal.at,
        credit="refused" if refuses else record.credit,
        reason=reason,
        maybe_placed=placing,
        maybe_released=releasing,
        hold=None,
    )
    return Move(
        event="cancelled",
        data=after,
        says=(Says(text=f"{remedying.actor_of(signal)} cancelled the order: {reason}"),),
        emits=(outcomes.told("order.cancelled", process, after, signal.at, state="withdrawing"),),
        due=signal.at + settle if placing or releasing else None,
        closes_incident=True,
    )


def no_matter(process: Process[CreditRecord], signal: Signal) -> CreditAnswer:
    """A hold on a customer is told to all that is open of it; goods given back are not held."""
    del process, signal
    return Ignore()


def credit_remedied(process: Process[CreditRecord], signal: Signal) -> CreditAnswer:
    """Somebody acted on a credit that could not be matched or posted."""
    action = signal.data.get("action")
    who = remedying.actor_of(signal)
    if action == Action.CANCEL and process.data.maybe_posted:
        return Ignore(says=Says(text=remedies.CREDIT_MAY_BE_POSTED))
    if action == Action.CANCEL and CREDIT.allows(process.state, "cancelled"):
        after = _entered(process.data, signal.at)
        says = (Says(text=f"{who} cancelled the credit; nothing was posted."),)
        return Move(event="cancelled", data=after, says=says, closes_incident=True)
    if process.state != "stopped" or action != Action.RETRY:
        return None
    record = process.data
    event = "reposted" if record.stopped_in == "matched" and record.matches else "retried"
    says = (Says(text=f"{who} asked to try again."),)
    return Move(
        event=event, data=_entered(process.data, signal.at), says=says, closes_incident=True
    )


def _entered(record: CreditRecord, at: Instant) -> CreditRecord:
    return msgspec.structs.replace(record, since=at, trouble=None, stopped_in=None, anew=True)
