"""What Salesforce's refusals mean in our words; pure.

The vendor's text is only ever matched, never passed on.
"""

from typing import Final

import msgspec

from contracts.outcomes import Conflict, Failure, Malformed, Rejected, Throttled, Unavailable
from runtime.http import HttpAnswer
from system_apis.crm.salesforce import wire

__all__ = ["SYSTEM", "failure_of", "usage_of"]

SYSTEM: Final = "salesforce"
PAUSE: Final = 60.0
"""Seconds to wait once a limit is reached: the vendor says that it is, never until when."""
_LEFT_TO_THE_CALLER: Final = frozenset({401, 404})
_STALE: Final = frozenset({409, 412})
_SERVER_ERROR: Final = 500


def failure_of(answer: HttpAnswer, safe: bool) -> Failure | None:  # noqa: FBT001  # a `Judge`
    """Answer the failure that an answer is; None for success, 401 and 404, which depend."""
    status = answer.status
    if status < 300 or status in _LEFT_TO_THE_CALLER:  # noqa: PLR2004  # HTTP's classes
        return None
    try:
        errors = wire.errors_decoder.decode(answer.body)
    except msgspec.DecodeError:
        errors = []
    return _refusal({error.code for error in errors}, status, safe=safe)


def _refusal(codes: set[str], status: int, *, safe: bool) -> Failure:
    if wire.LIMIT_REACHED in codes:
        return Throttled(system=SYSTEM, retry_after=PAUSE)
    if codes & wire.NOT_NOW:
        return Unavailable(system=SYSTEM, may_have_happened=False, because="not now")
    if status >= _SERVER_ERROR:
        return Unavailable(system=SYSTEM, may_have_happened=not safe, because="server error")
    if codes & wire.CHANGED or status in _STALE:
        return Conflict(system=SYSTEM, detail="the record was changed by somebody else")
    if not codes:
        return Malformed(system=SYSTEM, may_have_happened=not safe, detail=f"status {status}")
    return Rejected(
        system=SYSTEM,
        reason="business-rule",
        detail="The CRM does not allow this request.",
        category="contract-violation",
    )


def usage_of(answer: HttpAnswer) -> tuple[int, int] | None:
    """Read used and allowed calls of the day, as `api-usage=18/5000`; None when not told."""
    for part in answer.headers.get(wire.LIMIT_HEADER, "").split(","):
        name, _, counts = part.strip().partition("=")
        used, _, limit = counts.partition("/")
        if name == "api-usage" and used.isdigit() and limit.isdigit():
            return int(used), int(limit)
    return None
