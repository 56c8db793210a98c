"""Prices below what the ERP asks, which somebody may approve. Pure.

A channel tolerates a small difference by itself. Beyond it the rules of the customer's region say
how much less somebody may approve, and who; what is below every rule is refused.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

import msgspec
from msgspec import Struct

from contracts.canonical.money import Money
from contracts.canonical.order import Hold
from contracts.context import CallContext
from process_apis.quote_to_order import outcomes
from process_apis.quote_to_order.records import OrderRecord, changed
from process_apis.quote_to_order.remedying import OrderAnswer, actor_of
from process_apis.quote_to_order.settings import ApprovalRule
from runtime.journal.process import Ignore, Move, Process, Says, Signal

_PERCENT = Decimal("0.1")


class Below(Struct, frozen=True, kw_only=True):
    """A line whose price is under the ERP's by more than its channel tolerates."""

    item: str
    given: Money
    right: Money

    @property
    def fraction(self) -> Decimal:
        """How much of the ERP's price is missing."""
        return (self.right.amount - self.given.amount) / self.right.amount


def rules_for(rules: Sequence[ApprovalRule], country: str | None) -> tuple[ApprovalRule, ...]:
    """Answer the rules of a country, the strictest first; without any, those for everywhere."""
    own = [rule for rule in rules if country in rule.countries]
    found = own or [rule for rule in rules if not rule.countries]
    return tuple(sorted(found, key=lambda rule: rule.threshold))


def rule_of(below: Below, rules: Sequence[ApprovalRule]) -> ApprovalRule | None:
    """Answer the first rule under which a price may be approved; None when nobody may."""
    return next((rule for rule in rules if below.fraction <= rule.threshold), None)


def reason_for(lines: Sequence[Below], rules: Sequence[ApprovalRule]) -> str:
    """Say which prices wait for whom."""
    worst = max(lines, key=lambda line: line.fraction)
    rule = rule_of(worst, rules)
    if rule is None:
        raise ValueError("nobody may approve this price")
    named = ", ".join(
        f"{line.item.removeprefix('item_')} at {line.given} is "
        f"{(100 * line.fraction).quantize(_PERCENT, ROUND_HALF_UP)} % under {line.right}"
        for line in lines
    )
    return f"{named}; in {rule.region} the {rule.approver} decides"


def waits(process: Process[OrderRecord]) -> bool:
    """Tell whether an order waits for its price to be approved."""
    return process.state == "held" and is_for_price(process.data.hold)


def is_for_price(hold: Hold | None) -> bool:
    """Tell whether a hold is one that an approval ends."""
    return hold is not None and hold.kind == "price-approval"


def is_own(process: Process[OrderRecord], call: CallContext) -> bool:
    """Tell whether who calls may be who placed the order: nobody approves an own price.

    Two people of one channel are told apart by their names; where either is not named, the
    channel counts as one person.
    """
    placed_by = process.data.placed_by
    if call.consumer != process.consumer:
        return placed_by is not None and placed_by == call.subject
    return placed_by is None or call.subject is None or placed_by == call.subject


def decided(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """An approval sends the order on at its own prices, a refusal takes it back."""
    if not waits(process):
        return Ignore(says=Says(text="There was no price left to be approved."))
    who, note = actor_of(signal), str(signal.data.get("note") or "")
    if signal.data.get("decision") == "approve":
        return approved(process, signal, f"{who} approved the price: {note}")
    after = changed(process.data, signal.at, hold=None, reason=f"the price was refused: {note}")
    return Move(
        event="cancelled",
        data=after,
        says=(Says(text=f"{who} refused the price: {note}", data={"actor": who}),),
        emits=(outcomes.told("order.cancelled", process, after, signal.at, state="withdrawing"),),
        closes_incident=True,
    )


def approved(process: Process[OrderRecord], signal: Signal, said: str) -> Move[OrderRecord]:
    """The prices stand; credit and everything else is checked as for any other order."""
    after = changed(
        process.data, signal.at, hold=None, trouble=None, credit="unchecked", prices_accepted=True
    )
    return Move(
        event="approved",
        data=msgspec.structs.replace(after, entry="ready"),
        says=(Says(text=said, data={"actor": actor_of(signal)}),),
        emits=(outcomes.told("order.provisional", process, after, signal.at, state="provisional"),),
        closes_incident=True,
    )
