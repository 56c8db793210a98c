"""What a call to another system leads to: the next move, another try, or somebody who must look."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar, assert_never

import msgspec

from contracts.canonical.ids import OrderId
from contracts.canonical.order import Hold
from contracts.outcomes import Conflict, Failure, Malformed, Rejected, Throttled, Unavailable
from contracts.outcomes import in_doubt as is_in_doubt
from contracts.ports.erp import ErpOrder
from process_apis.quote_to_order import goods, remedies
from process_apis.quote_to_order.records import CreditRecord, OrderRecord, Trouble, changed
from process_apis.quote_to_order.views import order_view
from runtime.journal.incidents import Category, Incident
from runtime.journal.process import (
    Again,
    Effect,
    Event,
    Lifecycle,
    Move,
    Process,
    Says,
    StepContext,
    Term,
)

R = TypeVar("R", OrderRecord, CreditRecord)

ERP_ORDER: Final = "erp.order"
WMS_ORDER: Final = "wms.order"
RESERVATION: Final = "inventory.reservation"
RELEASING: Final = frozenset({"confirmed", "allocated"})
"""The states in which the warehouse is asked to ship."""
SYSTEMS: Final = {
    "business_central": "the ERP",
    "erp": "the ERP",
    "wms": "the warehouse",
    "shiphero": "the warehouse",
    "salesforce": "the CRM",
    "crm": "the CRM",
}


def system_words(system: str) -> str:
    """Name a system as a sales rep knows it."""
    return SYSTEMS.get(system, system)


def pieces(quantity: Decimal) -> str:
    """Say a quantity."""
    return "1 piece" if quantity == 1 else f"{quantity.normalize():f} pieces"


def goes_on(record: OrderRecord, at: datetime) -> OrderRecord:
    """Answer an order that could not be taken back, as it is without the cancellation."""
    held = next((hold for hold in record.erp_holds if hold.held), None)
    return changed(
        record,
        at,
        reason=None,
        maybe_released=False,
        hold=None if held is None else Hold(kind="credit", reason=held.reason, since=held.as_of),
        fulfilment=goods.fulfilment_of(record),
    )


def told(
    topic: str,
    process: Process[OrderRecord],
    after: OrderRecord,
    context_now: Any,
    *,
    state: str,
    category: Category | None = None,
) -> Event:
    """Make the event that shows the order as it will be after a move to `state`."""
    exception = None
    trouble = after.trouble
    if category is not None and trouble is not None:
        exception = remedies.shown(
            incident="",
            category=category,
            says=trouble.detail,
            opened_at=trouble.at,
            remedies=remedies.possible_of(category, state, after),
        )
    return Event(
        topic=topic,
        data=order_view(
            after,
            order=OrderId(process.id),
            reference=process.reference,
            state=state,
            revision=process.revision + 1,
            updated_at=context_now,
            exception=exception,
        ),
    )


def stopped(
    process: Process[OrderRecord],
    context: StepContext,
    lifecycle: Lifecycle,
    *,
    event: str,
    category: Category,
    says: str,
    in_doubt: bool = False,
    detail: dict[str, Any] | None = None,
    **fields: Any,
) -> Move[OrderRecord]:
    """Stop an order until somebody has looked at it; the CRM is told."""
    trouble = Trouble(title=says, detail=says, at=context.now)
    record = process.data
    after = changed(
        record,
        context.now,
        trouble=trouble,
        stopped_in=process.state,
        maybe_placed=record.maybe_placed or (in_doubt and process.state == "accepted"),
        maybe_released=record.maybe_released or (in_doubt and process.state in RELEASING),
        refused=record.refused or event == "warehouse_refused",
        **fields,
    )
    state = lifecycle.after(process.state, event)
    return Move(
        event=event,
        data=after,
        says=(Says(text=says, data=detail or {}),),
        emits=(
            told("order.excepted", process, after, context.now, state=state, category=category),
        ),
        incident=Incident(category=category, says=says, detail=detail or {}),
    )


def again(context: StepContext, failure: Failure, *, doing: str) -> Again[Any]:
    """Try the same step later; the timeline tells of the first failure, not of every one."""
    system = system_words(failure.system)
    says = None
    if context.attempt == 1:
        why = "asks for a pause" if isinstance(failure, Throttled) else "does not answer"
        says = Says(text=f"{system[0].upper()}{system[1:]} {why}; {doing} as soon as it can be.")
    return Again(
        at=context.retry_at(pause_after(context, failure)),
        in_doubt=context.in_doubt or is_in_doubt(failure),
        says=says,
    )


def pause_after(context: StepContext, failure: Failure) -> timedelta | None:
    """How long, from the start of the step, a system is left alone at least; None: not at all.

    A call that was given up while it was worked on may yet take effect. A look-up right away would
    not find it, and a second try would do it twice; so it has as long again to come to its end.
    """
    match failure:
        case Throttled(retry_after=seconds):
            return timedelta(seconds=seconds)
        case Unavailable(because="time-out", may_have_happened=True):
            return 2 * (context.clock.now() - context.now)
        case _:
            return None


def gave_up(failure: Failure) -> Category | None:
    """Answer what kind of trouble a failure is once it has lasted too long.

    None: it will not get better by itself, so nobody waits.
    """
    match failure:
        case Unavailable() | Conflict():
            return Category.TIME_OUT
        case Throttled():
            return Category.THROTTLED
        case Malformed():
            return Category.CONTRACT_VIOLATION
        case Rejected():
            return None
    assert_never(failure)


def after_failure(
    process: Process[OrderRecord],
    context: StepContext,
    failure: Failure,
    lifecycle: Lifecycle,
    *,
    event: str,
    doing: str,
    give_up_after: timedelta,
) -> Move[OrderRecord] | Again[OrderRecord]:
    """Decide what follows when a call of a step did not end as done."""
    if isinstance(failure, Rejected):
        system = system_words(failure.system)
        refused = "the shipment" if event == "not_posted" else "the order"
        return stopped(
            process,
            context,
            lifecycle,
            event=event,
            category=remedies.category_of(failure.category),
            says=f"{system[0].upper()}{system[1:]} refused {refused}: {failure.detail}",
            in_doubt=context.in_doubt,
            detail={"system": failure.system, "reason": failure.reason},
        )
    category = gave_up(failure)
    if category is not None and context.now - process.data.since > give_up_after:
        return stopped(
            process,
            context,
            lifecycle,
            event=event,
            category=category,
            says=f"{system_words(failure.system)} gave no usable answer for too long.",
            in_doubt=context.in_doubt or is_in_doubt(failure),
            detail={"system": failure.system},
        )
    return again(context, failure, doing=doing)


def stands(process: Process[OrderRecord], effect: str) -> bool:
    """Tell whether something was done in another system and not undone: then it is there."""
    return any(each.name == effect and each.undone_at is None for each in process.effects)


def placed(
    process: Process[OrderRecord], context: StepContext, order: ErpOrder, lifecycle: Lifecycle
) -> Move[OrderRecord]:
    """The ERP holds the order: confirmed, if it comes to the same amount to the penny."""
    record = process.data
    effect = None if stands(process, ERP_ORDER) else Effect(name=ERP_ORDER, key=process.reference)
    figures = {"erpOrder": order.number, "net": str(order.net_amount), "found": order.found}
    net = order.net_amount
    if net.amount != record.net or net.currency != record.currency:
        said = (
            f"The ERP holds the order as {order.number} at {net}; "
            f"agreed was {record.net} {record.currency}."
        )
        move = stopped(
            process,
            context,
            lifecycle,
            event="answered_another_amount",
            category=Category.PRICING_MISMATCH,
            says=said,
            detail=figures,
            erp_number=order.number,
            erp_net=net.amount if net.currency == record.currency else None,
        )
        after = msgspec.structs.replace(move.data, maybe_placed=False)
        return msgspec.structs.replace(move, data=after, effect=effect)
    after = changed(record, context.now, erp_number=order.number, maybe_placed=False, trouble=None)
    found = "; the first try had reached it after all" if order.found and effect else ""
    return Move(
        event="placed",
        data=after,
        says=(Says(text=f"Confirmed by the ERP as order {order.number}{found}.", data=figures),),
        emits=(told("order.confirmed", process, after, context.now, state="confirmed"),),
        terms=(Term(kind="erp-order", value=order.number),),
        effect=effect,
        closes_incident=True,
    )
