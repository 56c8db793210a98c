"""How fresh an answer must be, and how long anybody waits for it."""

from decimal import Decimal

import msgspec


class CopySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of record is copied. Durations are in seconds.

    `firm_for`: how old a copy may be and still count as the authority's word. `absent_for`: the
    same for "there is no such record". `patience`: how long a caller who has an older copy waits
    for a newer one. `pause`: how long the authority is left alone after it did not answer.
    """

    firm_for: float
    size: int
    absent_for: float = 5.0
    patience: float = 1.0
    pause: float = 0.5
    load_budget: float = 10.0
    batch: int = 200


class PricingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What pricing and credit are run with.

    `check_budget` is the time in seconds a check takes at most when the caller sets no deadline;
    `answer_reserve` is what is kept of the caller's budget to make the answer itself.
    """

    company_currency: str = "GBP"
    ship_from_country: str = "GB"
    check_budget: float = 2.5
    answer_reserve: float = 0.05
    promise_seconds: float = 900.0
    overdue_tolerated: Decimal | None = None
    """Overdue amount, in company currency, above which an order is held; None: only told."""
    refresh_every: float = 15.0
    """How often changed customers and items are asked for, in seconds."""
    refresh_overlap: float = 60.0
    """How far back beyond the last refresh changes are asked for, against clock differences."""
    pulse_every: float = 0.5
    """How long an answer of a system shows, in seconds, that it is there: young copies of one that
    is gone are stale."""
    pulse_patience: float = 0.5
    customers: CopySettings = CopySettings(firm_for=60.0, size=200_000)
    items: CopySettings = CopySettings(firm_for=60.0, size=200_000)
    accounts: CopySettings = CopySettings(firm_for=600.0, size=100_000)
    prices: CopySettings = CopySettings(firm_for=60.0, size=200_000)
    credit: CopySettings = CopySettings(firm_for=15.0, size=50_000)
    rates: CopySettings = CopySettings(firm_for=3600.0, size=200)
    stock: CopySettings = CopySettings(firm_for=15.0, size=100_000)
