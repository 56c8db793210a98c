"""What the ERP and the warehouse tell an order. Pure: the process and the signal in, a move out.

News comes late, twice and out of order. A shipment and an invoice count once by their own id, a
payment by what remains of its invoice, a hold by the time it was set. What comes too early for a
state is answered None: the journal keeps it and offers it again after the next move.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from contracts.canonical.documents import Invoice, Payment, Shipment
from contracts.canonical.order import Hold
from contracts.events.taxonomy import HoldChanged, RecordChanged
from process_apis.quote_to_order import billing, goods, outcomes
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.outcomes import WMS_ORDER
from process_apis.quote_to_order.records import (
    ErpHold,
    OrderRecord,
    ReleaseRecord,
    Trouble,
    changed,
)
from runtime.journal.incidents import Category, Incident
from runtime.journal.process import Event, Ignore, Move, Process, Says, Signal

OrderAnswer = Move[OrderRecord] | Ignore | None

_OVER: Final = frozenset({"shipped", "closed"})


def shipped(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Goods left: what of them was ordered is posted in the ERP next; the rest is a question."""
    shipment = msgspec.convert(signal.data, Shipment, strict=False)
    if any(known.id == shipment.id for known in process.data.shipments):
        return Ignore()
    if process.state == "withdrawing":
        return _left_while_cancelled(process, signal, shipment)
    if not ORDER.allows(process.state, "shipped_too_much"):
        return None
    left = goods.leave(process.data, process.reference, shipment)
    excess = _excess_words(left, shipment)
    after = changed(
        left.record,
        signal.at,
        fulfilment=goods.fulfilment_of(left.record),
        warehouse=shipment.warehouse,
        excess=excess or process.data.excess,
    )
    if not left.lines:
        return overshipped(process, after, signal.at, Says(text=excess or "Nothing left."))
    said = (_left_words(after, left, shipment),)
    return Move(
        event="goods_left",
        data=after,
        says=said if excess is None else (*said, Says(text=excess)),
        emits=(outcomes.told("order.released", process, after, signal.at, state="posting"),),
    )


def _left_while_cancelled(
    process: Process[OrderRecord], signal: Signal, shipment: Shipment
) -> OrderAnswer:
    """A cancellation and a shipment crossed: whoever was first at the warehouse counts."""
    record = process.data
    left = goods.leave(record, process.reference, shipment)
    gone = goods.release_left(left.record)
    if gone is not None and gone.state == "cancelled":
        said = (
            f"Goods left {shipment.warehouse} although the warehouse had taken "
            f"{gone.number or gone.reference} back: somebody must bring them back or bill them."
        )
        after = changed(left.record, signal.at, trouble=_trouble(said, signal),
                        stopped_in=process.state)  # fmt: skip
        state = ORDER.after(process.state, "rollback_stopped")
        return Move(
            event="rollback_stopped",
            data=after,
            says=(Says(text=said, data={"shipment": shipment.id}),),
            emits=(outcomes.told("order.excepted", process, after, signal.at, state=state,
                                 category=Category.ROLLBACK_INCOMPLETE),),
            incident=Incident(category=Category.ROLLBACK_INCOMPLETE, says=said),
        )  # fmt: skip
    after = outcomes.goes_on(left.record, signal.at)
    return Move(
        event="left_already",
        data=after,
        says=(
            Says(text="The order is not cancelled: goods had left before the warehouse could "
                      "take it back."),
            _left_words(after, left, shipment),
        ),
        emits=(outcomes.told("order.released", process, after, signal.at, state="posting"),),
    )  # fmt: skip


def overshipped(
    process: Process[OrderRecord], after: OrderRecord, at: Any, *says: Says
) -> Move[OrderRecord]:
    """Stop until somebody has seen to what was shipped and not ordered."""
    said = after.excess or "More was shipped than was ordered."
    after = changed(after, at, trouble=Trouble(title=said, detail=said, at=at))
    category = Category.WAREHOUSE_REJECTION
    state = ORDER.after(process.state, "shipped_too_much")
    return Move(
        event="shipped_too_much",
        data=after,
        says=says or (Says(text=said),),
        emits=(
            outcomes.told("order.excepted", process, after, at, state=state, category=category),
        ),
        incident=Incident(category=category, says=said),
    )


def _trouble(said: str, signal: Signal) -> Trouble:
    return Trouble(title=said, detail=said, at=signal.at)


