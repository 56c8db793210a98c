"""What is decided about price, credit and stock: values in, a value out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import structs

from contracts.canonical.credit import CreditDecision, CreditPosition, CreditVerdict
from contracts.canonical.ids import ItemId
from contracts.canonical.item import Item
from contracts.canonical.money import Money, line_amount, rounded, zero
from contracts.canonical.party import Customer
from contracts.canonical.pricing import PricedLine, PriceLadder
from contracts.canonical.shapes import Standing
from contracts.canonical.stock import LineAvailability, StockPosition
from contracts.ports.pricing_credit import QuoteVerdict
from contracts.problems import Fault

REFUSING = frozenset(
    {
        "customer-unknown",
        "customer-blocked",
        "customer-ineligible",
        "item-unknown",
        "item-blocked",
        "currency-mismatch",
        "price-mismatch",
    }
)
"""Findings with which a quote cannot be ordered as it is. The other ones only make it wait."""


def priced_line(quantity: Decimal, ladder: PriceLadder, record: Item | None) -> PricedLine:
    """Price a quantity by the ERP's ladder, and name the next break for the rep to offer."""
    step = ladder.step_for(quantity)
    price = step.unit_price
    following = next((s for s in ladder.steps if s.minimum_quantity > quantity), None)
    return PricedLine(
        item=ladder.item,
        description=_named(ladder.item, record),
        quantity=quantity,
        unit_price=price,
        list_price=ladder.list_price,
        net_amount=Money(
            amount=line_amount(quantity, price.amount, price.currency), currency=price.currency
        ),
        basis=step.basis,
        price_list=step.price_list,
        unit_of_measure=ladder.unit_of_measure,
        next_break=following,
    )


def agreed_line(item: ItemId, quantity: Decimal, price: Money, record: Item | None) -> PricedLine:
    """Take the price given as agreed."""
    return PricedLine(
        item=item,
        description=_named(item, record),
        quantity=quantity,
        unit_price=price,
        list_price=price if record is None else record.list_price,
        net_amount=Money(
            amount=line_amount(quantity, price.amount, price.currency), currency=price.currency
        ),
        basis="agreed",
        unit_of_measure=None if record is None else record.unit_of_measure,
    )


def _named(item: ItemId, record: Item | None) -> str:
    return item.removeprefix("item_") if record is None else record.name


def total(lines: Iterable[PricedLine], currency: str) -> Money:
    """Sum the rounded lines."""
    amount = sum((line.net_amount.amount for line in lines), Decimal(0))
    return Money(amount=rounded(amount, currency), currency=currency)


def price_fault(index: int, given: Money | None, right: PricedLine) -> Fault | None:
    """Say where a price given differs from the price the ERP has; None when it does not."""
    if given is None or given == right.unit_price:
        return None
    return Fault(
        pointer=f"/lines/{index}/unitPrice",
        detail=f"{given} was given; the price for {right.quantity} is {right.unit_price}",
        allowed=str(right.unit_price),
    )


def credit_decision(
    position: CreditPosition,
    requested: Money,
    *,
    unseen: Decimal,
    overdue_tolerated: Decimal | None,
) -> CreditDecision:
    """Decide whether a customer may owe `requested` more, all in the company's own currency.

    `unseen` is what we accepted and the ERP did not count yet when it gave the position.
    """
    own = requested.currency
    exposure = Money(amount=position.exposure.amount + unseen, currency=own)
    after = exposure + requested
    limit = position.limit
    verdict: CreditVerdict = "approved"
    if position.blocked != "none":
        verdict = "blocked"
    elif limit is not None and after.amount > limit.amount:
        verdict = "over-limit"
    elif overdue_tolerated is not None and position.overdue.amount > overdue_tolerated:
        verdict = "overdue"
    return CreditDecision(
        verdict=verdict,
        requested=requested,
        exposure_after=after,
        limit=limit,
        available=None if limit is None else limit - exposure,
        overdue=position.overdue,
    )


