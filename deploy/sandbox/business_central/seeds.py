"""The distributor's world in Business Central's vocabulary: seed records by set."""

from collections.abc import Iterator
from typing import Any

from deploy.sandbox.business_central.guids import EMPTY_GUID, seed_etag, seed_guid
from deploy.sandbox.business_central.prices import LCY
from deploy.sandbox.business_central.taxes import TAX_GROUPS, is_sales_tax
from deploy.sandbox.world import World, WorldCustomer, WorldItem

__all__ = ["SEEDED_AT", "seed_tables"]

SEEDED_AT = "2026-01-01T00:00:00.000Z"
_RATES_FROM = "2026-01-01"
Seeds = Iterator[tuple[str, dict[str, Any]]]
_SHIPMENT_METHODS = (("CIF", "Cost, insurance and freight"), ("DAP", "Delivered at place"))
_PAYMENT_METHODS = (("BANK", "Bank transfer"), ("CARD", "Card payment"))
_RETURN_REASONS = (
    ("CANCELLED", "Cancelled by the customer"),
    ("DAMAGED", "Arrived damaged"),
    ("WRONG", "Wrong item delivered"),
)
_SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "SEK": "kr", "PLN": "zł", "CHF": "CHF"}


def seed_tables(world: World) -> dict[str, Seeds]:
    """The records of each set, keyed by id."""
    return {
        "items": _items(world),
        "customers": _customers(world),
        "locations": _locations(world),
        "currencies": _currencies(world),
        "currencyExchangeRates": _exchange_rates(world),
        "taxAreas": _tax_areas(world),
        "taxGroups": _tax_groups(),
        "paymentTerms": _payment_terms(world),
        "itemCategories": _categories(world),
        "unitsOfMeasure": _units(world),
        "shipmentMethods": _named("shipmentMethods", _SHIPMENT_METHODS),
        "paymentMethods": _named("paymentMethods", _PAYMENT_METHODS),
        "customerPaymentJournals": _journals(),
        "customerReturnReasons": _return_reasons(),
    }


def _record(entity_set: str, key: str, **values: Any) -> tuple[str, dict[str, Any]]:
    identity = seed_guid(entity_set, key)
    return identity, {
        "@odata.etag": seed_etag(identity),
        "id": identity,
        **values,
        "lastModifiedDateTime": SEEDED_AT,
    }


def _items(world: World) -> Seeds:
    for item in world.items.values():
        identity, record = _item(item)
        yield identity, _dated(record, world.added.get(f"item:{item.number}"))


def _dated(record: dict[str, Any], added: str | None) -> dict[str, Any]:
    """What was added later changed then, so that a poll by time of change finds it."""
    return record if added is None else {**record, "lastModifiedDateTime": added}


def _item(item: WorldItem) -> tuple[str, dict[str, Any]]:
    return _record(
        "items",
        item.number,
        number=item.number,
        displayName=item.name[:100],
        displayName2="",
        type="Inventory",
        itemCategoryId=seed_guid("itemCategories", item.category.upper()[:20]),
        itemCategoryCode=item.category.upper()[:20],
        blocked=item.blocked,
        gtin=item.gtin,
        inventory=float(sum(item.stock.values())),
        unitPrice=float(item.unit_price),
        priceIncludesTax=False,
        unitCost=float(item.unit_cost),
        taxGroupId=seed_guid("taxGroups", item.tax_group),
        taxGroupCode=item.tax_group,
        baseUnitOfMeasureId=seed_guid("unitsOfMeasure", item.unit_of_measure),
        baseUnitOfMeasureCode=item.unit_of_measure,
        generalProductPostingGroupId=seed_guid("generalProductPostingGroups", "RETAIL"),
        generalProductPostingGroupCode="RETAIL",
        inventoryPostingGroupId=seed_guid("inventoryPostingGroups", "RESALE"),
        inventoryPostingGroupCode="RESALE",
    )


def _customers(world: World) -> Seeds:
    for customer in world.customers.values():
        identity, record = _customer(customer)
        yield identity, _dated(record, world.added.get(f"customer:{customer.number}"))


