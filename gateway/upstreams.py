"""What stands behind the gateway: an application in this process, or a service over HTTP.

Both are ASGI applications, so that the gateway need not know which it speaks to. The call context
travels in a context variable in process and in headers over the wire.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from contracts.context import (
    BUDGET_HEADER,
    CORRELATION_HEADER,
    CallContext,
    current,
    to_headers,
)
from contracts.problems import ProblemError, refuse
from gateway.call import Application, ClientGoneError, Header, Message, Receive, Scope, Send
from gateway.edge import HOP_BY_HOP
from gateway.repeats import Opened, Repeats, is_spent
from gateway.resilience import RepeatSettings
from gateway.routes import SAFE
from runtime.clock import Clock

Upstream = Application
"""An ASGI application that answers `http` scopes."""

Saying = Callable[[CallContext, float], list[tuple[str, str]]]
"""Says a call in headers at a monotonic instant, as `contracts.context.to_headers` does."""

OPERATION: Final = "crossdock.operation"
"""Under this name the scope tells an upstream which operation is called."""
TRIAL: Final = "crossdock.trial"
"""Under this name the scope tells that the call is a circuit's trial: one attempt, no second."""
_PSEUDONYM: Final = "crossdock"
"""Our name in `Via`; which machine it was is nobody's business."""
_FINAL: Final = 200
_PATIENCE_SECONDS: Final = 0.01
"""A piece of an answer waits so long for the next, to go out with it or as the last; no longer."""
_REBUILT: Final = HOP_BY_HOP | {
    b"host",
    b"content-length",
    *(name.encode() for name in (CORRELATION_HEADER, BUDGET_HEADER)),
}


class Forwarder:
    """Forwards to one base URL: streaming both ways, redirects and codings passed through as is.

    Connections are reused and bounded; cookies are never kept. Trailers are dropped and `Upgrade`
    never passed (RFC 9110 sections 6.5.1 and 7.8); `Via` says that we were here (7.6.3). The client
    underneath knows header values as text: a caller's that is not UTF-8 is refused, an answer's
    that is not ASCII is left out.

    `saying` says the call to the upstream. `keyed_again` is whether it takes two calls under one
    key for one, so that a keyed call may be tried once more. Of the operations in `whole` (None:
    of all) a small answer is taken whole before any of it goes on; others stream from their head.
    """

    keeps_deadline: Final = True
    """The client ends an attempt when the call's time is over; so is a caller's slow reading."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        connect_seconds: float = 2.0,
        connections: int = 256,
        repeats: RepeatSettings | None = None,
        saying: Saying = to_headers,
        keyed_again: bool = True,
        whole: frozenset[str] | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
            raise ValueError("an upstream is an http or https URL without a query")
        self._base = base_url.rstrip("/")
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._connections = connections
        self._saying = saying
        self._keyed_again = keyed_again
        self._whole = whole
        self._client: Client | None = None
        self.repeats = Repeats(repeats or RepeatSettings())

    def __repr__(self) -> str:
        return f"<Forwarder {self._base}>"

    async def startup(self) -> None:
        """Make the client; connect to nothing yet."""
        self._client = (
            ClientBuilder()
            .follow_redirects(False)
            .default_cookie_store(False)
            .no_proxy()
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .referer(False)
            .connect_timeout(timedelta(seconds=self._connect_seconds))
            .pool_max_idle_per_host(self._connections)
            .max_connections(self._connections)
            .build()
        )

    async def shutdown(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def upgraded(self, scope: Scope, *, largest_bytes: int) -> Any:
        """Open a WebSocket for a handshake; raise as `gateway.dialling.dial` does."""
        from gateway.dialling import dial  # noqa: PLC0415  # only who upgrades waits for it

        context, now = current(), self._clock.monotonic()
        said = [*_text(scope["headers"]), ("via", f"{scope['http_version']} {_PSEUDONYM}")]
        return await dial(
            "ws" + _target(self._base, scope).removeprefix("http"),
            headers=said + self._saying(context, now),
            subprotocols=scope["subprotocols"],
            seconds=context.remaining(now),
            largest_bytes=largest_bytes,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one call; raise `ProblemError` where the upstream cannot be reached."""
        client = self._client
        if client is None:
            raise RuntimeError("the forwarder has not been started")
        context = current()
        method, target = scope["method"], _target(self._base, scope)
        headers = [*_text(scope["headers"]), ("via", f"{scope['http_version']} {_PSEUDONYM}")]
        body = _Body(receive)
        operation = scope.get(OPERATION, target)
        streams = self._whole is not None and operation not in self._whole
        safe, trial = method in SAFE, TRIAL in scope
        if not safe:
            await body.begin()

        async def attempt() -> Opened:
            now = self._clock.monotonic()
            request = client.request(method, target).headers(headers + self._saying(context, now))
            left = context.remaining(now)
            if left is not None:
                request = request.timeout(timedelta(seconds=max(0.0, left)))
            if streams:
                request = request.streamed_read_buffer_limit(0)
            streamed = body.attached(request).build_streamed()
            return streamed, await streamed.__aenter__()

        try:
            opened, response = await self.repeats.run(
                attempt,
                operation=operation,
                safe=safe and not trial,
                keyed=self._keyed_again
                and context.idempotency_key is not None
                and body.whole
                and not trial,
            )
            try:
                await _answer(response, send, lambda: context.remaining(self._clock.monotonic()))
            finally:
                await opened.__aexit__(None, None, None)
        except (RequestError, ClientGoneError) as error:
            if isinstance(error, RequestError) and is_spent(error):
                raise refuse("request-timeout" if body.awaited else "deadline-exceeded") from None
            if body.broken is not None:
                raise body.broken from None  # the caller's fault, not the upstream's
            raise refuse("upstream-unavailable", retry_after=1) from None
        finally:
            body.let_go()


