"""From what a channel sends to the record of an order or a credit, or the reason why not."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from contracts.canonical.ids import CustomerId
from contracts.canonical.money import Money, line_amount, rounded
from contracts.canonical.order import OrderRequest
from contracts.context import CallContext
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.quote_to_order import CreditRequest, PlaceOrder
from contracts.problems import Fault, ProblemError, refuse
from process_apis.quote_to_order import checking, decisions
from process_apis.quote_to_order.promises import PromiseReader, Redeemed
from process_apis.quote_to_order.records import AgreedLine, CreditRecord, OrderRecord
from process_apis.quote_to_order.settings import ChannelPolicy
from runtime.clock import Clock
from runtime.journal.answering import KeptAnswer
from runtime.journal.journal import Journal

_PROMISES: Final = "promise"
_PROMISE_KEEP: Final = timedelta(days=7)


class Intake:
    """Checks what is sent. Nothing is changed by a refusal."""

    def __init__(
        self,
        *,
        pricing: PricingCredit,
        promises: PromiseReader | None,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._pricing = pricing
        self._promises = promises
        self._journal = journal
        self._clock = clock

    async def order(
        self, body: PlaceOrder, policy: ChannelPolicy, key: str, call: CallContext
    ) -> OrderRecord:
        """Answer the record of an order that can be accepted; refuses one that cannot."""
        request = body.order
        _one_currency(request)
        checked = await checking.check(self._pricing, request, policy)
        _own(call, checked.customer.id if checked.customer else checked.validation.customer)
        if call.accounts is not None and any(
            each.problem == "customer-unknown" for each in checked.validation.findings
        ):
            raise refuse("customer-unknown")  # in the very words another's customer is told in
        promise = self._promise(request, checked)
        judged = decisions.judge(
            request,
            policy,
            checked.check,
            checked.validation,
            checked.customer,
            promised=None if promise is None else _promised_prices(request, promise),
        )
        if promise is not None:
            await self._use_up(promise, f"{call.consumer}\n{key}")
        return decisions.record_for(
            request,
            judged,
            channel=body.channel,
            now=self._clock.now(),
            placed_by=None if call.subject == call.consumer else call.subject,
        )

    async def credit(self, body: CreditRequest, call: CallContext) -> CreditRecord:
        """Answer the record of a credit; what it goes against is decided later."""
        request = body.request
        _one_currency(request)
        customer, name = await self._customer(request)
        _own(call, customer)
        now = self._clock.now()
        lines = tuple(
            AgreedLine(
                decisions.item_as_asked(line.item),
                line.quantity,
                Decimal(0) if line.unit_price is None else line.unit_price.amount,
                "list" if line.unit_price is None else "agreed",
                line.description,
            )
            for line in request.lines
        )
        net = sum(
            (line_amount(line.quantity, line.unit_price, request.currency) for line in lines),
            Decimal(0),
        )
        return CreditRecord(
            channel=body.channel,
            customer=customer,
            customer_name=name,
            currency=request.currency,
            net=rounded(net, request.currency),
            placed_at=now,
            since=now,
            lines=lines,
            order_date=request.order_date,
            po_number=request.po_number,
        )

    async def amendment(self, order: OrderRequest, call: CallContext) -> None:
        """Refuse a corrected order that its caller could not have placed at all."""
        _one_currency(order)
        if call.accounts is not None:
            customer, _ = await self._customer(order)
            _own(call, customer)
        net = sum(
            (
                line_amount(line.quantity, line.unit_price.amount, order.currency)
                for line in order.lines
                if line.unit_price is not None
            ),
            Decimal(0),
        )
        Money(amount=net, currency=order.currency)  # refuses what no system can hold

    async def _customer(self, request: OrderRequest) -> tuple[CustomerId, str]:
        """A credit is only matched to our own orders: it needs no customer's data to be taken."""
        try:
            view = await self._pricing.get_customer(request.customer)
        except ProblemError as refused:
            if refused.problem.slug not in checking.TEMPORARY:
                raise
            return decisions.customer_as_asked(request.customer), ""
        return view.customer.id, view.customer.name

    def _promise(self, request: OrderRequest, checked: checking.Checked) -> Redeemed | None:
        if request.promise is None:
            return None
        if self._promises is None or checked.customer is None:
            raise refuse("promise-invalid")
        answer = checked.validation.price.answer
        items = (
            [decisions.item_as_asked(line.item) for line in request.lines]
            if answer is None
            else [line.item for line in answer.lines]
        )
        return self._promises.redeem(
            request.promise,
            customer=checked.customer.id,
            currency=request.currency,
            wanted=[(i, line.quantity) for i, line in zip(items, request.lines, strict=True)],
            now=self._clock.now(),
        )

    async def _use_up(self, promise: Redeemed, user: str) -> None:
        """Bind a promise to one consumer's key for good: that order may be sent again."""
        expires_at = self._clock.now() + _PROMISE_KEEP
        use = KeptAnswer(
            scope=_PROMISES,
            key=promise.id,
            fingerprint=user,
            status=0,
            headers=b"",
            body=b"",
            expires_at=int(expires_at.timestamp() * 1_000_000),
        )
        await self._journal.store_answer(use)
        first = await self._journal.idempotent_answer(_PROMISES, promise.id)
        if first is None or first.fingerprint != user:
            raise refuse("promise-invalid", detail="This promise was used already.")


def _promised_prices(request: OrderRequest, promise: Redeemed) -> Sequence[Decimal]:
    """The promise's prices; of a promise too long to carry them, those the order names."""
    named = [line.unit_price.amount for line in request.lines if line.unit_price is not None]
    prices = promise.prices or tuple(named)
    if len(prices) != len(request.lines) or (named and tuple(named) != tuple(prices)):
        raise refuse("promise-invalid", detail="The prices are not those that were promised.")
    net = sum(
        (
            line_amount(line.quantity, price, request.currency)
            for line, price in zip(request.lines, prices, strict=True)
        ),
        Decimal(0),
    )
    if net != promise.net_amount:
        raise refuse("promise-invalid", detail="The amount is not the one that was promised.")
    return prices


def _one_currency(request: OrderRequest) -> None:
    faults = tuple(
        Fault(
            pointer=f"/lines/{i}/unitPrice/currency",
            detail=f"{line.unit_price.currency} in an order in {request.currency}",
            allowed=request.currency,
        )
        for i, line in enumerate(request.lines)
        if line.unit_price is not None and line.unit_price.currency != request.currency
    )
    if faults:
        raise refuse("currency-mismatch", errors=faults)


def _own(call: CallContext, customer: str | None) -> None:
    if customer is not None and not call.may_act_for(customer):
        raise refuse("customer-unknown")
