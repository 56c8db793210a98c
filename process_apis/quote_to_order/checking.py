"""Checking an order, when it is placed and again later, and what follows from it."""

from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct

from contracts.canonical.documents import Quote
from contracts.canonical.money import Money
from contracts.canonical.order import Hold, OrderRequest
from contracts.canonical.party import Customer
from contracts.ports.pricing_credit import PricingCredit, QuoteCheck, QuoteValidation
from contracts.problems import ProblemError
from process_apis.quote_to_order import axes, decisions, outcomes, remedies
from process_apis.quote_to_order.deals import whole_id
from process_apis.quote_to_order.decisions import Judgement
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.records import OrderRecord, changed
from process_apis.quote_to_order.settings import ChannelPolicy
from runtime.journal.incidents import Category, Incident
from runtime.journal.process import Again, Move, Process, Says, StepContext, Term

TEMPORARY = frozenset({"upstream-unavailable", "upstream-throttled", "deadline-exceeded"})
"""The problems that say nothing of the order, only of a system that is away."""


class Checked(Struct, frozen=True, kw_only=True):
    """Everything a decision about an order rests on."""

    check: QuoteCheck
    validation: QuoteValidation
    customer: Customer | None


async def check(pricing: PricingCredit, request: OrderRequest, policy: ChannelPolicy) -> Checked:
    """Have an order checked as its channel asks for. Never fails for a system's sake."""
    try:
        customer = (await pricing.get_customer(request.customer)).customer
    except ProblemError as unknown:
        if unknown.problem.slug not in TEMPORARY | {"customer-unknown"}:
            raise
        customer = None
    wanted = decisions.check_for(request, policy, customer)
    return Checked(check=wanted, validation=await pricing.validate_quote(wanted), customer=customer)


def opening(process: Process[OrderRecord], context: StepContext) -> Move[OrderRecord] | None:
    """Send an order that is not ready to be placed where it has to go first."""
    record = process.data
    match record.entry:
        case "ready":
            return None
        case "provisional":
            after = changed(record, context.now, entry="ready")
            return Move(event="accepted_on_last_known_data", data=after, due=context.now)
        case "deal":
            return Move(
                event="deal_noticed",
                data=changed(record, context.now, entry="ready"),
                says=(Says(text="The CRM is asked what was sold."),),
            )
        case "held":
            return _held(process, context, changed(record, context.now, entry="ready"))


def request_of(deal: Quote) -> OrderRequest:
    """Make the order of a deal that was won."""
    return OrderRequest(
        customer=deal.customer,
        lines=deal.lines,
        currency=deal.currency,
        po_number=deal.po_number,
        requested_delivery_date=deal.requested_delivery_date,
        quote=deal.id,
    )


def not_won(process: Process[OrderRecord], context: StepContext) -> Move[OrderRecord]:
    """The notification was wrong or the deal was reopened: there is nothing to order."""
    return Move(
        event="not_won",
        data=changed(process.data, context.now),
        says=(Says(text="The deal is not won any more; nothing was ordered."),),
    )


def as_told(
    record: OrderRecord, request: OrderRequest, policy: ChannelPolicy
) -> tuple[OrderRequest, ChannelPolicy]:
    """Hold an order to the prices its customer was told, once sales has accepted them.

    Only the prices are settled by that: credit and everything else is checked as ever, and a line
    that nobody could price yet gets the ERP's price.
    """
    if not record.prices_accepted or len(record.lines) != len(request.lines):
        return request, policy
    lines = tuple(
        msgspec.structs.replace(
            line, unit_price=Money(amount=told.unit_price, currency=request.currency)
        )
        if told.was_told
        else line
        for line, told in zip(request.lines, record.lines, strict=True)
    )
    honouring = msgspec.structs.replace(policy, pricing="honour")
    return msgspec.structs.replace(request, lines=lines), honouring


def ordered_already(
    process: Process[OrderRecord], context: StepContext, reference: str
) -> Move[OrderRecord]:
    """Stop a deal for which a channel has placed an order of its own: somebody decides."""
    return outcomes.stopped(
        process,
        context,
        ORDER,
        event="stopped",
        category=Category.MASTER_DATA_MISMATCH,
        says=f"The deal was ordered already, as {reference}; cancel one of the two.",
    )


def after_check(
    process: Process[OrderRecord],
    context: StepContext,
    request: OrderRequest,
    policy: ChannelPolicy,
    checked: Checked,
) -> Move[OrderRecord] | Again[OrderRecord]:
    """Decide on a provisional order that was checked again."""
    judged = _judged(process, context, request, policy, checked)
    if isinstance(judged, Move):
        return judged
    if judged.entry == "provisional":
        says = None
        if context.attempt == 1:
            says = Says(text="Still pending: the systems it must be checked against are away.")
        return Again(at=context.retry_at(timedelta(0)), in_doubt=False, says=says)
    moved = decisions.moved_prices(process.data, judged.lines)
    if moved:
        return outcomes.stopped(
            process,
            context,
            ORDER,
            event="stopped",
            category=Category.PRICING_MISMATCH,
            says=f"Since it was accepted, {len(moved)} of its prices changed: {moved[0].detail}.",
            detail={"lines": [fault.pointer for fault in moved]},
        )
    return _judged_again(process, context, request, judged, "It was checked again: all is well.")


