"""What an item costs a customer: the company's price lists, resolved by its best-price rule.

Of the rows that apply (for the customer, the customer's price group, or everybody; in the
document's currency, or in LCY and then converted) the lowest price wins; without any, the item
card's price. The company rounds unit prices to the cent in every currency.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from deploy.sandbox.business_central.amounts import CENT
from deploy.sandbox.business_central.errors import dialog
from deploy.sandbox.world import PriceRule, WorldCurrency

__all__ = ["LCY", "Buyer", "Price", "PriceList"]

LCY = "GBP"


class Buyer(msgspec.Struct, frozen=True):
    """Who asks for a price: the customer's number, price group and the currency of the document."""

    number: str
    price_group: str
    currency: str


class Price(msgspec.Struct, frozen=True):
    """A unit price from ``minimum_quantity`` on. ``listed`` is False for the item card's price."""

    minimum_quantity: Decimal
    unit_price: Decimal
    list_code: str
    listed: bool


class PriceList:
    """Resolves prices from the rules by item."""

    def __init__(
        self,
        rules: Mapping[str, tuple[PriceRule, ...]],
        currencies: Mapping[str, WorldCurrency],
    ) -> None:
        self._rules = rules
        self._currencies = currencies

    def rate(self, currency: str) -> Decimal:
        """What one unit of the currency is worth in LCY.

        Raises:
            BusinessCentralError: the company has no exchange rate for it.
        """
        found = self._currencies.get(currency)
        if found is None:
            raise dialog(
                "There is no Currency Exchange Rate within the filter. "
                f"Filters: Currency Code: {currency}"
            )
        return found.gbp_per_unit

    def converted(self, lcy: Decimal, currency: str) -> Decimal:
        """An LCY price in the currency, rounded to its cent."""
        if currency == LCY:
            return lcy
        return (lcy / self.rate(currency)).quantize(CENT, ROUND_HALF_UP)

    def price(
        self, item: str, card_price: Decimal, buyer: Buyer, quantity: Decimal, on: date
    ) -> Price:
        """The price of this quantity on this day."""
        reached = (row for row in self._rows(item, buyer, on) if row.minimum_quantity <= quantity)
        return _best(reached) or self._card(card_price, buyer)

    def breaks(self, item: str, card_price: Decimal, buyer: Buyer, on: date) -> list[Price]:
        """The price from each quantity on at which it changes, lowest quantity first."""
        rows = list(self._rows(item, buyer, on))
        found: list[Price] = []
        starts = {Decimal(0), *(row.minimum_quantity for row in rows)}
        for start in sorted(starts):
            reached = (row for row in rows if row.minimum_quantity <= start)
            best = _best(reached) or self._card(card_price, buyer)
            if not found or found[-1].unit_price != best.unit_price:
                found.append(msgspec.structs.replace(best, minimum_quantity=start))
        return found

    def _card(self, card_price: Decimal, buyer: Buyer) -> Price:
        return Price(Decimal(0), self.converted(card_price, buyer.currency), "", False)

    def _rows(self, item: str, buyer: Buyer, on: date) -> Iterable[Price]:
        for rule in self._rules.get(item, ()):
            if rule.currency not in {buyer.currency, LCY}:
                continue
            if rule.customer is not None:
                if rule.customer != buyer.number:
                    continue
                code = f"C-{rule.customer}"
            elif rule.customer_group is not None:
                if rule.customer_group != buyer.price_group:
                    continue
                code = f"G-{rule.customer_group}"
            else:
                code = "ALL"
            if (rule.starts is not None and on < rule.starts) or (
                rule.ends is not None and rule.ends < on
            ):
                continue
            price = rule.unit_price
            if rule.currency != buyer.currency:
                price = self.converted(price, buyer.currency)
            yield Price(rule.minimum_quantity, price, f"{code}-{rule.currency}", True)


def _best(rows: Iterable[Price]) -> Price | None:
    return min(rows, key=lambda row: row.unit_price, default=None)
