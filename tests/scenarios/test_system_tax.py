"""Tax by the customer's country, number and state, and by what is sold."""

from decimal import Decimal

import pytest

pytestmark = pytest.mark.anyio

CASES = {
    "at home, standard rate": ("good", "good", "domestic-vat", "0.20"),
    "at home, reduced rate": ("good", "reducedRate", "domestic-vat", "0.05"),
    "at home, zero rate": ("good", "zeroRated", "domestic-vat", "0"),
}
ABROAD = ("reverseCharge", "europeanWithoutVatId", "unitedStates")


async def tax(house, customer, *items, **more):
    """The tax of two pieces of each item for a customer."""
    order = house.an_order(customer, *[(item, 2) for item in items])
    body = {"customer": order["customer"], "lines": order["lines"], **more}
    answer = await house.call("POST", "/sales/v1/tax-checks", body)
    assert answer.status == 200, answer.body
    return answer.json


def consistent(answer):
    """Every line's tax is its rate of its base, and they add up to the total."""
    lines = answer["assessment"]["lines"]
    for line in lines:
        base, rate = Decimal(line["taxable"]["amount"]), Decimal(line["rate"])
        assert abs(base * rate - Decimal(line["tax"]["amount"])) <= Decimal("0.01")
    total = sum((Decimal(line["tax"]["amount"]) for line in lines), Decimal(0))
    assert total == Decimal(answer["assessment"]["total"]["amount"])
    bases = sum((Decimal(line["taxable"]["amount"]) for line in lines), Decimal(0))
    assert bases == Decimal(answer["netAmount"]["amount"])
    return True


@pytest.mark.parametrize("case", CASES)
async def test_a_sale_at_home_carries_the_rate_of_the_goods(house, case):
    """United Kingdom: 20, 5 and 0 per cent."""
    customer, item, regime, rate = CASES[case]

    answer = await tax(house, customer, item)

    assert answer["assessment"]["regime"] == regime
    assert [Decimal(line["rate"]) for line in answer["assessment"]["lines"]] == [Decimal(rate)]
    assert consistent(answer)


async def test_goods_of_three_rates_are_taxed_apart(house):
    """One line of tax a rate, on the sum of its goods."""
    answer = await tax(house, "good", "good", "reducedRate", "zeroRated")

    rates = sorted(Decimal(line["rate"]) for line in answer["assessment"]["lines"])
    assert rates == [Decimal(0), Decimal("0.05"), Decimal("0.20")]
    assert consistent(answer)


async def test_a_business_in_the_union_pays_none_and_is_told_why(house):
    """Its VAT id is valid: nothing is charged, and the invoice must say so."""
    answer = await tax(house, "reverseCharge", "good")

    assert answer["assessment"]["regime"] in {"reverse-charge", "export"}
    assert Decimal(answer["assessment"]["total"]["amount"]) == 0
    assert answer["assessment"]["note"]
    assert consistent(answer)


async def test_a_consumer_in_the_union_pays_the_rate_of_its_country(house):
    """Poland: 23 per cent, in the customer's currency."""
    answer = await tax(house, "europeanWithoutVatId", "good")

    assert answer["assessment"]["regime"] == "eu-vat"
    assert [Decimal(line["rate"]) for line in answer["assessment"]["lines"]] == [Decimal("0.23")]
    assert answer["assessment"]["total"]["currency"] == "PLN"
    assert consistent(answer)


async def test_a_state_of_the_union_overseas_has_its_own_rate(house):
    """Illinois: a state sales tax, in dollars; Oregon has none."""
    illinois = await tax(house, "unitedStates", "good")
    oregon = await tax(house, "nearCreditLimit", "good")

    assert illinois["assessment"]["regime"] == "us-sales-tax"
    assert Decimal(illinois["assessment"]["total"]["amount"]) > 0
    assert illinois["assessment"]["total"]["currency"] == "USD"
    assert Decimal(oregon["assessment"]["total"]["amount"]) == 0
    assert consistent(illinois)
    assert consistent(oregon)


async def test_where_it_is_shipped_decides_not_who_pays(house):
    """A British customer's goods that go to Germany carry German tax."""
    address = {
        "name": "Branch", "street": "Hafenstraße 1", "city": "Hamburg", "postcode": "20457",
        "country": "DE",
    }  # fmt: skip

    home = await tax(house, "good", "good")
    away = await tax(house, "good", "good", shipTo=address)

    assert home["assessment"]["regime"] == "domestic-vat"
    assert away["assessment"]["regime"] == "eu-vat"
    assert Decimal(away["assessment"]["lines"][0]["rate"]) == Decimal("0.19")


@pytest.mark.parametrize("customer", ["good", *ABROAD])
async def test_the_order_carries_the_tax_that_was_quoted(house, customer):
    """Check, validation and order say the same."""
    order = house.an_order(customer)
    quote = {"customer": order["customer"], "lines": order["lines"]}

    checked = await tax(house, customer, "good")
    validated = (await house.call("POST", "/sales/v1/quote-validations", quote)).json
    placed = (await house.place(order, house.a_key("taxed"))).json

    total = checked["assessment"]["total"]
    assert validated["taxAmount"] == total
    assert placed["taxAmount"] == total
    assert Decimal(placed["grossAmount"]["amount"]) == Decimal(
        placed["netAmount"]["amount"]
    ) + Decimal(total["amount"])
