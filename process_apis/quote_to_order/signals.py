"""What orders and credits listen to. Pure: the process and the signal in, a move out."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from contracts.canonical.documents import Invoice, Payment, Shipment
from contracts.canonical.order import OrderRequest
from contracts.canonical.shapes import Instant
from process_apis.quote_to_order import outcomes
from process_apis.quote_to_order.lifecycle import CREDIT, ORDER
from process_apis.quote_to_order.records import CreditRecord, OrderRecord, changed
from runtime.journal.incidents import Action
from runtime.journal.process import REMEDY, Ignore, Move, Process, Says, Signal

CANCEL: Final = "cancel"
GOODS_SHIPPED: Final = "wms.goods.shipped"
INVOICE_POSTED: Final = "erp.invoice.posted"
INVOICE_PAID: Final = "erp.invoice.paid"
SHIPMENT_POSTED: Final = "erp.shipment.posted"
HOLD_CHANGED: Final = "erp.hold.changed"
WMS_CANCELLED: Final = "wms.order.cancelled"
STOCK_ARRIVED: Final = "wms.record.changed"
"""Named as the taxonomy names the events of the systems that they carry."""

OrderAnswer = Move[OrderRecord] | Ignore | None
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
        if signal.data.get("action") == Action.CANCEL:
            return _cancelled(process, signal, settle)
        return _remedied(process, signal)

    return {
        CANCEL: cancelled,
        REMEDY: remedied,
        GOODS_SHIPPED: _shipped,
        INVOICE_POSTED: _invoiced,
        INVOICE_PAID: _paid,
    }


def _actor(signal: Signal) -> str:
    return str(signal.data.get("actor") or "somebody")


def _cancelled(process: Process[OrderRecord], signal: Signal, settle: timedelta) -> OrderAnswer:
    if not ORDER.allows(process.state, "cancelled"):
        return Ignore(says=Says(text="The order can no longer be cancelled."))
    record = process.data
    if any(line.shipped for line in record.lines):
        return Ignore(says=Says(text="Goods have left the warehouse; they can only come back."))
    reason = str(signal.data.get("reason") or "cancelled by operations")
    placing = record.maybe_placed or (process.state == "accepted" and process.attempts > 0)
    releasing = record.maybe_released or (process.state == "confirmed" and process.attempts > 0)
    after = changed(
        record,
        signal.at,
        reason=reason,
        maybe_placed=placing,
        maybe_released=releasing,
        hold=None,
    )
    return Move(
        event="cancelled",
        data=after,
        says=(Says(text=f"{_actor(signal)} cancelled the order: {reason}"),),
        emits=(outcomes.told("order.cancelled", process, after, signal.at, state="withdrawing"),),
        due=signal.at + settle if placing or releasing else None,
        closes_incident=True,
    )


def _remedied(  # noqa: PLR0911  # one answer a row, as in a table
    process: Process[OrderRecord], signal: Signal
) -> OrderAnswer:
    action = signal.data.get("action")
    record = process.data
    who = _actor(signal)
    match process.state, action:
        case "held", Action.ACCEPT:
            return _on(process, signal, "released", f"{who} released the order.",
                       credit="released", hold=None)  # fmt: skip
        case "held", Action.RETRY:
            return _on(process, signal, "rechecked", f"{who} asked to check the credit again.",
                       hold=None, credit="unchecked")  # fmt: skip
        case "stopped", Action.RETRY:
            return _on(process, signal, _way_back(record), f"{who} asked to try again.")
        case "stopped", Action.ACCEPT if record.stopped_in == "provisional":
            return _on(process, signal, "rechecked", f"{who} accepted it as it was agreed.",
                       prices_accepted=True)  # fmt: skip
        case "stopped", Action.AMEND_AND_RETRY:
            return _amended(process, signal)
        case "mispriced", Action.ACCEPT:
            return _amount_accepted(process, signal)
        case "mispriced" | "not_released" | "rollback_incomplete", Action.RETRY:
            return _on(process, signal, "retried", f"{who} asked to try again.")
        case "not_released", Action.AMEND_AND_RETRY:
            return _readdressed(process, signal)
        case "rollback_incomplete", Action.ACCEPT:
            return _on(process, signal, "put_right_by_hand", f"{who} put it right by hand.")
        case _:
            return None


def _way_back(record: OrderRecord) -> str:
    match record.stopped_in:
        case "fetching":
            return "refetched"
        case "provisional":
            return "rechecked"
        case _:
            return "retried"


def _on(
    process: Process[OrderRecord], signal: Signal, event: str, said: str, **fields: Any
) -> Move[OrderRecord]:
    """Go on after a remedy; whoever follows the order is told that it is not stopped any more."""
    after = changed(process.data, signal.at, trouble=None, stopped_in=None, **fields)
    state = ORDER.after(process.state, event)
    topic = "order.cancelled" if state == "cancelled" else "order.accepted"
    if state == "confirmed":
        topic = "order.confirmed"
    return Move(
        event=event,
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told(topic, process, after, signal.at, state=state),),
        closes_incident=True,
    )


def _amended(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """The corrected order is checked as a new one would be; the old prices bind nobody."""
    order = _amendment(signal)
    if order is None:
        return Ignore(says=Says(text="The amendment could not be read."))
    return _on(
        process,
        signal,
        "rechecked",
        f"{_actor(signal)} corrected the order.",
        request=msgspec.structs.replace(order, promise=None),
        lines=(),
        po_number=order.po_number,
        prices_accepted=False,
    )


def _readdressed(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Only where the goods go can be corrected once the ERP has the order."""
    order = _amendment(signal)
    if order is None or order.ship_to is None:
        return Ignore(says=Says(text="Only the address can be corrected now."))
    return _on(
        process,
        signal,
        "retried",
        f"{_actor(signal)} corrected the address.",
        ship_to=order.ship_to,
    )


