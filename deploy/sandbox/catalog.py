"""The catalogue of the sandbox: which customers, items and deals to try things with, and why."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from deploy.sandbox.world import Deal, PriceRule, World, WorldCustomer, WorldItem

__all__ = ["catalog"]

NEAR = 97  # percent of the credit limit


def catalog(world: World) -> dict[str, Any]:
    """A small sample of the world in tidy words; parts that the world lacks are left out."""
    return {
        "world": {
            "source": world.source,
            "items": len(world.items),
            "customers": len(world.customers),
            "priceRules": sum(len(rules) for rules in world.price_rules.values()),
            "deals": len(world.deals),
            "warehouses": {w.code: f"{w.city}, {w.country}" for w in world.warehouses.values()},
        },
        "customers": _customers(world),
        "items": _items(world),
        "deals": [_deal(deal) for deal in _open_deals(world)],
    }


def _customers(world: World) -> dict[str, dict[str, Any]]:
    wanted: dict[str, Callable[[WorldCustomer], bool]] = {
        "good": lambda c: _is_good(c) and c.country == "GB",
        "goodEuro": lambda c: _is_good(c) and c.currency == "EUR",
        "reverseCharge": lambda c: _is_good(c) and c.tax_area == "EU-RC",
        "europeanWithoutVatId": lambda c: _is_good(c) and c.tax_area == f"EU-{c.country}",
        "unitedStates": lambda c: _is_good(c) and c.country == "US",
        "keyAccount": lambda c: _is_good(c) and c.price_group == "KEY",
        "nearCreditLimit": lambda c: _used(c, NEAR) and not _used(c, 100) and not c.blocked,
        "overCreditLimit": lambda c: _used(c, 100) and not c.blocked,
        "overdue": lambda c: bool(c.overdue) and not c.blocked and not _used(c, NEAR),
        "blockedAll": lambda c: c.blocked == "All",
        "blockedShip": lambda c: c.blocked == "Ship",
        "blockedInvoice": lambda c: c.blocked == "Invoice",
    }
    found = {}
    for why, fits in wanted.items():
        customer = next(filter(fits, world.customers.values()), None)
        if customer is not None:
            found[why] = _customer(customer)
    return found


def _is_good(customer: WorldCustomer) -> bool:
    return not customer.blocked and not customer.overdue and not _used(customer, 90)


def _used(customer: WorldCustomer, percent: int) -> bool:
    limit = customer.credit_limit
    return bool(limit) and customer.balance * 100 >= limit * percent


def _customer(customer: WorldCustomer) -> dict[str, Any]:
    return {
        "number": customer.number,
        "name": customer.name,
        "country": customer.country,
        "state": customer.state or None,
        "currency": customer.currency,
        "vatId": customer.vat_id,
        "taxArea": customer.tax_area,
        "priceGroup": customer.price_group or None,
        "creditLimit": customer.credit_limit,
        "balance": customer.balance,
        "overdue": customer.overdue,
        "blocked": customer.blocked or None,
        "salesforceAccountId": customer.salesforce_account_id,
    }


def _items(world: World) -> dict[str, dict[str, Any]]:
    def has_breaks(item: WorldItem) -> bool:
        return any(r.minimum_quantity > 1 for r in world.price_rules.get(item.number, ()))

    def sells(item: WorldItem) -> bool:
        return not item.blocked and not item.discontinued and all(item.stock.values())

    wanted: dict[str, Callable[[WorldItem], bool]] = {
        "good": sells,
        "withQuantityBreaks": lambda i: sells(i) and has_breaks(i),
        "withoutPriceList": lambda i: sells(i) and not world.price_rules.get(i.number),
        "zeroRated": lambda i: sells(i) and i.tax_group == "ZERO",
        "reducedRate": lambda i: sells(i) and i.tax_group == "REDUCED",
        "blocked": lambda i: i.blocked,
        "outOfStock": lambda i: not i.blocked and not any(i.stock.values()),
        "discontinued": lambda i: not i.blocked and i.discontinued,
    }
    found = {}
    for why, fits in wanted.items():
        item = next(filter(fits, world.items.values()), None)
        if item is not None:
            found[why] = _item(item, world.price_rules.get(item.number, ()))
    return found


def _item(item: WorldItem, rules: Iterable[PriceRule]) -> dict[str, Any]:
    return {
        "number": item.number,
        "name": item.name,
        "listPrice": item.unit_price,
        "currency": "GBP",
        "taxGroup": item.tax_group,
        "blocked": item.blocked,
        "discontinued": item.discontinued,
        "stock": item.stock,
        "prices": [
            {
                "for": rule.customer or rule.customer_group or "everybody",
                "currency": rule.currency,
                "from": rule.minimum_quantity,
                "unitPrice": rule.unit_price,
            }
            for rule in rules
        ],
    }


def _open_deals(world: World) -> Iterable[Deal]:
    """Eight in the local currency first: the plainest to follow, and a demonstration closes one."""
    local = [deal for deal in world.deals.values() if deal.currency == "GBP"]
    others = [deal for deal in world.deals.values() if deal.currency != "GBP"]
    return islice((*local[:8], *others), 10)


def _deal(deal: Deal) -> dict[str, Any]:
    return {
        "id": deal.id,
        "name": deal.name,
        "customer": deal.customer,
        "currency": deal.currency,
        "poNumber": deal.po_number,
        "stage": deal.stage,
        "lines": [
            {"item": line.item, "quantity": line.quantity, "unitPrice": line.unit_price}
            for line in deal.lines
        ],
    }
