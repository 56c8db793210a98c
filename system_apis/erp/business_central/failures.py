"""What Business Central's refusals mean in our words; pure.

The vendor's text is only ever matched, never passed on: what callers and operators read is ours.
"""

import re
from typing import Final

import msgspec

from contracts.outcomes import (
    Category,
    Conflict,
    Failure,
    Malformed,
    Rejected,
    Throttled,
    Unavailable,
)
from runtime.http import HttpAnswer
from system_apis.erp.business_central import odata, wire

__all__ = ["failure_of"]

SYSTEM: Final = "business_central"
PAUSE: Final = 5.0
"""Seconds to wait when the vendor names none: `Retry-After` is not documented."""
_LEFT_TO_THE_CALLER: Final = frozenset({401, 404})
_NOT_NOW: Final = frozenset({408, 500, 502, 503, 504})
_TOO_MANY: Final = 429
_STALE: Final = 412


class _Rule(msgspec.Struct, frozen=True):
    """A text of the vendor, and what it means."""

    text: re.Pattern[str]
    reason: str
    detail: str
    category: Category


def _rule(text: str, reason: str, detail: str, category: Category) -> _Rule:
    return _Rule(re.compile(text, re.IGNORECASE), reason, detail, category)


_RULES: Final = (
    _rule(
        r"cannot (create|post) this type of document when Customer .* is (privacy )?blocked",
        "customer-blocked",
        "The ERP blocks this customer for such documents.",
        "erp-business-rule",
    ),
    _rule(
        r"sell-to customer|Customer .*(does not exist|cannot be found)|related table \(Customer\)",
        "customer-unknown",
        "The ERP has no customer of this number.",
        "master-data-mismatch",
    ),
    _rule(
        r"Blocked must be equal to 'No'.*Item|Item .* (is )?blocked",
        "item-blocked",
        "The ERP blocks an item of the order for sale.",
        "master-data-mismatch",
    ),
    _rule(
        r"\bItem\b.*(does not exist|cannot be found|not match)|related table \(Item\)"
        r"|lineObjectNumber|itemId",
        "item-unknown",
        "The ERP does not have an item of the order.",
        "master-data-mismatch",
    ),
    _rule(
        r"currency",
        "currency-mismatch",
        "The ERP does not take this currency.",
        "master-data-mismatch",
    ),
    _rule(
        r"cannot delete|shipped|invoiced|posted",
        "order-not-cancellable",
        "The ERP has posted part of the document.",
        "erp-business-rule",
    ),
)
_LOCKED: Final = re.compile(r"locked by another user|deadlock|try again later", re.IGNORECASE)


def failure_of(answer: HttpAnswer, safe: bool) -> Failure | None:  # noqa: FBT001  # a `Judge`
    """Answer the failure that an answer is; None for success, 401 and 404, which depend."""
    status = answer.status
    if status < 400 or status in _LEFT_TO_THE_CALLER:  # noqa: PLR2004  # HTTP's classes
        return None
    try:
        error = odata.error_decoder.decode(answer.body).error
    except msgspec.DecodeError:
        error = odata.ErrorBody()
    if status == _TOO_MANY or error.code == wire.TOO_MANY_REQUESTS:
        return Throttled(system=SYSTEM, retry_after=_retry_after(answer))
    if status in _NOT_NOW:
        return Unavailable(system=SYSTEM, may_have_happened=not safe, because="server error")
    if error.code == wire.ENTITY_CHANGED or status == _STALE:
        return Conflict(system=SYSTEM, detail="the record was changed by somebody else")
    return _refusal(error, status, safe=safe)


def _refusal(error: odata.ErrorBody, status: int, *, safe: bool) -> Failure:
    if not error.code:
        return Malformed(system=SYSTEM, may_have_happened=not safe, detail=f"status {status}")
    if _LOCKED.search(error.message):
        return Unavailable(system=SYSTEM, may_have_happened=False, because="record locked")
    return _rejected(error)


def _rejected(error: odata.ErrorBody) -> Rejected:
    for rule in _RULES:
        if rule.text.search(error.message):
            return Rejected(
                system=SYSTEM, reason=rule.reason, detail=rule.detail, category=rule.category
            )
    family = error.code.partition("_")[0]
    if family in {"BadRequest", "Authorization"}:
        # our request is not one the vendor's contract allows: a fault of ours or of the set-up
        return Rejected(
            system=SYSTEM,
            reason="business-rule",
            detail="The ERP does not allow this request.",
            category="contract-violation",
        )
    return Rejected(
        system=SYSTEM,
        reason="business-rule",
        detail="A business rule of the ERP refused this.",
    )


def _retry_after(answer: HttpAnswer) -> float:
    text = answer.headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:  # absent, or a date, which the vendor has not been seen to send
        return PAUSE
