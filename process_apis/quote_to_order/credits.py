"""Credits: matched to earlier orders first, then posted in the ERP as one credit memo."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from contracts.canonical.documents import CreditMemo, CreditMemoRequest, InvoiceLine
from contracts.canonical.money import Money, line_amount, rounded
from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Failure, Rejected
from contracts.outcomes import in_doubt as is_in_doubt
from contracts.ports.erp import Erp, PlaceCreditMemo
from process_apis.quote_to_order import matching, outcomes, remedies
from process_apis.quote_to_order.history import History
from process_apis.quote_to_order.queries import CONFIRMED, OrderQueries
from process_apis.quote_to_order.records import CreditRecord, Match, Trouble
from process_apis.quote_to_order.settings import OrderSettings
from runtime.journal.incidents import Category, Incident
from runtime.journal.process import Again, Effect, Event, Move, Process, Says, Step, StepContext

Outcome = Move[CreditRecord] | Again[CreditRecord]

MEMO = "erp.credit_memo"
_STUCK = frozenset({"held", "stopped", "mispriced", "rollback_incomplete"})
"""States of an order in which it waits for a person; then so does its credit."""

TURN = timedelta(milliseconds=200)
"""How soon a credit looks again whether an older one of its customer has decided."""


class CreditSteps:
    """The steps of `lifecycle.CREDIT`."""

    def __init__(self, *, erp: Erp, queries: OrderQueries, settings: OrderSettings) -> None:
        self._erp = erp
        self._queries = queries
        self._settings = settings

    def by_state(self) -> Mapping[str, Step[CreditRecord]]:
        """Answer the step of each state in which something is done."""
        return {"accepted": self.match, "matched": self.post}

    async def match(self, process: Process[CreditRecord], context: StepContext) -> Outcome:
        """Decide what the credit goes against. Older credits of the customer decide first."""
        record = process.data
        history = await self._queries.history(record.customer)
        if any(c.undecided and c.id < process.id for c in history.claims):
            return Again(at=context.now + TURN, in_doubt=False)
        hidden = _hidden(process, context, history, event="unmatched")
        if hidden is not None:
            return hidden
        others = [claim for claim in history.claims if claim.id != process.id]
        # Accepted before the credit, so that the outcome does not hang on who was quicker.
        orders = [o for o in history.orders if record.anew or o.id < process.id]
        matches, unmatched = matching.match(
            record.lines,
            orders,
            others,
            currency=record.currency,
            before=record.order_date,
        )
        if unmatched:
            items = ", ".join(record.lines[i].item.removeprefix("item_") for i in unmatched[:5])
            return _stopped(
                process,
                context,
                event="unmatched",
                category=Category.MASTER_DATA_MISMATCH,
                says=f"No earlier order has enough left of {items}; nothing was credited.",
                detail={"lines": list(unmatched)},
            )
        return _matched(process, context, matches)

    async def post(self, process: Process[CreditRecord], context: StepContext) -> Outcome:
        """Post the credit memo, once every order it goes against is in the ERP."""
        record = process.data
        history = await self._queries.history(record.customer)
        if not record.maybe_posted and not context.in_doubt:
            waits = _not_yet(process, context, history)
            if waits is not None:
                return waits
        call = CallContext(
            correlation_id=f"credit-{process.id}",
            consumer="quote-to-order",
            traceparent=context.traceparent,
            deadline=context.clock.monotonic() + context.call_seconds,
            idempotency_key=process.reference,
            criticality=process.lane.name.lower(),
        )
        try:
            with calling(call):
                memo = await self._erp.create_credit_memo(
                    PlaceCreditMemo(
                        memo=memo_of(process), in_doubt=context.in_doubt or record.maybe_posted
                    )
                )
        except CallFailedError as failed:
            return self._failed(process, context, failed.failure)
        return _credited(process, context, memo)

    def _failed(
        self, process: Process[CreditRecord], context: StepContext, failure: Failure
    ) -> Outcome:
        doubt = context.in_doubt or is_in_doubt(failure)
        category = outcomes.gave_up(failure)
        if isinstance(failure, Rejected):
            said = f"The ERP refused the credit memo: {failure.detail}"
            category = remedies.category_of(failure.category)
        elif context.now - process.data.since > self._settings.give_up_after:
            said = "The ERP gave no usable answer for too long."
        else:
            return outcomes.again(context, failure, doing="the credit is posted")
        return _stopped(
            process,
            context,
            event="stopped",
            category=category or Category.ERP_BUSINESS_RULE,
            says=said,
            detail={"system": failure.system},
            maybe_posted=doubt,
        )


def _matched(
    process: Process[CreditRecord], context: StepContext, matches: tuple[Match, ...]
) -> Move[CreditRecord]:
    record = process.data
    amount = sum(
        (line_amount(m.quantity, m.unit_price, record.currency) for m in matches), Decimal(0)
    )
    after = msgspec.structs.replace(
        record,
        since=context.now,
        matches=matches,
        net=rounded(amount, record.currency),
        trouble=None,
    )
    against = ", ".join(dict.fromkeys(m.reference for m in matches))
    return Move(
        event="matched",
        data=after,
        says=(Says(text=f"Goes against {against}."),),
        closes_incident=True,
    )


def _hidden(
    process: Process[CreditRecord], context: StepContext, history: History, *, event: str
) -> Move[CreditRecord] | None:
    """Stop a credit beside one that cannot be read: it may take what that one has taken."""
    unread = next((c.unread for c in history.claims if c.unread and c.id != process.id), None)
    if unread is None:
        return None
    return _stopped(
        process,
        context,
        event=event,
        category=Category.CONTRACT_VIOLATION,
        says=f"What {unread} was credited for cannot be read; nothing was credited.",
    )


def _not_yet(
    process: Process[CreditRecord], context: StepContext, history: History
) -> Outcome | None:
    """Another credit was quicker, or an order is not in the ERP yet, or never will be."""
    record = process.data
    hidden = _hidden(process, context, history, event="stopped")
    if hidden is not None:
        return hidden
    match matching.contest(process.id, history.claims, history.orders):
        case "outrun":
            after = msgspec.structs.replace(record, since=context.now, matches=())
            return Move(event="outrun", data=after)
        case "wait":
            return Again(at=context.now + TURN, in_doubt=False)
        case "clear":
            pass
    states = {order.id: order.state for order in history.orders}
    wanted = {match.order: match.reference for match in record.matches}
    gone = [ref for order, ref in wanted.items() if states.get(order) in {None, "cancelled"}]
    stuck = [ref for order, ref in wanted.items() if states.get(order) in _STUCK]
    if gone or stuck:
        why = f"{gone[0]} was cancelled" if gone else f"{stuck[0]} is stopped itself"
        return _stopped(
            process,
            context,
            event="stopped",
            category=Category.MASTER_DATA_MISMATCH,
            says=f"The order it goes against cannot be credited: {why}.",
            matches=() if gone else record.matches,
        )
    if all(states[order] in CONFIRMED for order in wanted):
        return None
    waiting = [ref for order, ref in wanted.items() if states[order] not in CONFIRMED]
    says = None
    if context.attempt == 1:
        says = Says(text=f"Waits until {waiting[0]} is confirmed by the ERP.")
    return Again(at=context.retry_at(), in_doubt=False, says=says)


def _credited(
    process: Process[CreditRecord], context: StepContext, memo: CreditMemo
) -> Move[CreditRecord]:
    record = process.data
    known = any(e.name == MEMO for e in process.effects)
    if memo.net_amount.amount != record.net or memo.net_amount.currency != record.currency:
        return _stopped(
            process,
            context,
            event="stopped",
            category=Category.PRICING_MISMATCH,
            says=(
                f"The ERP holds the credit memo {memo.number} at {memo.net_amount}; "
                f"expected was {record.net} {record.currency}."
            ),
            maybe_posted=True,
        )
    after = msgspec.structs.replace(
        record, since=context.now, memo_number=memo.number, trouble=None, maybe_posted=False
    )
    return Move(
        event="credited",
        data=after,
        says=(Says(text=f"Credited by the ERP as {memo.number}.", data={"memo": memo.number}),),
        emits=(Event(topic="order.credited", data=memo),),
        effect=None if known else Effect(name=MEMO, key=process.reference),
        closes_incident=True,
    )


def _stopped(
    process: Process[CreditRecord],
    context: StepContext,
    *,
    event: str,
    category: Category,
    says: str,
    detail: dict[str, Any] | None = None,
    **fields: Any,
) -> Move[CreditRecord]:
    after = msgspec.structs.replace(
        process.data,
        since=context.now,
        trouble=Trouble(title=says, detail=says, at=context.now),
        stopped_in=process.state,
        **fields,
    )
    return Move(
        event=event,
        data=after,
        says=(Says(text=says, data=detail or {}),),
        incident=Incident(category=category, says=says, detail=detail or {}),
    )


def memo_of(process: Process[CreditRecord]) -> CreditMemoRequest:
    """Say a matched credit in the words of the ERP port."""
    record = process.data
    currency = record.currency
    return CreditMemoRequest(
        reference=process.reference,
        customer=record.customer,
        currency=currency,
        lines=tuple(
            InvoiceLine(
                item=match.item,
                quantity=match.quantity,
                unit_price=Money(amount=match.unit_price, currency=currency),
                net_amount=Money(
                    amount=line_amount(match.quantity, match.unit_price, currency),
                    currency=currency,
                ),
            )
            for match in record.matches
        ),
        against=tuple(dict.fromkeys(match.reference for match in record.matches)),
        posting_date=record.order_date,
    )
