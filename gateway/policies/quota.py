"""quota: a plan's windows, exact, and told in advance (draft-ietf-httpapi-ratelimit-headers-11).

A window of `quota` calls in `seconds` means any stretch of that length: each admitted call is
remembered until it is `seconds` old. Alone, the log is in memory; with shared state it is one
atomic script for all gateways. While the shared state is gone each gateway grants its local share.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Final, Protocol

import msgspec

from contracts.problems import problem
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
from gateway.config import Plan, Window
from gateway.routes import LimitClass, Operation
from runtime.clock import Clock

_MOST_METERED: Final = 10_000
_UNLIMITED: Final[tuple[LimitClass, ...]] = ("house",)


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call against its windows.

    `remaining` and `reset_seconds` are the binding window's: the one that refuses for longest, else
    the one with the fewest calls left, of several the one that resets last. After an admission
    so many are admitted next; whoever waits `reset_seconds` after a refusal is admitted.
    """

    admitted: bool
    binding: int
    remaining: int
    reset_seconds: float


class Meter(Protocol):
    """Counts calls against windows; all admit or none counts."""

    async def spend(self, key: str, windows: Sequence[Window], cost: int = 1) -> Spent | None:
        """Count one call that costs `cost`; None when the meter cannot be reached."""

    def owe(self, key: str, cost: int) -> None:
        """Remember a call that was admitted while the meter could not be reached."""


