"""A circuit breaker: decide, do, report.

`admit()` decides and hands out a permit or nothing; the caller does the work, holding no lock;
the permit reports how it ended. pybreaker keeps the states and tells the listeners; time, trials
and stragglers are ours, because its own driving is not made for asyncio (decision record 0004):

- closed: everybody is admitted. It opens after `failures` in a row, or when `ratio` of the last
  `window` calls failed, or when `slow_ratio` of them took longer than `slow_seconds`.
- open: nobody is admitted until `open_seconds` have passed; each trip in a row doubles them, up to
  `longest_open_seconds`, and chance lengthens them by up to `jitter`, so that circuits that opened
  together do not try together.
- half-open: one trial at a time. `trials` successes in a row close it; one failure, or one that is
  slow, opens it again.

By hand `trip()` opens it until `reset()`, whatever happens meanwhile. In a dry run it changes state
and counts whom it would have refused, and refuses nobody; only an operator's `trip()` is obeyed.
What other nodes saw comes in through `open_for`, `close_as_seen` and `postpone`.

A permit reports once; one that ends without a report (cancelled, or refused before sending) is
neutral. A report from before the latest change of state says nothing about now and is ignored.
"""

import random
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec

from runtime.clock import Clock

if TYPE_CHECKING:
    from runtime.guard.circuit import Circuit

__all__ = ["Breaker", "BreakerSettings", "BreakerStanding", "OnChange", "Permit"]

State = Literal["closed", "open", "half-open"]
_NO_EPOCH: Final = -1
OnChange = Callable[[str, State, State], None]


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a circuit opens and closes.

    `ratio` and `slow_ratio` count once the window holds `minimum` calls; without `slow_seconds` no
    call is slow. `jitter` is a share of the open time and needs a source of chance.
    """

    failures: int = 5
    ratio: float = 0.5
    window: int = 50
    minimum: int = 20
    slow_seconds: float | None = None
    slow_ratio: float = 0.8
    open_seconds: float = 2.0
    longest_open_seconds: float = 30.0
    jitter: float = 0.1
    trials: int = 1
    dry_run: bool = False


class BreakerStanding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an operator sees of a circuit."""

    name: str
    state: State
    failures: int
    retry_after: float
    """Seconds until a trial is admitted; 0 unless open."""
    held: bool = False
    """Tripped by hand, until it is reset by hand."""
    reason: str | None = None
    """Who tripped it by hand, and why."""
    would_refuse: int = 0
    """In a dry run: how many calls have been let through an open circuit."""


