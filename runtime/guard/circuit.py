"""pybreaker's part of a circuit: its states, its counting, its listeners."""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, cast

import pybreaker

__all__ = ["Circuit"]

State = Literal["closed", "open", "half-open"]


class _ReportedError(Exception):
    """Carries a failure into pybreaker's own counting."""


class _Listener(pybreaker.CircuitBreakerListener):
    """Tells the one who wants to know that a circuit changed."""

    def __init__(self, on_change: Callable[[str, State, State], None]) -> None:
        self._on_change = on_change

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        """Pass a change on, by the names of the states."""
        old = cast("State", old_state.name if old_state else pybreaker.STATE_CLOSED)
        self._on_change(cb.name or "", old, cast("State", new_state.name))


class Circuit:
    """One pybreaker circuit, told how calls ended and never asked to make one."""

    def __init__(
        self,
        name: str,
        *,
        failures: int,
        trials: int,
        on_change: Callable[[str, State, State], None] | None,
    ) -> None:
        self._circuit = pybreaker.CircuitBreaker(
            fail_max=failures,
            success_threshold=trials,
            throw_new_error_on_trip=False,
            listeners=[_Listener(on_change)] if on_change else [],
            name=name,
        )

    def configure(
        self,
        *,
        failures: int,
        trials: int,
        on_change: Callable[[str, State, State], None] | None,
    ) -> None:
        """Take other thresholds and another listener, keeping state and count."""
        self._circuit.fail_max = failures
        self._circuit.success_threshold = trials
        for each in self._circuit.listeners:
            self._circuit.remove_listener(each)
        if on_change is not None:
            self._circuit.add_listener(_Listener(on_change))

    @property
    def state(self) -> State:
        """The state now."""
        return cast("State", self._circuit.current_state)

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._circuit.fail_counter

    def succeeded(self) -> None:
        """Count a success."""
        self._circuit.call(_nothing)

    def failed(self) -> None:
        """Count a failure; too many in a row, or one half-open, open the circuit."""
        with suppress(_ReportedError):  # ours, sent through pybreaker to be counted
            self._circuit.call(_fail)

    def open(self) -> None:
        """Open it."""
        self._circuit.open()

    def half_open(self) -> None:
        """Let a trial through."""
        self._circuit.half_open()

    def close(self) -> None:
        """Close it."""
        self._circuit.close()


def _nothing() -> None:
    """What pybreaker is asked to call for a success that has already happened."""


def _fail() -> None:
    raise _ReportedError