def after_fetch(
    process: Process[OrderRecord],
    context: StepContext,
    request: OrderRequest,
    policy: ChannelPolicy,
    checked: Checked,
) -> Move[OrderRecord]:
    """Decide on a deal that was fetched and checked."""
    judged = _judged(process, context, request, policy, checked)
    if isinstance(judged, Move):
        return judged
    lines = len(request.lines)
    sold = "One line was sold." if lines == 1 else f"{lines} lines were sold."
    return _judged_again(process, context, request, judged, sold)


def _judged(
    process: Process[OrderRecord],
    context: StepContext,
    request: OrderRequest,
    policy: ChannelPolicy,
    checked: Checked,
) -> Judgement | Move[OrderRecord]:
    record, promised = process.data, None
    if request.promise is not None and record.lines:
        promised = [line.unit_price for line in record.lines]  # what was promised still holds
    try:
        return decisions.judge(
            request,
            policy,
            checked.check,
            checked.validation,
            checked.customer,
            promised=promised,
        )
    except ProblemError as refused:
        slug = refused.problem.slug
        return outcomes.stopped(
            process,
            context,
            ORDER,
            event="stopped",
            category=remedies.category_for_problem(slug),
            says=decisions.problem_words(refused),
            detail={"problem": slug},
            **_known(request, checked),
        )


def _known(request: OrderRequest, checked: Checked) -> dict[str, Any]:
    """What can be shown of an order that is refused before it was ever priced."""
    fields: dict[str, Any] = {"request": request, "currency": request.currency}
    if checked.customer is not None:
        fields |= {"customer": checked.customer.id, "customer_name": checked.customer.name}
    if request.po_number is not None:
        fields["po_number"] = request.po_number
    return fields


def _judged_again(
    process: Process[OrderRecord],
    context: StepContext,
    request: OrderRequest,
    judged: Judgement,
    said: str,
) -> Move[OrderRecord]:
    now = context.now
    fresh = decisions.record_for(request, judged, channel=process.data.channel, now=now)
    record = msgspec.structs.replace(
        fresh,
        placed_at=process.data.placed_at,
        quote=process.data.quote or fresh.quote,
        entry="ready",
        maybe_placed=process.data.maybe_placed,
        prices_accepted=process.data.prices_accepted,
        placed_by=process.data.placed_by,
    )
    axes.credit_after(process.data.credit, record.credit)
    if judged.entry == "held":
        return _held(process, context, record)
    event, topic = "validated", "order.accepted"
    if judged.entry == "provisional":
        event, topic = "accepted_on_last_known_data", "order.provisional"
    state = ORDER.after(process.state, event)
    return Move(
        event=event,
        data=record,
        says=(Says(text=said),),
        emits=(outcomes.told(topic, process, record, now, state=state),),
        terms=terms_of(record),
        closes_incident=True,
    )


def _held(
    process: Process[OrderRecord], context: StepContext, record: OrderRecord
) -> Move[OrderRecord]:
    if record.hold is not None and record.hold.kind == "price-approval":
        return _held_for_price(process, context, record, record.hold)
    reason = "the customer's credit" if record.hold is None else record.hold.reason
    hold = record.hold or Hold(kind="credit", reason=reason, since=context.now)
    said = f"On credit hold: {reason}. Finance may release it."
    after = changed(record, context.now, credit="held", hold=hold)
    return Move(
        event="held",
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told("order.held", process, after, context.now, state="held"),),
        terms=terms_of(record),
        incident=Incident(category=Category.CREDIT_HOLD, says=said),
    )


def _held_for_price(
    process: Process[OrderRecord], context: StepContext, record: OrderRecord, hold: Hold
) -> Move[OrderRecord]:
    said = f"Waits for the price to be approved: {hold.reason}."
    after = changed(record, context.now)
    return Move(
        event="held",
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told("order.held", process, after, context.now, state="held"),),
        terms=terms_of(record),
        incident=Incident(category=Category.PRICING_MISMATCH, says=said),
    )


def terms_of(record: OrderRecord) -> tuple[Term, ...]:
    """Under which business ids people will look for the order."""
    terms = [Term(kind="customer", value=record.customer)]
    if record.po_number is not None:
        terms.append(Term(kind="po", value=record.po_number))
    if record.quote is not None:
        terms.append(Term(kind="deal", value=whole_id(record.quote)))
    return tuple(terms)
