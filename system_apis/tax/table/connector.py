"""The tax port on a table: `contracts.ports.tax.Tax` without any I/O."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Final

from stdnum.eu import vat as eu_vat

from contracts.canonical.money import Money, money, zero
from contracts.canonical.tax import TaxAssessment, TaxedSale, TaxLine, TaxRegime
from runtime.clock import Clock
from system_apis.tax.table import rates

__all__ = ["TaxTable"]

HOME: Final = "GB"
_GREECE: Final = "EL"
"""The prefix of Greek VAT ids, where ISO 3166 says GR (Directive 2006/112/EC, article 215)."""
REVERSE_CHARGE_NOTE: Final = (
    "Reverse charge: the customer accounts for the VAT "
    "(Articles 44 and 196, Council Directive 2006/112/EC)."
)
EXPORT_NOTE: Final = "Export: zero-rated supply of goods."


class TaxTable:
    """Assesses sales by where the goods go and who receives them.

    - United States: the sales tax of the state; nothing for an exempt buyer.
    - Great Britain: domestic VAT.
    - European Union: reverse charge for a valid VAT id of another state than the goods leave from,
      else the VAT of the destination.
    - Anywhere else: an export.

    Tax is rounded once a rate, over everything it applies to, as the ERP rounds it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def assess(self, body: TaxedSale) -> TaxAssessment:
        """Answer the regime of a sale and its tax, by rate, as of today."""
        today = self._clock.now().date()
        country = body.ship_to_country
        if country == "US":
            return self._sales_tax(body)
        if country == HOME:
            return _taxed(body, "domestic-vat", country, lambda group: _vat(country, group, today))
        if country not in rates.EU:
            return _untaxed(body, "export", country, EXPORT_NOTE)
        valid = None if body.vat_id is None else eu_vat.is_valid(_with_prefix(body.vat_id, country))
        if valid and country != body.ship_from_country:
            return _untaxed(body, "reverse-charge", country, REVERSE_CHARGE_NOTE, valid=True)
        regime: TaxRegime = "domestic-vat" if country == body.ship_from_country else "eu-vat"
        return _taxed(body, regime, country, lambda group: _vat(country, group, today), valid=valid)

    def _sales_tax(self, body: TaxedSale) -> TaxAssessment:
        state = body.ship_to_state.upper()
        if body.exempt:
            return _untaxed(body, "none", f"US-{state}", "Exempt from sales tax.")
        return _taxed(
            body, "us-sales-tax", f"US-{state}", lambda group: rates.sales_tax_on(state, group)
        )


def _vat(country: str, group: str, day: date) -> Decimal:
    return rates.rate_on(country, group, day)


def _with_prefix(vat_id: str, country: str) -> str:
    prefix = _GREECE if country == "GR" else country
    return vat_id if vat_id[:2].isalpha() else prefix + vat_id


def _taxed(
    sale: TaxedSale,
    regime: TaxRegime,
    jurisdiction: str,
    rate_of: Callable[[str], Decimal],
    *,
    valid: bool | None = None,
) -> TaxAssessment:
    taxable: dict[Decimal, Decimal] = {}
    for line in sale.lines:
        rate = Decimal(0) if sale.exempt else rate_of(line.tax_group or rates.STANDARD)
        taxable[rate] = taxable.get(rate, Decimal(0)) + line.net_amount.amount
    lines = tuple(
        TaxLine(
            rate=rate,
            taxable=money(amount, sale.currency),
            tax=money(amount * rate, sale.currency),
            jurisdiction=jurisdiction,
            regime=regime,
        )
        for rate, amount in taxable.items()
    )
    total = sum((line.tax.amount for line in lines), Decimal(0))
    return TaxAssessment(
        regime=regime,
        lines=lines,
        total=Money(amount=total, currency=sale.currency) if lines else zero(sale.currency),
        vat_id_valid=valid,
    )


def _untaxed(
    sale: TaxedSale,
    regime: TaxRegime,
    jurisdiction: str,
    note: str,
    *,
    valid: bool | None = None,
) -> TaxAssessment:
    net = sum((line.net_amount.amount for line in sale.lines), Decimal(0))
    return TaxAssessment(
        regime=regime,
        lines=(
            TaxLine(
                rate=Decimal(0),
                taxable=money(net, sale.currency),
                tax=zero(sale.currency),
                jurisdiction=jurisdiction,
                regime=regime,
            ),
        ),
        total=zero(sale.currency),
        vat_id_valid=valid,
        note=note,
    )
