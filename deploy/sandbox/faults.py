"""The fault switch: what goes wrong, where, and how often.

A rule names a system, an operation (``*`` for every one, ``salesOrders.*`` for a family), what
happens and how many times; without a count it holds until cleared. A vendor asks before it works;
the switch sleeps through latency itself and hands back what the wire must act out.

Pushes (webhooks and notifications that a vendor sends) are asked for under the operation ``push``.
The kinds in ``PUSH_KINDS`` only ever meet pushes; of the others only latency does.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from random import Random
from typing import Literal, get_args

import msgspec

__all__ = ["KINDS", "PUSH", "PUSH_KINDS", "Fault", "FaultRule", "FaultSwitch", "Kind"]

Kind = Literal[
    "latency",  # the operation works, later
    "error_before",  # an error status, nothing was done
    "error_after",  # an error status, everything was done
    "drop_after",  # everything was done, the connection closes before the answer
    "throttle",  # refused in the vendor's own words for too many calls
    "outage",  # 503, or with status 0 a closed connection, and nothing was done
    "reset",  # the connection is reset before anything was done
    "half_answer",  # done; a right status and length, half the body, then a closed connection
    "slow_answer",  # done; the answer's body arrives in ten pieces over `latency` seconds
    "truncated_json",  # done; 200 with a body that ends in the middle, correctly framed
    "swallowed",  # the request is lost: nothing was done, and no answer comes for `latency` seconds
    "silent",  # everything was done, and no answer comes for `latency` seconds
    "lost_push",  # the vendor never sends this notification
    "duplicate_push",  # the vendor sends this notification twice
]
KINDS: tuple[Kind, ...] = get_args(Kind)
PUSH_KINDS: frozenset[Kind] = frozenset({"lost_push", "duplicate_push"})
PUSH = "push"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault to act out.

    ``code`` and ``message`` replace the vendor's usual words when given.
    """

    kind: Kind
    status: int = 503
    retry_after: float | None = None
    latency: float = 0.0
    code: str | None = None
    message: str | None = None


class FaultRule(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What an operator asks for: ``count`` None is until cleared, ``share`` the part of calls met.

    ``latency`` and ``retry_after`` are seconds; ``status`` is the HTTP status of an error.
    """

    system: str
    kind: Kind
    operation: str = "*"
    status: int = 503
    latency: float = 0.0
    count: int | None = None
    retry_after: float | None = None
    share: float = 1.0
    code: str | None = None
    message: str | None = None


class _Armed:
    """A rule in force and how often it was acted out."""

    def __init__(self, number: int, rule: FaultRule) -> None:
        self.number = number
        self.rule = rule
        self.acted = 0

    def meets(self, system: str, operation: str) -> bool:
        rule = self.rule
        if rule.system != system or (rule.count is not None and self.acted >= rule.count):
            return False
        if (rule.kind in PUSH_KINDS) != (operation == PUSH) and rule.kind != "latency":
            return False
        wanted = rule.operation
        if wanted in {operation, "*"}:
            # latency on every operation is about answers: a push is late only by name
            return wanted == operation or operation != PUSH or rule.kind in PUSH_KINDS
        return wanted.endswith("*") and operation.startswith(wanted[:-1])


class FaultSwitch:
    """Every fault rule in force, and the count of those acted out."""

    def __init__(
        self,
        systems: Collection[str],
        chance: Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.systems = tuple(systems)
        self._chance = chance
        self._sleep = sleep
        self._armed: list[_Armed] = []
        self._numbers = 0
        self._acted: Counter[tuple[str, str, str]] = Counter()

    async def before(self, system: str, operation: str) -> Fault | None:
        """Ask before working: sleeps through latency, answers the fault to act out or None."""
        if not self._armed:
            return None
        found: Fault | None = None
        delay = 0.0
        for armed in self._armed:
            rule = armed.rule
            if (found is not None and rule.kind != "latency") or not armed.meets(system, operation):
                continue
            if rule.share < 1.0 and self._chance.random() >= rule.share:
                continue
            armed.acted += 1
            self._acted[system, operation, rule.kind] += 1
            if rule.kind == "latency":
                delay += rule.latency
            else:
                found = _fault(rule)
        if delay:
            await self._sleep(delay)
        return found

    def arm(self, rule: FaultRule) -> int:
        """Put a rule in force; answers its number.

        Raises:
            ValueError: the system is not one of the sandbox's, or a number makes no sense.
        """
        if rule.system not in self.systems:
            raise ValueError(
                f"system {rule.system!r} is not one of {', '.join(sorted(self.systems))}"
            )
        if not 0.0 < rule.share <= 1.0:
            raise ValueError(f"share {rule.share} is not above 0 and at most 1")
        if rule.count is not None and rule.count < 1:
            raise ValueError(f"count {rule.count} is not at least 1 (leave it out: until cleared)")
        if rule.latency < 0 or (rule.retry_after is not None and rule.retry_after < 0):
            raise ValueError("latency and retryAfter are seconds and cannot be negative")
        if rule.status != 0 and not 400 <= rule.status <= 599:  # noqa: PLR2004  # HTTP's own bounds
            raise ValueError(f"status {rule.status} is no error status (400 to 599)")
        self._numbers += 1
        self._armed.append(_Armed(self._numbers, rule))
        return self._numbers

    def clear(self, system: str | None = None) -> int:
        """Take all rules out of force, or one system's; answers how many. The counts stay."""
        before = len(self._armed)
        self._armed = [a for a in self._armed if system is not None and a.rule.system != system]
        return before - len(self._armed)

    def forget(self) -> None:
        """Clear the rules and the counts: for a reset of the whole sandbox."""
        self._armed.clear()
        self._acted.clear()

    def armed(self) -> list[dict[str, object]]:
        """The rules in force or used up, with how often each was acted out."""
        return [
            {"number": a.number, "acted": a.acted, **msgspec.to_builtins(a.rule)}
            for a in self._armed
        ]

    def acted_out(self) -> list[dict[str, object]]:
        """How often which fault met which operation since the start: a campaign's evidence."""
        return [
            {"system": system, "operation": operation, "kind": kind, "count": count}
            for (system, operation, kind), count in sorted(self._acted.items())
        ]


def _fault(rule: FaultRule) -> Fault:
    return Fault(
        kind=rule.kind,
        status=rule.status,
        retry_after=rule.retry_after,
        latency=rule.latency,
        code=rule.code,
        message=rule.message,
    )
