"""Money: a decimal amount with its currency, and the rounding every part agrees on.

Amounts are rounded half away from zero to the currency's minor unit (ISO 4217), line by line, as
Business Central rounds line amounts; a document total is the sum of its rounded lines.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final

import msgspec

Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$", description="ISO 4217 code")]

_WHOLE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_IN_THOUSANDTHS: Final = "BHD IQD JOD KWD LYD OMR TND"
_MINOR_UNITS: Final = {
    **dict.fromkeys(_WHOLE.split(), 0),
    **dict.fromkeys(_IN_THOUSANDTHS.split(), 3),
    "CLF": 4,
    "UYW": 4,
}
"""Digits after the point where they are not two (ISO 4217, list one)."""
_QUANTA: Final = {digits: Decimal(1).scaleb(-digits) for digits in range(5)}
BEYOND: Final = Decimal(10) ** 12
"""The smallest amount that is none: 12 integer digits are the contract's bound."""


def quantum(currency: str) -> Decimal:
    """Answer the smallest amount of a currency, as `Decimal('0.01')` for GBP."""
    return _QUANTA[_MINOR_UNITS.get(currency, 2)]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round an amount to the currency's minor unit, half away from zero."""
    return amount.quantize(quantum(currency), ROUND_HALF_UP)


def line_amount(quantity: Decimal, unit_price: Decimal, currency: str) -> Decimal:
    """Answer the net amount of one line, rounded as the ERP rounds it."""
    return rounded(quantity * unit_price, currency)


class AmountBeyondError(ValueError):
    """An amount of more digits than the systems behind us hold; `amount-too-large` at the rim."""


class Money(msgspec.Struct, frozen=True, kw_only=True, order=True, forbid_unknown_fields=True):
    """An amount of one currency. `amount` is a decimal string on the wire, never a float."""

    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        """Refuse what is not an amount: NaN, infinities, more than 12 integer digits."""
        if not self.amount.is_finite() or abs(self.amount) >= BEYOND:
            raise AmountBeyondError("amount must be a finite decimal of at most 12 integer digits")

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(amount=self.amount - other.amount, currency=self.currency)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")


Price = Annotated[
    Money,
    msgspec.Meta(
        extra_json_schema={"properties": {"amount": {"pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"}}}
    ),
]
"""Money that is not negative; the struct it is in refuses what nobody can pay."""


def zero(currency: str) -> Money:
    """Answer nothing, in the given currency, with its minor units shown."""
    return Money(amount=rounded(Decimal(0), currency), currency=currency)


def money(amount: Decimal | str | int, currency: str) -> Money:
    """Make money rounded to the currency's minor unit."""
    return Money(amount=rounded(Decimal(amount), currency), currency=currency)
