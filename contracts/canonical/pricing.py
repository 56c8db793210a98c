"""Prices: the ladder the ERP resolves for a customer and an item, and the price of a line."""

from decimal import Decimal
from typing import Literal

from contracts.canonical.ids import CustomerId, ItemId
from contracts.canonical.money import Money
from contracts.canonical.shapes import Canonical, Instant, Quantity

PriceBasis = Literal["list", "customer", "agreed"]


class PriceStep(Canonical, frozen=True, kw_only=True):
    """From `minimum_quantity` pieces on, one piece costs `unit_price` net of discounts."""

    minimum_quantity: Quantity
    unit_price: Money
    basis: PriceBasis
    price_list: str | None = None


class PriceLadder(Canonical, frozen=True, kw_only=True):
    """Every price break of one item for one customer, lowest quantity first.

    The ERP resolved each step by its own best-price rule; picking the step for a quantity is all
    that is left to do.
    """

    customer: CustomerId
    item: ItemId
    unit_of_measure: str
    list_price: Money
    steps: tuple[PriceStep, ...]
    as_of: Instant

    def step_for(self, quantity: Decimal) -> PriceStep:
        """Answer the step whose minimum is the largest one not above `quantity`."""
        chosen = self.steps[0]
        for step in self.steps:
            if step.minimum_quantity <= quantity:
                chosen = step
        return chosen


class PricedLine(Canonical, frozen=True, kw_only=True):
    """One line of a price answer.

    `description` is the item's name; its number while the name is not known.
    """

    item: ItemId
    description: str
    quantity: Quantity
    unit_price: Money
    list_price: Money
    net_amount: Money
    basis: PriceBasis
    price_list: str | None = None
    unit_of_measure: str | None = None
    next_break: PriceStep | None = None
    """The next quantity break, so that a rep can offer it."""
