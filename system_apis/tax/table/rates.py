"""Rates by jurisdiction, tax group and validity.

VAT: standard rate and the reduced rate of the goods a wholesaler of general merchandise sells, as
the states publish them (European Commission, "VAT rates applied in the Member States"; HMRC notice
700). Sales tax: the states' own general rate of 2026, without county and city additions, as the
states' revenue departments publish it; five states levy none. A rate holds from its first day to
the day before the next one's; the earliest stand for everything before.
"""

from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

__all__ = ["EU", "Rate", "rate_on", "sales_tax_on"]

STANDARD: Final = "STANDARD"
REDUCED: Final = "REDUCED"
ZERO: Final = "ZERO"


class Rate(msgspec.Struct, frozen=True, gc=False):
    """What a jurisdiction takes from a day on, in percent: standard and reduced."""

    since: date
    standard: Decimal
    reduced: Decimal


def _rates(*rows: tuple[str, str, str]) -> tuple[Rate, ...]:
    """Read rows of first day, standard and reduced percentage; oldest first."""
    return tuple(
        Rate(date.fromisoformat(since), Decimal(standard), Decimal(reduced))
        for since, standard, reduced in rows
    )


_EVER: Final = "2011-01-04"

_VAT: Final = {
    "GB": _rates((_EVER, "20", "5")),
    "AT": _rates((_EVER, "20", "10")),
    "BE": _rates((_EVER, "21", "6")),
    "BG": _rates((_EVER, "20", "9")),
    "CY": _rates((_EVER, "19", "5")),
    "CZ": _rates(("2013-01-01", "21", "15"), ("2024-01-01", "21", "12")),
    "DE": _rates((_EVER, "19", "7")),
    "DK": _rates((_EVER, "25", "25")),
    "EE": _rates(("2024-01-01", "22", "9"), ("2025-07-01", "24", "9")),
    "ES": _rates((_EVER, "21", "10")),
    "FI": _rates(
        ("2013-01-01", "24", "14"), ("2024-09-01", "25.5", "14"), ("2026-01-01", "25.5", "13.5")
    ),
    "FR": _rates((_EVER, "20", "5.5")),
    "GR": _rates((_EVER, "24", "13")),
    "HR": _rates((_EVER, "25", "13")),
    "HU": _rates((_EVER, "27", "18")),
    "IE": _rates((_EVER, "23", "13.5")),
    "IT": _rates((_EVER, "22", "10")),
    "LT": _rates((_EVER, "21", "9"), ("2026-01-01", "21", "12")),
    "LU": _rates((_EVER, "17", "8")),
    "LV": _rates((_EVER, "21", "12")),
    "MT": _rates((_EVER, "18", "5")),
    "NL": _rates(("2012-10-01", "21", "6"), ("2019-01-01", "21", "9")),
    "PL": _rates((_EVER, "23", "8")),
    "PT": _rates((_EVER, "23", "13")),
    "RO": _rates((_EVER, "19", "9"), ("2025-08-01", "21", "11")),
    "SE": _rates((_EVER, "25", "12")),
    "SI": _rates((_EVER, "22", "9.5")),
    "SK": _rates((_EVER, "20", "10"), ("2025-01-01", "23", "19")),
}
EU: Final = frozenset(_VAT) - {"GB"}

_SALES_TAX_2026: Final = {
    "AL": "4", "AR": "6.5", "AZ": "5.6", "CA": "7.25", "CO": "2.9", "CT": "6.35", "DC": "6",
    "FL": "6", "GA": "4", "HI": "4", "IA": "6", "ID": "6", "IL": "6.25", "IN": "7", "KS": "6.5",
    "KY": "6", "LA": "5", "MA": "6.25", "MD": "6", "ME": "5.5", "MI": "6", "MN": "6.875",
    "MO": "4.225", "MS": "7", "NC": "4.75", "ND": "5", "NE": "5.5", "NJ": "6.625", "NM": "4.875",
    "NV": "6.85", "NY": "4", "OH": "5.75", "OK": "4.5", "PA": "6", "RI": "7", "SC": "6",
    "SD": "4.2", "TN": "7", "TX": "6.25", "UT": "4.85", "VA": "4.3", "VT": "6", "WA": "6.5",
    "WI": "5", "WV": "6", "WY": "4",
}  # fmt: skip
_SALES_TAX: Final = {
    state: Rate(date(2026, 1, 1), Decimal(percent), Decimal(0))
    for state, percent in _SALES_TAX_2026.items()
}


def rate_on(country: str, group: str, day: date) -> Decimal:
    """Answer a country's VAT as a fraction; goods of no known group pay the standard rate.

    Raises:
        KeyError: the country has no VAT of ours.
    """
    rows = _VAT[country]
    valid = rows[0]
    for row in rows:
        if row.since <= day:
            valid = row
    return _of(valid, group)


def sales_tax_on(state: str, group: str) -> Decimal:
    """Answer a state's sales tax as a fraction; 0 in a state that levies none."""
    rate = _SALES_TAX.get(state)
    return Decimal(0) if rate is None else _of(rate, group)


def _of(rate: Rate, group: str) -> Decimal:
    if group == ZERO:
        return Decimal(0)
    return (rate.reduced if group == REDUCED else rate.standard) / 100
