"""A bulkhead: so many calls at once, so many waiting, first come, first served."""

import asyncio
from collections import deque
from types import TracebackType

from contracts.outcomes import CallFailedError, Unavailable

__all__ = ["Bulkhead"]


class Bulkhead:
    """Keeps one operation class of one upstream from taking everything.

    Use as `async with bulkhead.place(patience)`: waits at most `patience` seconds for a place.
    """

    def __init__(self, *, system: str, places: int, queue: int) -> None:
        self._system = system
        self._places = places
        self._queue = queue
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Bulkhead {self._system} {self._taken}/{self._places}, {self.waiting} waiting>"

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many calls wait for a place."""
        return len(self._waiting)

    def place(self, patience: float) -> "_Place":
        """Answer a context manager that holds one place.

        Raises, on entering:
            CallFailedError: `Unavailable` with nothing sent, when the queue is full or patience
                ran out.
        """
        return _Place(self, patience)

    async def enter(self, patience: float) -> None:
        """Take a place; every return must be followed by one `leave()`."""
        if self._taken < self._places and not self._waiting:
            self._taken += 1
            return
        if len(self._waiting) >= self._queue:
            raise self._full()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # the place came in the very moment of giving up
            elif turn in self._waiting:  # else a place was offered to it after it gave up
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._full() from error
            raise

    def leave(self) -> None:
        """Give the place back, to the one who has waited longest if anybody waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # the place passes on: `_taken` stays
                return
        self._taken -= 1

    def _full(self) -> CallFailedError:
        return CallFailedError(
            Unavailable(system=self._system, may_have_happened=False, because="bulkhead full")
        )


class _Place:
    """One place, held for the length of a block."""

    __slots__ = ("_bulkhead", "_patience")

    def __init__(self, bulkhead: Bulkhead, patience: float) -> None:
        self._bulkhead = bulkhead
        self._patience = patience

    async def __aenter__(self) -> None:
        await self._bulkhead.enter(self._patience)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bulkhead.leave()
