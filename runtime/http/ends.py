"""How a call ended: whether the other side can have seen it."""

from typing import Final

from pyreqwest.exceptions import (
    ConnectError,
    ConnectTimeoutError,
    PoolTimeoutError,
    PyreqwestError,
)

__all__ = ["was_never_sent"]

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
