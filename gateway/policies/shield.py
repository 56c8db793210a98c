"""shield: nobody waits longer than the caller does, and no upstream takes all places.

The deadline is the contract's budget, or the caller's `X-Request-Budget-Ms` if that is shorter. A
bulkhead bounds the calls under way per upstream and limit class; one too many is refused at once,
because waiting in line would only spend the caller's budget.
"""

from collections.abc import Sequence
from typing import Final

from contracts.context import BUDGET_HEADER
from contracts.problems import Fault, problem
from gateway.call import PASS, Call, Clock, ConfigFault, Finding, Refuse, Step, Verdict
from gateway.config import ShieldSettings
from gateway.routes import Operation

_BUDGET: Final = BUDGET_HEADER.encode()
_LONGEST_DIGITS: Final = 9


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

    def __init__(self, settings: ShieldSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._bulkheads: dict[tuple[str, str], Bulkhead] = {}

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
        """Give a call that goes on to its upstream a place; one bulkhead per API and class."""
        key = (operation.api, operation.terms.limit)
        bulkhead = self._bulkheads.setdefault(
            key, Bulkhead("/".join(key), self._settings.concurrency)
        )
        full = Refuse(problem=problem("overloaded"), retry_after=1)

        def ask(call: Call) -> Verdict:
            if bulkhead.taken >= bulkhead.places:
                return full
            bulkhead.taken += 1
            call.permit = bulkhead
            return PASS

        return (
            Step(
                self.name,
                ask=ask,
                release=_release,
                explain=lambda _: Finding(
                    policy=self.name,
                    verdict="pass" if bulkhead.taken < bulkhead.places else "refuse",
                    because=f"{bulkhead.taken} of {bulkhead.places} places taken",
                ),
            ),
        )


def _release(call: Call) -> None:
    if call.permit is not None:
        call.permit.taken -= 1
        call.permit = None


def _malformed() -> Refuse:
    fault = Fault(
        pointer=f"header:{BUDGET_HEADER}",
        detail="does not have the right form",
        allowed="whole milliseconds, 1 or more",
    )
    return Refuse(problem=problem("invalid-request", errors=[fault]))
