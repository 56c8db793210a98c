"""Who is calling, for how long, and under which correlation: the context every tier reads.

In one process it travels in a context variable; between processes in headers (decision record
0006), written by `to_headers` and read by `from_headers`. The gateway is the only writer: identity
headers that arrive from outside are stripped before they could be believed.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

import msgspec

CORRELATION_HEADER: Final = "x-correlation-id"
BUDGET_HEADER: Final = "x-request-budget-ms"
TRACEPARENT_HEADER: Final = "traceparent"
PREFER_HEADER: Final = "prefer"
CONSUMER_HEADER: Final = "x-crossdock-consumer"
SUBJECT_HEADER: Final = "x-crossdock-subject"
SCOPES_HEADER: Final = "x-crossdock-scopes"
ACCOUNTS_HEADER: Final = "x-crossdock-accounts"
KEY_HEADER: Final = "x-crossdock-idempotency-key"
FINGERPRINT_HEADER: Final = "x-crossdock-fingerprint"
CRITICALITY_HEADER: Final = "x-crossdock-criticality"

IDENTITY_HEADERS: Final = frozenset(
    {
        CONSUMER_HEADER,
        SUBJECT_HEADER,
        SCOPES_HEADER,
        ACCOUNTS_HEADER,
        KEY_HEADER,
        FINGERPRINT_HEADER,
        CRITICALITY_HEADER,
    }
)
"""Headers only the gateway may set; it strips them from every inbound request."""

_PLAIN: Final = ":/+@|"
"""What a name keeps in a header beside letters and digits; all else is escaped as in a URL."""
_LONGEST_WAIT: Final = 25.0


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as every tier sees it.

    `deadline` is a monotonic instant in seconds on the clock of this process, or None for work
    without a waiting caller. `accounts` are canonical customer ids the consumer may act for;
    None means all of them (an internal channel), an empty tuple none.
    """

    correlation_id: str
    consumer: str
    traceparent: str | None = None
    subject: str | None = None
    scopes: frozenset[str] = frozenset()
    accounts: tuple[str, ...] | None = None
    deadline: float | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    criticality: str = "status"
    prefer_wait: float | None = None
    """Seconds the caller would rather wait than be answered 202 (RFC 7240, section 4.3)."""

    def may_act_for(self, customer: str) -> bool:
        """Tell whether the consumer may see and order for this canonical customer id."""
        return self.accounts is None or customer in self.accounts

    def remaining(self, now: float) -> float | None:
        """Seconds left of the caller's budget at the monotonic instant `now`; None if unbounded."""
        return None if self.deadline is None else max(0.0, self.deadline - now)


SYSTEM: Final = CallContext(correlation_id="system", consumer="system", accounts=None)
"""The context of work nobody waits for: timers, polling, recovery."""

_current: ContextVar[CallContext] = ContextVar("crossdock_call", default=SYSTEM)


def current() -> CallContext:
    """Answer the context of the running call; `SYSTEM` outside any call."""
    return _current.get()


class calling:  # noqa: N801  # read as a verb: `with calling(context)`
    """Run a block as part of the given call.

    Written out because every call passes here, and a generator's frame costs twice as much.
    """

    __slots__ = ("_context", "_token")

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._token: Token[CallContext] | None = None

    def __enter__(self) -> CallContext:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)


def to_headers(call: CallContext, now: float) -> list[tuple[str, str]]:
    """Say a call in headers, for a process that does not share this one's memory.

    `now` is the monotonic instant of sending. The deadline travels as what is left of it, in whole
    milliseconds and at least one: clocks are not compared between machines.
    """
    left = call.remaining(now)
    said = [
        (CORRELATION_HEADER, call.correlation_id),
        *_of_caller(call.consumer, call.subject, call.scopes, call.accounts),
        (CRITICALITY_HEADER, call.criticality),
    ]
    if call.traceparent is not None:
        said.append((TRACEPARENT_HEADER, call.traceparent))
    if left is not None:
        said.append((BUDGET_HEADER, str(max(1, int(left * 1000)))))
    if call.idempotency_key is not None:
        said.append((KEY_HEADER, call.idempotency_key))
    if call.fingerprint is not None:
        said.append((FINGERPRINT_HEADER, call.fingerprint))
    if call.prefer_wait is not None:
        said.append((PREFER_HEADER, f"wait={int(call.prefer_wait)}"))
    return said


@lru_cache(maxsize=1024)
def _of_caller(
    consumer: str, subject: str | None, scopes: frozenset[str], accounts: tuple[str, ...] | None
) -> tuple[tuple[str, str], ...]:
    """Say who is calling; callers are few and each calls often."""
    said = (
        (CONSUMER_HEADER, quote(consumer, safe=_PLAIN)),
        (SCOPES_HEADER, " ".join(sorted(scopes))),
        (SUBJECT_HEADER, None if subject is None else quote(subject, safe=_PLAIN)),
        (ACCOUNTS_HEADER, None if accounts is None else _listed(accounts)),
    )
    return tuple((name, value) for name, value in said if value is not None)


def from_headers(headers: Mapping[str, str], now: float) -> CallContext | None:
    """Read back what `to_headers` said; None if the headers name no consumer.

    `headers` are by lower-case name. `now` is the monotonic instant of arrival.
    """
    consumer = headers.get(CONSUMER_HEADER)
    if consumer is None:
        return None
    budget, subject = headers.get(BUDGET_HEADER, ""), headers.get(SUBJECT_HEADER)
    accounts = headers.get(ACCOUNTS_HEADER)
    return CallContext(
        correlation_id=headers.get(CORRELATION_HEADER, "none"),
        consumer=unquote(consumer),
        traceparent=headers.get(TRACEPARENT_HEADER),
        subject=None if subject is None else unquote(subject),
        scopes=frozenset(headers.get(SCOPES_HEADER, "").split()),
        accounts=None if accounts is None else _unlisted(accounts),
        deadline=now + int(budget) / 1000 if budget.isdecimal() else None,
        idempotency_key=headers.get(KEY_HEADER),
        fingerprint=headers.get(FINGERPRINT_HEADER),
        criticality=headers.get(CRITICALITY_HEADER, "status"),
        prefer_wait=preferred_wait(headers.get(PREFER_HEADER, "")),
    )


def preferred_wait(prefer: str) -> float | None:
    """Read `wait=N` from a Prefer header (RFC 7240, section 4.3), capped at 25 s; else None."""
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait" and value.strip().isdecimal():
            return min(float(value), _LONGEST_WAIT)
    return None


def _listed(names: tuple[str, ...]) -> str:
    return ",".join(quote(name, safe=_PLAIN) for name in names)


def _unlisted(said: str) -> tuple[str, ...]:
    return tuple(unquote(name) for name in said.split(",")) if said else ()