class LocalMeter:
    """Sliding logs in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._logs: dict[str, tuple[Sequence[Window], tuple[deque[float], ...]]] = {}

    def __repr__(self) -> str:
        return f"<LocalMeter {len(self._logs)} consumers>"

    def spend(self, key: str, windows: Sequence[Window], cost: int = 1) -> Spent:
        """Count one call against every window, or against none."""
        now = self._clock.monotonic()
        logs = self._of(key, windows, now)
        binding, refused_for = 0, 0.0
        fewest, resets = math.inf, 0.0
        admitted = True
        for index, (log, window) in enumerate(zip(logs, windows, strict=True)):
            edge = now - window.seconds
            while log and log[0] <= edge:
                log.popleft()
            left = window.quota - len(log)
            if left < cost:
                wait = log[max(0, min(cost - left, len(log)) - 1)] - edge
                if wait > refused_for:
                    binding, refused_for = index, wait
                admitted = False
            elif admitted and left <= fewest:
                reset = (log[0] if log else now) - edge
                if left < fewest or reset > resets:
                    binding, fewest, resets = index, left, reset
        log, window = logs[binding], windows[binding]
        if not admitted:
            left = max(0, window.quota - len(log))
            return Spent(admitted=False, binding=binding, remaining=left, reset_seconds=refused_for)
        for each in logs:
            each.extend(repeat(now, cost))
        return Spent(
            admitted=True,
            binding=binding,
            remaining=window.quota - len(log),
            reset_seconds=log[0] + window.seconds - now,
        )

    def note(self, key: str, windows: Sequence[Window], cost: int) -> None:
        """Remember a call that was admitted elsewhere, whatever there was left of its windows."""
        now = self._clock.monotonic()
        for log, window in zip(self._of(key, windows, now), windows, strict=True):
            edge = now - window.seconds
            while log and log[0] <= edge:
                log.popleft()
            log.extend(repeat(now, cost))

    def _of(self, key: str, windows: Sequence[Window], now: float) -> tuple[deque[float], ...]:
        known = self._logs.get(key)
        if known is not None and (known[0] is windows or known[0] == windows):
            return known[1]
        # A plan that changed under a running gateway keeps what was counted under the old one.
        return self._open(key, windows, known, now)

    def peek(self, key: str, windows: Sequence[Window], cost: int) -> bool:
        """Tell whether a call that costs `cost` would be admitted, without counting it."""
        now = self._clock.monotonic()
        _, logs = self._logs.get(key, ((), ()))
        return all(
            sum(each > now - window.seconds for each in log) + cost <= window.quota
            for log, window in zip(logs, windows, strict=False)
        )

    def _open(
        self,
        key: str,
        windows: Sequence[Window],
        known: tuple[Sequence[Window], tuple[deque[float], ...]] | None,
        now: float,
    ) -> tuple[deque[float], ...]:
        if known is None and len(self._logs) >= _MOST_METERED:
            longest = max(window.seconds for window in windows)
            live = [
                (each, kept)
                for each, kept in self._logs.items()
                if any(log and log[-1] > now - longest for log in kept[1])
            ]
            # Consumers are few and known; a flood of names must still not fill the memory.
            self._logs = dict(live[-_MOST_METERED // 2 :])
        counted = max(known[1], key=len, default=()) if known else ()
        logs: tuple[deque[float], ...] = tuple(deque(counted) for _ in windows)
        self._logs[key] = (windows, logs)
        return logs


class Quota:
    """Holds consumers to their plans."""

    name = "quota"

    def __init__(
        self,
        plans: Mapping[str, Plan],
        *,
        clock: Clock,
        shared: Meter | None = None,
        instances: int = 1,
        local: LocalMeter | None = None,
    ) -> None:
        self._plans = plans
        self._local = local or LocalMeter(clock)
        self._shared = shared
        self._instances = instances

    async def provision(self) -> None:
        """Need nothing: the shared state is handed in and connects when first asked."""

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """A share of less than one call would refuse everybody while the shared state is gone."""
        dearest: dict[str, int] = {}
        for each in operations:
            limit = each.terms.limit
            dearest[limit] = max(dearest.get(limit, 1), each.terms.cost)
        return [
            ConfigFault(
                place=f"plans.{name}.{limit}",
                value=f"quota {window.quota} among {self._instances} gateways",
                allowed=f"{self._instances * dearest.get(limit, 1)} or more",
                remedy="Raise the quota or lower gateway.instances.",
            )
            for name, plan in self._plans.items()
            for limit in plan.__struct_fields__
            for window in getattr(plan, limit)
            if window.quota < self._instances * dearest.get(limit, 1)
        ]

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply one limit class; the plan is the consumer's."""
        limit = operation.terms.limit
        if limit in _UNLIMITED or not any(getattr(each, limit) for each in self._plans.values()):
            return ()
        windows = {name: getattr(plan, limit) for name, plan in self._plans.items()}
        shares = {name: self._share(each) for name, each in windows.items()}
        policies = {name: _policy_header(limit, each) for name, each in windows.items()}
        cost = operation.terms.cost

        def ask(call: Call) -> Asked:
            mine = windows.get(call.consumer.plan)
            if not mine:
                return PASS
            key = f"{call.consumer.name}:{limit}"
            if self._shared is None:
                return _verdict(call, self._local.spend(key, mine, cost), limit, mine)
            return self._ask_shared(
                call,
                key=key,
                limit=limit,
                windows=mine,
                share=shares[call.consumer.plan],
                cost=cost,
            )

        def tell(call: Call, reply: Reply) -> None:
            spent: Spent | None = call.quota
            if spent is not None:
                mine = windows[call.consumer.plan]
                reply.headers.append((b"ratelimit-policy", policies[call.consumer.plan]))
                reply.headers.append((b"ratelimit", _limit_header(limit, mine, spent)))

        return (
            Step(
                self.name,
                ask=ask,
                tell=tell,
                explain=lambda call: self._explain(call, limit, windows, cost),
            ),
        )

    async def _ask_shared(
        self,
        call: Call,
        *,
        key: str,
        limit: LimitClass,
        windows: tuple[Window, ...],
        share: tuple[Window, ...],
        cost: int,
    ) -> Verdict:
        spent = await self._shared.spend(key, windows, cost) if self._shared is not None else None
        if spent is None:
            # Gone: a share of our own keeps the sum of all gateways within the plan. What was
            # admitted here lately counts against it, so that losing Redis is no second helping.
            spent = self._local.spend(key, share, cost)
            if spent.admitted and self._shared is not None:
                self._shared.owe(key, cost)
            return _verdict(call, spent, limit, windows)
        if spent.admitted:
            self._local.note(key, share, cost)
        return _verdict(call, spent, limit, windows)

    def _share(self, windows: tuple[Window, ...]) -> tuple[Window, ...]:
        return tuple(
            Window(quota=max(1, window.quota // self._instances), seconds=window.seconds)
            for window in windows
        )

    def _explain(
        self, call: Call, limit: LimitClass, windows: Mapping[str, tuple[Window, ...]], cost: int
    ) -> Finding:
        mine = windows.get(call.consumer.plan, ())
        if not mine:
            return Finding(policy=self.name, verdict="pass", because="the plan sets no limit")
        admitted = self._local.peek(f"{call.consumer.name}:{limit}", mine, cost)
        said = ", ".join(f"{each.quota} in {each.seconds} s" for each in mine)
        said += f"; this call counts as {cost}" if cost > 1 else ""
        return Finding(
            policy=self.name, verdict="pass" if admitted else "refuse", because=f"{limit}: {said}"
        )


def _verdict(call: Call, spent: Spent, limit: LimitClass, windows: Sequence[Window]) -> Verdict:
    call.quota = spent
    if spent.admitted:
        return PASS
    name = f"{limit}-{windows[spent.binding].seconds}s"
    return Refuse(problem=problem("quota-exceeded", limit=name), retry_after=spent.reset_seconds)


def _policy_header(limit: LimitClass, windows: Sequence[Window]) -> bytes:
    said = (f'"{limit}-{each.seconds}s";q={each.quota};w={each.seconds}' for each in windows)
    return ", ".join(said).encode()


def _limit_header(limit: LimitClass, windows: Sequence[Window], spent: Spent) -> bytes:
    seconds = windows[spent.binding].seconds
    reset = max(1, math.ceil(spent.reset_seconds))
    return f'"{limit}-{seconds}s";r={spent.remaining};t={reset}'.encode()
