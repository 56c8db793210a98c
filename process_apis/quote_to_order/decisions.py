"""What is decided about an order: values in, a value out. Nothing here awaits."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from contracts.canonical.ids import CustomerId, ItemId, customer_id, item_id
from contracts.canonical.money import Money, line_amount, rounded
from contracts.canonical.order import CreditState, Hold, OrderLineRequest, OrderRequest
from contracts.canonical.party import Address, Customer
from contracts.canonical.shapes import Freshness
from contracts.ports.pricing_credit import Finding, Part, QuoteCheck, QuoteValidation
from contracts.problems import Fault, ProblemError, refuse
from process_apis.quote_to_order import approvals
from process_apis.quote_to_order.approvals import Below
from process_apis.quote_to_order.records import AgreedLine, Entry, OrderRecord
from process_apis.quote_to_order.settings import ApprovalRule, ChannelPolicy
from runtime.journal.process import REFERENCE_LIMIT

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/\-]{0,34}")
_DIGEST: Final = 12
_REFUSING: Final = (
    "customer-unknown",
    "customer-blocked",
    "customer-ineligible",
    "currency-mismatch",
    "item-unknown",
    "item-blocked",
)
_PREFIXES: Final = ("item_", "cust_", "bc:")


class Judgement(Struct, frozen=True, kw_only=True):
    """What checking an order came to: how it enters the process, and on what terms."""

    entry: Entry
    credit: CreditState
    customer: CustomerId
    customer_name: str
    lines: tuple[AgreedLine, ...]
    net: Decimal
    tax: Decimal | None
    exposure: Decimal | None
    ship_to: Address | None
    hold_reason: str | None = None
    approval_reason: str | None = None
    """Which prices wait for whom, where somebody must approve them first."""


def reference_for(key: str) -> str:
    """Answer the external reference of an idempotency key: itself, if it fits every system.

    A longer one, or one with characters some system refuses, keeps its beginning and gets 48
    bits of its SHA-256, so that it stays recognisable and one of a kind.
    """
    if _PLAIN_KEY.fullmatch(key):
        return key
    readable = re.sub(r"[^A-Za-z0-9._/\-]", "-", key).lstrip("-./_")[
        : REFERENCE_LIMIT - _DIGEST - 1
    ]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:_DIGEST]}".lstrip("-")


def check_for(
    request: OrderRequest, policy: ChannelPolicy, customer: Customer | None
) -> QuoteCheck:
    """Say what is to be checked before an order is accepted.

    A customer without a limit and without a block is never refused credit, so nobody is asked.
    """
    parts: list[Part] = [part for part in policy.checks if part != "availability"]
    if policy.pricing == "honour":
        unpriced = any(line.unit_price is None for line in request.lines)
        parts = [part for part in parts if part != "price"]
        if unpriced:
            parts.append("price")
    elif "price" not in parts:
        parts.append("price")
    free = customer is not None and customer.credit_limit is None and customer.blocked == "none"
    if free and "credit" in parts:
        parts.remove("credit")
    return QuoteCheck(
        customer=request.customer,
        lines=request.lines,
        currency=request.currency,
        ship_to=request.ship_to,
        on=None if policy.pricing == "honour" else request.order_date,
        parts=tuple(parts),
    )


def judge(  # what is asked, then what is known of it
    request: OrderRequest,
    policy: ChannelPolicy,
    check: QuoteCheck,
    validation: QuoteValidation,
    customer: Customer | None,
    *,
    promised: Sequence[Decimal] | None = None,
) -> Judgement:
    """Decide how an order enters the process.

    `promised` are unit prices we hold ourselves to. Raises `ProblemError` with the slug that
    says why the order cannot be accepted; then nothing has changed.
    """
    _refuse_findings(validation.findings)
    _refuse_broken_pieces(request, policy, validation)
    ship_to = request.ship_to or (None if customer is None else customer.address)
    rules = approvals.rules_for(policy.approvals, None if ship_to is None else ship_to.country)
    lines, below = agreed_lines(request, policy, validation, promised, rules)
    amount = sum(
        (line_amount(line.quantity, line.unit_price, request.currency) for line in lines),
        Decimal(0),
    )
    net = rounded(amount, request.currency)
    credit, reason = _credit(check, validation, promised is not None)
    if reason is not None and not policy.holds_over_limit:
        raise refuse("credit-limit-exceeded", detail=reason)
    entry: Entry = "ready" if _is_firm(check, validation, customer) else "provisional"
    if entry == "ready" and (reason is not None or below):
        entry = "held"
    decision = validation.credit.decision
    limited = decision is not None and decision.limit is not None
    return Judgement(
        entry=entry,
        credit=credit,
        customer=validation.customer or customer_as_asked(request.customer),
        customer_name="" if customer is None else customer.name,
        lines=lines,
        net=net,
        tax=None if validation.tax_amount is None else validation.tax_amount.amount,
        exposure=decision.requested.amount if decision is not None and limited else None,
        ship_to=ship_to,
        hold_reason=reason,
        approval_reason=approvals.reason_for(below, rules) if below else None,
    )


def agreed_lines(
    request: OrderRequest,
    policy: ChannelPolicy,
    validation: QuoteValidation,
    promised: Sequence[Decimal] | None,
    rules: Sequence[ApprovalRule] = (),
) -> tuple[tuple[AgreedLine, ...], tuple[Below, ...]]:
    """Put a price on every line, by the channel's policy; name those that must be approved.

    Refuses price- and currency-mismatch.
    """
    answer = validation.price.answer
    if answer is not None and answer.currency != request.currency:
        raise refuse(
            "currency-mismatch",
            detail=f"Prices are in {answer.currency}; the order is in {request.currency}.",
        )
    if answer is None:
        return tuple(_as_asked(line) for line in request.lines), ()
    faults: list[Fault] = []
    lines, below = [], []
    for i, (line, right) in enumerate(zip(request.lines, answer.lines, strict=True)):
        price, basis = right.unit_price.amount, right.basis
        given = line.unit_price
        if promised is not None:
            price, basis = promised[i], "agreed"
        elif given is not None and policy.pricing != "ignore":
            if policy.pricing == "tolerance" and not _near(given, right.unit_price, policy):
                under = _below(right.item, given, right.unit_price, rules)
                if under is not None:
                    below.append(under)
                    price, basis = given.amount, "agreed"
                else:
                    faults.append(
                        Fault(
                            pointer=f"/lines/{i}/unitPrice",
                            detail=f"{given} was given; the price is {right.unit_price}",
                            allowed=str(right.unit_price),
                        )
                    )
            elif given.amount != price:
                price, basis = given.amount, "agreed"
        words = line.description or right.description
        lines.append(AgreedLine(right.item, line.quantity, price, basis, words))
    if faults:
        raise refuse("price-mismatch", errors=faults)
    return tuple(lines), tuple(below)


def _below(item: ItemId, given: Money, right: Money, rules: Sequence[ApprovalRule]) -> Below | None:
    """Answer a price that is under the ERP's if somebody may approve it, else None."""
    if given.currency != right.currency or given.amount >= right.amount:
        return None
    below = Below(item=item, given=given, right=right)
    return below if approvals.rule_of(below, rules) is not None else None


