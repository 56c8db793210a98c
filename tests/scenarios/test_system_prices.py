"""One price for one question, wherever it is asked; what is quoted is what is ordered."""

import asyncio
import random
from decimal import Decimal

import pytest

from tests.scenarios.stage import made

pytestmark = pytest.mark.anyio

PENNY = Decimal("0.01")


async def price(house, customer, item, quantity, **more):
    """The line of a price check."""
    body = {
        "customer": f"bc:{customer}",
        "lines": [{"item": f"bc:{item}", "quantity": str(quantity)}],
        **more,
    }
    answer = await house.call("POST", "/sales/v1/price-checks", body)
    assert answer.status == 200, answer.body
    return answer.json["lines"][0]


def best(item, quantity, *audience, currency="GBP"):
    """The lowest price of the catalogue's own price list for an audience and a quantity."""
    rules = [
        Decimal(rule["unitPrice"])
        for rule in item["prices"]
        if rule["for"] in {"everybody", *audience}
        and rule["currency"] == currency
        and Decimal(rule["from"]) <= quantity
    ]
    return min([*rules, Decimal(item["listPrice"])]) if currency == "GBP" else min(rules)


@pytest.mark.parametrize("quantity", [1, 11, 12, 47, 48, 143, 144, 1000])
async def test_more_pieces_cost_less_a_piece(house, quantity):
    """Each break starts at its quantity, not one before."""
    item = house.item("withQuantityBreaks")
    customer = house.customer("good")["number"]

    line = await price(house, customer, item["number"], quantity)

    assert Decimal(line["unitPrice"]["amount"]) == best(item, quantity)
    assert Decimal(line["listPrice"]["amount"]) == Decimal(item["listPrice"])
    assert Decimal(line["netAmount"]["amount"]) == best(item, quantity) * quantity
    if quantity < 144:
        following = {1: "12", 11: "12", 12: "48", 47: "48", 48: "144", 143: "144"}[quantity]
        assert line["nextBreak"]["minimumQuantity"] == following
    else:
        assert line["nextBreak"] is None


@pytest.mark.parametrize("quantity", [1, 24, 500])
async def test_a_key_account_has_its_own_prices(house, quantity):
    """The customer's group is priced by its list, or by everybody's if that is lower."""
    item, customer = house.item("good"), house.customer("keyAccount")

    line = await price(house, customer["number"], item["number"], quantity)

    assert Decimal(line["unitPrice"]["amount"]) == best(item, quantity, "KEY")
    assert line["basis"] == "customer"


async def test_an_item_without_a_price_list_costs_its_list_price(house):
    """And says so."""
    item = house.item("withoutPriceList")

    line = await price(house, house.customer("good")["number"], item["number"], 7)

    assert line["unitPrice"]["amount"] == item["listPrice"]
    assert line["basis"] == "list"


async def test_a_customer_abroad_is_priced_in_its_own_currency(house):
    """Without being asked for it; another currency is refused."""
    customer = house.customer("goodEuro")
    body = {"customer": f"bc:{customer['number']}", "lines": [{"item": "10001", "quantity": "1"}]}

    own = await house.call("POST", "/sales/v1/price-checks", body)
    other = await house.call("POST", "/sales/v1/price-checks", {**body, "currency": "GBP"})

    assert own.json["currency"] == "EUR"
    assert own.json["lines"][0]["unitPrice"]["currency"] == "EUR"
    assert (other.status, other.slug) == (409, "currency-mismatch")


async def test_every_way_to_name_a_customer_and_an_item_leads_to_the_same_price(house):
    """Canonical id, ERP number in either case, CRM account of 18 or 15 characters."""
    customer, item = house.customer("good"), house.item("good")["number"]
    account = customer["salesforceAccountId"]

    answers = [
        await house.call(
            "POST", "/sales/v1/price-checks",
            {"customer": who, "lines": [{"item": what, "quantity": "12"}]},
        )
        for who in (customer["number"], f"cust_{customer['number']}", f"bc:{customer['number']}",
                    f"sf:{account}", f"sf:{account[:15]}")
        for what in (item, f"bc:{item}", f"item_{item}")
    ]  # fmt: skip

    assert {each.status for each in answers} == {200}
    prices = {each.json["lines"][0]["unitPrice"]["amount"] for each in answers}
    assert len(prices) == 1
    assert {each.json["customer"] for each in answers} == {f"cust_{customer['number']}"}


