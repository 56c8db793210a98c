"""The seeded world: a distributor of some size, drawn from word lists by one source of chance."""
# ruff: noqa: PLR2004  # the shares and strides of a drawn world are what they are, once each

from datetime import date
from decimal import Decimal
from random import Random

import msgspec

from deploy.sandbox.geography import COUNTRY_CURRENCY, CURRENCIES, WAREHOUSES, tax_area
from deploy.sandbox.identifiers import gtin, salesforce_id, vat_id
from deploy.sandbox.pricing import best_price
from deploy.sandbox.words import (
    CATEGORIES,
    COLOURS,
    FINISHES,
    PLACES,
    STREETS,
    SURNAMES,
    TRADES,
)
from deploy.sandbox.world import Deal, DealLine, PriceRule, World, WorldCustomer, WorldItem

__all__ = ["PRICE_GROUPS", "seeded_world"]

PENNY = Decimal("0.01")
# what a price group pays of the list price, and from how many pieces it pays less still
PRICE_GROUPS = {"TRADE": 92, "DEALER": 85, "KEY": 78}
BREAKS = ((12, 95), (48, 90), (144, 84))
COUNTRY_WEIGHTS = {
    "GB": 40,
    "IE": 6,
    "DE": 12,
    "FR": 9,
    "NL": 6,
    "BE": 4,
    "ES": 4,
    "IT": 4,
    "SE": 3,
    "PL": 3,
    "US": 7,
    "CH": 2,
}
DIALLING = {"GB": "44", "IE": "353", "DE": "49", "FR": "33", "NL": "31", "BE": "32"} | {
    "ES": "34",
    "IT": "39",
    "SE": "46",
    "PL": "48",
    "US": "1",
    "CH": "41",
}
OPEN_STAGES = ("Qualification", "Proposal/Price Quote", "Negotiation/Review")
DEALS = 300
PRICED_ON = date(2026, 6, 1)  # any day on which every seeded price row holds


def seeded_world(seed: int, items: int, customers: int) -> World:
    """Draw the whole world. Item 10001 and customer 20001 are always plain and good."""
    chance = Random(seed)  # noqa: S311  # a world, not a secret
    stocked = {item.number: item for item in (_item(chance, at) for at in range(items))}
    known = {c.number: c for c in (_customer(chance, at) for at in range(customers))}
    rules = _price_rules(chance, list(stocked.values()), list(known.values()))
    world = World(
        source=f"seed {seed}",
        items=stocked,
        customers=known,
        price_rules=rules,
        warehouses=WAREHOUSES,
        currencies=CURRENCIES,
        deals={},
    )
    return msgspec.structs.replace(world, deals=_deals(world, chance))


