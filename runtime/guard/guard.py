"""One upstream, guarded: a breaker and a bulkhead for each operation class, one retry budget."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, assert_never

import msgspec

from contracts.outcomes import (
    CallFailedError,
    Conflict,
    Malformed,
    Rejected,
    Throttled,
    Unavailable,
)
from runtime.clock import Clock
from runtime.guard.breaker import Breaker, BreakerSettings, BreakerStanding, OnChange, Permit
from runtime.guard.bulkhead import Bulkhead
from runtime.guard.deadline import time_left
from runtime.guard.retry_budget import RetryBudget

__all__ = ["Guard", "GuardSettings"]

T = TypeVar("T")


class GuardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one upstream is granted: `places` calls at once in a class, `queue` waiting for one.

    It has `patience` seconds before its silence is held against it: where the caller's budget cuts
    a call off earlier, the caller was in a hurry and the upstream may be well.
    """

    places: int = 64
    queue: int = 4096
    breaker: BreakerSettings = BreakerSettings()
    retry_share: float = 0.1
    patience: float = 1.0


class Guard:
    """Guards every call to one upstream. Operation classes are made as they are met."""

    def __init__(
        self,
        system: str,
        *,
        clock: Clock,
        settings: GuardSettings | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self.system = system
        self._clock = clock
        self._settings = settings or GuardSettings()
        self._on_change = on_change
        self._classes: dict[str, tuple[Breaker, Bulkhead]] = {}
        self._retries = RetryBudget(share=self._settings.retry_share)

    def __repr__(self) -> str:
        return f"<Guard {self.system} {[breaker for breaker, _ in self._classes.values()]}>"

    def standing(self) -> tuple[BreakerStanding, ...]:
        """Answer every circuit of this upstream, for an operator."""
        return tuple(breaker.standing() for breaker, _ in self._classes.values())

    def breaker(self, operation_class: str) -> Breaker:
        """Answer the circuit of an operation class, as `write`."""
        return self._of(operation_class)[0]

    async def call(
        self,
        operation_class: str,
        attempt: Callable[[float], Awaitable[T]],
        *,
        timeout: float,  # noqa: ASYNC109  # a ceiling; the caller's deadline shortens it
        safe: bool,
    ) -> T:
        """Run `attempt(seconds it may take)`; a safe call that got no answer is tried once more.

        Raises:
            CallFailedError: as the attempt ended; `Unavailable` with nothing sent when the
                circuit is open, the bulkhead is full or the caller's budget is used up.
        """
        self._retries.earn()
        try:
            return await self._once(operation_class, attempt, timeout)
        except CallFailedError as error:
            failure = error.failure
            again = (
                safe
                and isinstance(failure, Unavailable)
                and failure.because in _WORTH_ONE_MORE
                and self._retries.spend()
            )
            if not again:
                raise
        return await self._once(operation_class, attempt, timeout)

    async def _once(
        self, operation_class: str, attempt: Callable[[float], Awaitable[T]], longest: float
    ) -> T:
        breaker, bulkhead = self._of(operation_class)
        await bulkhead.enter(time_left(self._clock, longest, system=self.system))
        try:
            permit = breaker.admit()
            if permit is None:
                raise CallFailedError(
                    Unavailable(system=self.system, may_have_happened=False, because="circuit open")
                )
            with permit:
                granted = time_left(self._clock, longest, system=self.system)
                try:
                    done = await attempt(granted)
                except CallFailedError as error:
                    hurried = granted < min(longest, self._settings.patience)
                    _report(permit, error, hurried=hurried)
                    raise
                permit.succeeded()
                return done
        finally:
            bulkhead.leave()

    def _of(self, operation_class: str) -> tuple[Breaker, Bulkhead]:
        found = self._classes.get(operation_class)
        if found is None:
            name = f"{self.system}.{operation_class}"
            found = self._classes[operation_class] = (
                Breaker(
                    name,
                    clock=self._clock,
                    settings=self._settings.breaker,
                    on_change=self._on_change,
                ),
                Bulkhead(
                    system=self.system, places=self._settings.places, queue=self._settings.queue
                ),
            )
        return found


_WORTH_ONE_MORE = frozenset({"connection lost", "connect", "server error"})
"""Ends that a second try may mend at once; a time-out has used the caller's time already."""


def _report(permit: Permit, error: CallFailedError, *, hurried: bool) -> None:
    """Tell the breaker what an end says of the upstream's health."""
    match error.failure:
        case Unavailable(because="time-out") if hurried:
            permit.cut_short()
        case Unavailable(because="deadline" | "circuit open" | "bulkhead full" | "record locked"):
            permit.released()
        case Unavailable() | Malformed():
            permit.failed()
        case Throttled():
            permit.released()  # it is alive; the budget broker keeps the pause
        case Rejected() | Conflict():
            permit.succeeded()
        case unreachable:
            assert_never(unreachable)
