"""Connections that were upgraded to WebSocket: messages both ways, until one of many ends comes.

A tunnel ends when either side closes it, when a message is too large, when nothing has been said
for long, when the credential it was opened with is no longer good, when the configuration changes
and when the gateway drains. Each direction holds one message at a time: whoever sends faster than
the other side reads is slowed by TCP (RFC 6455 has no flow control of its own).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from gateway.call import Call, Message, Receive, Refuse, Send, Step
from gateway.resilience import UpgradeSettings
from runtime.clock import Clock

GOING_AWAY: Final = 1001
UNACCEPTABLE: Final = 1008
TOO_LARGE: Final = 1009
FAILED: Final = 1011
RESTARTED: Final = 1012
"""RFC 6455, section 7.4.1, and its registry."""
_REGISTERED: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013})
_OF_APPLICATIONS: Final = range(3000, 5000)
_BY_CALLER: Final = frozenset({"closed-by-caller", "client-gone"})
_LOOK_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 2.0
_REASONS: Final[dict[int, str]] = {
    GOING_AWAY: "the gateway is going away",
    RESTARTED: "the configuration has changed",
}


def sendable(code: int) -> int:
    """Answer a code that may stand in a frame: others only say how a connection ended."""
    return code if code in _REGISTERED or code in _OF_APPLICATIONS else GOING_AWAY


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a tunnel ended: what each side is told, and what the record says."""

    code: int
    said: str = ""
    reason: str


class Duplex(Protocol):
    """The connection to the service; `recv` and `send` raise when it is closed."""

    async def recv(self) -> Any:
        """Wait for a message: text or bytes."""

    async def send(self, message: Any) -> None:
        """Send one; wait while the other side does not read."""

    async def close(self, code: int, reason: str) -> None:
        """Close it, within a bounded time."""


Closing: TypeAlias = Callable[[Exception], Ended]
"""Says how the service ended it."""


class Tunnel:
    """One upgraded connection."""

    def __init__(
        self,
        call: Call,
        duplex: Duplex,
        settings: UpgradeSettings,
        *,
        receive: Receive,
        send: Send,
        identity: Sequence[Step],
        closing: Closing,
        clock: Clock,
    ) -> None:
        self._call = call
        self._duplex = duplex
        self._settings = settings
        self._receive = receive
        self._send = send
        self._identity = identity
        self._closing = closing
        self._clock = clock
        self._heard = clock.monotonic()
        self._told: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Tunnel {self._call.operation.key} of {self._call.consumer.name}>"

    def end(self, code: int, reason: str) -> None:
        """Have it closed from here."""
        if not self._told.done():
            self._told.set_result(Ended(code=code, said=_REASONS.get(code, ""), reason=reason))

    async def run(self) -> Ended:
        """Carry messages until an end comes; close both sides, and answer how it ended."""
        tasks = [asyncio.ensure_future(each) for each in (self._up(), self._down(), self._watch())]
        try:
            done, _ = await asyncio.wait([*tasks, self._told], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            # What is being received must have let go: the server waits for it to close.
            await asyncio.gather(*tasks, return_exceptions=True)
        ended = _of(done)
        theirs = ended.reason in _BY_CALLER or ended.code == TOO_LARGE
        code = ended.code if theirs else GOING_AWAY
        await asyncio.gather(
            self._close_caller(ended), _within(self._duplex.close(code, ended.said))
        )
        return ended

    async def _up(self) -> Ended:
        """Carry what the caller says."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                code = sendable(message.get("code", GOING_AWAY))
                return Ended(code=code, reason="closed-by-caller")
            said = message.get("text")
            if said is None:
                said = message.get("bytes") or b""
            size = _size(said)
            if size > self._settings.largest_message_bytes:
                return Ended(code=TOO_LARGE, said="too large", reason="message-too-large")
            self._call.bytes_in += size
            self._heard = self._clock.monotonic()
            try:
                await self._duplex.send(said)
            except Exception as error:  # noqa: BLE001  however the library says that it is closed
                return self._closing(error)

    async def _down(self) -> Ended:
        """Carry what the service says."""
        while True:
            try:
                said = await self._duplex.recv()
            except Exception as error:  # noqa: BLE001  as above
                return self._closing(error)
            self._heard = self._clock.monotonic()
            kind = "text" if isinstance(said, str) else "bytes"
            await self._send({"type": "websocket.send", kind: said})
            self._call.bytes_out += _size(said)

    async def _watch(self) -> Ended:
        """Look whether the credential still holds, and whether anybody still says anything."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for step in self._identity:
                verdict = step.ask(self._call)
                if isinstance(verdict, Awaitable):
                    verdict = await verdict
                if isinstance(verdict, Refuse):
                    slug = verdict.problem.slug
                    return Ended(code=UNACCEPTABLE, said=verdict.problem.title, reason=slug)
            if self._clock.monotonic() - self._heard > self._settings.idle_seconds:
                return Ended(code=GOING_AWAY, said="nothing was said", reason="idle")

    async def _close_caller(self, ended: Ended) -> None:
        if ended.reason in _BY_CALLER:
            return
        closing: Message = {"type": "websocket.close", "code": ended.code, "reason": ended.said}
        await _within(self._send(closing))


def _of(done: set[asyncio.Future[Ended]]) -> Ended:
    """What one of several says that ended; one that failed found nobody at the caller's end."""
    for each in done:
        if each.exception() is None:
            return each.result()
    return Ended(code=GOING_AWAY, reason="client-gone")


async def _within(closing: Awaitable[None]) -> None:
    """Close as far as it can be done in a while; what does not read is dropped."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await closing


def _size(said: Any) -> int:
    return len(said.encode()) if isinstance(said, str) else len(said)


class Tunnels:
    """Those that are open, over all configurations."""

    def __init__(self) -> None:
        self._open: set[Tunnel] = set()
        self._last = (GOING_AWAY, "draining")
        self.endings = 0
        """How often all of them were ended: who began before the latest is ended as well."""
        self.taken = 0
        """Places taken, those of handshakes under way among them."""

    def __repr__(self) -> str:
        return f"<Tunnels {self.taken} open>"

    def take(self, most: int) -> bool:
        """Take one of `most` places, if there is one left."""
        if self.taken >= most:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1

    @contextlib.contextmanager
    def knowing(self, tunnel: Tunnel, *, endings: int) -> Iterator[None]:
        """Know of one for as long as it is open; `endings` is their number when it was asked for.

        It is known before the caller is told 101, so that no ending passes it by.
        """
        self._open.add(tunnel)
        if endings != self.endings:
            tunnel.end(*self._last)
        try:
            yield
        finally:
            self._open.discard(tunnel)

    def end(self, code: int, reason: str) -> None:
        """Have all of them closed, those whose handshake is under way as soon as it is done."""
        self.endings += 1
        self._last = (code, reason)
        for each in tuple(self._open):
            each.end(code, reason)
