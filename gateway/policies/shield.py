"""shield: nobody waits longer than the caller does, and no upstream takes all places.

The deadline is the contract's budget, or the caller's `X-Request-Budget-Ms` if that is shorter. A
bulkhead bounds the calls under way per upstream and limit class; one too many is refused at once,
because waiting in line would only spend the caller's budget. Before a remote upstream stands a
circuit, of which gateways with shared state tell each other. It hears of the upstream and of
nothing else: neither what a caller did wrong nor that one had no time is held for or against it.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import Final

from contracts.context import BUDGET_HEADER
from contracts.problems import Fault, problem
from gateway.call import (
    PASS,
    Asked,
    Call,
    ConfigFault,
    Finding,
    Refuse,
    Reply,
    Step,
    Verdict,
)
from gateway.circuits import Circuits, Order, SharedCircuit, Trial, obey
from gateway.config import ShieldSettings
from gateway.records import Records
from gateway.routes import SAFE, Operation
from gateway.upstreams import TRIAL
from runtime.clock import Clock
from runtime.guard import Breaker, BreakerStanding, OnChange, Permit

_BUDGET: Final = BUDGET_HEADER.encode()
_LONGEST_DIGITS: Final = 9
_LEASE_MARGIN_SECONDS: Final = 1.0
"""A trial's lease outlives the trial: two are never under way."""
_NO_ANSWER: Final = frozenset({"upstream-unavailable", "upstream-malformed", "deadline-exceeded"})
"""Reasons the gateway gives when an upstream did not answer; its own refusals have none."""
_TOO_LATE: Final = "deadline-exceeded"
_ANSWERED: Final = frozenset({None, "upgraded"})
"""Reasons of what an upstream answered; any other is our own or the caller's."""
_NEARLY_ALL: Final = 0.9
"""Of the contract's budget; the rest may go by before a call has its place."""


class Bulkhead:
    """Places for calls under way."""

    __slots__ = ("name", "places", "taken")

    def __init__(self, name: str, places: int) -> None:
        self.name = name
        self.places = places
        self.taken = 0

    def __repr__(self) -> str:
        return f"<Bulkhead {self.name} {self.taken}/{self.places}>"


class Standing:
    """What the shield knows of its upstreams; it outlives a configuration."""

    def __init__(self) -> None:
        self.bulkheads: dict[tuple[str, str], Bulkhead] = {}
        self.breakers: dict[tuple[str, str], Breaker] = {}
        self.untold: dict[str, Order] = {}
        """What operators ordered of circuits and the other gateways do not know yet."""

    def __repr__(self) -> str:
        return f"<Standing {list(self.breakers.values())}>"


