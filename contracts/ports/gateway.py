"""The gateway itself (gateway/v1): its circuits before the tiers that are served apart from it."""

from typing import Literal, Protocol

from contracts.canonical.shapes import Canonical
from contracts.ports import examples
from contracts.ports.accounts import CircuitChange
from contracts.ports.binding import operation

READ = "operations:read"
WRITE = "operations:write"


class UpstreamCircuit(Canonical, frozen=True, kw_only=True):
    """One circuit breaker before a tier, by API and class of operation, as `sales.v1.reads`.

    `failures` came one after the other. `forced-open`: an operator tripped it, for `reason`, and
    it stays open until somebody resets it. `would_refuse`: in a dry run, how many calls it would
    have refused.
    """

    name: str
    state: Literal["closed", "open", "half-open", "forced-open"]
    failures: int
    retry_in_seconds: float | None = None
    reason: str | None = None
    would_refuse: int = 0


class UpstreamCircuits(Canonical, frozen=True, kw_only=True):
    """Every breaker of the gateway; none where all tiers are in its own process."""

    circuits: tuple[UpstreamCircuit, ...]


class Gateway(Protocol):
    """What the gateway makes of the tiers behind it, and what operators may order."""

    @operation("GET", "/circuits", scope=READ, limit="operations")
    async def circuits(self) -> UpstreamCircuits:
        """Show every circuit breaker towards the tiers."""
        ...

    @operation(
        "POST",
        "/circuits/{circuit}/changes",
        scope=WRITE,
        idempotency="required",
        limit="operations",
        problems=("not-found",),
        examples={"circuit": "sales.v1.reads", "body": examples.RESET},
    )
    async def change_circuit(self, circuit: str, body: CircuitChange) -> UpstreamCircuit:
        """Trip a breaker by hand, or give it back to its own judgement; audited."""
        ...
