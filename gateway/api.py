"""gateway/v1: what operators see of the gateway's own circuits, and what they order of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from contracts.context import current
from contracts.ports.accounts import CircuitChange
from contracts.ports.gateway import UpstreamCircuit, UpstreamCircuits
from contracts.problems import refuse
from gateway.circuits import Order
from gateway.policies.shield import Shield
from runtime.guard import BreakerStanding
from runtime.store.faults import StoreUnavailable

Audit = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Appends one act to the record; raises `StoreUnavailable`."""


class GatewayApi:
    """Implements `contracts.ports.gateway.Gateway`.

    `shield` answers the one that serves now: a reload puts another in its place.
    """

    def __init__(self, *, shield: Callable[[], Shield], audit: Audit) -> None:
        self._shield = shield
        self._audit = audit

    async def circuits(self) -> UpstreamCircuits:
        """Show every circuit, in the order of the contracts."""
        return UpstreamCircuits(circuits=tuple(_shown(each) for each in self._shield().standing))

    async def change_circuit(self, circuit: str, body: CircuitChange) -> UpstreamCircuit:
        """Trip a circuit or reset it, at every gateway. It is in the audit before it is done."""
        known = [each.name for each in self._shield().standing]
        if circuit not in known:
            there = f"there are {', '.join(known)}" if known else "no tier is served apart"
            raise refuse("not-found", detail=f"No circuit has this name; {there}.")
        call = current()
        by = call.subject or call.consumer
        act = {"act": f"circuit_{body.action}", "actor": by, "circuit": circuit, "note": body.note}
        try:
            await self._audit(act)
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
        reason = f"{by}: {body.note}" if body.note else by
        order = (
            Order(state="held", reason=reason) if body.action == "trip" else Order(state="reset")
        )
        return _shown(await self._shield().order(circuit, order))


def _shown(told: BreakerStanding) -> UpstreamCircuit:
    return UpstreamCircuit(
        name=told.name,
        state="forced-open" if told.held else told.state,
        failures=told.failures,
        retry_in_seconds=round(told.retry_after, 3)
        if told.state == "open" and not told.held
        else None,
        reason=told.reason,
        would_refuse=told.would_refuse,
    )
