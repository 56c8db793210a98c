"""Calls to a gateway in this process, and services behind it on real sockets."""

import asyncio
import base64
import contextlib
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.application import Gateway

_OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: status, problem if it is one, and seconds to it."""

    status: int
    problem: str
    seconds: float


async def ask(
    gateway: Gateway, method: str, path: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Told:
    """Make one call without a body."""
    told, body = await _told(gateway, method, path, headers, b"")
    problem = ""
    if told.status >= 400:
        problem = str(msgspec.json.decode(body)["type"]).rpartition("/")[2]
    return msgspec.structs.replace(told, problem=problem)


async def token(gateway: Gateway, client: str) -> bytes:
    """Sign a client in whose secret is `<client>-dev-secret`."""
    basic = base64.b64encode(f"{client}:{client}-dev-secret".encode())
    form = b"grant_type=client_credentials"
    headers = [
        (b"authorization", b"Basic " + basic),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"%d" % len(form)),
    ]
    _, body = await _told(gateway, "POST", "/oauth/token", headers, form)
    return str(msgspec.json.decode(body)["access_token"]).encode()


async def _told(
    gateway: Gateway, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> tuple[Told, bytes]:
    messages: list[Any] = []
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"gateway"), *headers],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    began = time.monotonic()
    await gateway(scope, receive, send)
    told = Told(status=messages[0]["status"], problem="", seconds=time.monotonic() - began)
    return told, b"".join(each.get("body", b"") for each in messages[1:])


class Counter:
    """A service with so many places, each taken for a while by a call; others wait in line.

    What it can do is `places / seconds` calls a second, whatever the machine.
    """

    def __init__(self, *, places: int, seconds: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._seconds = seconds
        self.well = asyncio.Event()
        self.well.set()
        self.done = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await self.well.wait()
                async with self._places:
                    await asyncio.sleep(self._seconds)
                self.done += 1
                writer.write(_OK)
                await writer.drain()
        writer.close()


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0
