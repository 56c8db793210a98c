"""What each channel may do, and how long the process is patient."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final, Literal

import msgspec

from contracts.ports.pricing_credit import Part
from runtime.journal.process import Lane

Pricing = Literal["honour", "tolerance", "ignore"]
Allocating = Literal["here", "warehouse"]


class ApprovalRule(msgspec.Struct, frozen=True, kw_only=True):
    """Who may approve a price, and how far below the ERP's.

    `threshold` is a fraction of the ERP's price: `0.10` approves what costs nine tenths of it.
    `countries` (ISO 3166-1 alpha-2) make up `region`; without any the rule is for every country
    that has none of its own. Of several for one country the lowest that suffices counts.
    """

    region: str
    threshold: Decimal
    approver: str
    countries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a threshold that is no fraction."""
        if not (self.threshold.is_finite() and 0 < self.threshold < 1):
            raise ValueError("threshold must be above 0 and below 1")


MEASURED: Final = ("KG", "G", "L", "ML", "M", "CM", "M2", "M3")
"""Units of measure that are not counted in pieces."""


class ChannelPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What counts on one channel.

    `pricing`: `honour` takes the unit prices given as agreed; `tolerance` holds them to the
    ERP's price, give or take the fraction `tolerance`; `ignore` puts the ERP's prices on the
    order. `checks` are the parts looked at before an order is accepted. With `holds_over_limit`
    an order over the credit limit is accepted and held, else it is refused.

    `allocation`: `here` reserves stock for a confirmed order, splits it by warehouse and waits for
    what nobody has; `warehouse` leaves all of that to the warehouse. Without `partial_delivery` an
    order that is allocated here waits until all of it is there.

    `approvals`: prices under the ERP's by more than the tolerance that somebody may approve; left
    out, those of the whole configuration. Of items in `fractional_units` parts of a unit are sold.
    """

    pricing: Pricing
    tolerance: Decimal = Decimal(0)
    checks: tuple[Part, ...] = ("price", "credit", "tax")
    holds_over_limit: bool = True
    lane: Lane = Lane.CAPTURE
    allocation: Allocating = "here"
    partial_delivery: bool = True
    approvals: tuple[ApprovalRule, ...] = ()
    fractional_units: tuple[str, ...] = MEASURED


CHANNELS: Mapping[str, ChannelPolicy] = {
    "sales": ChannelPolicy(pricing="tolerance"),
    "crm": ChannelPolicy(
        pricing="tolerance", tolerance=Decimal("0.02"), checks=("price", "credit")
    ),
    "order-file": ChannelPolicy(
        pricing="honour", checks=("credit",), lane=Lane.BULK, allocation="warehouse"
    ),
}
"""The policies of the channels there are, unless the configuration says otherwise."""


class OrderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What quote-to-order is run with.

    A channel that is not named in `channels` stays as it is in `CHANNELS`: deals and order files
    go on when a configuration speaks of a web shop alone.
    """

    channels: Mapping[str, ChannelPolicy] = msgspec.field(default_factory=lambda: CHANNELS)
    approvals: tuple[ApprovalRule, ...] = ()
    """Prices that somebody may approve, on every channel that holds prices to the ERP's."""
    give_up_after: timedelta = timedelta(hours=24)
    """How long a system may be unavailable before a person is asked to look."""
    settle_before_undo: timedelta = timedelta(seconds=35)
    """How long after a cancellation a call that is in doubt may still reach its system; longer
    than the longest time a system is waited for."""
    settle_after_takeover: timedelta = timedelta(seconds=2)
    """How long the call of a program that died is left to end before its outcome is looked up."""
    longest_wait: timedelta = timedelta(seconds=25)
    """The longest `Prefer: wait` that is honoured."""
    reserve_for: timedelta = timedelta(hours=24)
    """How long stock is kept for a confirmed order that cannot be released."""
    stock_poll_every: timedelta = timedelta(minutes=5)
    """How often it is looked whether stock has come that an order waits for."""
    deal_poll_every: timedelta = timedelta(seconds=30)
    deal_poll_overlap: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        """Add the channels that were not named, and the rules that are for all of them."""
        channels = {
            name: msgspec.structs.replace(policy, approvals=policy.approvals or self.approvals)
            if policy.pricing == "tolerance"
            else policy
            for name, policy in {**CHANNELS, **self.channels}.items()
        }
        msgspec.structs.force_setattr(self, "channels", channels)
