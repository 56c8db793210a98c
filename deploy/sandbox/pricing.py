"""What the seeded world means by a customer's price: the best one that any list gives."""

from datetime import date
from decimal import Decimal

from deploy.sandbox.world import World, WorldCustomer, WorldItem

__all__ = ["best_price"]

PENNY = Decimal("0.01")


def best_price(
    world: World, customer: WorldCustomer, item: WorldItem, quantity: int, on: date
) -> Decimal:
    """The unit price of this quantity in the customer's currency, rounded to its cent.

    The lowest of the rows that apply (customer, group, everybody; GBP rows converted at the world's
    rate) and, when none applies, the list price.
    """
    rate = world.currencies[customer.currency].gbp_per_unit
    offers = [
        rule.unit_price if rule.currency == customer.currency else rule.unit_price / rate
        for rule in world.price_rules.get(item.number, ())
        if rule.minimum_quantity <= quantity
        and rule.currency in {customer.currency, "GBP"}
        and rule.customer in {None, customer.number}
        and rule.customer_group in {None, customer.price_group}
        and (rule.starts is None or rule.starts <= on)
        and (rule.ends is None or on <= rule.ends)
    ]
    return min(offers, default=item.unit_price / rate).quantize(PENNY)
