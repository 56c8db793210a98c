"""How a call to a vendor can end: done, or one of five kinds, matched exhaustively.

A connector raises `CallFailedError` with one of these; nothing of the vendor's own error vocabulary
leaves its connector. `may_have_happened` is the one question that decides whether a second try
needs a look-up first.
"""

from typing import Literal, TypeAlias

import msgspec

from contracts.problems import Problem, ProblemError, refuse

Category = Literal[
    "master-data-mismatch",
    "time-out",
    "throttled",
    "warehouse-rejection",
    "erp-business-rule",
    "pricing-mismatch",
    "credit-hold",
    "contract-violation",
    "rollback-incomplete",
]
"""The categories of exceptions operations works with (design, section 5)."""


class Unavailable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No answer, or one that says "not now". `may_have_happened`: sent, end unknown."""

    system: str
    may_have_happened: bool
    because: str


class Throttled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The vendor asks for a pause of `retry_after` seconds; nothing was done."""

    system: str
    retry_after: float


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The vendor understood and refused. `reason` is a slug of the problem catalogue."""

    system: str
    reason: str
    detail: str
    category: Category = "erp-business-rule"


class Conflict(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Somebody else changed the record; read again before deciding again."""

    system: str
    detail: str


class Malformed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer breaks the vendor's own contract. `may_have_happened` as for `Unavailable`."""

    system: str
    detail: str
    may_have_happened: bool


Failure: TypeAlias = Unavailable | Throttled | Rejected | Conflict | Malformed


class CallFailedError(Exception):
    """A vendor call that did not end as done."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(repr(failure))
        self.failure = failure


def in_doubt(failure: Failure) -> bool:
    """Tell whether the effect may have happened all the same."""
    match failure:
        case Unavailable(may_have_happened=doubt) | Malformed(may_have_happened=doubt):
            return doubt
        case Throttled() | Rejected() | Conflict():
            return False


def as_problem(failure: Failure) -> ProblemError:
    """Say a failed vendor call in the caller's words.

    The extension members `system`, `mayHaveHappened` and `category` let a remote caller read the
    failure back (`from_problem`), so that a tier deployed apart decides as one in process.
    """
    match failure:
        case Unavailable(system=system, may_have_happened=doubt):
            return refuse(
                "upstream-unavailable", retry_after=2, system=system, mayHaveHappened=doubt
            )
        case Throttled(system=system, retry_after=seconds):
            return refuse("upstream-throttled", retry_after=seconds, system=system)
        case Rejected(system=system, reason=reason, detail=detail, category=category):
            return refuse(reason, detail=detail, system=system, category=category)
        case Conflict(system=system):
            return refuse("conflict", system=system)
        case Malformed(system=system, may_have_happened=doubt):
            return refuse(
                "upstream-malformed", retry_after=30, system=system, mayHaveHappened=doubt
            )


def from_problem(problem: Problem, *, system: str, retry_after: float | None) -> Failure:
    """Read a failed vendor call back from the problem another tier answered."""
    told = problem.extensions
    system = str(told.get("system", system))
    doubt = bool(told.get("mayHaveHappened", True))
    match problem.slug:
        case "upstream-throttled" | "quota-exceeded" | "overloaded" | "draining":
            return Throttled(system=system, retry_after=retry_after or 1.0)
        case "conflict":
            return Conflict(system=system, detail=problem.detail)
        case "upstream-malformed":
            return Malformed(system=system, detail=problem.detail, may_have_happened=doubt)
        case slug if problem.retryable:
            return Unavailable(system=system, may_have_happened=doubt, because=slug)
        case slug:
            category = msgspec.convert(told.get("category", "erp-business-rule"), Category)
            return Rejected(system=system, reason=slug, detail=problem.detail, category=category)