def _refuse_broken_pieces(
    request: OrderRequest, policy: ChannelPolicy, validation: QuoteValidation
) -> None:
    """Refuse parts of a piece: no warehouse can pick them."""
    broken = [i for i, line in enumerate(request.lines) if line.quantity % 1]
    if not broken:
        return
    answer = validation.price.answer
    units = {} if answer is None else {i: answer.lines[i].unit_of_measure for i in broken}
    faults = [
        Fault(
            pointer=f"/lines/{i}/quantity",
            detail=f"{request.lines[i].quantity} was asked for; the item is sold by the "
            f"{units.get(i) or 'piece'}",
            allowed="a whole number",
        )
        for i in broken
        if (units.get(i) or "").upper() not in policy.fractional_units
    ]
    if faults:
        raise refuse("quantity-not-whole", errors=faults)


def _near(given: Money, right: Money, policy: ChannelPolicy) -> bool:
    if given.currency != right.currency:
        return False
    return abs(given.amount - right.amount) <= right.amount * policy.tolerance


def _as_asked(line: OrderLineRequest) -> AgreedLine:
    """A line nobody can price now: at the price given, or at none until it is checked again."""
    price = Decimal(0) if line.unit_price is None else line.unit_price.amount
    basis = "list" if line.unit_price is None else "agreed"
    return AgreedLine(item_as_asked(line.item), line.quantity, price, basis, line.description)  # type: ignore[arg-type]  # a conditional of two literals