class Shield:
    """Gives every call a deadline and a place."""

    name = "shield"

    def __init__(
        self,
        settings: ShieldSettings,
        *,
        clock: Clock,
        chance: random.Random,
        records: Records,
        remote: frozenset[str] = frozenset(),
        circuits: Circuits | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._records = records
        self._remote = remote
        self._circuits = circuits
        self._standing = standing or Standing()
        self._breakers: dict[str, Breaker] = {}
        self._handed: list[tuple[Breaker, OnChange]] = []

    @property
    def standing(self) -> tuple[BreakerStanding, ...]:
        """Answer every circuit, for an operator."""
        return tuple(each.standing() for each in self._breakers.values())

    async def order(self, circuit: str, order: Order) -> BreakerStanding:
        """Trip a circuit or reset it: here at once and, with shared state, at every gateway.

        Raises `KeyError` for a circuit there is none of.
        """
        breaker = self._breakers[circuit]
        if self._circuits is not None:
            await self._circuits.of(circuit).order(order)
        else:
            obey(breaker, order)
        return breaker.standing()

    async def provision(self) -> None:
        """Begin to hear of other gateways' circuits."""
        if self._circuits is not None:
            await self._circuits.open()

    def take_over(self) -> None:
        """Put what the last configuration left under this one's settings."""
        for bulkhead in self._standing.bulkheads.values():
            bulkhead.places = self._settings.concurrency
        for breaker, changed in self._handed:
            breaker.hand_over(self._settings.breaker, on_change=changed)

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """A contract cannot promise a longer budget than the gateway grants."""
        longest = self._settings.longest_budget_ms
        beyond = [each for each in operations if each.terms.budget_ms > longest]
        faults = [
            ConfigFault(
                place=f"{operation.key} x-crossdock.budgetMs",
                value=str(operation.terms.budget_ms),
                allowed="1 or more",
                remedy="Correct the contract.",
            )
            for operation in operations
            if operation.terms.budget_ms < 1
        ]
        if beyond:
            most = max(beyond, key=lambda each: each.terms.budget_ms)
            faults.append(
                ConfigFault(
                    place="gateway.shield.longest_budget_ms",
                    value=f"{longest}, less than contracts promise (most of all {most.key})",
                    allowed=f"{most.terms.budget_ms} or more",
                    remedy="Raise it, or remove the line.",
                )
            )
        return faults

    async def close(self) -> None:
        """Hear of them no more."""
        if self._circuits is not None:
            await self._circuits.close()

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
        name = f"{operation.api.replace('/', '.')}.{operation.terms.limit}"
        bulkhead = self._standing.bulkheads.setdefault(
            key, Bulkhead(name, self._settings.concurrency)
        )
        breaker = shared = None
        if operation.api in self._remote:
            breaker, shared = self._circuit(key, name)
        full = Refuse(problem=problem("overloaded"), retry_after=1)
        lease = operation.terms.budget_ms / 1000 + _LEASE_MARGIN_SECONDS
        clock, sends = self._clock, breaker is not None and operation.method not in SAFE

        def ask(call: Call) -> Asked:
            if bulkhead.taken >= bulkhead.places:
                return full
            permit = None
            if breaker is not None:
                if shared is not None and breaker.wants_trial:
                    return _try(call, bulkhead, shared, lease, clock)
                permit = breaker.admit()
                if permit is None:
                    return _dead(breaker)
                if permit.trial:
                    _mark(call)
            bulkhead.taken += 1
            call.permit = (bulkhead, permit, clock.monotonic() if sends else call.started)
            return PASS

        return (
            Step(
                self.name,
                ask=ask,
                tell=partial(_report, shared) if breaker is not None else None,
                release=_release,
                explain=lambda _: _explained(bulkhead, breaker),
            ),
        )

    def _circuit(self, key: tuple[str, str], name: str) -> tuple[Breaker, SharedCircuit | None]:
        """The breaker, and where its trials are shared: a dry run shares operators' orders only."""
        shared = self._circuits.of(name) if self._circuits is not None else None
        dry_run = self._settings.breaker.dry_run

        def changed(name: str, old: str, new: str) -> None:
            self._records.event("circuit_changed", circuit=name, was=old, became=new)
            if shared is not None and not dry_run:
                shared.changed(name, old, new)

        breaker = self._standing.breakers.get(key)
        if breaker is None:
            breaker = self._standing.breakers[key] = Breaker(
                name,
                clock=self._clock,
                settings=self._settings.breaker,
                on_change=changed,
                chance=self._chance,
            )
        else:
            self._handed.append((breaker, changed))
        self._breakers[name] = breaker
        if shared is not None:
            shared.breaker = breaker
        return breaker, None if dry_run else shared


async def _try(
    call: Call, bulkhead: Bulkhead, shared: SharedCircuit, lease: float, clock: Clock
) -> Verdict:
    """Make the one trial of all gateways, if it falls to this call."""
    permit = await shared.trial(lease)
    if permit is None:
        return _dead(shared.breaker)
    if isinstance(permit, Trial) or permit.trial:
        _mark(call)
    bulkhead.taken += 1
    call.permit = (bulkhead, permit, clock.monotonic())
    return PASS


def _mark(call: Call) -> None:
    """Tell the upstream that this call is a trial: a second attempt would be another."""
    call.scope = {**call.scope, TRIAL: True}


def _dead(breaker: Breaker) -> Refuse:
    wait = max(1.0, breaker.standing().retry_after)
    return Refuse(problem=problem("upstream-unavailable"), retry_after=wait)


def _report(shared: SharedCircuit | None, call: Call, reply: Reply) -> None:
    """Tell the circuit whether the upstream answered at all, whatever it answered."""
    if call.permit is None:
        return
    permit: Permit | Trial | None = call.permit[1]
    if permit is None:
        return
    if reply.policy is None and reply.reason in _ANSWERED:
        permit.succeeded()
        if shared is not None:
            shared.succeeded()
    elif reply.reason == _TOO_LATE and not had_its_time(call):
        permit.cut_short()
    elif reply.reason in _NO_ANSWER:
        permit.failed()
    else:
        permit.released()


def had_its_time(call: Call) -> bool:
    """Tell whether the upstream had what the contract grants: nearly all of its budget.

    A caller who asks for less, or is slow to send the body, finds out nothing about the upstream.
    """
    since = call.started if call.permit is None else call.permit[2]
    granted = _NEARLY_ALL * call.operation.terms.budget_ms / 1000
    return call.deadline is None or call.deadline - since >= granted


def _explained(bulkhead: Bulkhead, breaker: Breaker | None) -> Finding:
    state = "" if breaker is None else f"; circuit {breaker.state}"
    free = bulkhead.taken < bulkhead.places and (breaker is None or breaker.state != "open")
    return Finding(
        policy=Shield.name,
        verdict="pass" if free else "refuse",
        because=f"{bulkhead.taken} of {bulkhead.places} places taken{state}",
    )


def _release(call: Call) -> None:
    if call.permit is not None:
        bulkhead, permit, _ = call.permit
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
