"""A quote validation, decided over facts: each part for itself, then the verdict over all."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from contracts.canonical.ids import ItemId, number_of
from contracts.canonical.money import Money, money
from contracts.canonical.order import OrderLineRequest
from contracts.canonical.party import Address, Customer
from contracts.canonical.pricing import PricedLine
from contracts.canonical.shapes import Standing
from contracts.canonical.tax import TaxableLine, TaxedSale
from contracts.ports.pricing_credit import (
    AvailabilityAnswer,
    AvailabilityPart,
    CreditPart,
    Eligibility,
    Finding,
    PriceAnswer,
    PricePart,
    QuoteCheck,
    WantedLine,
)
from contracts.problems import Fault
from process_apis.pricing_credit import decisions
from process_apis.pricing_credit.facts import Facts

NOT_ASKED = Standing(freshness="unavailable", source="none", reason="not asked for")
NO_PRICE = Standing(freshness="unavailable", source="none", reason="no price to work it out on")


class Priced(Struct, frozen=True, kw_only=True):
    """The price part and what the other parts need of it."""

    part: PricePart
    faults: tuple[Fault, ...] = ()
    """Items that are known and have no price."""

    @property
    def answer(self) -> PriceAnswer | None:
        """The prices, if there are any."""
        return self.part.answer


def customer_findings(facts: Facts, currency: str | None) -> list[Finding]:
    """Say what of the customer stands against an order in `currency` (None: its own)."""
    if facts.customer.absent:
        return [_customer_finding("customer-unknown", "The ERP has no such customer.")]
    customer = next(iter(facts.customer.values.values()), None)
    if customer is None:
        return []
    if customer.blocked != "none":
        detail = f"{customer.name} is blocked in the ERP ({customer.blocked})."
        return [_customer_finding("customer-blocked", detail)]
    if not customer.address.country:
        return [_customer_finding("customer-ineligible", f"{customer.name} has no country.")]
    if currency is not None and currency != customer.currency:
        fault = Fault(
            pointer="/currency",
            detail=f"{currency} was given; {customer.name} buys in {customer.currency}",
            allowed=customer.currency,
        )
        return [Finding(problem="currency-mismatch", detail=fault.detail, errors=(fault,))]
    return []


def _customer_finding(problem: str, detail: str) -> Finding:
    fault = Fault(pointer="/customer", detail=detail)
    return Finding(problem=problem, detail=detail, errors=(fault,))


def item_findings(facts: Facts) -> list[Finding]:
    """Say which items the ERP does not know, and which may not be sold."""
    found = []
    if facts.items.absent:
        gone = set(facts.items.absent)
        faults = tuple(
            Fault(pointer=f"/lines/{i}/item", detail=f"The ERP has no item {number_of(item)}.")
            for i, item in enumerate(facts.item_ids)
            if item in gone
        )
        found.append(
            Finding(problem="item-unknown", detail=_count(faults, "unknown"), errors=faults)
        )
    values = facts.items.values
    if any(record.blocked for record in values.values()):
        faults = tuple(
            Fault(pointer=f"/lines/{i}/item", detail=f"{values[item].name} is not for sale.")
            for i, item in enumerate(facts.item_ids)
            if item in values and values[item].blocked
        )
        found.append(
            Finding(problem="item-blocked", detail=_count(faults, "not for sale"), errors=faults)
        )
    return found


def _count(faults: Sequence[Fault], what: str) -> str:
    return f"{len(faults)} {'item is' if len(faults) == 1 else 'items are'} {what}."


def eligibility(facts: Facts, findings: Sequence[Finding], now: datetime) -> Eligibility:
    """Put together what stands against customer and items."""
    lacking = facts.customer.lacking or facts.items.lacking
    origins = [facts.customer.as_of, facts.items.as_of]
    known = [origin for origin in origins if origin is not None]
    return Eligibility(
        eligible=not findings,
        faults=tuple(fault for finding in findings for fault in finding.errors),
        standing=decisions.standing(
            "erp",
            firm=facts.customer.firm and facts.items.firm,
            as_of=None if lacking else min(known, default=None),
            now=now,
            reason=facts.customer.reason or facts.items.reason,
        ),
    )


def price(
    facts: Facts,
    lines: Sequence[OrderLineRequest | WantedLine],
    *,
    asked: bool,
    now: datetime,
) -> Priced:
    """Price the lines by the ERP's ladders or, where those are not asked for, as agreed.

    When the ERP gives no answer and there is no copy, prices given by the caller stand in for it,
    as stale ones; without those there is no answer.
    """
    if not asked:
        return Priced(part=_as_agreed(facts, lines, firm=True, now=now))
    ladders = facts.ladders
    if ladders is None or ladders.lacking or facts.customer_id is None:
        reason = None if ladders is None else ladders.reason
        return Priced(part=_as_agreed(facts, lines, firm=False, now=now, reason=reason))
    priced: list[PricedLine] = []
    unpriced: list[Fault] = []
    for i, (item, line) in enumerate(zip(facts.item_ids, lines, strict=True)):
        ladder, record = facts.ladder(item), facts.items.values.get(item)
        if ladder is not None:
            priced.append(decisions.priced_line(line.quantity, ladder, record))
        elif record is not None:
            unpriced.append(Fault(pointer=f"/lines/{i}/item", detail=f"{item} has no price."))
    standing = decisions.standing(
        "erp", firm=ladders.firm, as_of=ladders.as_of, now=now, reason=ladders.reason
    )
    if len(priced) < len(lines):
        return Priced(part=PricePart(standing=standing), faults=tuple(unpriced))
    mismatches = tuple(
        fault
        for i, (line, right) in enumerate(zip(lines, priced, strict=True))
        if (fault := decisions.price_fault(i, line.unit_price, right)) is not None
    )
    answer = _answer(facts, priced, priced[0].unit_price.currency, standing)
    return Priced(part=PricePart(standing=standing, answer=answer, mismatches=mismatches))


def _as_agreed(
    facts: Facts,
    lines: Sequence[OrderLineRequest | WantedLine],
    *,
    firm: bool,
    now: datetime,
    reason: str | None = None,
) -> PricePart:
    given = [line.unit_price for line in lines]
    prices = [given_price for given_price in given if given_price is not None]
    currencies = {given_price.currency for given_price in prices}
    missing = len(prices) < len(lines) or len(currencies) != 1 or facts.customer_id is None
    standing = decisions.standing(
        "caller", firm=firm, as_of=None if missing else now, now=now, reason=reason or "no price"
    )
    if missing:
        return PricePart(standing=standing)
    priced = [
        decisions.agreed_line(item, line.quantity, agreed, facts.items.values.get(item))
        for item, line, agreed in zip(facts.item_ids, lines, prices, strict=True)
    ]
    return PricePart(standing=standing, answer=_answer(facts, priced, prices[0].currency, standing))


def _answer(
    facts: Facts, priced: Sequence[PricedLine], currency: str, standing: Standing
) -> PriceAnswer | None:
    if facts.customer_id is None:
        return None
    return PriceAnswer(
        customer=facts.customer_id,
        currency=currency,
        lines=tuple(priced),
        net_amount=decisions.total(priced, currency),
        standing=standing,
    )


def sale(
    facts: Facts, answer: PriceAnswer, customer: Customer, ship_to: Address | None, origin: str
) -> TaxedSale:
    """Describe a sale as tax sees it; without `ship_to` it goes to the customer's address."""
    place = ship_to or customer.address
    items = facts.items.values
    return TaxedSale(
        ship_to_country=place.country,
        ship_to_state=place.state,
        ship_from_country=origin,
        currency=answer.currency,
        vat_id=customer.vat_id,
        lines=tuple(
            TaxableLine(
                item=line.item,
                quantity=line.quantity,
                net_amount=line.net_amount,
                tax_group=items[line.item].tax_group if line.item in items else None,
            )
            for line in answer.lines
        ),
    )


