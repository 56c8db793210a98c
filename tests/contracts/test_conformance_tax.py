"""What every tax engine must answer for the regimes the company sells under."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from contracts.canonical.ids import item_id
from contracts.canonical.money import money
from contracts.canonical.tax import TaxableLine, TaxedSale
from system_apis.tax.table import TaxTable

pytestmark = pytest.mark.anyio

VALID = {"DE": "DE136695976", "IE": "IE6433435F", "FR": "FR40303265045", "GR": "EL094259216"}


class OnDay:
    """A clock that stands at noon of a day."""

    def __init__(self, day="2026-11-22"):
        self._now = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)

    def now(self):
        return self._now

    def monotonic(self):
        return 0.0


@pytest.fixture
def tax():
    return TaxTable(OnDay())


def a_sale(country, *, lines=(("100.00", "STANDARD"),), currency="EUR", **more):
    return TaxedSale(
        ship_to_country=country,
        currency=currency,
        lines=tuple(
            TaxableLine(
                item=item_id("A"), quantity=Decimal(1), net_amount=money(net, currency),
                tax_group=group,
            )
            for net, group in lines
        ),
        **more,
    )  # fmt: skip


async def test_domestic_vat_by_tax_group(tax):
    groups = (("10.00", "STANDARD"), ("10.00", "REDUCED"), ("10.00", "ZERO"), ("10.00", None))
    assessed = await tax.assess(a_sale("GB", lines=groups, currency="GBP"))
    assert assessed.regime == "domestic-vat"
    assert {str(line.rate): line.tax for line in assessed.lines} == {
        "0.2": money("4.00", "GBP"), "0.05": money("0.50", "GBP"), "0": money("0.00", "GBP"),
    }  # fmt: skip
    assert assessed.total == money("4.50", "GBP")


RATES = {"IE": 23, "DE": 19, "FR": 20, "NL": 21, "BE": 21, "ES": 21, "IT": 22, "SE": 25, "PL": 23,
         "AT": 20, "FI": Decimal("25.5"), "DK": 25, "PT": 23, "CZ": 21, "GR": 24, "CY": 19,
         "LT": 21, "LU": 17, "HU": 27, "RO": 21, "SK": 23, "EE": 24, "HR": 25, "SI": 22, "BG": 20,
         "LV": 21, "MT": 18}  # fmt: skip


@pytest.mark.parametrize(("country", "percent"), RATES.items())
async def test_without_a_vat_id_the_destination_takes_its_own_vat(tax, country, percent):
    assessed = await tax.assess(a_sale(country))
    assert assessed.regime == "eu-vat"
    assert assessed.total == money(percent, "EUR")
    assert assessed.lines[0].jurisdiction == country


@pytest.mark.parametrize(("country", "vat_id"), VALID.items())
async def test_a_valid_foreign_vat_id_is_reverse_charged_with_its_note(tax, country, vat_id):
    for written in (vat_id, vat_id[2:]):
        assessed = await tax.assess(a_sale(country, vat_id=written))
        assert assessed.regime == "reverse-charge"
        assert assessed.vat_id_valid
        assert assessed.total == money(0, "EUR")
        assert "2006/112/EC" in assessed.note


@pytest.mark.parametrize("vat_id", ["DE136695977", "DE1", "", "FR40303265044"])
async def test_an_invalid_vat_id_pays_vat_and_is_said_to_be_invalid(tax, vat_id):
    assessed = await tax.assess(a_sale("DE", vat_id=vat_id))
    assert assessed.regime == "eu-vat"
    assert assessed.vat_id_valid is False
    assert assessed.total == money("19.00", "EUR")


async def test_goods_that_stay_in_one_member_state_are_domestic_there(tax):
    assessed = await tax.assess(a_sale("NL", vat_id="NL004495445B01", ship_from_country="NL"))
    assert (assessed.regime, assessed.total) == ("domestic-vat", money("21.00", "EUR"))


@pytest.mark.parametrize("country", ["CH", "NO", "AU", "JP"])
async def test_everything_else_is_an_export(tax, country):
    assessed = await tax.assess(a_sale(country, vat_id="CHE107787577IVA"))
    assert (assessed.regime, assessed.total) == ("export", money(0, "EUR"))
    assert assessed.note


@pytest.mark.parametrize(
    ("state", "due"),
    [
        ("CA", "7.25"),
        ("NY", "4.00"),
        ("TX", "6.25"),
        ("MN", "6.88"),
        ("OR", "0.00"),
        ("ca", "7.25"),
    ],
)
async def test_american_sales_tax_is_the_states_own(tax, state, due):
    assessed = await tax.assess(a_sale("US", ship_to_state=state, currency="USD"))
    assert (assessed.regime, assessed.total) == ("us-sales-tax", money(due, "USD"))


async def test_an_exempt_american_buyer_pays_none(tax):
    assessed = await tax.assess(a_sale("US", ship_to_state="CA", exempt=True, currency="USD"))
    assert (assessed.regime, assessed.total) == ("none", money(0, "USD"))


async def test_tax_is_rounded_once_a_rate_as_the_erp_rounds_it(tax):
    lines = (("0.03", "STANDARD"),) * 3
    assessed = await tax.assess(a_sale("GB", lines=lines, currency="GBP"))
    assert assessed.total == money("0.02", "GBP")


@pytest.mark.parametrize(
    ("country", "day", "due"),
    [("FI", "2024-08-31", "24"), ("FI", "2024-09-01", "25.5"), ("SK", "2024-12-31", "20"),
     ("SK", "2025-01-01", "23"), ("EE", "2025-06-30", "22"), ("EE", "2025-07-01", "24"),
     ("RO", "2025-07-31", "19"), ("RO", "2025-08-01", "21")],
)  # fmt: skip
async def test_a_rate_holds_from_its_first_day(country, day, due):
    assessed = await TaxTable(OnDay(day)).assess(a_sale(country))
    assert assessed.total == money(due, "EUR")