def _in_time(send: Send, left: Callable[[], float | None]) -> Send:
    """Let a stream end with its call's time, however slowly the caller reads."""
    streaming = False

    async def sent(message: Message) -> None:
        nonlocal streaming
        streaming = streaming or message.get("more_body", False)
        if not streaming:
            await send(message)
            return
        async with asyncio.timeout(left()):
            await send(message)

    return sent


def _target(base: str, scope: Scope) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    target = base + path.decode("latin-1")
    return f"{target}?{query.decode('latin-1')}" if query else target


def _text(headers: list[Header]) -> list[tuple[str, str]]:
    try:
        return [
            (name.decode("ascii"), value.decode("utf-8"))
            for name, value in headers
            if name not in _REBUILT
        ]
    except UnicodeDecodeError:
        raise refuse("malformed-request", detail="A header's value is not UTF-8.") from None


def _as_new(error: Exception) -> Exception:
    """The same failure without what it was raised through, which holds the caller's connection."""
    match error:
        case ProblemError(problem=found, retry_after=retry_after):
            return ProblemError(found, retry_after=retry_after)
        case _:
            return ClientGoneError()


async def _gone() -> Message:
    return {"type": "http.disconnect"}


class _Body:
    """A request body on its way through; remembers if it was the caller that broke it off."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._first = b""
        self.whole = True
        """Whether it can be sent once more."""
        self.awaited = False
        """Whether it is the caller who is waited for."""
        self.broken: Exception | None = None

    async def begin(self) -> None:
        """Take what is there already; raise `ClientGoneError` if the caller left before it came."""
        first = await self._receive()
        if first["type"] == "http.disconnect":
            raise ClientGoneError
        self._first = first.get("body", b"")
        self.whole = not first.get("more_body", False)

    def attached(self, request: RequestBuilder) -> RequestBuilder:
        """Attach the body: whole if it is there already, else as it comes."""
        if not self.whole:
            return request.body_stream(self._chunks(self._first))
        return request.body_bytes(self._first) if self._first else request

    def let_go(self) -> None:
        """Forget the caller: the server closes a connection when nobody can read from it."""
        self._receive = _gone
        self.broken = None

    async def _chunks(self, chunk: bytes) -> AsyncIterator[bytes]:
        more = True
        while True:
            if chunk:
                yield chunk
            if not more:
                return
            try:
                self.awaited = True
                message = await self._receive()
                self.awaited = False
            except Exception as error:  # noqa: BLE001  told below, and to the caller by the forwarder
                self.broken = _as_new(error)
                message = None
            if message is None or message["type"] == "http.disconnect":
                self.broken = self.broken or ClientGoneError()
                # The client keeps what is raised here for a while, and what it was raised through.
                raise ClientGoneError
            chunk, more = message.get("body", b""), message.get("more_body", False)


def _readable(response: Response) -> list[tuple[str, str]]:
    try:
        return list(response.headers.items())
    except ValueError:  # one of them is not ASCII; the rest must not be lost with it
        found = []
        for name in set(response.headers.keys()):
            with contextlib.suppress(ValueError):
                found += [(name, value) for value in response.headers.getall(name)]
        return found


async def _answer(response: Response, send: Send, left: Callable[[], float | None]) -> None:
    """Pass an answer on as it comes; one that is there already in one piece."""
    if response.status < _FINAL:
        raise refuse("upstream-malformed")  # it switches to a protocol nobody asked for
    headers = [(name.lower().encode(), value.encode()) for name, value in _readable(response)]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    reader, unread, streaming = response.body_reader, _length(headers), False
    chunk = await reader.read_chunk()
    while chunk is not None:
        piece = bytes(chunk)
        unread -= len(piece)
        if unread == 0:
            chunk, sent = await reader.read_chunk(), False  # there is nothing to wait for
        else:
            if not streaming:
                send, streaming = _in_time(send, left), True
            chunk, sent = await _following(reader, send, piece)
        if not sent:
            more = chunk is not None
            await send({"type": "http.response.body", "body": piece, "more_body": more})
            if not more:
                return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _length(headers: list[Header]) -> int:
    """Answer how long the body says it is; a negative number if it does not."""
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else -1
    return -1


async def _following(reader: Any, send: Send, piece: bytes) -> tuple[Any, bool]:
    """Read the piece after this one, and send this one if that takes a while; tell whether."""
    loop = asyncio.get_running_loop()
    sending: list[asyncio.Future[None]] = []

    def lose_patience() -> None:
        message = {"type": "http.response.body", "body": piece, "more_body": True}
        sending.append(asyncio.ensure_future(send(message)))

    timer = loop.call_later(_PATIENCE_SECONDS, lose_patience)
    try:
        chunk = await reader.read_chunk()
    except BaseException:
        for each in sending:
            each.cancel()
        raise
    finally:
        timer.cancel()
    for each in sending:
        await each
    return chunk, bool(sending)
