"""Amounts have as many digits as their currency has: a line in dinars is not cut to hundredths."""

from decimal import Decimal

import pytest

from contracts.canonical.money import line_amount, quantum


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        ("GBP", "3.70"),
        ("JPY", "4"),
        ("CLP", "4"),
        ("XOF", "4"),
        ("KWD", "3.704"),
        ("OMR", "3.704"),
        ("JOD", "3.704"),
        ("CLF", "3.7035"),
    ],
)
def test_a_line_is_rounded_to_the_minor_unit_of_its_currency(currency, amount):
    rounded = line_amount(Decimal(3), Decimal("1.2345"), currency)

    assert str(rounded) == amount
    assert rounded % quantum(currency) == 0
