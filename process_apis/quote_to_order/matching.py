"""Matching a credit to what was sold: by customer and item, with enough left, never a guess."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

from process_apis.quote_to_order.history import Claim, SoldOrder
from process_apis.quote_to_order.records import AgreedLine, Match

Taken = Mapping[tuple[str, int], Decimal]
"""How much of each order line (order, line number) earlier credits have taken."""


def taken_by(claims: Iterable[Claim]) -> dict[tuple[str, int], Decimal]:
    """Add up what credits have taken of each order line."""
    taken: dict[tuple[str, int], Decimal] = {}
    for claim in claims:
        for match in claim.matches:
            place = (match.order, match.line)
            taken[place] = taken.get(place, Decimal(0)) + match.quantity
    return taken


def match(
    wanted: Sequence[AgreedLine],
    orders: Sequence[SoldOrder],
    claims: Iterable[Claim],
    *,
    currency: str,
    before: date | None,
) -> tuple[tuple[Match, ...], tuple[int, ...]]:
    """Match every line to one line of one earlier order.

    A line goes against an order that has as much of the item left and did not sell it for less:
    first one with the very price, then the newest. Answers the matches and the indexes of lines
    that nothing fits; if there are any, nothing of the credit may be posted.
    """
    taken = taken_by(claims)
    earlier = [
        order
        for order in orders
        if order.currency == currency
        and order.state != "cancelled"
        and (before is None or order.order_date is None or order.order_date <= before)
    ]
    earlier.sort(key=lambda order: (order.order_date or date.min, order.id), reverse=True)
    matches: list[Match] = []
    unmatched: list[int] = []
    for index, line in enumerate(wanted):
        found = _find(line, earlier, taken)
        if found is None:
            unmatched.append(index)
            continue
        matches.append(found)
        place = (found.order, found.line)
        taken[place] = taken.get(place, Decimal(0)) + found.quantity
    return tuple(matches), tuple(unmatched)


def _find(line: AgreedLine, orders: Sequence[SoldOrder], taken: Taken) -> Match | None:
    second: Match | None = None
    for order in orders:
        for number, sold in enumerate(order.lines, 1):
            if sold.item != line.item or sold.unit_price < line.unit_price:
                continue
            left = sold.quantity - taken.get((order.id, number), Decimal(0))
            if left < line.quantity:
                continue
            price = line.unit_price if line.basis == "agreed" else sold.unit_price
            found = Match(
                line.item, line.quantity, price, order.id, order.reference, number, sold.unit_price
            )
            if sold.unit_price == line.unit_price:
                return found
            second = second or found
    return second


Contest = Literal["clear", "wait", "outrun"]


def contest(mine: str, claims: Sequence[Claim], orders: Sequence[SoldOrder]) -> Contest:
    """Look, after claiming, whether credits that decided at the same moment took too much.

    Against an older claim, or one that may be posted already, this one gives way (`outrun`) and
    matches anew. A younger claim gives way itself, unless it looked before this one was made and
    goes on to be posted: so it is waited for (`wait`) until it has done either.
    """
    own = next((claim for claim in claims if claim.id == mine), None)
    if own is None:
        return "clear"
    sold = {
        (order.id, number): line.quantity
        for order in orders
        for number, line in enumerate(order.lines, 1)
    }
    before = taken_by(c for c in claims if c.id <= mine or c.state in {"credited", "stopped"})
    everything = taken_by(claims)
    places = [(match.order, match.line) for match in own.matches]
    if any(before[place] > sold.get(place, Decimal(0)) for place in places):
        return "outrun"
    if any(everything[place] > sold.get(place, Decimal(0)) for place in places):
        return "wait"
    return "clear"