def item_as_asked(reference: str) -> ItemId:
    """Answer the canonical id of an item that nobody can look up now."""
    return item_id(bare(reference))


def customer_as_asked(reference: str) -> CustomerId:
    """Answer the canonical id of a customer that nobody can look up now.

    An id of the CRM cannot be turned into ours without looking: refuses upstream-unavailable.
    """
    if reference[:3].lower() == "sf:":
        raise refuse("upstream-unavailable", retry_after=2, system="crm")
    return customer_id(bare(reference))


def bare(reference: str) -> str:
    """Answer the ERP number in a reference to a customer or an item."""
    for prefix in _PREFIXES:
        if reference[: len(prefix)].lower() == prefix:
            return reference[len(prefix) :].strip()
    return reference.strip()


def _refuse_findings(findings: Sequence[Finding]) -> None:
    found = {finding.problem: finding for finding in findings}
    for slug in _REFUSING:
        if slug in found:
            raise refuse(slug, detail=found[slug].detail, errors=found[slug].errors)


def _credit(
    check: QuoteCheck,
    validation: QuoteValidation,
    promised: bool,  # noqa: FBT001  # one fact of three
) -> tuple[CreditState, str | None]:
    if "credit" not in check.parts:
        return "approved", None
    decision = validation.credit.decision
    if decision is None:
        return "unchecked", None
    if decision.verdict == "approved" or promised:
        return "approved", None
    if decision.verdict == "overdue":
        return "held", f"{decision.overdue} of the customer's debt is overdue"
    return "held", (
        f"the order would take the customer to {decision.exposure_after}, "
        f"over the limit of {decision.limit}"
    )


def _is_firm(check: QuoteCheck, validation: QuoteValidation, customer: Customer | None) -> bool:
    """Tell whether everything that could still refuse the order is known for certain."""
    standings: list[Freshness] = [validation.eligibility.standing.freshness]
    if "price" in check.parts:
        standings.append(validation.price.standing.freshness)
    if "credit" in check.parts:
        standings.append(validation.credit.standing.freshness)
    return customer is not None and all(freshness == "firm" for freshness in standings)


def record_for(
    request: OrderRequest,
    judged: Judgement,
    *,
    channel: str,
    now: datetime,
    placed_by: str | None = None,
) -> OrderRecord:
    """Make the record of an order that is accepted now."""
    hold = None
    if judged.entry == "held" and judged.approval_reason is not None:
        hold = Hold(kind="price-approval", reason=judged.approval_reason, since=now)
    elif judged.entry == "held" and judged.hold_reason is not None:
        hold = Hold(kind="credit", reason=judged.hold_reason, since=now)
    return OrderRecord(
        channel=channel,
        customer=judged.customer,
        customer_name=judged.customer_name,
        currency=request.currency,
        net=judged.net,
        placed_at=now,
        since=now,
        placed_by=placed_by,
        lines=judged.lines,
        tax=judged.tax,
        exposure=judged.exposure,
        entry=judged.entry,
        credit=judged.credit,
        po_number=request.po_number,
        order_date=request.order_date,
        requested_delivery_date=request.requested_delivery_date,
        ship_to=judged.ship_to,
        quote=request.quote,
        hold=hold,
        request=None if judged.entry == "ready" else request,
    )


def moved_prices(before: OrderRecord, after: Sequence[AgreedLine]) -> tuple[Fault, ...]:
    """Name the lines whose price is no longer the one the caller was told.

    A line that had no price yet (zero, not agreed) was not told one.
    """
    return tuple(
        Fault(
            pointer=f"/lines/{i}/unitPrice",
            detail=f"{was.unit_price} {before.currency} was told; it is now {now.unit_price}",
            allowed=str(now.unit_price),
        )
        for i, (was, now) in enumerate(zip(before.lines, after, strict=False))
        if was.unit_price != now.unit_price and was.was_told
    )


def problem_words(problem: ProblemError) -> str:
    """Say a refusal in one sentence, with its first fault."""
    said = problem.problem.detail
    errors = problem.problem.errors
    return f"{said} {errors[0].detail}" if errors and errors[0].detail not in said else said
