"""A circuit breaker: decide, do, report.

`admit()` decides and hands out a permit or nothing; the caller does the work, holding no lock;
the permit reports how it ended. pybreaker keeps the states and tells the listeners; time, trials
and stragglers are ours, because its own driving is not made for asyncio (decision record 0004):

- closed: everybody is admitted. It opens after `failures` in a row, or when `ratio` of the last
  `window` calls failed.
- open: nobody is admitted until `open_seconds` have passed; each trip in a row doubles them, up to
  `longest_open_seconds`.
- half-open: one trial at a time. `trials` successes in a row close it; one failure opens it again.

A permit reports once; one that ends without a report (cancelled, or refused before sending) is
neutral. A report from before the latest change of state says nothing about now and is ignored.
"""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from runtime.clock import Clock

if TYPE_CHECKING:
    from runtime.guard.circuit import Circuit

__all__ = ["Breaker", "BreakerSettings", "BreakerStanding", "Permit"]

State = Literal["closed", "open", "half-open"]
OnChange = Callable[[str, State, State], None]


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a circuit opens and closes.

    `ratio` counts once the window holds `minimum` calls.
    """

    failures: int = 5
    ratio: float = 0.5
    window: int = 50
    minimum: int = 20
    open_seconds: float = 2.0
    longest_open_seconds: float = 30.0
    trials: int = 1


class BreakerStanding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an operator sees of a circuit."""

    name: str
    state: State
    failures: int
    retry_after: float
    """Seconds until a trial is admitted; 0 unless open."""


class Breaker:
    """One circuit, for one upstream and operation class."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        settings: BreakerSettings | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self._settings = settings or BreakerSettings()
        self._clock = clock
        self._on_change = on_change
        self._made: Circuit | None = None
        self._recent: deque[bool] = deque(maxlen=self._settings.window)
        self._failed_recently = 0
        self._epoch = 0
        self._trips = 0
        self._open_until = 0.0
        self._trial_running = False
        self.name = name

    def __repr__(self) -> str:
        standing = self.standing()
        left = f" {standing.retry_after:.0f}s left" if standing.state == "open" else ""
        return f"<Circuit {self.name} {standing.state}{left}, {standing.failures} failures>"

    @property
    def state(self) -> State:
        """The state now; an open circuit whose time is over stays open until the next call."""
        return "closed" if self._made is None else self._made.state

    def standing(self) -> BreakerStanding:
        """Answer what an operator sees."""
        left = max(0.0, self._open_until - self._clock.monotonic())
        return BreakerStanding(
            name=self.name,
            state=self.state,
            failures=0 if self._made is None else self._made.failures,
            retry_after=left if self.state == "open" else 0.0,
        )

    @property
    def _circuit(self) -> "Circuit":
        """Make pybreaker's part at the first failure: a healthy circuit needs none of it.

        Importing pybreaker imports a Redis client, which is a fifth of a process's start.
        """
        if self._made is None:
            from runtime.guard.circuit import Circuit  # noqa: PLC0415  # see above

            self._made = Circuit(
                self.name,
                failures=self._settings.failures,
                trials=self._settings.trials,
                on_change=self._on_change,
            )
        return self._made

    def admit(self) -> "Permit | None":
        """Decide whether one call may be made now; None means that the circuit refuses it."""
        state = self.state
        if state == "closed":
            return Permit(self, self._epoch, trial=False)
        if state == "open":
            if self._clock.monotonic() < self._open_until:
                return None
            self._epoch += 1
            self._trial_running = False
            self._circuit.half_open()
        if self._trial_running:
            return None
        self._trial_running = True
        return Permit(self, self._epoch, trial=True)

    def trip(self) -> None:
        """Open the circuit by hand, or because another node saw it open."""
        self._opened(self._circuit.open)

    def reset(self) -> None:
        """Close the circuit by hand and forget what happened."""
        self._circuit.close()
        self._closed()

    def report(self, epoch: int, *, trial: bool, ended: bool | None) -> None:
        """Take a permit's report: True succeeded, False failed, None neutral."""
        if epoch != self._epoch:
            return
        if trial:
            self._trial_running = False
        if ended is None:
            return
        if ended:
            self._count(failed=False)
            if self._made is not None:
                self._made.succeeded()
            if trial and self.state == "closed":
                self._closed()
        else:
            self._count(failed=True)
            self._failed(trial=trial)

    def _failed(self, *, trial: bool) -> None:
        before = self.state
        self._circuit.failed()
        if self.state == "open" and before != "open":
            self._opened(None)
        elif not trial and self._too_many():
            self._opened(self._circuit.open)

    def _too_many(self) -> bool:
        seen = len(self._recent)
        return (
            seen >= self._settings.minimum and self._failed_recently >= self._settings.ratio * seen
        )

    def _count(self, *, failed: bool) -> None:
        if len(self._recent) == self._recent.maxlen and self._recent[0]:
            self._failed_recently -= 1
        self._recent.append(failed)
        self._failed_recently += failed

    def _opened(self, open_it: Callable[[], object] | None) -> None:
        self._epoch += 1
        self._trial_running = False
        told = self._settings
        seconds = min(told.open_seconds * 2.0**self._trips, told.longest_open_seconds)
        self._trips = min(self._trips + 1, 20)
        self._open_until = self._clock.monotonic() + seconds
        if open_it is not None:
            open_it()

    def _closed(self) -> None:
        self._epoch += 1
        self._trial_running = False
        self._trips = 0
        self._recent.clear()
        self._failed_recently = 0


class Permit:
    """Leave to make one call. As a context manager it is neutral unless something was reported."""

    __slots__ = ("_breaker", "_epoch", "_reported", "trial")

    def __init__(self, breaker: Breaker, epoch: int, *, trial: bool) -> None:
        self._breaker = breaker
        self._epoch = epoch
        self._reported = False
        self.trial = trial

    def succeeded(self) -> None:
        """Report that the upstream answered."""
        self._report(ended=True)

    def failed(self) -> None:
        """Report that the upstream did not answer, or not as it should."""
        self._report(ended=False)

    def released(self) -> None:
        """Report nothing about the upstream; safe to call at any time."""
        self._report(ended=None)

    def _report(self, *, ended: bool | None) -> None:
        if not self._reported:
            self._reported = True
            self._breaker.report(self._epoch, trial=self.trial, ended=ended)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released()
