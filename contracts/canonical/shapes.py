"""What all canonical structs share: immutable, camelCase on the wire, unknown fields refused."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec


class Canonical(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A value of the canonical model."""


Text = Annotated[str, msgspec.Meta(max_length=250)]
ShortText = Annotated[str, msgspec.Meta(max_length=100)]
CountryCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
Quantity = Annotated[Decimal, msgspec.Meta(description="Quantity in the item's base unit")]
WantedQuantity = Annotated[
    Decimal,
    msgspec.Meta(
        description="Above 0, at most 10000000, of at most five places; in the item's base unit",
        extra_json_schema={
            "pattern": r"^([1-9][0-9]{0,6}(\.[0-9]{1,5})?|10000000(\.0{1,5})?"
            r"|0\.([1-9][0-9]{0,4}|0[1-9][0-9]{0,3}|00[1-9][0-9]{0,2}|000[1-9][0-9]?|0000[1-9]))$"
        },
    ),
]
"""A quantity that is asked for; the struct it is in refuses what nobody can ship."""
Instant = Annotated[datetime, msgspec.Meta(tz=True)]

Freshness = Literal["firm", "stale", "unavailable"]


class Standing(Canonical, frozen=True, kw_only=True):
    """How far an answer can be trusted.

    `firm`: from the system of record within its freshness bound. `stale`: a copy, `age_seconds`
    old. `unavailable`: no answer and no copy; the part's value is absent.
    """

    freshness: Freshness
    source: str
    as_of: Instant | None = None
    age_seconds: float | None = None
    reason: str | None = None
