"""The outbound budget broker: what each vendor account allows, used to the full and never beyond.

An account has any of: sliding windows (so many calls in so many seconds), a credit bucket, a daily
allocation and a number of calls at once. A call waits for its turn, high lanes first, first come
first served within a lane, as long as its caller would wait.

Why no throttle answer is drawn. The vendor counts a call when it arrives, somewhere between our
sending and its answer. We count a call under way in full, and let what it used return only a
window's length after its *end*, the latest instant it can have been counted. So the vendor's count
is never above ours; what is lost is one call's duration per window (50 ms of 300 s).

The low lanes leave a reserve untouched and keep an even pace (`Window.ahead_seconds`), so that
urgent calls do not wait for a flood's window to pass.

Alone, a process keeps all this in memory (`runtime.accounts`). With shared state, all processes on
an account count together in Redis (`runtime.shared.budgets`), and each keeps to its own share of
the allowance while that is gone (decision record 0009).
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from contracts.outcomes import CallFailedError, Unavailable
from runtime.accounts import Account, Allowance, BudgetStanding, Timer, loop_timer
from runtime.clock import Clock
from runtime.meters import Bucket, Window
from runtime.shared.budgets import SharedAccount
from runtime.shared.state import SharedState

__all__ = ["Allowance", "Bucket", "BudgetBroker", "BudgetStanding", "Spending", "Window"]


class Spending:
    """One call's share of the budget, held while the call is under way.

    Use as `async with broker.spend(...) as spending`. What the call really cost may be said with
    `charged`; a call that ends as `Unavailable` with nothing sent costs nothing.
    """

    __slots__ = ("_account", "_cost", "_lane", "charged")

    def __init__(self, account: Account | None, cost: float, lane: str | None) -> None:
        self._account = account
        self._cost = cost
        self._lane = lane
        self.charged: float | None = None

    async def __aenter__(self) -> Self:
        if self._account is not None:
            await self._account.enter(self._cost, self._lane)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._account is None:
            return
        charged = self._cost if self.charged is None else self.charged
        if isinstance(error, CallFailedError):
            match error.failure:
                case Unavailable(may_have_happened=False, because=because) if because in _UNSENT:
                    charged = 0.0
                case _:
                    pass
        self._account.leave(self._cost, charged)


_UNSENT: Final = frozenset({"connect", "circuit open", "bulkhead full", "deadline"})


class BudgetBroker:
    """The budgets of every vendor account of this process.

    With `shared` they are those of all processes that name the same Redis. `share` is how many
    processes there are: each keeps to that part of every allowance while Redis is gone.
    """

    def __init__(
        self,
        allowances: Mapping[str, Allowance],
        *,
        clock: Clock,
        shared: SharedState | None = None,
        share: int = 1,
        timer: Timer | None = None,
    ) -> None:
        timer = timer or loop_timer
        self._accounts: dict[str, Account] = {
            name: Account(name, allowance, clock, timer)
            if shared is None
            else SharedAccount(name, allowance, clock, timer, shared=shared, share=share)
            for name, allowance in allowances.items()
        }

    def open(self) -> None:
        """Count together with the others from now on, rather than from the first call on."""
        for account in self._accounts.values():
            account.open()

    async def close(self) -> None:
        """Give back to the other processes what this one still holds."""
        for account in self._accounts.values():
            await account.close()

    def spend(self, account: str, cost: float = 1.0, lane: str | None = None) -> Spending:
        """Answer a context manager that waits for `cost` of an account, then holds it.

        `lane` is the caller's criticality unless given. An account without an allowance is free:
        that is how limits are switched off.

        Raises, on entering:
            CallFailedError: `Throttled`, when its turn would come after the caller's deadline.
        """
        return Spending(self._accounts.get(account), cost, lane)

    def throttled(self, account: str, retry_after: float) -> None:
        """Learn that the vendor asked for a pause all the same: nobody is sent before its end."""
        if account in self._accounts:
            self._accounts[account].pause(retry_after)

    def observed_usage(self, account: str, used: int, limit: int) -> None:
        """Learn the vendor's own count of the daily allocation."""
        if account in self._accounts:
            self._accounts[account].observe(used, limit)

    def observed_credits(
        self, account: str, left: float, capacity: float | None = None, restore: float | None = None
    ) -> None:
        """Learn the vendor's own count of credits left, and its bucket when it says both sizes."""
        if account in self._accounts:
            bucket = None
            if capacity is not None and restore is not None:
                bucket = Bucket(capacity=capacity, restore=restore)
            self._accounts[account].observe_credits(left, bucket)

    def standing(self) -> tuple[BudgetStanding, ...]:
        """Answer every account, for an operator; from memory, at once."""
        return tuple(account.standing() for account in self._accounts.values())
