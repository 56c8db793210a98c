"""Who is calling, for how long, and under which correlation: the context every tier reads.

In one process it travels in a context variable; between processes in headers (decision record
0006). The gateway is the only writer: identity headers that arrive from outside are stripped
before they could be believed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import msgspec

CORRELATION_HEADER: Final = "x-correlation-id"
BUDGET_HEADER: Final = "x-request-budget-ms"
TRACEPARENT_HEADER: Final = "traceparent"
CONSUMER_HEADER: Final = "x-crossdock-consumer"
SCOPES_HEADER: Final = "x-crossdock-scopes"
ACCOUNTS_HEADER: Final = "x-crossdock-accounts"
KEY_HEADER: Final = "x-crossdock-idempotency-key"
FINGERPRINT_HEADER: Final = "x-crossdock-fingerprint"

IDENTITY_HEADERS: Final = frozenset(
    {CONSUMER_HEADER, SCOPES_HEADER, ACCOUNTS_HEADER, KEY_HEADER, FINGERPRINT_HEADER}
)
"""Headers only the gateway may set; it strips them from every inbound request."""


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


@contextmanager
def calling(context: CallContext) -> Iterator[CallContext]:
    """Run a block as part of the given call."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
