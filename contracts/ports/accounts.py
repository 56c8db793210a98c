"""Our accounts with vendors: what they allow, and whether they answer (system/accounts/v1)."""

from typing import Literal, Protocol

from contracts.canonical.shapes import Canonical, Text
from contracts.ports import examples
from contracts.ports.binding import operation

READ = "system:accounts:read"
WRITE = "system:accounts:write"


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


class Accounts(Protocol):
    """What our accounts with the vendors allow, and whether their systems answer."""

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
