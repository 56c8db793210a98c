"""Our accounts with vendors (system/accounts/v1).

What they allow, whether they answer, and that they tell us what changes.
"""

from typing import Literal, Protocol

from contracts.canonical.shapes import Canonical, Text
from contracts.ports import examples
from contracts.ports.binding import operation

READ = "system:accounts:read"
WRITE = "system:accounts:write"
RENEW = "system:accounts:renew"
"""For the process tier alone: who renews is told secrets."""


SystemName = Literal["crm", "erp", "wms"]


class AccountBudget(Canonical, frozen=True, kw_only=True):
    """What one vendor account allows and what is used of it.

    `serves` names our systems that are called under it. `used` of `limit` is the tightest limit
    there is; without `limit`, none is kept. `per_second` is what the account allows in the long
    run, in calls, and `credits_per_second` in the vendor's credits, of which a call has cost
    `credits_per_call` on average. `exhausted_in_seconds` is the
    forecast at the present pace; None when it would never be used up. `shared`: the figures are
    those of all our processes together; `degraded`: they should be, and each keeps to its own
    share until Redis is back.
    """

    account: str
    serves: tuple[SystemName, ...]
    used: int
    limit: int | None
    credits_left: float | None
    running: int
    waiting: int
    waiting_by_lane: dict[str, int]
    paused_seconds: float
    exhausted_in_seconds: float | None
    per_second: float | None = None
    credits_per_second: float | None = None
    credits_per_call: float | None = None
    shared: bool = False
    degraded: bool = False


class Budgets(Canonical, frozen=True, kw_only=True):
    """Every vendor account."""

    accounts: tuple[AccountBudget, ...]


class Circuit(Canonical, frozen=True, kw_only=True):
    """One circuit breaker, by system and class of operation, as `erp.write`.

    `failures` came one after the other. `forced-open`: an operator tripped it, for `reason`, and
    it stays open until somebody resets it. `would_refuse`: in a dry run, how many calls it would
    have refused.
    """

    name: str
    system: SystemName
    state: Literal["closed", "open", "half-open", "forced-open"]
    failures: int
    retry_in_seconds: float | None = None
    reason: str | None = None
    would_refuse: int = 0


class Circuits(Canonical, frozen=True, kw_only=True):
    """Every breaker of the system tier."""

    circuits: tuple[Circuit, ...]


class CircuitChange(Canonical, frozen=True, kw_only=True):
    """What an operator wants of a breaker: `trip` keeps it open until somebody says `reset`."""

    action: Literal["trip", "reset"]
    note: Text


class Renewal(Canonical, frozen=True, kw_only=True):
    """How subscriptions are renewed: what is missing is made; with `anew` also what is there."""

    anew: bool = False


class Renewed(Canonical, frozen=True, kw_only=True):
    """How many subscriptions were made, and what the system signs their messages with.

    Some systems show a secret only now; others keep the one they were given.
    """

    made: int
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Renewed {self.made} made, {len(self.secrets)} secrets>"


class Accounts(Protocol):
    """What our accounts with the vendors allow, whether their systems answer, and tell us."""

    @operation("GET", "/budgets", scope=READ, limit="operations")
    async def budgets(self) -> Budgets:
        """Show what each vendor account allows, and when it would be used up."""
        ...

    @operation("GET", "/circuits", scope=READ, limit="operations")
    async def circuits(self) -> Circuits:
        """Show every circuit breaker."""
        ...

    @operation(
        "POST",
        "/circuits/{circuit}/changes",
        scope=WRITE,
        idempotency="optional",
        limit="operations",
        problems=("not-found",),
        examples={"circuit": "wms.write", "body": examples.RESET},
    )
    async def change_circuit(self, circuit: str, body: CircuitChange) -> Circuit:
        """Trip a breaker by hand, or give it back to its own judgement."""
        ...

    @operation(
        "POST",
        "/subscriptions/{system}/renewals",
        scope=RENEW,
        limit="operations",
        criticality="sync",
        budget_ms=30_000,
        problems=("not-found",),
        examples={"system": "wms", "body": {"anew": False}},
    )
    async def renew_subscriptions(self, system: str, body: Renewal) -> Renewed:
        """Have a system tell us what changes there, and go on doing so."""
        ...
