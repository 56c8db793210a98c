"""accounts: what the vendors' accounts allow and whether their systems answer, as they stand here.

Budgets are those of all processes together where the broker counts together; a breaker is this
process's own judgement of a system, unless an operator's act overrules all of them.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from contracts.context import current
from contracts.ports.accounts import (
    AccountBudget,
    Budgets,
    Circuit,
    CircuitChange,
    Circuits,
    Renewal,
    Renewed,
    SystemName,
)
from contracts.problems import refuse
from runtime.budget import Allowance, BudgetBroker, BudgetStanding
from runtime.clock import Clock
from runtime.guard import Breaker, Guard
from runtime.store.engine import Store
from system_apis.accounts.acts import Act, Acts

__all__ = ["AccountsApi", "Line"]

_CLASSES: Final = ("read", "write")
"""The classes of operations every vendor has; others show once they have been called."""
_DAY_SECONDS: Final = 86_400.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How one of our systems is called: under which account, through which guard."""

    system: SystemName
    account: str
    guard: Guard


class AccountsApi:
    """Implements `contracts.ports.accounts.Accounts`.

    `store` is where operators' acts are known to every process; without one they end with this.
    """

    def __init__(
        self,
        *,
        lines: tuple[Line, ...],
        broker: BudgetBroker,
        allowances: Mapping[str, Allowance],
        clock: Clock,
        store: Store | None = None,
        renewals: Mapping[SystemName, Callable[[Renewal], Awaitable[Renewed]]] = MappingProxyType(
            {}
        ),
    ) -> None:
        self._lines = lines
        self._renewals: Mapping[str, Callable[[Renewal], Awaitable[Renewed]]] = dict(
            renewals.items()
        )
        self._broker = broker
        self._allowances = allowances
        self.acts = Acts(self._breaker, store=store, clock=clock)

    async def budgets(self) -> Budgets:
        """Show every account that is called; one without an allowance is shown without limits."""
        standing = {one.account: one for one in self._broker.standing()}
        serves: dict[str, list[SystemName]] = {}
        for line in self._lines:
            serves.setdefault(line.account, []).append(line.system)
        return Budgets(
            accounts=tuple(
                _budget(account, tuple(systems), standing.get(account), self._allowances)
                for account, systems in serves.items()
            )
        )

    async def circuits(self) -> Circuits:
        """Show every breaker, in the order of the systems."""
        return Circuits(
            circuits=tuple(
                self._shown(name, line, breaker) for name, line, breaker in self._breakers()
            )
        )

    async def change_circuit(self, circuit: str, body: CircuitChange) -> Circuit:
        """Trip or reset one in every process; who did and why goes into the log, and is shown."""
        for name, line, breaker in self._breakers():
            if name == circuit:
                call = current()
                by = call.subject or call.consumer
                await self.acts.act(name, Act(action=body.action, by=by, note=body.note))
                return self._shown(name, line, breaker)
        known = ", ".join(name for name, _, _ in self._breakers())
        raise refuse("not-found", detail=f"No breaker has this name; there are {known}.")

    async def renew_subscriptions(self, system: str, body: Renewal) -> Renewed:
        """Renew those of one system; refuses not-found for one that has none to renew."""
        renew = self._renewals.get(system)
        if renew is None:
            known = ", ".join(self._renewals) or "none"
            raise refuse("not-found", detail=f"This system tells nothing; those that do: {known}.")
        return await renew(body)

    def _breakers(self) -> Iterator[tuple[str, Line, Breaker]]:
        """Every breaker under our name for it, those of the usual classes first."""
        for line in self._lines:
            met = (one.name.rpartition(".")[2] for one in line.guard.standing())
            for kind in dict.fromkeys((*_CLASSES, *met)):
                yield f"{line.system}.{kind}", line, line.guard.breaker(kind)

    def _breaker(self, name: str) -> Breaker | None:
        """The breaker of a name, made if its class has not been met here yet."""
        system, _, kind = name.partition(".")
        guards = (line.guard for line in self._lines if line.system == system)
        return next((guard.breaker(kind) for guard in guards), None)

    def _shown(self, name: str, line: Line, breaker: Breaker) -> Circuit:
        told = breaker.standing()
        state: Literal["closed", "open", "half-open", "forced-open"] = told.state
        return Circuit(
            name=name,
            system=line.system,
            state="forced-open" if told.held else state,
            failures=told.failures,
            retry_in_seconds=round(told.retry_after, 3)
            if told.state == "open" and not told.held
            else None,
            reason=told.reason,
            would_refuse=told.would_refuse,
        )


def _budget(
    account: str,
    serves: tuple[SystemName, ...],
    standing: BudgetStanding | None,
    allowances: Mapping[str, Allowance],
) -> AccountBudget:
    if standing is None:
        return AccountBudget(
            account=account, serves=serves, used=0, limit=None, credits_left=None, running=0,
            waiting=0, waiting_by_lane={}, paused_seconds=0.0, exhausted_in_seconds=None,
        )  # fmt: skip
    allowance = allowances[account]
    return AccountBudget(
        account=account,
        serves=serves,
        used=standing.used,
        limit=standing.limit,
        credits_left=standing.credits_left,
        running=standing.running,
        waiting=standing.waiting,
        waiting_by_lane=dict(standing.waiting_by_lane),
        paused_seconds=standing.paused_seconds,
        exhausted_in_seconds=standing.exhausted_in_seconds,
        per_second=_pace(allowance),
        credits_per_second=None if allowance.bucket is None else allowance.bucket.restore,
        credits_per_call=standing.credits_per_call,
        shared=standing.shared,
        degraded=standing.degraded,
    )


def _pace(allowance: Allowance) -> float | None:
    """How many calls a second an allowance gives in the long run; None: as many as one likes."""
    if allowance.windows:
        return min(window.limit / window.seconds for window in allowance.windows)
    return None if allowance.daily is None else allowance.daily / _DAY_SECONDS
