"""Opening a WebSocket to a service (RFC 6455), with the library that keeps the protocol.

Imported only where a contract allows an upgrade.
"""

from collections.abc import Sequence

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from contracts.problems import refuse
from gateway.call import Header
from gateway.tunnels import FAILED, TOO_LARGE, Ended, sendable

__all__ = ["DeclinedError", "closing", "dial"]

_PING_SECONDS = 20.0
_CLOSE_SECONDS = 2.0


class DeclinedError(Exception):
    """The service answered the handshake with something else than a switch of protocols."""

    def __init__(self, status: int, headers: list[Header], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


class _Straight(connect):
    """Follows no redirect: where a call goes is the configuration's word, not an answer's."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Leave it an answer."""
        return exc


async def dial(
    address: str,
    *,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str],
    seconds: float | None,
    largest_bytes: int,
) -> ClientConnection:
    """Open a connection within `seconds`; messages larger than `largest_bytes` close it.

    Raises:
        DeclinedError: the service answered, and did not switch protocols.
        contracts.problems.ProblemError: it could not be reached, or not in time.
    """
    try:
        return await _Straight(
            address,
            additional_headers=list(headers),
            subprotocols=[Subprotocol(each) for each in subprotocols] or None,
            compression=None,
            user_agent_header=None,
            proxy=None,
            open_timeout=seconds,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            max_size=largest_bytes,
            max_queue=1,
        )
    except InvalidStatus as error:
        said = error.response
        found = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in said.headers.raw_items()
        ]
        raise DeclinedError(said.status_code, found, bytes(said.body or b"")) from None
    except TimeoutError:
        raise refuse("deadline-exceeded") from None
    except (OSError, EOFError, WebSocketException):
        raise refuse("upstream-unavailable", retry_after=1) from None


def closing(error: Exception) -> Ended:
    """Say how the service ended it."""
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        code, said = sendable(error.rcvd.code), error.rcvd.reason
        return Ended(code=code, said=said, reason="closed-by-service")
    if isinstance(error, ConnectionClosed) and error.sent is not None:
        large = error.sent.code == TOO_LARGE
        return Ended(code=FAILED, reason="message-too-large" if large else "service-gone")
    return Ended(code=FAILED, reason="service-gone")
