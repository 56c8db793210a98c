"""What a tax engine does for us, in our words (system/tax/v1)."""

from typing import Protocol

from contracts.canonical.tax import TaxAssessment, TaxedSale
from contracts.ports import examples
from contracts.ports.binding import operation

READ = "system:tax:read"


class Tax(Protocol):
    """The tax engine: our own table of regimes, or a service behind the same port."""

    @operation(
        "POST",
        "/assessments",
        scope=READ,
        limit="checks",
        problems=("amount-too-large",),
        examples={"body": examples.SALE},
    )
    async def assess(self, body: TaxedSale) -> TaxAssessment:
        """Answer the regime of a sale and its tax, by rate."""
        ...
