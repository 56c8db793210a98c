"""How a simulator speaks HTTP: request, reply, and the acting out of faults on the wire."""

import asyncio
import os
import re
import socket
import stat
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import msgspec

from deploy.sandbox.faults import Fault, FaultSwitch

__all__ = [
    "Answerer",
    "Receive",
    "Reply",
    "Request",
    "RequestJournal",
    "Scope",
    "Send",
    "act_out",
    "json_reply",
    "read_request",
    "send_reply",
    "serve",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 64 * 1024 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)
_encode_json = msgspec.json.Encoder(decimal_format="string").encode


class Request:
    """One HTTP request, its body read to the end.

    ``path`` is decoded and starts where the vendor is mounted; ``raw_path`` is the same before
    decoding; ``headers`` have lower-case names. ``memo`` is the vendor's own: what naming the
    operation found out need not be found out again to answer.
    """

    __slots__ = (
        "_query",
        "body",
        "headers",
        "memo",
        "method",
        "path",
        "query_string",
        "raw_path",
        "scope",
    )

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: str = scope.get("raw_path", b"").decode("latin-1") or self.path
        self.query_string: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: dict[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        self.body = body
        self.memo: Any = None
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters, decoded once, on first use; of a repeated name the last."""
        if self._query is None:
            self._query = dict(parse_qsl(self.query_string, keep_blank_values=True))
        return self._query

    def form(self) -> dict[str, str]:
        """The body read as application/x-www-form-urlencoded."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


class Reply:
    """What goes back: a status, a whole body, and headers beside content-length."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),),
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers


class Answerer(Protocol):
    """The three things ``serve`` needs from a vendor."""

    name: str

    def operation(self, request: Request) -> str:
        """What the fault switch and the journal call this request (``salesOrders.create``)."""
        ...

    async def answer(self, request: Request) -> Reply:
        """Do the work and answer; every refusal of the vendor is a reply, not an exception."""
        ...

    def refusal(self, request: Request, fault: Fault) -> Reply:
        """A throttle, outage or error fault in the vendor's own words."""
        ...


_REFERENCE: Final = re.compile(
    rb'(?:"externalDocumentNumber"|"partner_order_id"|"reference") ?: ?"([^"]{1,60})"'
    rb"|externalDocumentNumber(?:%20|\+| )eq(?:%20|\+| )(?:%27|')([^'%]{1,60})"
)
"""Where the vendors' own protocols carry our external reference."""
_FAR_ENOUGH: Final = 4_096
"""Bytes of a body in which the reference stands, if it is there."""


def reference_in(request: Request) -> str | None:
    """The external reference that a request is about, as far as its head and first bytes tell."""
    text = request.query_string.encode() + b" " + request.body[:_FAR_ENOUGH]
    found = _REFERENCE.search(text)
    return None if found is None else (found[1] or found[2]).decode("latin-1")


class RequestJournal:
    """The latest requests in memory, oldest first, and how many there were in all."""

    def __init__(self, size: int = 10_000) -> None:
        self._entries: deque[
            tuple[int, float, str, str, str, str, int, float, str | None, str | None]
        ] = deque(maxlen=size)
        self.total = 0

    def note(
        self,
        system: str,
        operation: str,
        request: Request,
        *,
        status: int,
        seconds: float,
        fault: str | None,
    ) -> None:
        """Remember one exchange; status 0 means that no answer was sent."""
        self.total += 1
        self._entries.append(
            (
                self.total,
                time.time() - seconds,
                system,
                operation,
                request.method,
                request.path,
                status,
                seconds,
                fault,
                reference_in(request),
            )
        )

    def entries(self, system: str | None = None, since: int = 0) -> Iterator[dict[str, object]]:
        """Exchanges after number ``since`` that are still remembered, oldest first."""
        for entry in self._entries:
            number, at, name, operation, method, path, status, seconds, fault, reference = entry
            if number > since and (system is None or name == system):
                yield {
                    "number": number,
                    "at": at,
                    "system": name,
                    "operation": operation,
                    "method": method,
                    "path": path,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 3),
                    "fault": fault,
                    "reference": reference,
                }

    def forget(self) -> None:
        """Start over."""
        self._entries.clear()
        self.total = 0


def json_reply(status: int, value: object, *headers: tuple[bytes, bytes]) -> Reply:
    """A JSON answer; Decimals are written as strings."""
    return Reply(
        status,
        _encode_json(value),
        ((b"content-type", b"application/json; charset=utf-8"), *headers),
    )


async def read_request(scope: Scope, receive: Receive) -> Request | None:
    """Read the whole request; None when the caller went away or sent over 64 MiB."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] != "http.request":
        return None
    if message.get("more_body", False):
        pieces = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            piece = message.get("body", b"")
            size += len(piece)
            if message["type"] != "http.request" or size > MAX_BODY_BYTES:
                return None
            pieces.append(piece)
        body = b"".join(pieces)
    return Request(scope, body)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a whole answer with its length."""
    length = (b"content-length", str(len(reply.body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*reply.headers, length],
        }
    )
    await send({"type": "http.response.body", "body": reply.body})


