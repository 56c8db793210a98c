"""The arithmetic of a document: line amounts, invoice discount, tax, totals.

Everything is computed in ``Decimal`` and rounded half away from zero to the cent, line by line; tax
is rounded per rate over the lines so far, so that the tax of a document is the rounded tax of its
total. Records hold the results as JSON numbers: a cent amount below 10^13 survives that unchanged.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

__all__ = ["CENT", "Totals", "calculate", "cents", "exact", "money", "written"]

CENT = Decimal("0.01")
_HUNDRED = Decimal(100)
Line = dict[str, Any]


class Totals(msgspec.Struct, frozen=True):
    """What a document amounts to, without and with tax."""

    net: Decimal
    tax: Decimal


def exact(number: Any) -> Decimal:
    """A number of a record or a request as the decimal it was written as."""
    return number if type(number) is Decimal else Decimal(str(number))


def money(amount: Decimal) -> Decimal:
    """Rounded to the cent, half away from zero."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def written(quantity: Decimal) -> str:
    """A quantity as the vendor writes it in a sentence: no superfluous zeros."""
    return f"{quantity.normalize():f}"


def cents(amount: Decimal) -> int:
    """An amount that is a whole number of cents, in cents."""
    return int(amount.scaleb(2))


def calculate(lines: Iterable[Line], discount: Decimal) -> tuple[list[Line], Totals]:
    """The lines with their amounts, and the totals of the document.

    ``discount`` is the invoice discount, spread over the lines in proportion to their amounts.
    """
    amounts = []
    rows = list(lines)
    for row in rows:
        full = money(exact(row.get("quantity", 0)) * exact(row.get("unitPrice", 0)))
        amounts.append(full - exact(row.get("discountAmount", 0)))
    allocations = _spread(discount, amounts)
    carried: dict[Any, tuple[Decimal, Decimal]] = {}
    found, net_total, tax_total = [], Decimal(0), Decimal(0)
    for row, amount, allocation in zip(rows, amounts, allocations, strict=True):
        rate = row.get("taxPercent", 0)
        base, taxed = carried.get(rate, (Decimal(0), Decimal(0)))
        base += amount - allocation
        due = money(base * exact(rate) / _HUNDRED)
        carried[rate] = (base, due)
        tax = due - taxed
        net_total += amount - allocation
        tax_total += tax
        line = {**row, "amountExcludingTax": float(amount), "totalTaxAmount": float(tax)}
        line.pop("invoiceDiscountAllocation", None)
        if allocation:
            line["invoiceDiscountAllocation"] = float(allocation)
        found.append(line)
    return found, Totals(net_total, tax_total)


def _spread(discount: Decimal, amounts: list[Decimal]) -> list[Decimal]:
    total = sum(amounts, Decimal(0))
    if not discount or not total:
        return [Decimal(0)] * len(amounts)
    shares, seen, given = [], Decimal(0), Decimal(0)
    for amount in amounts:
        seen += amount
        due = money(discount * seen / total)
        shares.append(due - given)
        given = due
    return shares
