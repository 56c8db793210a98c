"""shield: nobody waits longer than the caller does, and no upstream takes all places.

The deadline is the contract's budget, or the caller's `X-Request-Budget-Ms` if that is shorter. A
bulkhead bounds the calls under way per upstream and limit class; one too many is refused at once,
because waiting in line would only spend the caller's budget.
"""

from collections.abc import Sequence
from typing import Final

from contracts.context import BUDGET_HEADER
from contracts.problems import Fault, problem
from gateway.call import PASS, Call, ConfigFault, Finding, Refuse, Reply, Step, Verdict
from gateway.config import ShieldSettings
from gateway.routes import Operation
from runtime.clock import Clock
from runtime.guard import Breaker

_BUDGET: Final = BUDGET_HEADER.encode()
_LONGEST_DIGITS: Final = 9
_NO_ANSWER: Final = frozenset({"upstream-unavailable", "upstream-malformed", "deadline-exceeded"})
"""Reasons the gateway gives when an upstream did not answer; its own refusals have none."""


class Bulkhead:
    """Places for calls under way."""

    __slots__ = ("name", "places", "taken")

    def __init__(self, name: str, places: int) -> None:
        self.name = name
        self.places = places
        self.taken = 0

    def __repr__(self) -> str:
        return f"<Bulkhead {self.name} {self.taken}/{self.places}>"


class Shield:
    """Gives every call a deadline and a place."""

    name = "shield"

    def __init__(
        self, settings: ShieldSettings, *, clock: Clock, remote: frozenset[str] = frozenset()
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._remote = remote
        self._bulkheads: dict[tuple[str, str], Bulkhead] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}

    async def provision(self) -> None:
        """Need nothing."""

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """A contract cannot promise a longer budget than the gateway grants."""
        longest = self._settings.longest_budget_ms
        return [
            ConfigFault(
                place=f"{operation.key} x-crossdock.budgetMs",
                value=str(operation.terms.budget_ms),
                allowed=f"1 to {longest}",
                remedy="Lower it, or raise gateway.shield.longest_budget_ms.",
            )
            for operation in operations
            if not 0 < operation.terms.budget_ms <= longest
        ]

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Give every call its deadline."""
        budget = operation.terms.budget_ms / 1000

        def ask(call: Call) -> Verdict:
            asked = call.fields.get(_BUDGET)
            if asked is None:
                call.deadline = call.started + budget
                return PASS
            if not (asked.isdigit() and len(asked) <= _LONGEST_DIGITS and int(asked)):
                return _malformed()
            call.deadline = call.started + min(budget, int(asked) / 1000)
            return PASS

        return (
            Step(
                self.name,
                ask=ask,
                explain=lambda _: Finding(
                    policy=self.name, verdict="pass", because=f"{budget:g} s at most"
                ),
            ),
        )

    def compile_place(self, operation: Operation) -> tuple[Step, ...]:
        """Give a call that goes on to its upstream a place, and a permit if that is remote.

        One bulkhead and one circuit per API and limit class. An upstream in this process has no
        circuit: what it calls has its own, nearer to what fails.
        """
        key = (operation.api, operation.terms.limit)
        name = "/".join(key)
        bulkhead = self._bulkheads.setdefault(key, Bulkhead(name, self._settings.concurrency))
        breaker = None
        if operation.api in self._remote:
            breaker = self._breakers.setdefault(key, Breaker(name, clock=self._clock))
        full = Refuse(problem=problem("overloaded"), retry_after=1)

        def ask(call: Call) -> Verdict:
            if bulkhead.taken >= bulkhead.places:
                return full
            permit = None
            if breaker is not None:
                permit = breaker.admit()
                if permit is None:
                    wait = max(1.0, breaker.standing().retry_after)
                    return Refuse(problem=problem("upstream-unavailable"), retry_after=wait)
            bulkhead.taken += 1
            call.permit = (bulkhead, permit)
            return PASS

        return (
            Step(
                self.name,
                ask=ask,
                tell=_report if breaker is not None else None,
                release=_release,
                explain=lambda _: _standing(bulkhead, breaker),
            ),
        )


def _report(call: Call, reply: Reply) -> None:
    """Tell the circuit whether the upstream answered at all, whatever it answered."""
    if call.permit is None:
        return
    _, permit = call.permit
    if permit is not None and reply.reason in _NO_ANSWER:
        permit.failed()
    elif permit is not None:
        permit.succeeded()


def _standing(bulkhead: Bulkhead, breaker: Breaker | None) -> Finding:
    state = "" if breaker is None else f"; circuit {breaker.state}"
    free = bulkhead.taken < bulkhead.places and (breaker is None or breaker.state != "open")
    return Finding(
        policy=Shield.name,
        verdict="pass" if free else "refuse",
        because=f"{bulkhead.taken} of {bulkhead.places} places taken{state}",
    )


def _release(call: Call) -> None:
    if call.permit is not None:
        bulkhead, permit = call.permit
        call.permit = None
        bulkhead.taken -= 1
        if permit is not None:
            permit.released()


def _malformed() -> Refuse:
    fault = Fault(
        pointer=f"header:{BUDGET_HEADER}",
        detail="does not have the right form",
        allowed="whole milliseconds, 1 or more",
    )
    return Refuse(problem=problem("invalid-request", errors=[fault]))