async def test_twenty_five_random_orders_cost_what_was_quoted_to_the_penny(house):
    """Price check, quote validation, order and the ERP's ledger agree, in every currency."""
    chance = random.Random(20261122)
    wanted = [
        (20_000 + chance.randint(1, 3_900),
         sorted({10_000 + chance.randint(1, 3_900) for _ in range(chance.randint(1, 4))}))
        for _ in range(60)
    ]  # fmt: skip
    currencies, done = set(), 0
    for customer, items in wanted:
        lines = [
            {"item": f"bc:{item}", "quantity": str(chance.choice((1, 3, 12, 25, 48, 150)))}
            for item in items
        ]
        quote = {"customer": f"bc:{customer}", "lines": lines}
        checked, validated = await asyncio.gather(
            house.call("POST", "/sales/v1/price-checks", quote),
            house.call("POST", "/sales/v1/quote-validations", quote),
        )
        if validated.json["verdict"] != "ready":
            continue  # blocked, over its limit, or one of the items is not for sale
        await _ordered_as_quoted(house, quote, checked.json, validated.json)
        currencies.add(validated.json["currency"])
        done += 1
        if done == 25:
            break

    assert done == 25
    assert len(currencies) >= 4, currencies


async def _ordered_as_quoted(house, quote, checked, validated):
    key = house.a_key("quoted")
    order = {**quote, "currency": validated["currency"]}
    placed = await house.place(order, key, wait=10)
    assert placed.status == 201, placed.body
    (row,) = await house.erp(key)
    net = Decimal(row["amount"])

    prices = [line["unitPrice"] for line in checked["lines"]]
    assert prices == [line["unitPrice"] for line in validated["price"]["answer"]["lines"]]
    assert prices == [line["unitPrice"] for line in placed.json["lines"]]
    assert net == Decimal(checked["netAmount"]["amount"])
    assert net == Decimal(validated["netAmount"]["amount"])
    assert net == Decimal(placed.json["netAmount"]["amount"])
    assert row["currency"] == checked["currency"]
    assert net == sum(
        (Decimal(line["netAmount"]["amount"]) for line in checked["lines"]), Decimal(0)
    )
    assert net == net.quantize(PENNY)
    assert Decimal(validated["grossAmount"]["amount"]) == net + Decimal(
        validated["taxAmount"]["amount"]
    )


async def test_a_promise_holds_once_and_for_what_it_was_given(house):
    """A validated quote gives a promise; one order uses it up."""
    order = house.an_order("good", ("good", 12))
    quote = {"customer": order["customer"], "lines": order["lines"]}
    promise = (await house.call("POST", "/sales/v1/quote-validations", quote)).json["promise"]
    keys = [house.a_key("promise") for _ in range(3)]

    other = await house.place({**house.an_order("good", ("good", 13)), "promise": promise}, keys[0])
    first = await house.place({**order, "promise": promise}, keys[1], wait=10)
    second = await house.place({**order, "promise": promise}, keys[2])

    assert (other.status, other.slug) == (409, "promise-invalid")
    assert first.status == 201
    assert (second.status, second.slug) == (409, "promise-invalid")
    assert made(await house.erp(keys[1])) == {"salesOrders.create": 1}
    assert await house.erp(keys[0]) == await house.erp(keys[2]) == []


async def test_a_price_within_nothing_is_exact(house):
    """The sales channel's tolerance is none: a penny off is refused, the same price is taken."""
    order = house.an_order("good", ("good", 12))
    exact = best(house.item("good"), 12)

    answers = []
    for amount in (exact, exact - PENNY, exact + PENNY):
        order["lines"][0]["unitPrice"] = {"amount": str(amount), "currency": "GBP"}
        answers.append(await house.place(order, house.a_key("penny")))

    assert [answer.status for answer in answers] == [202, 409, 409]
    assert {answer.slug for answer in answers[1:]} == {"price-mismatch"}
