"""Customers, as the whole company knows them."""

from typing import Annotated, Literal

import msgspec

from contracts.canonical.ids import CustomerId, SystemId
from contracts.canonical.money import Currency, Money
from contracts.canonical.shapes import Canonical, CountryCode, Instant, ShortText

Block = Literal["none", "shipping", "invoicing", "all"]


class Address(Canonical, frozen=True, kw_only=True):
    """A postal address. `state` is the ISO 3166-2 subdivision without the country, as in `CA`."""

    street: ShortText
    city: Annotated[str, msgspec.Meta(max_length=50)]
    country: CountryCode
    postcode: Annotated[str, msgspec.Meta(max_length=20)] = ""
    state: Annotated[str, msgspec.Meta(max_length=30)] = ""
    name: ShortText = ""
    contact: ShortText = ""


class Customer(Canonical, frozen=True, kw_only=True):
    """A customer's master data; the ERP is the authority for all of it."""

    id: CustomerId
    number: str
    name: str
    address: Address
    currency: Currency
    blocked: Block = "none"
    credit_limit: Money | None = None
    """In the company's own currency; None means unlimited."""
    vat_id: str | None = None
    tax_area: str | None = None
    price_group: str | None = None
    payment_terms: str | None = None
    region: str | None = None
    email: str | None = None
    phone: str | None = None
    known_as: tuple[SystemId, ...] = ()
    changed_at: Instant | None = None