def _customer(customer: WorldCustomer) -> tuple[str, dict[str, Any]]:
    local = customer.currency == LCY
    return _record(
        "customers",
        customer.number,
        number=customer.number,
        displayName=customer.name[:100],
        type="Company",
        addressLine1=customer.street[:100],
        addressLine2="",
        city=customer.city[:30],
        state=customer.state,
        country=customer.country,
        postalCode=customer.postcode,
        phoneNumber=customer.phone[:30],
        email=customer.email[:80],
        website="",
        salespersonCode=customer.region.upper()[:20],
        balanceDue=float(customer.overdue),
        creditLimit=float(customer.credit_limit),
        taxLiable=is_sales_tax(customer.tax_area),
        taxAreaId=seed_guid("taxAreas", customer.tax_area),
        taxAreaDisplayName=customer.tax_area,
        taxRegistrationNumber=customer.vat_id or "",
        currencyId=EMPTY_GUID if local else seed_guid("currencies", customer.currency),
        currencyCode=customer.currency,
        paymentTermsId=seed_guid("paymentTerms", customer.payment_terms.upper()),
        shipmentMethodId=EMPTY_GUID,
        paymentMethodId=EMPTY_GUID,
        blocked=customer.blocked or "_x0020_",
    )


def _locations(world: World) -> Seeds:
    for warehouse in world.warehouses.values():
        yield _record(
            "locations",
            warehouse.code,
            code=warehouse.code,
            displayName=warehouse.name,
            contact="",
            addressLine1=warehouse.street,
            addressLine2="",
            city=warehouse.city,
            state="",
            country=warehouse.country,
            postalCode=warehouse.postcode,
            phoneNumber="",
            email="",
            website="",
        )


def _currencies(world: World) -> Seeds:
    for currency in world.currencies.values():
        yield _record(
            "currencies",
            currency.code,
            code=currency.code,
            displayName=currency.name[:30],
            symbol=_SYMBOLS.get(currency.code, ""),
            amountDecimalPlaces="2:2",
            amountRoundingPrecision=0.01,
        )


def _exchange_rates(world: World) -> Seeds:
    """What a hundred of each currency cost; the local one has no rate, and its code is empty."""
    for currency in world.currencies.values():
        if currency.code != LCY:
            yield _record(
                "currencyExchangeRates",
                f"{currency.code} {_RATES_FROM}",
                currencyCode=currency.code,
                startingDate=_RATES_FROM,
                exchangeRateAmount=100.0,
                relationalCurrencyCode="",
                relationalExchangeRateAmount=float(currency.gbp_per_unit * 100),
            )


def _tax_areas(world: World) -> Seeds:
    for area in dict.fromkeys(customer.tax_area for customer in world.customers.values()):
        yield _record(
            "taxAreas",
            area,
            code=area,
            displayName=area,
            taxType="Sales_x0020_Tax" if is_sales_tax(area) else "VAT",
        )


def _tax_groups() -> Seeds:
    for group in TAX_GROUPS:
        yield _record("taxGroups", group, code=group, displayName=group.title(), taxType="VAT")


def _payment_terms(world: World) -> Seeds:
    terms = {customer.payment_terms.upper() for customer in world.customers.values()}
    for code in sorted(terms | {"NET30"}):
        days = "".join(letter for letter in code if letter.isdigit()) or "0"
        yield _record(
            "paymentTerms",
            code,
            code=code,
            displayName=f"Net {days} days",
            dueDateCalculation=f"{days}D",
            discountDateCalculation="",
            discountPercent=0.0,
            calculateDiscountOnCreditMemos=False,
        )


def _categories(world: World) -> Seeds:
    for name in dict.fromkeys(item.category for item in world.items.values()):
        yield _record("itemCategories", name.upper()[:20], code=name.upper()[:20], displayName=name)


def _units(world: World) -> Seeds:
    for code in dict.fromkeys(item.unit_of_measure for item in world.items.values()):
        yield _record(
            "unitsOfMeasure",
            code,
            code=code,
            displayName=code.title(),
            internationalStandardCode="EA" if code == "PCS" else "",
            symbol="",
        )


def _named(entity_set: str, rows: tuple[tuple[str, str], ...]) -> Seeds:
    for code, name in rows:
        yield _record(entity_set, code, code=code, displayName=name)


def _return_reasons() -> Seeds:
    for code, text in _RETURN_REASONS:
        yield _record("customerReturnReasons", code, code=code, description=text)


def _journals() -> Seeds:
    yield _record(
        "customerPaymentJournals",
        "PAYMENT",
        code="PAYMENT",
        displayName="Customer payments",
        balancingAccountId=EMPTY_GUID,
        balancingAccountNumber="",
    )