def _amendment(signal: Signal) -> OrderRequest | None:
    amendment = signal.data.get("amendment") or {}
    try:
        return msgspec.convert(amendment.get("order"), OrderRequest)
    except msgspec.ValidationError:
        return None


def _amount_accepted(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    amount = signal.data.get("amount") or process.data.erp_net
    if amount is None:
        return None
    net = Decimal(amount)
    return _on(
        process,
        signal,
        "amount_accepted",
        f"{_actor(signal)} accepted the ERP's amount of {net} {process.data.currency}.",
        net=net,
    )


def _shipped(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Goods left: every line remembers how much of it, until all is gone."""
    if process.state != "released":
        return None
    shipment = msgspec.convert(signal.data, Shipment, strict=False)
    record = process.data
    left = {line.item: line.quantity for line in shipment.lines}
    lines = []
    for line in record.lines:
        taken = min(left.get(line.item, Decimal(0)), line.quantity - line.shipped)
        if taken:
            left[line.item] -= taken
            line = msgspec.structs.replace(line, shipped=line.shipped + taken)  # noqa: PLW2901  # the line as it is now
        lines.append(line)
    whole = all(line.shipped >= line.quantity for line in lines)
    event = "shipped" if whole else "shipped_in_part"
    after = changed(
        record,
        signal.at,
        lines=tuple(lines),
        fulfilment="shipped" if whole else "partially-shipped",
        warehouse=shipment.warehouse,
    )
    pieces = sum((line.quantity for line in shipment.lines), Decimal(0))
    state = ORDER.after(process.state, event)
    return Move(
        event=event,
        data=after,
        says=(
            Says(
                text=f"{pieces:f} pieces left {shipment.warehouse}"
                + (" and the order is complete." if whole else "; the rest stays open."),
                data={"shipment": shipment.id, "tracking": list(shipment.tracking_numbers)},
            ),
        ),
        emits=(outcomes.told("order.released", process, after, signal.at, state=state),),
    )


def _invoiced(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    if not ORDER.allows(process.state, "billed"):
        return None
    invoice = msgspec.convert(signal.data, Invoice, strict=False)
    record = process.data
    billed = record.invoiced + invoice.net_amount.amount
    billing = "invoiced" if billed >= record.net else "partially-invoiced"
    after = changed(record, signal.at, billing=billing, invoiced=billed)
    said = f"Invoice {invoice.number} over {invoice.gross_amount} was posted."
    return Move(
        event="billed",
        data=after,
        says=(Says(text=said, data={"invoice": invoice.number}),),
        emits=(outcomes.told("order.released", process, after, signal.at, state=process.state),),
    )


def _paid(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """An invoice is paid; when everything is shipped and billed, the order is over."""
    if not ORDER.allows(process.state, "billed"):
        return None
    payment = msgspec.convert(signal.data, Payment, strict=False)
    over = process.state == "shipped" and process.data.billing == "invoiced"
    after = changed(process.data, signal.at, billing="paid" if over else process.data.billing)
    event = "settled" if over else "billed"
    state = ORDER.after(process.state, event)
    said = f"{payment.amount} was received for invoice {payment.invoice}."
    return Move(
        event=event,
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told("order.released", process, after, signal.at, state=state),),
    )


def credit_remedied(process: Process[CreditRecord], signal: Signal) -> CreditAnswer:
    """Somebody acted on a credit that could not be matched or posted."""
    action = signal.data.get("action")
    who = _actor(signal)
    if action == Action.CANCEL and process.data.maybe_posted:
        return Ignore(says=Says(text="The ERP may hold the credit memo; it cannot be cancelled."))
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
