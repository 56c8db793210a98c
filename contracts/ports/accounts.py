"""Our accounts with vendors: what they allow, and whether they answer (system/accounts/v1)."""

from typing import Literal, Protocol

from contracts.canonical.shapes import Canonical, Text
from contracts.ports.binding import operation

READ = "system:accounts:read"
WRITE = "system:accounts:write"


class AccountBudget(Canonical, frozen=True, kw_only=True):
    """What one vendor account allows and what is used of it, over all our processes.

    `exhausted_in_seconds` is the forecast at the present pace; None when it would never be used up.
    `shared` is False while the processes cannot agree and each keeps to its own share.
    """

    account: str
    used: int
    limit: int | None
    credits_left: float | None
    running: int
    waiting: int
    waiting_by_lane: dict[str, int]
    paused_seconds: float
    exhausted_in_seconds: float | None
    shared: bool


class Budgets(Canonical, frozen=True, kw_only=True):
    """Every vendor account."""

    accounts: tuple[AccountBudget, ...]


class Circuit(Canonical, frozen=True, kw_only=True):
    """One circuit breaker, by system and class of operation."""

    name: str
    state: Literal["closed", "open", "half-open", "forced-open"]
    failures: int
    calls: int
    retry_in_seconds: float | None = None
    reason: str | None = None


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
        examples={"body": {"action": "reset", "note": "The vendor says it is mended"}},
    )
    async def change_circuit(self, circuit: str, body: CircuitChange) -> Circuit:
        """Trip a breaker by hand, or give it back to its own judgement."""
        ...
