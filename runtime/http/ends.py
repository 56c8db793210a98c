"""How a call ended: whether the other side can have seen it, and whether it was cancelled."""

import asyncio
from types import TracebackType
from typing import Final

from pyreqwest.exceptions import (
    ConnectError,
    ConnectTimeoutError,
    PoolTimeoutError,
    PyreqwestError,
)

__all__ = ["CancelledAsAsked", "was_never_sent"]

_NO_CONNECTION: Final = "client error (Connect)"


def was_never_sent(error: PyreqwestError) -> bool:
    """Tell whether it is certain that not one byte of the request left.

    pyreqwest 0.15 raises `ConnectError` also for a connection that broke after the request was
    sent, and `ConnectTimeoutError` also for a total time-out while waiting for the answer; only a
    cause further down tells them apart. Whatever is not certain counts as sent.
    """
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, ConnectError | ConnectTimeoutError) or not error.details:
        return False
    causes = error.details.get("causes") or []
    return any(cause.get("message") == _NO_CONNECTION for cause in causes)


class CancelledAsAsked:
    """Around a call of the Rust client: a cancellation in it is never lost.

    pyreqwest 0.15 answers, or fails, instead of being cancelled where its answer came in the same
    moment: measured, one cancellation in fourteen of calls that last some milliseconds. Who was
    cancelled would go on, and a program that stops would wait for it for ever.
    """

    __slots__ = ("_asked_before", "_task")

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._asked_before = 0 if self._task is None else self._task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if (
            self._task is not None
            and self._task.cancelling() > self._asked_before
            and not isinstance(error, asyncio.CancelledError)
        ):
            raise asyncio.CancelledError from error
