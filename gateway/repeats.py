"""Second attempts at a remote upstream: one retry of what failed, one hedge of what is slow.

Both only where a second request does no harm, and both from a budget that every call pays into, so
that an upstream in trouble is asked a tenth more often and never a multiple. A hedge is sent when a
safe call has waited longer than 95 of the latest 100 did; whichever answers first is taken and the
other is given up (Dean and Barroso, "The Tail at Scale", 2013).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeAlias

from pyreqwest.exceptions import RequestError, RequestTimeoutError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from gateway.resilience import RepeatSettings
from runtime.guard import RetryBudget
from runtime.http.ends import was_never_sent

Opened: TypeAlias = tuple[StreamRequest, Response]
Open: TypeAlias = Callable[[], Coroutine[Any, Any, Opened]]

UNWELL: Final = frozenset({502, 503, 504})
"""Answers that a second attempt may mend."""
_LATEST: Final = 100
_KNOWN_AFTER: Final = 20
_SORTED_EVERY: Final = 20
_HEDGES_SAVED: Final = 5.0


class Tail:
    """The 95th percentile of an operation's latest calls, in seconds; None until it is known."""

    __slots__ = ("_latest", "_since", "p95")

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_LATEST)
        self._since = 0
        self.p95: float | None = None

    def took(self, seconds: float) -> None:
        """Count one call."""
        self._latest.append(seconds)
        self._since += 1
        if self._since >= _SORTED_EVERY and len(self._latest) >= _KNOWN_AFTER:
            self._since = 0
            ranked = sorted(self._latest)
            self.p95 = ranked[len(ranked) * 95 // 100]


class Repeats:
    """The budgets of one upstream and the tails of its operations."""

    def __init__(self, settings: RepeatSettings) -> None:
        self._settings = settings
        self._retries = RetryBudget(share=settings.retry_share)
        self._hedges = RetryBudget(share=settings.hedge_share, most=_HEDGES_SAVED)
        self._tails: dict[str, Tail] = {}
        self._starts = _Starts()
        self.retried = 0
        self.hedged = 0

    def __repr__(self) -> str:
        return f"<Repeats {self.retried} retried, {self.hedged} hedged>"

    async def run(self, attempt: Open, *, operation: str, safe: bool, keyed: bool) -> Opened:
        """Open an answer: hedged where `safe`, tried once more where `safe` or `keyed`.

        Raises:
            RequestError: as the last attempt ended.
        """
        self._retries.earn()
        loop = asyncio.get_running_loop()
        tail, began = self._tail(operation) if safe else None, loop.time()
        try:
            if tail is None or tail.p95 is None or not self._settings.hedge_share:
                opened = await attempt()
            else:
                race = _Race(attempt, self._allowed, loop)
                delay = max(tail.p95, self._settings.least_hedge_seconds)
                self._starts.at(began + delay, race)
                opened = await race.run()
        except RequestError as error:
            if is_spent(error) or not ((safe or keyed) and self._may_retry()):
                raise
            return await attempt()
        if tail is not None:
            tail.took(loop.time() - began)
        request, response = opened
        if _mendable(response) and (safe or keyed) and self._may_retry():
            await request.__aexit__(None, None, None)
            return await attempt()
        return opened

    def _may_retry(self) -> bool:
        allowed = self._retries.spend()
        self.retried += allowed
        return allowed

    def _tail(self, operation: str) -> Tail:
        self._hedges.earn()
        tail = self._tails.get(operation)
        if tail is None:
            tail = self._tails[operation] = Tail()
        return tail

    def _allowed(self) -> bool:
        allowed = self._hedges.spend()
        self.hedged += allowed
        return allowed


def is_spent(error: RequestError) -> bool:
    """Tell the end of the caller's time from a connection that could not be made in its own."""
    return isinstance(error, RequestTimeoutError) and not was_never_sent(error)


def _mendable(response: Response) -> bool:
    """Tell a failure from an answer: who says what is wrong, or when to come again, is well."""
    return (
        response.status in UNWELL
        and "retry-after" not in response.headers
        and not response.headers.get("content-type", "").startswith("application/problem+json")
    )


class _Starts:
    """Starts rivals when they are due: one timer for all races, as hardly any race needs it."""

    __slots__ = ("_context", "_due", "_next", "_number", "_timer")

    def __init__(self) -> None:
        self._context = Context()
        """The timer's: nobody's call, as it serves those of many."""
        self._due: list[tuple[float, int, _Race]] = []
        self._number = count()
        self._timer: asyncio.Handle | None = None
        self._next = float("inf")

    def at(self, due: float, race: "_Race") -> None:
        """Start the race's rival at an instant of the loop's clock, unless it is over by then."""
        heappush(self._due, (due, next(self._number), race))
        if due < self._next:
            self._look_at(due)

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        self._timer = asyncio.get_running_loop().call_at(due, self._look, context=self._context)

    def _look(self) -> None:
        self._timer, self._next = None, float("inf")
        due, now = self._due, asyncio.get_running_loop().time()
        while due and (due[0][0] <= now or due[0][2].over):
            _, _, race = heappop(due)
            race.start()
        if due:
            self._look_at(due[0][0])


class _Race:
    """One attempt in the caller's own task, and perhaps a rival in another.

    A rival that wins cancels the caller's wait as `asyncio.timeout` does, and takes the
    cancellation back. The rival runs in a copy of the caller's context, not in the timer's.
    """

    __slots__ = ("_allowed", "_attempt", "_context", "_rival", "_task", "_won", "over")

    def __init__(
        self, attempt: Open, allowed: Callable[[], bool], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._attempt: Open | None = attempt
        self._allowed = allowed
        self._context = copy_context()
        self._task = asyncio.current_task(loop)
        self._rival: asyncio.Task[Opened] | None = None
        self._won = False
        self.over = False

    async def run(self) -> Opened:
        """Answer the first that opens; the other is given up."""
        task, attempt = self._task, self._attempt
        assert task is not None  # noqa: S101  a coroutine always runs in a task
        assert attempt is not None  # noqa: S101  a race is run once
        asked_before = task.cancelling()
        try:
            return self._first(await attempt())
        except asyncio.CancelledError:
            if self._won and self._rival is not None and task.uncancel() <= asked_before:
                return self._rival.result()
            self._won = False
            raise
        except RequestError:
            if self._rival is None:
                raise
            if self._won:
                task.uncancel()  # as in `_first`: the client made an error of the cancellation
            self._won = True
            return await self._rival
        finally:
            self.over = True
            self._attempt = None  # it holds the caller's call, and `_Starts` holds this race
            if self._rival is not None and not self._won:
                self._give_up(self._rival)

    def _first(self, opened: Opened) -> Opened:
        """Take the caller's own answer; the client loses a cancellation of the same moment."""
        if self._won and self._task is not None:
            self._task.uncancel()
            self._won = False
        return opened

    def start(self) -> None:
        """Start the rival, if the race is still on and the budget allows one."""
        if self._attempt is not None and self._allowed():
            loop = asyncio.get_running_loop()
            self._rival = loop.create_task(self._attempt(), context=self._context)
            self._rival.add_done_callback(self._ended)

    def _ended(self, rival: asyncio.Task[Opened]) -> None:
        """Let the caller go on with the rival's answer, unless it has one or goes without.

        The loop may call this after the race is over, when both ended in the same moment: the
        caller is then elsewhere and must not be cancelled there.
        """
        if self.over or self._won or rival.cancelled() or rival.exception() is not None:
            return
        if rival.result()[1].status in UNWELL:
            return
        if self._task is not None and not self._task.done():
            self._won = True
            self._task.cancel()

    def _give_up(self, rival: asyncio.Task[Opened]) -> None:
        rival.remove_done_callback(self._ended)
        rival.add_done_callback(_closed)
        rival.cancel()


def _closed(rival: asyncio.Task[Opened]) -> None:
    """Give back the connection of an answer that nobody reads."""
    if not rival.cancelled() and rival.exception() is None:
        request, _ = rival.result()
        closing = asyncio.ensure_future(request.__aexit__(None, None, None))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)


_CLOSING: Final[set[asyncio.Future[None]]] = set()
"""Held until they have run: the loop itself keeps tasks only weakly."""
