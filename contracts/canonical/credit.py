"""Credit: what a customer may still owe us."""

from typing import Literal

from contracts.canonical.ids import CustomerId
from contracts.canonical.money import Money
from contracts.canonical.party import Block
from contracts.canonical.shapes import Canonical, Instant

CreditVerdict = Literal["approved", "over-limit", "overdue", "blocked"]


class CreditPosition(Canonical, frozen=True, kw_only=True):
    """A customer's exposure in the company's own currency.

    `exposure` = balance + open orders + shipped and not invoiced, as Business Central computes
    available credit; `limit` None means unlimited.
    """

    customer: CustomerId
    limit: Money | None
    balance: Money
    overdue: Money
    open_orders: Money
    shipped_not_invoiced: Money
    blocked: Block
    as_of: Instant

    @property
    def exposure(self) -> Money:
        """What the customer owes or is about to owe."""
        return self.balance + self.open_orders + self.shipped_not_invoiced

    @property
    def available(self) -> Money | None:
        """What is left of the limit; None when there is no limit. May be negative."""
        return None if self.limit is None else self.limit - self.exposure


class CreditDecision(Canonical, frozen=True, kw_only=True):
    """The verdict on one more amount."""

    verdict: CreditVerdict
    requested: Money
    exposure_after: Money
    limit: Money | None
    available: Money | None
    overdue: Money