def _left_words(after: OrderRecord, left: goods.Left, shipment: Shipment) -> Says:
    pieces = sum((quantity for _, quantity in left.lines), Decimal(0))
    open_ = sum((line.quantity - line.shipped for line in after.lines), Decimal(0))
    said = f"{outcomes.pieces(pieces)} left {shipment.warehouse} on {shipment.shipped_at:%-d %B %Y}"
    if shipment.carrier:
        said += f" with {shipment.carrier}"
    if shipment.tracking_numbers:
        said += f", tracking {', '.join(shipment.tracking_numbers)}"
    if open_:
        still = "stays" if open_ == 1 else "stay"
        said += f"; {outcomes.pieces(open_)} {still} open."
    else:
        said += "; nothing is left to ship."
    data = {"shipment": shipment.id, "tracking": list(shipment.tracking_numbers)}
    return Says(text=said, data=data)


def _excess_words(left: goods.Left, shipment: Shipment) -> str | None:
    if not left.excess:
        return None
    too_much = ", ".join(
        f"{quantity:f} of {item.removeprefix('item_')}" for item, quantity in left.excess.items()
    )
    return f"{shipment.warehouse} shipped more than was ordered: {too_much}."


def taken_back(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """The warehouse cancelled a fulfilment order by itself: what is open of it is open again."""
    record = process.data
    if process.state in {"withdrawing", "rollback_incomplete", *_OVER}:
        return Ignore()  # our own doing, or no matter any more
    if process.state not in {"released", "backordered", "suspended", "not_released"}:
        return None
    told = msgspec.convert(signal.data, RecordChanged, strict=False)
    releases = goods.releases_of(record, process.reference)
    found = _meant(releases, told.id)
    if found is None or found.state in {"cancelled", "shipped"}:
        return Ignore()
    releases = goods.with_release(releases, msgspec.structs.replace(found, state="cancelled"))
    said = f"The warehouse cancelled {found.number or found.reference} by itself."
    held = process.state == "suspended"
    after = msgspec.structs.replace(record, releases=releases, refused=not held)
    after = changed(after, signal.at, fulfilment=goods.fulfilment_of(after))
    undone = next(
        (e for e in process.effects
         if (e.name, e.key) == (WMS_ORDER, found.reference) and e.undone_at is None),
        None,
    )  # fmt: skip
    if held:
        return Move(event="warehouse_took_back", data=after, says=(Says(text=said),),
                    undoes=undone)  # fmt: skip
    if process.state == "not_released":
        return Move(event="noted", data=after, says=(Says(text=said),), undoes=undone)
    after = changed(after, signal.at, trouble=_trouble(said, signal), stopped_in=process.state)
    category = Category.WAREHOUSE_REJECTION
    return Move(
        event="warehouse_refused",
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told("order.excepted", process, after, signal.at, state="not_released",
                             category=category),),
        undoes=undone,
        incident=Incident(category=category, says=said),
    )  # fmt: skip


def _meant(releases: tuple[ReleaseRecord, ...], named: str | None) -> ReleaseRecord | None:
    living = [each for each in releases if each.state in {"open", "leaving", "suspended"}]
    for each in releases:
        if named is not None and named.upper() in {each.reference.upper(), each.number}:
            return each
    return living[0] if len(living) == 1 else None


