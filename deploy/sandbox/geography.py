"""Where the distributor trades: warehouses, currencies, countries, and how each is taxed."""

from decimal import Decimal

from deploy.sandbox.world import WorldCurrency, WorldWarehouse

__all__ = ["COUNTRY_CURRENCY", "CURRENCIES", "EU", "WAREHOUSES", "tax_area"]

WAREHOUSES = {
    warehouse.code: warehouse
    for warehouse in (
        WorldWarehouse(
            code="EAST",
            name="East Midlands",
            country="GB",
            city="Kettering",
            street="4 Telford Way",
            postcode="NN16 8UN",
        ),
        WorldWarehouse(
            code="WEST",
            name="West Country",
            country="GB",
            city="Avonmouth",
            street="19 Smoke Lane",
            postcode="BS11 0YA",
        ),
        WorldWarehouse(
            code="EU",
            name="Europe",
            country="NL",
            city="Venlo",
            street="Columbusweg 31",
            postcode="5928 LA",
        ),
    )
}

CURRENCIES = {
    code: WorldCurrency(code=code, name=name, gbp_per_unit=Decimal(rate))
    for code, name, rate in (
        ("GBP", "Pound Sterling", "1"),
        ("EUR", "Euro", "0.86"),
        ("USD", "US Dollar", "0.78"),
        ("SEK", "Swedish Krona", "0.075"),
        ("PLN", "Polish Zloty", "0.2"),
        ("CHF", "Swiss Franc", "0.9"),
    )
}

COUNTRY_CURRENCY = {
    "GB": "GBP",
    "IE": "EUR",
    "DE": "EUR",
    "FR": "EUR",
    "NL": "EUR",
    "BE": "EUR",
    "ES": "EUR",
    "IT": "EUR",
    "SE": "SEK",
    "PL": "PLN",
    "US": "USD",
    "CH": "CHF",
}

EU_COUNTRIES = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"
EU = frozenset(EU_COUNTRIES.split())


def tax_area(country: str, state: str, vat_id: str | None) -> str:
    """The tax area of a customer, in the words of ``WorldCustomer.tax_area``."""
    if country == "GB":
        return "DOMESTIC"
    if country == "US" and state:
        return f"US-{state}"
    if country in EU:
        return "EU-RC" if vat_id else f"EU-{country}"
    return "EXPORT"
