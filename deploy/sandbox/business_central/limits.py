"""The operational limits of the online service, per user (a service principal is a user).

6,000 requests in any 5 minutes, 5 at once, 95 waiting, nobody longer than 8 minutes.
Source: operational limits for Business Central online.
"""

import math

import msgspec

from deploy.sandbox.business_central.errors import error_reply
from deploy.sandbox.business_central.identity import Identity
from deploy.sandbox.business_central.tenant import Tenant
from deploy.sandbox.business_central.transaction import SYSTEM
from deploy.sandbox.clock import Clock
from deploy.sandbox.limits import Concurrency, Limits, SlidingWindow
from deploy.sandbox.wire import Reply, Scope

__all__ = ["Admission"]


class _User(msgspec.Struct):
    window: SlidingWindow
    places: Concurrency


class Admission:
    """Lets requests in, or answers the vendor's throttle."""

    def __init__(self, tenant: Tenant, limits: Limits, clock: Clock, identity: Identity) -> None:
        self._identity = identity
        self._tenant = tenant
        self._limits = limits
        self._clock = clock
        self._users: dict[str, _User] = {}

    async def enter(self, scope: Scope) -> "Reply | _User | None":
        """Admit a request: a ticket to hand back to ``leave``, or the refusal to send.

        Requests without a bearer token (the token endpoint, the desk) are not limited here.
        """
        if not self._limits.enabled:
            return None
        user = self._user(scope)
        if user is None:
            return None
        wait = user.window.admit()
        if wait is not None:
            self._limits.drew_throttle(SYSTEM, "window")
            limit = self._tenant.requests_per_window
            return _too_many(limit + 1, limit, wait)
        outcome = await user.places.enter(self._tenant.queue_seconds)
        if outcome is None:
            return user
        self._limits.drew_throttle(SYSTEM, outcome)
        if outcome == "full":
            limit = self._tenant.parallel + self._tenant.queued
            return _too_many(limit + 1, limit, 1.0)
        return error_reply(
            503,
            "Internal_TenantUnavailable",
            "The request waited in the queue for longer than the operational limit allows.",
        )

    def leave(self, ticket: "_User | None") -> None:
        """The request is answered."""
        if ticket is not None:
            ticket.places.leave()

    def _user(self, scope: Scope) -> _User | None:
        """The user that the bearer token was given to; several tokens share one allowance."""
        token = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        client = self._identity.client(token.decode("latin-1"))
        if client is None:
            return None
        user = self._users.get(client)
        if user is None:
            user = self._users[client] = _User(
                SlidingWindow(
                    limit=self._tenant.requests_per_window,
                    seconds=self._tenant.window_seconds,
                    monotonic=self._clock.monotonic,
                ),
                Concurrency(running=self._tenant.parallel, queued=self._tenant.queued),
            )
        return user


def _too_many(actual: int, maximum: int, wait: float) -> Reply:
    return error_reply(
        429,
        "Application_TooManyRequests",
        f"Too many requests reached. Actual ({actual}). Maximum ({maximum}).",
        (b"retry-after", str(max(1, math.ceil(wait))).encode()),
    )
