"""The problem catalogue (RFC 9457): every way a call can be refused, and what to do about it.

A slug never changes its meaning. `type` is the reference `/problems/<slug>`, served by the gateway
as a page a person can read. A problem never carries a vendor's text, a stack or the request's URL.

More than 400 lines: a catalogue is one table, and a row reads better on lines of its own.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal

import msgspec

TYPE_PREFIX: Final = "/problems/"

Actor = Literal["caller", "sales", "finance", "operations", "purchasing", "nobody"]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the catalogue.

    `retryable` means the same request may succeed later unchanged. `actor` is who must do
    something before it can succeed.
    """

    slug: str
    title: str
    status: int
    retryable: bool
    actor: Actor
    remedy: str
    runbook: str | None = None
    """The page for whoever must act on it, where exceptions of the same cause have one."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault in a request: where (RFC 6901 pointer or parameter name), what, what is allowed."""

    pointer: str
    detail: str
    allowed: str | None = None
    nearest: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The body of an `application/problem+json` answer."""

    type: str
    title: str
    status: int
    detail: str
    retryable: bool
    actor: Actor
    instance: str | None = None
    errors: tuple[Fault, ...] = ()
    extensions: dict[str, Any] = {}

    @property
    def slug(self) -> str:
        """The catalogue row this problem is an occurrence of."""
        return self.type.removeprefix(TYPE_PREFIX)


_RUNBOOKS: Final[Mapping[str, str]] = {
    slug: f"docs/runbooks/{page}.md"
    for page, slugs in {
        "time-out": ("upstream-unavailable", "deadline-exceeded"),
        "throttled": ("upstream-throttled",),
        "contract-violation": ("upstream-malformed", "internal-error"),
        "master-data-mismatch": ("customer-unknown", "customer-ineligible", "item-unknown",
                                 "channel-unknown"),
        "erp-business-rule": ("customer-blocked", "item-blocked", "business-rule"),
        "pricing-mismatch": ("price-mismatch", "currency-mismatch", "approval-not-allowed"),
        "credit-hold": ("credit-limit-exceeded",),
        "warehouse-rejection": ("stock-insufficient", "quantity-not-whole"),
        "rollback-incomplete": ("order-not-cancellable",),
        "README": ("remedy-not-allowed", "store-unavailable"),
    }.items()
    for slug in slugs
}  # fmt: skip


def _kind(slug: str, status: int, title: str, actor: Actor, remedy: str, *, retry: bool) -> Kind:
    return Kind(
        slug=slug,
        title=title,
        status=status,
        retryable=retry,
        actor=actor,
        remedy=remedy,
        runbook=_RUNBOOKS.get(slug),
    )


def _refused(slug: str, status: int, title: str, remedy: str, actor: Actor = "caller") -> Kind:
    return _kind(slug, status, title, actor, remedy, retry=False)


def _later(slug: str, status: int, title: str, remedy: str, actor: Actor = "nobody") -> Kind:
    return _kind(slug, status, title, actor, remedy, retry=True)


CATALOGUE: Final[Mapping[str, Kind]] = {
    kind.slug: kind
    for kind in (
        # The request itself
        _refused(
            "malformed-request",
            400,
            "The request could not be read",
            "Send well-formed HTTP and JSON.",
        ),
        _refused(
            "invalid-request",
            400,
            "The request does not match the contract",
            "Correct every fault listed in `errors`.",
        ),
        _refused(
            "ambiguous-request",
            400,
            "The request can be read in two ways",
            "Send each of these headers once.",
        ),
        _refused(
            "request-timeout",
            408,
            "The request arrived too slowly",
            "Send the whole request without pauses.",
        ),
        _refused(
            "request-too-large",
            413,
            "The request body is too large",
            "Send a smaller body; split the document.",
        ),
        _refused("uri-too-long", 414, "The address is too long", "Shorten the query."),
        _refused(
            "unsupported-media-type",
            415,
            "The body is in a format this operation does not read",
            "Send application/json, uncompressed or gzip.",
        ),
        _refused(
            "headers-too-large",
            431,
            "The request headers are too large",
            "Send fewer or shorter headers.",
        ),
        # Who is calling
        _refused(
            "unauthenticated",
            401,
            "The call carries no valid credential",
            "Send a bearer token of an issuer named in /.well-known/oauth-protected-resource, "
            "or the API key or certificate this gateway knows you by.",
        ),
        _refused(
            "token-expired",
            401,
            "The access token has expired",
            "Get a new token from the issuer of this one and repeat the call.",
        ),
        _refused(
            "insufficient-scope",
            403,
            "The token does not carry the scope this operation needs",
            "Ask for the scope named in `scope`, or use a client that has it.",
        ),
        _refused(
            "webhook-signature-invalid",
            401,
            "The notification is not signed as agreed",
            "Check the shared secret on both sides.",
            "operations",
        ),
        # What is being called
        _refused(
            "not-found",
            404,
            "Nothing is here for this caller",
            "Check the id; an id of another account looks the same as none.",
        ),
        _refused(
            "operation-unknown",
            404,
            "No contract names this operation",
            "See /.well-known/api-catalog for what there is.",
        ),
        _refused(
            "method-not-allowed",
            405,
            "The contract has no such method here",
            "Use one of the methods in Allow.",
        ),
        _refused(
            "version-retired",
            410,
            "This version has been retired",
            "Move to the version named in `successor`.",
        ),
        # Idempotency
        _refused(
            "idempotency-key-missing",
            400,
            "This operation needs an Idempotency-Key",
            "Send a key of your own, the same on every retry of the same order.",
        ),
        _refused(
            "idempotency-key-invalid",
            400,
            "The Idempotency-Key is not usable",
            "Send one header of 1 to 255 visible ASCII characters.",
        ),
        _later(
            "idempotency-in-flight",
            409,
            "A call with this key is still running",
            "Repeat after Retry-After; the answer will be the first one's.",
        ),
        _refused(
            "idempotency-key-reused",
            422,
            "This key was used for another request",
            "Use a new key for a new request.",
        ),
        # How much is being called
        _later(
            "quota-exceeded",
            429,
            "The plan's quota is used up",
            "Repeat after Retry-After.",
            "caller",
        ),
        _later("overloaded", 503, "The system is shedding load", "Repeat after Retry-After."),
        _later(
            "draining",
            503,
            "This process is shutting down",
            "Repeat at once; another process will answer.",
        ),
        # Behind the gateway
        _later(
            "deadline-exceeded",
            504,
            "The answer did not come within the caller's budget",
            "Repeat with the same Idempotency-Key.",
        ),
        _later(
            "upstream-unavailable",
            503,
            "A system this answer needs is not available",
            "Repeat after Retry-After.",
        ),
        _later(
            "upstream-throttled",
            503,
            "A system this answer needs is limiting calls",
            "Repeat after Retry-After.",
        ),
        _later(
            "upstream-malformed",
            502,
            "A system answered something its contract does not allow",
            "Operations has been told.",
            "operations",
        ),
        _later(
            "store-unavailable",
            503,
            "The order store is not available; nothing was accepted",
            "Repeat after Retry-After with the same Idempotency-Key.",
        ),
        _later(
            "internal-error",
            500,
            "An unexpected fault",
            "Repeat with the same Idempotency-Key; tell operations the correlation id.",
            "operations",
        ),
        # Business refusals: the request is well formed and its content cannot be accepted
        _refused(
            "channel-unknown",
            409,
            "No such channel",
            "Use one of the channels in `errors`, or configure this one.",
            "operations",
        ),
        _refused(
            "customer-unknown",
            409,
            "No such customer",
            "Name the customer by its canonical id or a system's id that is cross-referenced.",
            "sales",
        ),
        _refused(
            "customer-blocked",
            409,
            "The customer is blocked in the ERP",
            "Finance must lift the block before the customer can order.",
            "finance",
        ),
        _refused(
            "customer-ineligible",
            409,
            "The customer cannot buy this",
            "Complete the customer's master data.",
            "sales",
        ),
        _refused("item-unknown", 409, "No such item", "Check the item numbers listed in `errors`."),
        _refused(
            "item-blocked",
            409,
            "An item is not for sale",
            "Replace the items listed in `errors`.",
            "sales",
        ),
        _refused(
            "price-mismatch",
            409,
            "The price given is not the price agreed",
            "Use the prices in `errors`, or have the price approved.",
            "sales",
        ),
        _refused(
            "currency-mismatch",
            409,
            "The order's currency is not the customer's",
            "Order in the customer's currency.",
        ),
        _refused(
            "amount-too-large",
            409,
            "The amounts come to more than the systems of record can hold",
            "Correct quantities and prices, or split the document.",
        ),
        _refused(
            "credit-limit-exceeded",
            409,
            "The order would exceed the customer's credit",
            "Finance may raise the limit or release the order.",
            "finance",
        ),
        _refused(
            "stock-insufficient",
            409,
            "There is not enough stock for the promise asked",
            "Accept a later date or a partial delivery.",
            "sales",
        ),
        _refused(
            "promise-invalid",
            409,
            "The promise is expired, used or not for this order",
            "Validate the quote again.",
            "sales",
        ),
        _refused(
            "order-not-cancellable",
            409,
            "The order can no longer be cancelled",
            "Return the goods instead.",
            "sales",
        ),
        _refused(
            "approval-not-allowed",
            409,
            "This price cannot be approved here",
            "Have somebody else than who placed the order approve it, while it waits for that.",
            "sales",
        ),
        _refused(
            "quantity-not-whole",
            409,
            "Parts of a piece cannot be picked",
            "Order whole numbers of the items listed in `errors`.",
        ),
        _refused(
            "remedy-not-allowed",
            409,
            "This remedy does not fit the exception",
            "Use one of the remedies in `allowed`.",
            "operations",
        ),
        _refused(
            "business-rule",
            409,
            "A business rule of the system of record refused this",
            "Operations must look at the exception.",
            "operations",
        ),
        _refused(
            "conflict",
            409,
            "Somebody else changed this at the same time",
            "Read it again and decide again.",
        ),
    )
}


def kind(slug: str) -> Kind:
    """Answer the catalogue row; raise `KeyError` naming the nearest slug for an unknown one."""
    try:
        return CATALOGUE[slug]
    except KeyError:
        near = get_close_matches(slug, CATALOGUE, n=1)
        raise KeyError(f"no problem {slug!r}; nearest: {near[0] if near else 'none'}") from None


def problem(
    slug: str,
    *,
    detail: str | None = None,
    errors: Iterable[Fault] = (),
    instance: str | None = None,
    **extensions: Any,
) -> Problem:
    """Make an occurrence of a catalogued problem. Without `detail` the remedy is told."""
    row = kind(slug)
    return Problem(
        type=TYPE_PREFIX + row.slug,
        title=row.title,
        status=row.status,
        detail=detail or row.remedy,
        retryable=row.retryable,
        actor=row.actor,
        instance=instance,
        errors=tuple(errors),
        extensions=extensions,
    )


class ProblemError(Exception):
    """A refusal on its way to the caller. `retry_after` is in seconds."""

    def __init__(self, problem: Problem, *, retry_after: float | None = None) -> None:
        super().__init__(f"{problem.slug}: {problem.detail}")
        self.problem = problem
        self.retry_after = retry_after


def refuse(
    slug: str,
    *,
    detail: str | None = None,
    errors: Iterable[Fault] = (),
    retry_after: float | None = None,
    **extensions: Any,
) -> ProblemError:
    """Make the exception that refuses a call with a catalogued problem."""
    return ProblemError(
        problem(slug, detail=detail, errors=errors, **extensions), retry_after=retry_after
    )


_encoder = msgspec.json.Encoder()


def render(problem: Problem) -> bytes:
    """Encode a problem as RFC 9457 JSON, extension members at the top level (section 3.2)."""
    body: dict[str, Any] = msgspec.to_builtins(problem)
    extensions = body.pop("extensions", {})
    return _encoder.encode({**extensions, **body})


_members = frozenset(Problem.__struct_encode_fields__) - {"extensions"}


def parse(body: bytes) -> Problem:
    """Read a problem another tier rendered; raise `msgspec.DecodeError` for anything else."""
    told = msgspec.json.decode(body, type=dict[str, Any])
    extensions = {name: value for name, value in told.items() if name not in _members}
    known = {name: value for name, value in told.items() if name in _members}
    return msgspec.convert({**known, "extensions": extensions}, Problem)
