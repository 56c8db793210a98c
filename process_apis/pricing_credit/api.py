"""pricing-credit: the port, implemented over copies of what ERP, warehouse and CRM hold."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import structs

from contracts.canonical.credit import CreditPosition
from contracts.canonical.ids import CustomerId, ItemId
from contracts.canonical.money import Money, rounded
from contracts.canonical.order import OrderLineRequest
from contracts.canonical.party import Customer
from contracts.canonical.shapes import Standing
from contracts.canonical.stock import StockPosition
from contracts.canonical.tax import TaxedSale
from contracts.context import current
from contracts.outcomes import CallFailedError
from contracts.ports.pricing_credit import (
    AvailabilityAnswer,
    AvailabilityCheck,
    CreditAnswer,
    CreditCheck,
    CreditPart,
    CustomerView,
    Finding,
    PriceAnswer,
    PriceCheck,
    QuoteCheck,
    QuoteValidation,
    TaxAnswer,
    TaxCheck,
    TaxPart,
    WantedLine,
)
from contracts.ports.tax import Tax
from contracts.problems import ProblemError, refuse
from process_apis.pricing_credit import decisions, facts, validation
from process_apis.pricing_credit.copies import Found
from process_apis.pricing_credit.facts import Facts
from process_apis.pricing_credit.promises import PromisedLine, Promises
from process_apis.pricing_credit.records import Records
from process_apis.pricing_credit.settings import PricingSettings
from runtime.clock import Clock

Exposure = Callable[[CreditPosition], Awaitable[Decimal]]
"""What a customer's accepted orders come to, in company currency, that an ERP position does not
count yet."""


async def no_exposure(_position: CreditPosition) -> Decimal:
    """Count nothing beside what the ERP counts."""
    return Decimal(0)


Reserved = Callable[
    [Mapping[ItemId, StockPosition]], Awaitable[Mapping[ItemId, Mapping[str, Decimal]] | None]
]
"""What of positions is promised already, by item and warehouse; None: nobody can say now."""


async def nothing_reserved(
    _positions: Mapping[ItemId, StockPosition],
) -> Mapping[ItemId, Mapping[str, Decimal]]:
    """Promise whatever the warehouse has."""
    return {}


class PricingCreditApi:
    """Implements `contracts.ports.pricing_credit.PricingCredit`.

    `nonce` answers a text never answered before; it makes promises single-use. Without
    `promises` validations carry none.
    """

    def __init__(
        self,
        *,
        records: Records,
        tax: Tax,
        settings: PricingSettings,
        clock: Clock,
        promises: Promises | None,
        nonce: Callable[[], str],
        exposure: Exposure = no_exposure,
        reserved: Reserved = nothing_reserved,
    ) -> None:
        self._records = records
        self._tax = tax
        self._settings = settings
        self._clock = clock
        self._promises = promises
        self._nonce = nonce
        self._exposure = exposure
        self._reserved = reserved

    async def get_customer(self, reference: str) -> CustomerView:
        """Answer a customer by any of its names; refuses customer-unknown."""
        _, found = await facts.customer_found(self._records, reference, self._deadline())
        return CustomerView(
            customer=_customer(found), standing=self._standing("erp", found, self._clock.now())
        )

    async def check_prices(self, body: PriceCheck) -> PriceAnswer:
        """Price lines; refuses unknown or blocked customers and items, and another currency."""
        known = await self._facts(body.customer, body.lines, ("price",), body)
        return self._prices(known, body.lines, body.currency)

    async def check_credit(self, body: CreditCheck) -> CreditAnswer:
        """Decide on one more amount.

        Refuses customer-unknown, currency-mismatch (nobody knows a rate), upstream-unavailable.
        """
        known = await self._facts(body.customer, (), ("credit",), None)
        customer = _customer(known.customer)
        currency = body.amount.currency
        rate, found = await self._rate(currency, self._settings.company_currency)
        if rate is None and not found.lacking:
            raise refuse("currency-mismatch", detail=f"There is no exchange rate for {currency}.")
        part = await self._credit(known, customer, body.amount)
        if part.decision is None:
            raise refuse("upstream-unavailable", retry_after=2, system=part.standing.source)
        return CreditAnswer(customer=customer.id, decision=part.decision, standing=part.standing)

    async def check_availability(self, body: AvailabilityCheck) -> AvailabilityAnswer:
        """Tell what can be shipped; refuses item-unknown, upstream-unavailable."""
        known = await facts.items_found(
            self._records, [line.item for line in body.lines], ("availability",), self._deadline()
        )
        _refuse_any(validation.item_findings(known))
        known = await self._less_reserved(known)
        quantities = [line.quantity for line in body.lines]
        part = validation.availability(known, quantities, self._clock.now())
        if part.answer is None:
            raise refuse("upstream-unavailable", retry_after=2, system="wms")
        return part.answer

    async def check_tax(self, body: TaxCheck) -> TaxAnswer:
        """Work out the tax; refuses as `check_prices` does."""
        known = await self._facts(body.customer, body.lines, ("price",), None)
        answer = self._prices(known, body.lines, body.currency)
        customer = _customer(known.customer)
        sale = validation.sale(
            known, answer, customer, body.ship_to, self._settings.ship_from_country
        )
        part = await self._assess(sale, answer.standing)
        if part.assessment is None:
            raise refuse("upstream-unavailable", retry_after=2, system="tax")
        return TaxAnswer(
            customer=customer.id,
            assessment=part.assessment,
            net_amount=answer.net_amount,
            standing=part.standing,
        )

    async def validate_quote(self, body: QuoteCheck) -> QuoteValidation:
        """Check everything at once, by the caller's deadline. Never fails for a system's sake."""
        known = await self._facts(body.customer, body.lines, body.parts, body)
        now = self._clock.now()
        findings = validation.customer_findings(known, body.currency)
        findings += validation.item_findings(known)
        eligible = validation.eligibility(known, findings, now)
        priced = validation.price(known, body.lines, asked="price" in body.parts, now=now)
        customer = next(iter(known.customer.values.values()), None)
        tax = await self._tax_part(known, priced, customer, body)
        total = None if tax.assessment is None else tax.assessment.total
        net, gross = validation.amounts(priced.answer, total)
        credit = await self._credit_part(known, customer, gross or net, body)
        known = await self._less_reserved(known)
        stock = validation.availability(known, [line.quantity for line in body.lines], now)
        findings += validation.waiting_findings(known, priced, credit, stock)
        standings = {
            "price": priced.part.standing,
            "credit": credit.standing,
            "tax": tax.standing,
            "availability": stock.standing,
        }
        verdict = decisions.verdict(
            (finding.problem for finding in findings),
            [eligible.standing, *validation.parts_asked(body, standings)],
        )
        unknown = known.customer.absent or known.customer_id is None
        answer = QuoteValidation(
            verdict=verdict,
            customer=None if unknown else known.customer_id,
            currency=body.currency if customer is None else customer.currency,
            price=priced.part,
            credit=credit,
            tax=tax,
            availability=stock,
            eligibility=eligible,
            findings=tuple(findings),
            net_amount=net,
            tax_amount=total,
            gross_amount=gross,
        )
        return self._promised(answer, now) if "price" in body.parts else answer

    def _promised(self, answer: QuoteValidation, now: datetime) -> QuoteValidation:
        prices = answer.price.answer
        if self._promises is None or answer.verdict != "ready" or prices is None:
            return answer
        token, expires_at = self._promises.make(
            customer=prices.customer,
            currency=prices.currency,
            lines=[
                PromisedLine(
                    item=line.item, quantity=line.quantity, unit_price=line.unit_price.amount
                )
                for line in prices.lines
            ],
            net_amount=prices.net_amount.amount,
            nonce=self._nonce(),
            now=now,
        )
        return QuoteValidation(
            verdict=answer.verdict,
            customer=answer.customer,
            currency=answer.currency,
            price=answer.price,
            credit=answer.credit,
            tax=answer.tax,
            availability=answer.availability,
            eligibility=answer.eligibility,
            findings=answer.findings,
            net_amount=answer.net_amount,
            tax_amount=answer.tax_amount,
            gross_amount=answer.gross_amount,
            promise=token,
            promise_expires_at=expires_at,
        )

    async def _facts(
        self,
        customer: str,
        lines: Iterable[OrderLineRequest | WantedLine],
        parts: Iterable[str],
        body: PriceCheck | QuoteCheck | None,
    ) -> Facts:
        return await facts.read(
            self._records,
            customer=customer,
            items=[line.item for line in lines],
            parts=tuple(parts),
            on=None if body is None else body.on,
            deadline=self._deadline(),
        )

    async def _less_reserved(self, known: Facts) -> Facts:
        """Take off the stock what is promised already; if nobody can say, the stock is stale."""
        stock = known.stock
        if stock is None or not stock.values:
            return known
        reserved = await self._reserved(stock.values)
        if reserved is None:
            reason = stock.reason or "what is promised already cannot be read"
            return structs.replace(known, stock=structs.replace(stock, firm=False, reason=reason))
        if not reserved:
            return known
        left = decisions.less_reserved(stock.values, reserved)
        return structs.replace(known, stock=structs.replace(stock, values=left))

    def _prices(
        self, known: Facts, lines: tuple[WantedLine, ...], currency: str | None
    ) -> PriceAnswer:
        _customer(known.customer)
        _refuse_any(validation.customer_findings(known, currency))
        _refuse_any(validation.item_findings(known))
        priced = validation.price(known, lines, asked=True, now=self._clock.now())
        if priced.faults:
            raise refuse("item-unknown", errors=priced.faults)
        if priced.answer is None or priced.part.standing.source != "erp":
            raise refuse("upstream-unavailable", retry_after=2, system="erp")
        return priced.answer

    async def _tax_part(
        self,
        known: Facts,
        priced: validation.Priced,
        customer: Customer | None,
        body: QuoteCheck,
    ) -> TaxPart:
        if "tax" not in body.parts:
            return TaxPart(standing=validation.NOT_ASKED)
        if priced.answer is None or customer is None:
            return TaxPart(standing=validation.NO_PRICE)
        sale = validation.sale(
            known, priced.answer, customer, body.ship_to, self._settings.ship_from_country
        )
        return await self._assess(sale, priced.part.standing)

    async def _assess(self, sale: TaxedSale, price: Standing) -> TaxPart:
        """Ask the tax engine; an assessment on a stale price is stale itself."""
        try:
            async with asyncio.timeout(self._deadline() - self._clock.monotonic()):
                assessment = await self._tax.assess(sale)
        except (CallFailedError, TimeoutError):
            reason = "the tax engine does not answer"
            return TaxPart(standing=Standing(freshness="unavailable", source="tax", reason=reason))
        now = self._clock.now()
        firm = price.freshness == "firm"
        standing = decisions.standing(
            "tax", firm=firm, as_of=now if firm else price.as_of, now=now, reason=price.reason
        )
        return TaxPart(standing=standing, assessment=assessment)

    async def _credit_part(
        self, known: Facts, customer: Customer | None, amount: Money | None, body: QuoteCheck
    ) -> CreditPart:
        if "credit" not in body.parts:
            return CreditPart(standing=validation.NOT_ASKED)
        if amount is None:
            return CreditPart(standing=validation.NO_PRICE)
        return await self._credit(known, customer, amount)

    async def _credit(self, known: Facts, customer: Customer | None, amount: Money) -> CreditPart:
        own = self._settings.company_currency
        now = self._clock.now()
        rate, rate_found = await self._rate(amount.currency, own)
        position: CreditPosition | None = None
        if known.position is not None and known.customer_id is not None:
            position = known.position.values.get(known.customer_id)
        if rate is None or known.position is None:
            return CreditPart(standing=self._standing("erp", rate_found, now))
        requested = decisions.in_company_currency(amount, rate, own)
        if position is None:
            standing = self._standing("erp", known.position, now)
            if customer is None or customer.credit_limit is not None:
                return CreditPart(standing=standing)
            # Nothing the ERP could answer would refuse a customer without a limit.
            standing = self._standing("erp", known.customer, now)
            return CreditPart(standing=standing, decision=decisions.unlimited(customer, requested))
        decision = decisions.credit_decision(
            position,
            requested,
            unseen=rounded(await self._exposure(position), own),
            overdue_tolerated=self._settings.overdue_tolerated,
        )
        return CreditPart(
            standing=decisions.standing(
                "erp",
                firm=known.position.firm and rate_found.firm,
                as_of=min(position.as_of, known.position.as_of or position.as_of),
                now=now,
                reason=known.position.reason or rate_found.reason,
            ),
            decision=decision,
        )

    async def _rate(self, currency: str, own: str) -> tuple[Decimal | None, Found[str, object]]:
        if currency == own:
            return Decimal(1), Found(values={}, as_of=self._clock.now())
        found = await self._records.rates.get((currency,), self._deadline())
        known = found.values.get(currency)
        answer: Found[str, object] = Found(
            values={},
            lacking=found.lacking,
            firm=found.firm,
            as_of=found.as_of,
            reason=found.reason or (None if known else f"no exchange rate for {currency}"),
        )
        return None if known is None else known.rate, answer

    def _standing(self, source: str, found: Found[Any, Any], now: datetime) -> Standing:
        return decisions.standing(
            source,
            firm=found.firm,
            as_of=None if found.lacking else found.as_of,
            now=now,
            reason=found.reason,
        )

    def _deadline(self) -> float:
        """The monotonic instant by which facts must be in, with time left to answer."""
        own = self._clock.monotonic() + self._settings.check_budget
        theirs = current().deadline
        if theirs is None:
            return own
        return min(own, theirs) - self._settings.answer_reserve


def _customer(found: Found[CustomerId, Customer]) -> Customer:
    for customer in found.values.values():
        return customer
    if found.absent:
        raise refuse("customer-unknown")
    raise refuse("upstream-unavailable", retry_after=2, system="erp")


def _refuse_any(findings: Iterable[Finding]) -> None:
    for finding in findings:
        raise _refusal(finding)


def _refusal(finding: Finding) -> ProblemError:
    return refuse(finding.problem, detail=finding.detail, errors=finding.errors)