def availability(facts: Facts, quantities: Sequence[Decimal], now: datetime) -> AvailabilityPart:
    """Tell what can be shipped now."""
    stock = facts.stock
    if stock is None:
        return AvailabilityPart(standing=NOT_ASKED)
    standing = decisions.standing(
        "wms",
        firm=stock.firm,
        as_of=None if stock.lacking else stock.as_of,
        now=now,
        reason=stock.reason,
    )
    if standing.freshness == "unavailable":
        return AvailabilityPart(standing=standing)
    wanted: list[tuple[ItemId, Decimal]] = list(zip(facts.item_ids, quantities, strict=True))
    lines = decisions.availability(wanted, stock.values)
    answer = AvailabilityAnswer(
        lines=lines,
        sufficient=all(line.sufficient for line in lines),
        warehouse=decisions.one_warehouse(wanted, stock.values),
        standing=standing,
    )
    return AvailabilityPart(standing=standing, answer=answer)


def waiting_findings(
    facts: Facts, priced: Priced, credit: CreditPart, stock: AvailabilityPart
) -> list[Finding]:
    """Say what stands against a quote beside customer and items."""
    found = []
    if priced.faults:
        found.append(
            Finding(
                problem="item-unknown",
                detail=_count(priced.faults, "without a price"),
                errors=priced.faults,
            )
        )
    if priced.part.mismatches:
        wrong = len(priced.part.mismatches)
        detail = f"{wrong} {'price differs' if wrong == 1 else 'prices differ'} from the ERP's."
        found.append(
            Finding(problem="price-mismatch", detail=detail, errors=priced.part.mismatches)
        )
    if credit.decision is not None and credit.decision.verdict in {"over-limit", "overdue"}:
        found.append(Finding(problem="credit-limit-exceeded", detail=credit_words(credit)))
    if stock.answer is not None and not stock.answer.sufficient:
        short = tuple(
            Fault(
                pointer=f"/lines/{i}/quantity",
                detail=f"{line.available:f} of {line.requested:f} can be shipped now",
                allowed=f"{line.available:f}",
            )
            for i, line in enumerate(stock.answer.lines)
            if not line.sufficient and line.item not in facts.items.absent
        )
        if not short:
            return found
        found.append(
            Finding(
                problem="stock-insufficient",
                detail=_count(short, "short of stock"),
                errors=short,
            )
        )
    return found


def credit_words(credit: CreditPart) -> str:
    """Explain a credit verdict with its figures."""
    decision = credit.decision
    if decision is None:
        return "The credit position is not known."
    if decision.verdict == "overdue":
        return f"{decision.overdue} is overdue."
    return (
        f"With this the customer would owe {decision.exposure_after}; "
        f"the limit is {decision.limit or 'none'}."
    )


def amounts(answer: PriceAnswer | None, tax: Money | None) -> tuple[Money | None, Money | None]:
    """Net and gross of a quote; None for what is not known."""
    if answer is None:
        return None, None
    net = answer.net_amount
    gross = None if tax is None else money(net.amount + tax.amount, net.currency)
    return net, gross


def parts_asked(body: QuoteCheck, standings: dict[str, Standing]) -> list[Standing]:
    """The standings that count for the verdict: those of the parts that were asked for."""
    return [standing for part, standing in standings.items() if part in body.parts]