def shipment_posted(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """The ERP tells of a shipment: our own posting come back, or one that was made by hand."""
    if not ORDER.allows(process.state, "billed") and process.state not in _OVER:
        return None
    shipment = msgspec.convert(signal.data, Shipment, strict=False)
    if any(each.erp_number == shipment.id for each in process.data.shipments):
        return Ignore()
    return Ignore(says=Says(text=f"The ERP posted shipment {shipment.id}."))


def invoiced(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """An invoice was posted, or changed: it counts once by its number."""
    if not ORDER.allows(process.state, "billed"):
        return None
    invoice = msgspec.convert(signal.data, Invoice, strict=False)
    billed = billing.with_invoice(process.data, invoice)
    if billed is None:
        return Ignore()
    return _billed(process, signal, billed)


def paid(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Money was received; what comes before its invoice is remembered."""
    if not ORDER.allows(process.state, "billed"):
        return None
    payment = msgspec.convert(signal.data, Payment, strict=False)
    billed = billing.with_payment(process.data, payment)
    if billed is None:
        return Ignore()
    if not billed.says:
        return Move(event="noted", data=billed.record, due=_as_it_was(process))
    return _billed(process, signal, billed)


def _billed(
    process: Process[OrderRecord], signal: Signal, billed: billing.Billed
) -> Move[OrderRecord]:
    after = changed(billed.record, signal.at, billing=billing.billing_of(billed.record))
    over = process.state == "shipped" and after.billing == "paid"
    event = "settled" if over else "billed"
    state = ORDER.after(process.state, event)
    topic = "order.invoiced" if billed.is_new else "order.paid"
    says: tuple[Says, ...] = (Says(text=billed.says),)
    emits: tuple[Event, ...] = (outcomes.told(topic, process, after, signal.at, state=state),)
    if over:
        says = (*says, Says(text=COMPLETE))
        emits = (*emits, outcomes.told("order.closed", process, after, signal.at, state=state))
    return Move(event=event, data=after, says=says, emits=emits, due=_as_it_was(process))


COMPLETE: Final = "Everything is shipped, invoiced and paid: the order is complete."


def _as_it_was(process: Process[OrderRecord]) -> Any:
    """News that changes nothing of what is done next does not hurry a step that waits."""
    return process.step_at


class HoldSignals:
    """What becomes of an order when finance holds it in the ERP, or lets go.

    `settle` is how long a call in doubt may still reach its system.
    """

    def __init__(self, settle: timedelta) -> None:
        self._settle = settle

    def __call__(self, process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
        """Hold, let go, or note. An older change than the last one of its kind is no news."""
        if process.state in _OVER:
            return Ignore()
        told = msgspec.convert(signal.data, HoldChanged, strict=False)
        record = process.data
        known = next((hold for hold in record.erp_holds if hold.kind == told.kind), None)
        if known is not None and known.as_of >= told.as_of:
            return Ignore()
        holds = tuple(each for each in record.erp_holds if each.kind != told.kind)
        hold = ErpHold(told.kind, told.held, told.reason.rstrip(". "), told.as_of)
        after = msgspec.structs.replace(record, erp_holds=(*holds, hold))
        was, is_ = goods.is_held(record), goods.is_held(after)
        if is_ and not was and ORDER.allows(process.state, "hold_set"):
            return self._held(process, after, told, signal)
        if was and not is_ and ORDER.allows(process.state, "hold_lifted"):
            return lifted(after, signal, "Finance released the order in the ERP")
        if not ORDER.allows(process.state, "noted"):
            return None
        return _noted(process, after, signal)

    def _held(
        self,
        process: Process[OrderRecord],
        after: OrderRecord,
        told: HoldChanged,
        signal: Signal,
    ) -> Move[OrderRecord]:
        releasing = process.data.maybe_released or (
            process.state in {"confirmed", "allocated"} and process.attempts > 0
        )
        open_ = any(each.state == "open" for each in goods.releases_of(after, process.reference))
        reason = after.erp_holds[-1].reason
        said = f"Finance put the order on hold in the ERP: {reason}."
        if open_:
            said += " The warehouse is asked to stop."
        elif not after.shipments:
            said += " Nothing is released to the warehouse meanwhile."
        after = changed(
            after,
            signal.at,
            credit="held",
            hold=Hold(kind="credit", reason=reason, since=told.as_of),
            maybe_released=releasing,
            refused=False,
            excess=None,
            trouble=None,
        )
        return Move(
            event="hold_set",
            data=after,
            says=(Says(text=said, data={"kind": told.kind}),),
            emits=(
                outcomes.told("order.suspended", process, after, signal.at, state="suspending"),
            ),
            due=signal.at + self._settle if releasing else None,
            incident=Incident(category=Category.CREDIT_HOLD, says=said),
        )


def _noted(process: Process[OrderRecord], after: OrderRecord, signal: Signal) -> Move[OrderRecord]:
    """Remember what nothing has to be done about now."""
    says: tuple[Says, ...] = ()
    if goods.is_held(process.data) and not goods.is_held(after):
        after = changed(after, signal.at, credit="released", hold=None)
        says = (Says(text="Finance released the order in the ERP."),)
    return Move(event="noted", data=after, says=says, due=_as_it_was(process))


def lifted(after: OrderRecord, signal: Signal, said: str) -> Move[OrderRecord]:
    """Let the warehouse go on; whoever follows the order is told once it does."""
    after = changed(after, signal.at, credit="released", hold=None, trouble=None, refused=False)
    return Move(
        event="hold_lifted", data=after, says=(Says(text=f"{said}."),), closes_incident=True
    )