def _item(chance: Random, at: int) -> WorldItem:
    """One in 97 is blocked, one in 31 has no stock, one in 53 is discontinued with a rest."""
    category, tax_group, low, high, grams, nouns = CATEGORIES[at % len(CATEGORIES)]
    noun = nouns[chance.randrange(len(nouns))]
    finish = FINISHES[chance.randrange(len(FINISHES))]
    colour = COLOURS[chance.randrange(len(COLOURS))]
    pence = low + int((high - low) * chance.random() ** 2.2)
    pence -= pence % 5  # shop prices end in 0 or 5
    blocked, empty, discontinued = at % 97 == 50, at % 31 == 17, at % 53 == 23
    if empty:
        stock = dict.fromkeys(WAREHOUSES, 0)
    elif discontinued:
        stock = {"EAST": chance.randrange(1, 40), "WEST": 0, "EU": 0}
    else:
        stock = {code: chance.randrange(200, 6000) for code in WAREHOUSES}
    return WorldItem(
        number=f"{10001 + at}",
        name=f"{finish} {colour} {noun}",
        category=category,
        unit_price=Decimal(pence).scaleb(-2),
        unit_cost=Decimal(pence * (40 + chance.randrange(25)) // 100).scaleb(-2),
        gtin=gtin(1000001 + at),
        tax_group=tax_group,
        blocked=blocked,
        discontinued=discontinued,
        weight_kg=Decimal(grams * (60 + chance.randrange(80)) // 100).scaleb(-3),
        stock=stock,
    )


def _customer(chance: Random, at: int) -> WorldCustomer:
    """Every 40th is blocked in one of three ways, every 29th over its limit, every 23rd overdue."""
    country = "GB" if at == 0 else _country(chance)
    places, streets = PLACES[country], STREETS[country]
    region, state, city, pattern = places[chance.randrange(len(places))]
    trade, form = TRADES[country][chance.randrange(len(TRADES[country]))]
    surname = SURNAMES[chance.randrange(len(SURNAMES))]
    number = f"{20001 + at}"
    tax_number = vat_id(country, chance) if chance.random() < 0.85 else None
    limit, balance, overdue = _credit(chance, at)
    groups = ("", "", "TRADE", "TRADE", "DEALER", "KEY")
    return WorldCustomer(
        number=number,
        name=f"{surname} {city} {trade} {form}",
        country=country,
        state=state,
        city=city,
        street=streets[chance.randrange(len(streets))].replace("#", str(chance.randrange(1, 240))),
        postcode=_postcode(chance, pattern),
        currency=COUNTRY_CURRENCY[country],
        vat_id=tax_number,
        tax_area=tax_area(country, state, tax_number),
        price_group="" if at == 0 else groups[chance.randrange(len(groups))],
        credit_limit=limit,
        balance=balance,
        overdue=overdue,
        blocked=("Ship", "Invoice", "All")[at // 40 % 3] if at % 40 == 39 else "",
        email=f"orders.{number}@{surname.lower()}.example",
        phone=f"+{DIALLING[country]} {chance.randrange(100, 999)} {chance.randrange(10**5, 10**6)}",
        payment_terms=("NET30", "NET30", "NET14", "NET60")[chance.randrange(4)],
        region=region,
        salesforce_account_id=salesforce_id("001", 100_000 + at),
    )


def _country(chance: Random) -> str:
    drawn = chance.randrange(100)
    for country, weight in COUNTRY_WEIGHTS.items():
        drawn -= weight
        if drawn < 0:
            return country
    raise AssertionError("the weights of the countries sum to 100")


def _credit(chance: Random, at: int) -> tuple[Decimal, Decimal, Decimal]:
    """Limit, balance and overdue in pounds and pence; the first customer has room to order."""
    if at == 0:
        return Decimal(50_000), Decimal("1250.00"), Decimal(0)
    if at % 17 == 16:  # a few trade without a limit
        return Decimal(0), Decimal(chance.randrange(0, 500_000)).scaleb(-2), Decimal(0)
    limit = (2_500, 5_000, 10_000, 25_000, 50_000, 100_000)[chance.randrange(6)]
    share = 0.1 + chance.random() * 0.5
    if at % 29 == 28:
        share = 1.02 + chance.random() * 0.3  # over the limit
    elif at % 29 == 14:
        share = 0.985 + chance.random() * 0.01  # so near that an ordinary order is too much
    balance = Decimal(int(limit * share * 100)).scaleb(-2)
    overdue = (balance / 3).quantize(PENNY) if at % 23 == 22 else Decimal(0)
    return Decimal(limit), balance, overdue


def _postcode(chance: Random, pattern: str) -> str:
    drawn = []
    for char in pattern:
        if char == "#":
            drawn.append(str(chance.randrange(10)))
        elif char == "@":
            drawn.append("ABDEFGHJLNPRSTUWXYZ"[chance.randrange(19)])
        else:
            drawn.append(char)
    return "".join(drawn)


def _price_rules(
    chance: Random, items: list[WorldItem], customers: list[WorldCustomer]
) -> dict[str, tuple[PriceRule, ...]]:
    """Breaks for everybody on half the items, group lists in GBP and EUR, and agreed prices."""
    rules: dict[str, list[PriceRule]] = {}
    for at, item in enumerate(items):
        rows = rules.setdefault(item.number, [])
        if at % 2 == 0:
            for minimum, percent in BREAKS:
                rows.append(_rule(item, percent, minimum=minimum))
        if at % 5 == 4:
            continue  # no group list holds this item
        for group, percent in PRICE_GROUPS.items():
            rows.append(_rule(item, percent, group=group))
            rows.append(_rule(item, percent - 5, group=group, minimum=24))
            if group == "KEY":
                rows.append(_rule(item, percent, group=group, currency="EUR"))
    for customer in customers[::8]:
        for _ in range(4):
            item = items[chance.randrange(len(items))]
            percent = 70 + chance.randrange(15)
            rules[item.number].append(
                _rule(item, percent, customer=customer.number, currency=customer.currency)
            )
    return {number: tuple(rows) for number, rows in rules.items() if rows}


def _rule(
    item: WorldItem,
    percent: int,
    *,
    minimum: int = 1,
    group: str | None = None,
    customer: str | None = None,
    currency: str = "GBP",
) -> PriceRule:
    price = item.unit_price * percent / 100
    if currency != "GBP":
        price /= CURRENCIES[currency].gbp_per_unit
    return PriceRule(
        item=item.number,
        customer_group=group,
        customer=customer,
        currency=currency,
        minimum_quantity=Decimal(minimum),
        unit_price=max(price.quantize(PENNY), PENNY),
        starts=date(2026, 1, 1) if customer else None,
    )


def _deals(world: World, chance: Random) -> dict[str, Deal]:
    """Open opportunities of customers with room for them, at the prices that the lists give."""
    good = [c for c in world.customers.values() if _has_room(c)]
    sellable = [
        item
        for item in world.items.values()
        if not item.blocked and not item.discontinued and item.stock["EAST"]
    ]
    deals = {}
    for at in range(min(DEALS, len(good) * 4)):
        customer = good[(at * 7) % len(good)]
        lines = []
        for item in chance.sample(sellable, min(len(sellable), 1 + at % 8)):
            quantity = (1, 2, 6, 12, 24)[chance.randrange(5)]
            price = best_price(world, customer, item, quantity, PRICED_ON)
            lines.append(DealLine(item=item.number, quantity=quantity, unit_price=price))
        deal = Deal(
            id=salesforce_id("006", 500_000 + at),
            name=f"{customer.name}: {world.items[lines[0].item].name}",
            customer=customer.number,
            currency=customer.currency,
            lines=tuple(lines),
            po_number=f"PO-{4500 + at}",
            stage=OPEN_STAGES[at % len(OPEN_STAGES)],
        )
        deals[deal.id] = deal
    return deals


def _has_room(customer: WorldCustomer) -> bool:
    """Not blocked, not overdue, and at least 5,000 GBP below the limit."""
    if customer.blocked or customer.overdue:
        return False
    return not customer.credit_limit or customer.credit_limit - customer.balance >= 5_000