async def serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    vendor: Answerer,
    faults: FaultSwitch,
    journal: RequestJournal,
) -> None:
    """Serve one request of a vendor: read, ask the fault switch, work, answer or act out."""
    started = time.perf_counter()
    request = await read_request(scope, receive)
    if request is None:
        return
    operation = vendor.operation(request)
    fault = await faults.before(vendor.name, operation)

    def note(status: int) -> None:
        journal.note(
            vendor.name,
            operation,
            request,
            status=status,
            seconds=time.perf_counter() - started,
            fault=None if fault is None else fault.kind,
        )

    if fault is None:
        reply = await vendor.answer(request)
        note(reply.status)
        await send_reply(send, reply)
    else:
        await act_out(request, send, vendor, fault, note)


async def act_out(  # noqa: C901  # one case a kind of fault, as in a table
    request: Request, send: Send, vendor: Answerer, fault: Fault, note: Callable[[int], None]
) -> None:
    """Act one fault out; ``note`` takes the status, 0 for none, before the caller sees anything."""
    match fault.kind:
        case "error_before" | "throttle":
            reply = vendor.refusal(request, fault)
        case "outage" if fault.status != 0:
            reply = vendor.refusal(request, fault)
        case "outage" | "reset":
            note(0)
            await _hang_up(request.scope, send, reset=fault.kind == "reset")
            return
        case "error_after":
            await vendor.answer(request)
            reply = vendor.refusal(request, fault)
        case "drop_after":
            await vendor.answer(request)
            note(0)
            await _hang_up(request.scope, send, reset=False)
            return
        case "swallowed" | "silent":
            if fault.kind == "silent":
                await vendor.answer(request)
            note(0)
            await asyncio.sleep(fault.latency)
            await _hang_up(request.scope, send, reset=False)
            return
        case "half_answer":
            reply = await vendor.answer(request)
            note(0)
            await _send_half(request.scope, send, reply)
            return
        case "slow_answer":
            reply = await vendor.answer(request)
            note(reply.status)
            await _send_slowly(send, reply, fault.latency)
            return
        case "truncated_json":
            whole = await vendor.answer(request)
            reply = Reply(200, whole.body[: len(whole.body) * 2 // 3], whole.headers)
        case "latency" | "lost_push" | "duplicate_push":  # never handed to a request
            reply = await vendor.answer(request)
    note(reply.status)
    await send_reply(send, reply)


async def _hang_up(scope: Scope, send: Send, *, reset: bool) -> None:
    """Close the caller's connection without a byte of an answer.

    ASGI has no word for this, so the socket is found by its two addresses among this process' own.
    What is sent afterwards only lets the server finish its bookkeeping; nobody receives it.

    Raises:
        ConnectionResetError: there is no socket (an in-process transport): the caller sees this
        instead.
    """
    if not _sever(scope, reset=reset):
        raise ConnectionResetError("the connection was dropped by the fault switch")
    await asyncio.sleep(0.01)  # the server sees the end of input before it is given an answer
    await send_reply(send, Reply(500))


async def _send_half(scope: Scope, send: Send, reply: Reply) -> None:
    """Announce the whole length, send half of it, and close."""
    length = (b"content-length", str(max(len(reply.body), 2)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*reply.headers, length],
        }
    )
    half = reply.body[: len(reply.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    await asyncio.sleep(0.02)  # let the half reach the kernel before the socket is shut
    if not _sever(scope, reset=False):
        raise ConnectionResetError("the connection was dropped by the fault switch")


async def _send_slowly(send: Send, reply: Reply, seconds: float) -> None:
    """Send the body in ten pieces spread over ``seconds``."""
    length = (b"content-length", str(len(reply.body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*reply.headers, length],
        }
    )
    step = max(1, -(-len(reply.body) // 10))
    for start in range(0, len(reply.body), step):
        await asyncio.sleep(seconds / 10)
        piece = reply.body[start : start + step]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _sever(scope: Scope, *, reset: bool) -> bool:
    """Shut the socket of this request's connection down; False when this process has none such."""
    client, server = scope.get("client"), scope.get("server")
    if not client or not server:
        return False
    ends = (client[0], int(client[1])), (server[0], int(server[1]))
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  # names, not paths
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            candidate = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # closed since the directory was read
            continue
        with candidate:
            try:
                if (candidate.getpeername()[:2], candidate.getsockname()[:2]) != ends:
                    continue
                if reset:
                    # linger for zero seconds: when the server, seeing the end of its input, closes
                    # the socket, the kernel sends RST instead of FIN
                    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                    candidate.shutdown(socket.SHUT_RD)
                else:
                    candidate.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            return True
    return False
