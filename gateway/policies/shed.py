"""shed: with more work than can be done, the least urgent is refused first, and at once.

Calls under way are held to an adaptive limit. An operation may use the part of it that its
criticality allows: bulk half, sync 0.7, status 0.85, order capture all of it; so as load grows they
are shed in that order, and what is capture's alone stays so while the limit shrinks.

Two limits: one for this process, which follows how late its event loop runs (a vendor that is slow
makes calls wait, not the loop late), and one for each remote upstream, which follows how long its
answers take against the shortest of late. A time as short as our own loop may be late tells of us,
not of the upstream, and counts as quick.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from contracts.problems import problem
from gateway.call import PASS, Call, ConfigFault, Finding, Refuse, Reply, Step, Verdict
from gateway.policies.shield import had_its_time
from gateway.resilience import ShedSettings
from gateway.routes import Criticality, Operation
from runtime.clock import Clock
from runtime.guard.limit import AdaptiveLimit, Best

SHARES: Final[dict[Criticality, float]] = {
    "capture": 1.0,
    "status": 0.85,
    "sync": 0.7,
    "bulk": 0.5,
}
_KEPT: Final = 1.0 - max(share for name, share in SHARES.items() if name != "capture")
"""The part that only order capture uses; it is there also while the limit shrinks."""
_COME_AGAIN: Final[dict[Criticality, int]] = {"capture": 1, "status": 1, "sync": 2, "bulk": 5}
"""Seconds; whoever is shed first is to come again last."""
_TICK_SECONDS: Final = 0.01
_MOST_MISSED: Final = 50
_LOST: Final = 10.0
"""How many times too long a call is taken to have been that ran out of the contract's time."""
_PREFER: Final = b"prefer"


class Lag:
    """Tells a limit how late the event loop runs, as long as there are calls under way."""

    def __init__(self, limit: AdaptiveLimit, *, clock: Clock, tolerated_seconds: float) -> None:
        self._limit = limit
        self._clock = clock
        self._tolerated = tolerated_seconds
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin, unless it is under way."""
        if self._timer is None:
            self._due = self._clock.monotonic() + _TICK_SECONDS
            self._timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        late = max(0.0, self._clock.monotonic() - self._due)
        # Within what is tolerated it is as good as at best; beyond, it is so many times worse.
        missed = min(int(late / _TICK_SECONDS), _MOST_MISSED)
        self._limit.observe(1.0 + late / self._tolerated, 1 + missed)
        self._timer = None
        if self._limit.taken:
            self.watch()


class Shed:
    """Refuses what there is no room for."""

    name = "shed"

    def __init__(
        self,
        settings: ShedSettings,
        *,
        clock: Clock,
        remote: frozenset[str] = frozenset(),
        limits: dict[str, AdaptiveLimit] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._remote = remote
        self._limits = {} if limits is None else limits
        self._lag = Lag(
            self._limit("process"), clock=clock, tolerated_seconds=settings.late_seconds
        )

    @property
    def limits(self) -> tuple[AdaptiveLimit, ...]:
        """Every limit, for an operator."""
        return tuple(self._limits.values())

    async def provision(self) -> None:
        """Need nothing: the loop is watched while calls are under way."""

    def take_over(self) -> None:
        """Put the limits under these bounds."""
        for limit in self._limits.values():
            if limit.settings is not self._settings:
                limit.configure(self._settings)

    def check(self, _: Sequence[Operation], /) -> list[ConfigFault]:
        """The bounds must be in order."""
        told = self._settings
        if told.least <= told.first <= told.most:
            return []
        return [
            ConfigFault(
                place="gateway.shed",
                value=f"least {told.least}, first {told.first}, most {told.most}",
                allowed="least <= first <= most",
                remedy="Put the bounds in order, or leave them out.",
            )
        ]

    async def close(self) -> None:
        """Watch no more."""
        self._lag.stop()

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply to every contract's operation by its criticality."""
        if not self._settings.enabled:
            return ()
        criticality = operation.terms.criticality
        share = SHARES[criticality]
        process, lag = self._limit("process"), self._lag
        remote = self._limit(operation.api) if operation.api in self._remote else None
        refusal = Refuse(problem=problem("overloaded"), retry_after=_COME_AGAIN[criticality])

        admit, leave = _doors(criticality)

        def ask(call: Call) -> Verdict:
            if not admit(process):
                return refusal
            if remote is not None and not admit(remote):
                leave(process)
                return refusal
            call.shed = True
            lag.watch()
            return PASS

        def release(call: Call) -> None:
            if call.shed:
                call.shed = False
                leave(process)
                if remote is not None:
                    leave(remote)

        return (
            Step(
                self.name,
                ask=ask,
                tell=None if remote is None else self._observing(remote),
                release=release,
                explain=lambda _: _explained(process, share),
            ),
        )

    def _observing(self, limit: AdaptiveLimit) -> "_Observe":
        return _Observe(limit, self._clock, quick_seconds=self._settings.late_seconds)

    def _limit(self, name: str) -> AdaptiveLimit:
        limit = self._limits.get(name)
        if limit is None:
            limit = self._limits[name] = AdaptiveLimit(
                name, clock=self._clock, settings=self._settings
            )
        return limit


def _doors(
    criticality: Criticality,
) -> tuple[Callable[[AdaptiveLimit], bool], Callable[[AdaptiveLimit], None]]:
    """How a call of this class takes its place in a limit, and how it gives it back."""
    share = SHARES[criticality]
    if criticality == "capture":
        return lambda limit: limit.admit_first(_KEPT), AdaptiveLimit.leave_first
    return lambda limit: limit.admit(share), AdaptiveLimit.leave


class _Observe:
    """Tells a remote upstream's limit how long one operation's answers take."""

    def __init__(self, limit: AdaptiveLimit, clock: Clock, *, quick_seconds: float) -> None:
        self._limit = limit
        self._clock = clock
        self._best = Best(quick_seconds)

    def __call__(self, call: Call, reply: Reply) -> None:
        if not call.shed or _PREFER in call.fields:
            return  # refused here, or asked to wait: its time says nothing
        if reply.reason == "deadline-exceeded":
            if had_its_time(call):
                self._limit.observe(_LOST)
        elif reply.policy is None and 200 <= reply.status < 300:  # noqa: PLR2004  RFC 9110's class
            now = self._clock.monotonic()
            self._limit.observe(self._best.ratio(now - call.started, now))


def _explained(limit: AdaptiveLimit, share: float) -> Finding:
    room = limit.limit * share
    return Finding(
        policy=Shed.name,
        verdict="pass" if limit.taken < room else "refuse",
        because=f"{limit.taken} calls under way, room for {room:.0f}",
    )