class Breaker:
    """One circuit, for one upstream and operation class."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        settings: BreakerSettings | None = None,
        on_change: OnChange | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._settings = settings or BreakerSettings()
        self._clock = clock
        self._on_change = on_change
        self._chance = chance
        self._made: Circuit | None = None
        self._recent: deque[tuple[bool, bool]] = deque(maxlen=self._settings.window)
        self._failed_recently = 0
        self._slow_recently = 0
        self._held = False
        self._reason: str | None = None
        self._would_refuse = 0
        self._epoch = 0
        self._trips = 0
        self._open_until = 0.0
        self._trial_running = False
        self.name = name

    def __repr__(self) -> str:
        standing = self.standing()
        left = f" {standing.retry_after:.0f}s left" if standing.state == "open" else ""
        return f"<Circuit {self.name} {standing.state}{left}, {standing.failures} failures>"

    def hand_over(self, settings: BreakerSettings, *, on_change: OnChange | None) -> None:
        """Go on under a new configuration, in the state it is in."""
        if settings.window != self._settings.window:
            self._recent = deque(maxlen=settings.window)
            self._failed_recently = self._slow_recently = 0
        self._settings = settings
        self._on_change = on_change
        if self._made is not None:
            self._made.configure(
                failures=settings.failures, trials=settings.trials, on_change=on_change
            )

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
            held=self._held,
            reason=self._reason,
            would_refuse=self._would_refuse,
        )

    @property
    def wants_trial(self) -> bool:
        """Tell whether the next call admitted would be a trial."""
        return (
            self.state != "closed"
            and not self._held
            and not self._trial_running
            and self._clock.monotonic() >= self._open_until
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
        if self.state == "closed":
            return self._permit(trial=False)
        if self._held:
            return None
        if self.wants_trial:
            if self.state == "open":
                self._epoch += 1
                self._circuit.half_open()
            self._trial_running = True
            return self._permit(trial=True)
        if self._settings.dry_run:
            self._would_refuse += 1
            return Permit(self, _NO_EPOCH, trial=False, began=None)
        return None

    def _permit(self, *, trial: bool) -> "Permit":
        timed = self._settings.slow_seconds is not None
        began = self._clock.monotonic() if timed else None
        return Permit(self, self._epoch, trial=trial, began=began)

    def trip(self, reason: str | None = None) -> None:
        """Open the circuit by hand, until it is reset by hand; `reason` is shown meanwhile."""
        self._held = True
        self._reason = reason
        self._opened(self._circuit.open)

    def reset(self) -> None:
        """Close the circuit by hand and forget what happened."""
        self._held = False
        self._reason = None
        if self._made is not None:
            self._made.close()
        self._closed()

    def open_for(self, seconds: float) -> None:
        """Open, or stay open, because another node saw the upstream fail; hold what is held."""
        if self._held:
            return
        until = self._clock.monotonic() + seconds
        if self.state == "open":
            self._open_until = max(self._open_until, until)
            return
        self._epoch += 1
        self._trial_running = False
        self._open_until = until
        self._circuit.open()

    def close_as_seen(self) -> None:
        """Close because another node's trial succeeded; the next opening is no shorter for it."""
        if self._held or self.state == "closed":
            return
        trips = self._trips
        self._circuit.close()
        self._closed()
        self._trips = trips

    def postpone(self, seconds: float) -> None:
        """Admit no trial for so long: another node is trying, or knows that it is too early."""
        self._open_until = self._clock.monotonic() + seconds

    def report(self, epoch: int, *, trial: bool, ended: bool | None, began: float | None) -> None:
        """Take a permit's report: True succeeded, False failed, None neutral.

        Without `began` the call was admitted before anybody asked how slow one is, and is not slow.
        """
        if epoch != self._epoch:
            return
        if trial:
            self._trial_running = False
        if ended is None:
            return
        late = self._late(began)
        self._count(failed=not ended, slow=late)
        if ended and not (trial and late):
            if self._made is not None:
                self._made.succeeded()
            if trial and self.state == "closed":
                self._closed()
            elif late and self._too_many():
                self._opened(self._circuit.open)
        else:
            self._failed(trial=trial)

    def cut_short(self, epoch: int, *, trial: bool, began: float | None) -> None:
        """Take the report of a call whose caller left before the upstream had its time.

        It tells of neither success nor failure; a call that had been slow by then was slow.
        """
        if epoch != self._epoch or trial or not self._late(began):
            self.report(epoch, trial=trial, ended=None, began=began)
            return
        self._count(failed=False, slow=True)
        if self._too_many():
            self._opened(self._circuit.open)

    def _late(self, began: float | None) -> bool:
        slow = self._settings.slow_seconds
        return slow is not None and began is not None and self._clock.monotonic() - began > slow

    def _failed(self, *, trial: bool) -> None:
        before = self.state
        self._circuit.failed()
        if self.state == "open" and before != "open":
            self._opened(None)
        elif not trial and self._too_many():
            self._opened(self._circuit.open)

    def _too_many(self) -> bool:
        seen, told = len(self._recent), self._settings
        return seen >= told.minimum and (
            self._failed_recently >= told.ratio * seen
            or (told.slow_seconds is not None and self._slow_recently >= told.slow_ratio * seen)
        )

    def _count(self, *, failed: bool, slow: bool) -> None:
        if len(self._recent) == self._recent.maxlen:
            old_failed, old_slow = self._recent[0]
            self._failed_recently -= old_failed
            self._slow_recently -= old_slow
        self._recent.append((failed, slow))
        self._failed_recently += failed
        self._slow_recently += slow

    def _opened(self, open_it: Callable[[], object] | None) -> None:
        self._epoch += 1
        self._trial_running = False
        told = self._settings
        seconds = min(told.open_seconds * 2.0**self._trips, told.longest_open_seconds)
        if self._chance is not None:
            seconds *= 1.0 + told.jitter * self._chance.random()
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
        self._slow_recently = 0


class Permit:
    """Leave to make one call. As a context manager it is neutral unless something was reported."""

    __slots__ = ("_began", "_breaker", "_epoch", "_reported", "trial")

    def __init__(self, breaker: Breaker, epoch: int, *, trial: bool, began: float | None) -> None:
        self._began = began
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

    def cut_short(self) -> None:
        """Report that the caller had no time for an answer: it tells at most of slowness."""
        if not self._reported:
            self._reported = True
            self._breaker.cut_short(self._epoch, trial=self.trial, began=self._began)

    def released(self) -> None:
        """Report nothing about the upstream; safe to call at any time."""
        self._report(ended=None)

    def _report(self, *, ended: bool | None) -> None:
        if not self._reported:
            self._reported = True
            self._breaker.report(self._epoch, trial=self.trial, ended=ended, began=self._began)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released()
