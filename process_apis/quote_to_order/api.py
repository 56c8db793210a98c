"""quote-to-order: the port, implemented over the journal."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import msgspec

from contracts.canonical.ids import OrderId
from contracts.canonical.order import Order, Timeline
from contracts.context import CallContext, current
from contracts.ports.binding import Reply
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.quote_to_order import (
    Approval,
    Cancellation,
    CreditRequest,
    ExceptionPage,
    ExceptionQuery,
    ExceptionView,
    OrderPage,
    OrderQuery,
    PlaceOrder,
    Remedy,
    Totals,
    TotalsQuery,
)
from contracts.problems import Fault, ProblemError, refuse
from process_apis.quote_to_order import approvals, deals, decisions, remedies
from process_apis.quote_to_order.answers import OrderAnswers, durably, location_of, reply_of
from process_apis.quote_to_order.checking import terms_of
from process_apis.quote_to_order.counting import CreditCount
from process_apis.quote_to_order.exposure import Counted, Exposure, order_token
from process_apis.quote_to_order.intake import Intake
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.queries import CONFIRMED as IN_ERP
from process_apis.quote_to_order.queries import OrderQueries
from process_apis.quote_to_order.records import (
    CREDIT_KIND,
    ORDER_KIND,
    CreditRecord,
    OrderRecord,
)
from process_apis.quote_to_order.settings import ChannelPolicy, OrderSettings
from process_apis.quote_to_order.signals import APPROVAL, CANCEL
from process_apis.quote_to_order.views import credit_view, order_view
from runtime.clock import Clock
from runtime.journal.codec import UNREADABLE
from runtime.journal.faults import (
    ActionNotAllowed,
    KeyReused,
    UnknownIncident,
    UnreadableProcess,
)
from runtime.journal.incidents import Action
from runtime.journal.journal import Journal
from runtime.journal.process import Accepted, Event, Process, Says, Start, Term

PLACE: Final = "orders.place"
CREDIT: Final = "orders.credit"
_MOMENT: Final = timedelta(milliseconds=300)
"""How long a cancellation or a remedy is waited for, to answer with what it did."""

_WAITING: Final = frozenset({"accepted", "fetching", "matched", "withdrawing"})
"""States that end by themselves while all systems are well."""

_SETTLED: Final = IN_ERP | {"credited"}
_SAID: Final = {
    "ready": "Accepted; it is placed in the ERP next.",
    "provisional": "Accepted on last known data; it is checked again when the systems answer.",
    "held": "Accepted; it waits for credit.",
    "price-approval": "Accepted; it waits for the price to be approved.",
}

_encode = msgspec.json.Encoder().encode


class QuoteToOrderApi:
    """Implements `contracts.ports.quote_to_order.QuoteToOrder`, and takes won deals.

    `mint` answers an id no process has; the first event of an order carries it.
    """

    def __init__(
        self,
        *,
        pricing: PricingCredit,
        intake: Intake,
        journal: Journal,
        queries: OrderQueries,
        exposure: Exposure,
        settings: OrderSettings,
        clock: Clock,
        mint: Callable[[], str],
    ) -> None:
        self._answers = OrderAnswers(pricing=pricing, journal=journal, queries=queries)
        self._intake = intake
        self._journal = journal
        self._count = CreditCount(exposure, queries)
        self._settings = settings
        self._clock = clock
        self._mint = mint

    # In.

    async def place(self, body: PlaceOrder) -> Reply[Order]:
        """Accept an order: checked first, then durable, then told. See the port."""
        call = current()
        key = _key_of(call)
        policy = self._policy(body.channel)
        try:
            record, counted = await self._count.checked(
                order_token(call.consumer, key),
                lambda: self._intake.order(body, policy, key, call),
            )
        except ProblemError as refused:
            return await self._as_first_accepted(call, PLACE, body, refused)
        order = OrderId(self._mint())
        reference = decisions.reference_for(key)
        shown = order_view(
            record,
            order=order,
            reference=reference,
            state="accepted",
            revision=1,
            updated_at=record.placed_at,
        )
        topic = "order.provisional" if record.entry == "provisional" else "order.accepted"
        start = Start(
            id=order,
            kind=ORDER_KIND,
            consumer=call.consumer,
            operation=PLACE,
            key=key,
            fingerprint=_fingerprint_of(call, body),
            reference=reference,
            data=record,
            lane=policy.lane,
            terms=terms_of(record),
            says=(Says(text=_SAID[_entered_as(record)]),),
            emits=(Event(topic=topic, data=shown),),
        )
        return await self._accept(start, shown, call, counted)

    async def credit(self, body: CreditRequest) -> Reply[Order]:
        """Accept a credit; what it goes against is decided by its process. See the port."""
        call = current()
        key = _key_of(call)
        policy = self._policy(body.channel)
        try:
            record = await self._intake.credit(body, call)
        except ProblemError as refused:
            return await self._as_first_accepted(call, CREDIT, body, refused)
        terms = [Term(kind="customer", value=record.customer)]
        if record.po_number is not None:
            terms.append(Term(kind="po", value=record.po_number))
        order = OrderId(self._mint())
        start = Start(
            id=order,
            kind=CREDIT_KIND,
            consumer=call.consumer,
            operation=CREDIT,
            key=key,
            fingerprint=_fingerprint_of(call, body),
            reference=decisions.reference_for(key),
            data=record,
            lane=policy.lane,
            terms=tuple(terms),
            says=(Says(text="Accepted; it is matched to earlier orders next."),),
        )
        shown = credit_view(
            record,
            order=order,
            reference=start.reference,
            state="accepted",
            revision=1,
            updated_at=record.placed_at,
        )
        return await self._accept(start, shown, call)

    async def deal_won(self, deal: str, message_id: str) -> bool:
        """Take a notification that a deal was won; answer whether it was news.

        Only the deal's id is trusted; the deal itself is read later. Refuses store-unavailable:
        then the notification must not be acknowledged.
        """
        start = deals.start_for(
            deal, order=self._mint(), now=self._clock.now(), settings=self._settings
        )
        with durably():
            published = await self._journal.publish("salesforce", message_id, starts=(start,))
        return any(accepted.created for accepted in published.accepted)

    async def cancel(self, order: str, body: Cancellation) -> Reply[Order]:
        """Take an order back: 202 while it is undone. Refuses order-not-cancellable."""
        call = current()
        process = await self._answers.visible(order, call)
        if process.kind == ORDER_KIND and process.state in {"cancelled", "withdrawing"}:
            return reply_of(process, 200)
        if not _cancellable(process):
            raise refuse("order-not-cancellable", state=process.state)
        data = {"reason": body.reason, "actor": call.subject or call.consumer}
        key = call.idempotency_key or call.correlation_id
        with durably():
            await self._journal.signal(process.id, CANCEL, data, f"{CANCEL}:{call.consumer}:{key}")
            process = await self._journal.wait_for(
                process.id,
                {"withdrawing", "cancelled", "shipped", "closed"},
                max(self._wait_of(call), _MOMENT),
            )
        if not _cancellable(process) and process.state not in {"withdrawing", "cancelled"}:
            raise refuse("order-not-cancellable", state=process.state)
        return reply_of(process, 200 if process.state == "cancelled" else 202)

    async def remedy(self, exception: str, body: Remedy) -> Reply[Order]:
        """Apply a remedy. Refuses not-found and remedy-not-allowed; the journal audits it."""
        call = current()
        try:
            incident = await self._journal.incident(exception)
        except UnknownIncident:
            raise refuse("not-found") from None
        try:
            before = await self._answers.visible(incident.process_id, call)
        except UnreadableProcess:
            await self._answers.exception(exception, call)  # refuses what is another account's
            raise refuse("remedy-not-allowed", detail=UNREADABLE, allowed=[]) from None
        asked: str = body.action
        if approvals.waits(before):
            # Approving is releasing the order and accepting its price: either word will do.
            asked = "accept" if body.action == "release" else body.action
            if asked == "accept" and approvals.is_own(before, call):
                raise refuse("approval-not-allowed")
        action = remedies.action_for(asked, incident.category)
        allowed = list(remedies.possible_of(incident.category, before.state, before.data))
        if action is None or not remedies.possible(before.state, before.data, action):
            raise refuse("remedy-not-allowed", allowed=allowed)
        amendment: dict[str, Any] = {"note": body.note}
        if action is Action.AMEND_AND_RETRY:
            if body.amended is None:
                fault = Fault(pointer="/amended", detail="An amendment needs the corrected order.")
                raise refuse("remedy-not-allowed", errors=(fault,), allowed=allowed)
            await self._intake.amendment(body.amended, call)
            amendment["order"] = msgspec.to_builtins(body.amended)
        try:
            with durably():
                actor = call.subject or call.consumer
                await self._journal.remedy(exception, action, actor, amendment)
        except ActionNotAllowed:
            raise refuse("remedy-not-allowed", allowed=allowed) from None
        process = await self._journal.wait_for(
            before.id, lambda now: now.revision > before.revision, _MOMENT
        )
        return reply_of(process, 202)

    async def approve(self, order: str, body: Approval) -> Reply[Order]:
        """Approve or refuse the price an order waits with; audited. See the port."""
        call = current()
        before = await self._answers.visible(order, call)
        if before.kind != ORDER_KIND or not approvals.waits(before):
            raise refuse("approval-not-allowed", detail="The order does not wait for a price.")
        if approvals.is_own(before, call):
            raise refuse("approval-not-allowed")
        actor = call.subject or call.consumer
        data = {"decision": body.decision, "note": body.note, "actor": actor}
        key = call.idempotency_key or call.correlation_id
        with durably():
            await self._journal.append_audit(
                {"act": APPROVAL, "process": before.id, "consumer": call.consumer, **data}
            )
            await self._journal.signal(
                before.id, APPROVAL, data, f"{APPROVAL}:{call.consumer}:{key}"
            )
            process = await self._journal.wait_for(
                before.id,
                lambda now: now.revision > before.revision,
                max(self._wait_of(call), _MOMENT),
            )
        return reply_of(process, 202)

    # Out.

    async def get(self, order: str) -> Reply[Order]:
        """Answer an order or a credit by its id; another account's is not found."""
        return reply_of(await self._answers.visible(order, current()), 200)

    async def timeline(self, order: str) -> Timeline:
        """Tell an order's story; another account's is not found."""
        return await self._answers.timeline(order, current())

    async def search(self, query: OrderQuery) -> OrderPage:
        """Find orders and credits, newest first; of other accounts none is shown."""
        return await self._answers.search(query, current())

    async def exceptions(self, query: ExceptionQuery) -> ExceptionPage:
        """List exceptions, the oldest first; of other accounts none is shown."""
        return await self._answers.exceptions(query, current())

    async def exception(self, exception: str) -> ExceptionView:
        """Show one exception; another account's is not found."""
        return await self._answers.exception(exception, current())

    async def totals(self, query: TotalsQuery) -> Totals:
        """Add up a channel, to the penny."""
        return await self._answers.totals(query, current())

    async def fill_exposure(self) -> int:
        """Count the orders accepted before this start that are not in the ERP yet."""
        return await self._count.fill()

    async def mend_exposure(self) -> None:
        """Keep the counting in step with the journal. Never returns."""
        await self._count.keep_mended()

    # Inside.

    def _policy(self, channel: str) -> ChannelPolicy:
        policy = self._settings.channels.get(channel)
        if policy is None:
            fault = Fault(
                pointer="/channel",
                detail=f"There is no channel {channel}.",
                allowed=", ".join(self._settings.channels),
            )
            raise refuse("channel-unknown", errors=(fault,))
        return policy

    async def _accept(
        self,
        start: Start[OrderRecord] | Start[CreditRecord],
        shown: Order,
        call: CallContext,
        counted: Counted = "known",
    ) -> Reply[Order]:
        """Commit, then answer: at once, or when the order has come far enough."""
        accepted = await self._committed(start, counted)
        if not accepted.created:
            return await self._answer(accepted.process_id, call)
        if self._wait_of(call):
            return await self._answer(accepted.process_id, call)
        order = msgspec.structs.replace(shown, reference=accepted.reference)
        return Reply(body=order, status=202, location=location_of(order.id), etag="1")

    async def _committed(
        self, start: Start[OrderRecord] | Start[CreditRecord], counted: Counted
    ) -> Accepted:
        """Commit; an order that is not accepted now does not count on."""
        created = False
        try:
            with durably():
                accepted = await self._journal.accept(start)
            created = accepted.created
        except KeyReused as reused:
            raise refuse("idempotency-key-reused", order=reused.process_id) from None
        finally:
            if counted == "new" and not created:
                token = order_token(start.consumer, start.key)
                await self._count.forget(start.data.customer, token)
        return accepted

    async def _answer(self, order: str, call: CallContext) -> Reply[Order]:
        wait = self._wait_of(call)
        process = await self._journal.wait_for(order, _is_settled, wait)
        return reply_of(process, 201 if process.state in _SETTLED and wait else 202)

    async def _as_first_accepted(
        self,
        call: CallContext,
        operation: str,
        body: PlaceOrder | CreditRequest,
        refused: ProblemError,
    ) -> Reply[Order]:
        """A repeated call is answered as the first one, whatever has changed since."""
        with durably():
            known = await self._journal.known(call.consumer, operation, _key_of(call))
        if known is None:
            raise refused
        if known.fingerprint != _fingerprint_of(call, body):
            raise refuse("idempotency-key-reused", order=known.process_id)
        return await self._answer(known.process_id, call)

    def _wait_of(self, call: CallContext) -> timedelta:
        """How long the caller would rather wait, within what it and we can afford."""
        if call.prefer_wait is None:
            return timedelta(0)
        wanted = timedelta(seconds=max(0.0, call.prefer_wait))
        left = call.remaining(self._clock.monotonic())
        if left is not None:
            wanted = min(wanted, timedelta(seconds=max(0.0, left - 0.2)))
        return min(wanted, self._settings.longest_wait)


def _is_settled(process: Process[Any]) -> bool:
    """Whether somebody who waits has the answer: it is in the ERP, or needs a person or a wait."""
    if process.state in _SETTLED:
        return True
    entry = getattr(process.data, "entry", "ready")
    return process.state not in _WAITING and entry != "deal"


def _entered_as(record: OrderRecord) -> str:
    return "price-approval" if approvals.is_for_price(record.hold) else record.entry


def _cancellable(process: Process[Any]) -> bool:
    if process.kind != ORDER_KIND or not ORDER.allows(process.state, "cancelled"):
        return False
    return not any(line.shipped for line in process.data.lines)


def _key_of(call: CallContext) -> str:
    if call.idempotency_key is None:
        raise refuse("idempotency-key-missing")
    return call.idempotency_key


def _fingerprint_of(call: CallContext, body: PlaceOrder | CreditRequest) -> str:
    return call.fingerprint or hashlib.sha256(_encode(body)).hexdigest()
