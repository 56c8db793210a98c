"""Tax: the regime that applies to a sale, and what it adds."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from contracts.canonical.ids import ItemId
from contracts.canonical.money import Currency, Money
from contracts.canonical.shapes import Canonical, CountryCode, Quantity

TaxRegime = Literal["domestic-vat", "eu-vat", "reverse-charge", "export", "us-sales-tax", "none"]


class TaxedSale(Canonical, frozen=True, kw_only=True):
    """What is sold to whom, as tax sees it. Amounts are net, after discounts."""

    ship_to_country: CountryCode
    currency: Currency
    lines: tuple["TaxableLine", ...]
    ship_from_country: CountryCode = "GB"
    ship_to_state: Annotated[str, msgspec.Meta(max_length=30)] = ""
    vat_id: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    exempt: bool = False


class TaxableLine(Canonical, frozen=True, kw_only=True):
    """One net amount of one tax group."""

    item: ItemId
    quantity: Quantity
    net_amount: Money
    tax_group: str | None = None


class TaxLine(Canonical, frozen=True, kw_only=True):
    """Tax of one rate over everything it applies to. `rate` is a fraction: 0.20 is 20 %."""

    rate: Decimal
    taxable: Money
    tax: Money
    jurisdiction: str
    regime: TaxRegime


class TaxAssessment(Canonical, frozen=True, kw_only=True):
    """The tax of a sale. `note` is the text an invoice must carry, such as for reverse charge."""

    regime: TaxRegime
    lines: tuple[TaxLine, ...]
    total: Money
    vat_id_valid: bool | None = None
    note: str | None = None
