"""What ShipHero's refusals mean in our words; pure.

Nearly every refusal is HTTP 200 with `errors`; only the throttle's code is documented, so the rest
is told apart by words. The vendor's text is only ever matched, never passed on.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.outcomes import Failure, Malformed, Rejected, Throttled, Unavailable
from runtime.http import HttpAnswer
from system_apis.wms.shiphero import wire_graphql

__all__ = ["SYSTEM", "credits_left", "failure_of", "is_absence", "refusal_of"]

SYSTEM: Final = "shiphero"
PAUSE: Final = 5.0
"""Seconds to wait when the vendor names none."""
_ERRORS: Final = b'"errors"'
_SECONDS: Final = re.compile(r"(\d+)\s*seconds?", re.IGNORECASE)
_ABSENT: Final = re.compile(r"not found|does not exist", re.IGNORECASE)
_PRODUCT: Final = re.compile(r"^Product\b|\bsku\b", re.IGNORECASE)
_TOO_LATE: Final = re.compile(r"cannot be cancell?ed|completed shipments", re.IGNORECASE)
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


def failure_of(answer: HttpAnswer, safe: bool) -> Failure | None:  # noqa: FBT001  # a `Judge`
    """Answer the failure that an answer is; refused fields of a document are left to the caller."""
    status = answer.status
    if status < 300:  # noqa: PLR2004  # HTTP's classes
        return _throttled(answer.body) if _ERRORS in answer.body else None
    if status == _UNAUTHORIZED:
        return None
    if status == _TOO_MANY:
        return Throttled(system=SYSTEM, retry_after=_number(answer.headers.get("retry-after")))
    if status >= _SERVER_ERROR:
        return Unavailable(system=SYSTEM, may_have_happened=not safe, because="server error")
    return Malformed(system=SYSTEM, may_have_happened=not safe, detail=f"status {status}")


def _throttled(body: bytes) -> Failure | None:
    try:
        errors = wire_graphql.errors_decoder.decode(body).errors
    except msgspec.DecodeError:
        return None  # the caller reads the same body and finds it malformed
    for error in errors:
        if error.code != wire_graphql.NOT_ENOUGH_CREDITS:
            continue
        if error.time_remaining is None:
            return Rejected(
                system=SYSTEM,
                reason="business-rule",
                detail="The request asks for more than the warehouse ever answers at once.",
                category="contract-violation",
            )
        return Throttled(system=SYSTEM, retry_after=_number(error.time_remaining))
    return None


def credits_left(answer: HttpAnswer) -> float | None:
    """Read the credits a throttle answer says are left; None when it is not one.

    A request above the whole bucket is told the bucket's size in the same field: not a count.
    """
    try:
        errors = wire_graphql.errors_decoder.decode(answer.body).errors
    except msgspec.DecodeError:
        return None
    for error in errors:
        if error.code == wire_graphql.NOT_ENOUGH_CREDITS and error.time_remaining is not None:
            return error.remaining_credits
    return None


def is_absence(errors: Sequence[wire_graphql.Error]) -> bool:
    """Tell whether all that was refused is what is not there."""
    return all(_ABSENT.search(error.message) for error in errors)


def refusal_of(errors: Sequence[wire_graphql.Error]) -> Failure:
    """Answer what a refused mutation means."""
    words = " ".join(error.message for error in errors)
    if _TOO_LATE.search(words):
        return rejected("order-not-cancellable", "The warehouse has shipped part of the order.")
    if _ABSENT.search(words) and _PRODUCT.search(words):
        return Rejected(
            system=SYSTEM,
            reason="item-unknown",
            detail="The warehouse does not have an item of the order.",
            category="master-data-mismatch",
        )
    if _ABSENT.search(words):
        return rejected("not-found", "The warehouse has no such order.")
    return rejected("business-rule", "The warehouse refused this order.")


def rejected(reason: str, detail: str) -> Rejected:
    """Say that the warehouse will not do what was asked, for a reason of the catalogue."""
    return Rejected(system=SYSTEM, reason=reason, detail=detail, category="warehouse-rejection")


def _number(text: str | None) -> float:
    found = _SECONDS.search(text or "")
    digits = found[1] if found else text or ""
    try:
        return max(0.0, float(digits))
    except ValueError:  # absent, or a date
        return PAUSE
