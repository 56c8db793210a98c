"""The tax set-up of the company: which percentage a tax area asks of a tax group.

VAT rates as the member states publish them for 2026 (standard, and the reduced rate a wholesaler
meets); for the United States the state's own sales tax, without local additions.
"""

from decimal import Decimal
from typing import Final

__all__ = ["TAX_GROUPS", "is_sales_tax", "tax_percent"]

TAX_GROUPS: Final = ("STANDARD", "REDUCED", "ZERO")

_VAT: Final = {
    "DOMESTIC": ("20", "5"),
    "EU-AT": ("20", "10"),
    "EU-BE": ("21", "6"),
    "EU-BG": ("20", "9"),
    "EU-CY": ("19", "5"),
    "EU-CZ": ("21", "12"),
    "EU-DE": ("19", "7"),
    "EU-DK": ("25", "25"),
    "EU-EE": ("24", "9"),
    "EU-ES": ("21", "10"),
    "EU-FI": ("25.5", "13.5"),
    "EU-FR": ("20", "5.5"),
    "EU-GR": ("24", "13"),
    "EU-HR": ("25", "13"),
    "EU-HU": ("27", "18"),
    "EU-IE": ("23", "13.5"),
    "EU-IT": ("22", "10"),
    "EU-LT": ("21", "12"),
    "EU-LU": ("17", "8"),
    "EU-LV": ("21", "12"),
    "EU-MT": ("18", "5"),
    "EU-NL": ("21", "9"),
    "EU-PL": ("23", "8"),
    "EU-PT": ("23", "13"),
    "EU-RO": ("21", "11"),
    "EU-SE": ("25", "12"),
    "EU-SI": ("22", "9.5"),
    "EU-SK": ("23", "19"),
    "EU-RC": ("0", "0"),
    "EXPORT": ("0", "0"),
}
_SALES_TAX: Final = {
    "AL": "4",
    "AZ": "5.6",
    "AR": "6.5",
    "CA": "7.25",
    "CO": "2.9",
    "CT": "6.35",
    "FL": "6",
    "GA": "4",
    "HI": "4",
    "ID": "6",
    "IL": "6.25",
    "IN": "7",
    "IA": "6",
    "KS": "6.5",
    "KY": "6",
    "LA": "5",
    "ME": "5.5",
    "MD": "6",
    "MA": "6.25",
    "MI": "6",
    "MN": "6.875",
    "MS": "7",
    "MO": "4.225",
    "NE": "5.5",
    "NV": "6.85",
    "NJ": "6.625",
    "NM": "4.875",
    "NY": "4",
    "NC": "4.75",
    "ND": "5",
    "OH": "5.75",
    "OK": "4.5",
    "PA": "6",
    "RI": "7",
    "SC": "6",
    "SD": "4.2",
    "TN": "7",
    "TX": "6.25",
    "UT": "4.85",
    "VT": "6",
    "VA": "4.3",
    "WA": "6.5",
    "WV": "6",
    "WI": "5",
    "WY": "4",
    "DC": "6",
}


def is_sales_tax(area: str) -> bool:
    """Whether the area is taxed by American sales tax, not by VAT."""
    return area.startswith("US-")


def tax_percent(area: str, group: str) -> Decimal:
    """What the area asks of goods of this group; 0 where it has no rate."""
    if group == "ZERO":
        return Decimal(0)
    if is_sales_tax(area):
        return Decimal(_SALES_TAX.get(area[3:], "0")) if group == "STANDARD" else Decimal(0)
    standard, reduced = _VAT.get(area, ("0", "0"))
    return Decimal(reduced if group == "REDUCED" else standard)