def unlimited(customer: Customer, requested: Money) -> CreditDecision:
    """Approve an unblocked customer that has no limit: no figure of the ERP could change that."""
    none = zero(requested.currency)
    return CreditDecision(
        verdict="approved",
        requested=requested,
        exposure_after=requested,
        limit=customer.credit_limit,
        available=None,
        overdue=none,
    )


def in_company_currency(amount: Money, rate: Decimal, own: str) -> Money:
    """Convert at `rate` units of the company's currency for one of the amount's."""
    return Money(amount=rounded(amount.amount * rate, own), currency=own)


def availability(
    wanted: Sequence[tuple[ItemId, Decimal]], positions: Mapping[ItemId, StockPosition]
) -> tuple[LineAvailability, ...]:
    """Tell for each line what can be shipped now; lines of one item share its stock in order."""
    left: dict[ItemId, dict[str, Decimal]] = {}
    lines = []
    for item, quantity in wanted:
        stock = left.get(item)
        if stock is None:
            position = positions.get(item)
            places = () if position is None else position.places
            stock = left[item] = {place.warehouse: place.available for place in places}
        available = sum(stock.values(), Decimal(0))
        alone = max(stock, key=lambda place: stock[place], default=None)
        if alone is not None and stock[alone] < quantity:
            alone = None
        _take(stock, quantity, alone)
        lines.append(
            LineAvailability(
                item=item,
                requested=quantity,
                available=min(available, quantity),
                warehouse=alone,
                sufficient=available >= quantity,
            )
        )
    return tuple(lines)


def less_reserved(
    positions: Mapping[ItemId, StockPosition], reserved: Mapping[ItemId, Mapping[str, Decimal]]
) -> Mapping[ItemId, StockPosition]:
    """Take off each position what is promised of it already; nothing goes below zero."""
    left = dict(positions)
    for item, kept in reserved.items():
        position = left[item]
        places = tuple(
            structs.replace(
                place,
                available=max(Decimal(0), place.available - kept.get(place.warehouse, Decimal(0))),
            )
            for place in position.places
        )
        left[item] = structs.replace(position, places=places)
    return left


def one_warehouse(
    wanted: Sequence[tuple[ItemId, Decimal]], positions: Mapping[ItemId, StockPosition]
) -> str | None:
    """Name a warehouse that can ship everything alone; None when there is none."""
    needs: dict[ItemId, Decimal] = {}
    for item, quantity in wanted:
        needs[item] = needs.get(item, Decimal(0)) + quantity
    able: set[str] | None = None
    for item, quantity in needs.items():
        position = positions.get(item)
        places = () if position is None else position.places
        here = {place.warehouse for place in places if place.available >= quantity}
        able = here if able is None else able & here
        if not able:
            return None
    return min(able) if able else None


def _take(stock: dict[str, Decimal], quantity: Decimal, first: str | None) -> None:
    places = [first] if first is not None else sorted(stock, key=lambda place: -stock[place])
    for place in places:
        taken = min(stock[place], quantity)
        stock[place] -= taken
        quantity -= taken


def standing(
    source: str,
    *,
    firm: bool,
    as_of: datetime | None,
    now: datetime,
    reason: str | None = None,
) -> Standing:
    """Say how far an answer can be trusted; without an origin it is not available."""
    if as_of is None:
        return Standing(freshness="unavailable", source=source, reason=reason)
    age = max(0.0, (now - as_of).total_seconds())
    return Standing(
        freshness="firm" if firm else "stale",
        source=source,
        as_of=as_of,
        age_seconds=round(age, 3),
        reason=None if firm else reason,
    )


def verdict(problems: Iterable[str], standings: Iterable[Standing]) -> QuoteVerdict:
    """Weigh what stands against a quote, and how firm the answers are."""
    found = set(problems)
    if found & REFUSING:
        return "refused"
    if found:
        return "held"
    if all(s.freshness == "firm" for s in standings):
        return "ready"
    return "provisional"
