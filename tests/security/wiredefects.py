"""Gateways that are wrong as real ones have been; each is planted around the product's own.

A `Defect` may replace steps of policies, what is called in front, or the listener.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from gateway.application import Gateway
from gateway.call import PASS, Application, Call, Step

Listening = Callable[[Application, int], Any]


class Defect(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the place of the product's part. None: the product's own."""

    plant: Callable[[Gateway], Application] | None = None
    listen: Listening | None = None


def without(gateway: Gateway, policy: str, ask: Callable[[Call], Any] | None = None) -> Gateway:
    """Let a policy ask nothing, or something else; what a defect leaves of it must still run."""
    served = gateway.served
    for plan in (*served.plans, served.unknown, served.disallowed):
        if plan.handler is not None:
            continue  # the gateway's own operations, as that for tokens, stay as they are
        plan.steps = tuple(
            Step(step.name, ask=ask or _pass, tell=step.tell, release=step.release)
            if step.name == policy
            else step
            for step in plan.steps
        )
    return gateway


def _pass(_: Call) -> Any:
    return PASS


def _unguarded(call: Call) -> Any:
    """A guard that indexes the headers and believes them all."""
    call.fields = dict(call.scope["headers"])
    call.forwarded = list(call.scope["headers"])
    return PASS


@contextlib.asynccontextmanager
async def length_first(application: Application, port: int) -> AsyncIterator[None]:
    """A listener that goes by Content-Length whatever else is said, and reads numbers kindly."""
    server = await asyncio.start_server(_Naive(application), "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


class _Naive:
    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(Exception):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
                method, target, _ = head[0].split(b" ", 2)
                headers = [
                    (name.strip().lower(), value.strip())
                    for name, _, value in (line.partition(b":") for line in head[1:] if line)
                ]
                said = dict(headers).get(b"content-length", b"0")
                body = await reader.readexactly(int(said or 0))
                headers = [each for each in headers if each[0] != b"transfer-encoding"]
                await self._ask(method, target, headers, body, writer)
        writer.close()

    async def _ask(
        self, method: bytes, target: bytes, headers: Any, body: bytes, writer: Any
    ) -> None:
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http", "http_version": "1.1", "method": method.decode(), "path": path.decode(),
            "raw_path": path, "query_string": query, "headers": headers, "client": ("127.0.0.1", 1),
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                lines = b"".join(b"%s: %s\r\n" % each for each in message["headers"])
                writer.write(b"HTTP/1.1 %d Said\r\n%s\r\n" % (message["status"], lines))
            else:
                writer.write(message["body"])

        await self._application(scope, receive, send)
        await writer.drain()


def _raw_forwarder(gateway: Gateway) -> Gateway:
    """An upstream that hands the caller's own framing on beside a body already decoded."""
    for plan in gateway.served.plans:
        if plan.upstream is not None:
            plan.upstream = _RawForwarder(plan.upstream)
    return gateway


class _RawForwarder:
    def __init__(self, inner: Any) -> None:
        self._port = int(inner._base.rpartition(":")[2])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        lines = b"".join(b"%s: %s\r\n" % each for each in scope["headers"])
        line = f"{scope['method']} {scope['path']} HTTP/1.1\r\n".encode()
        writer.write(line + lines + b"\r\n" + body)
        with contextlib.suppress(asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(1):
                await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


FRAMING_DEFECTS: dict[str, Defect] = {
    "length-before-coding": Defect(listen=length_first),
    "no-guard": Defect(plant=lambda gateway: without(gateway, "guard", _unguarded)),
    "framing-handed-on": Defect(
        plant=lambda gateway: _raw_forwarder(without(gateway, "guard", _unguarded))
    ),
}


def headers_both_ways(call: Call) -> Any:
    """A guard that hands everything on as it came."""
    call.fields = dict(call.scope["headers"])
    call.forwarded = [each for each in call.scope["headers"] if each[0] != b"host"]
    return PASS
