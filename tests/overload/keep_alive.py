"""A client as RFC 9112 has it: connections kept alive, and repeated only what may be repeated.

A request is sent once more, on a new connection, when the old one was closed before any byte of an
answer came (RFC 9112, section 9.3.1) and it is safe or carries an idempotency key (RFC 9110,
section 9.2.2). A connection that is refused is tried again and counted. Everything else that goes
wrong is a failure.
"""

import asyncio
import contextlib
import random

import msgspec

MOST_REPEATS = 3
_PATIENCE = 60.0
"""Seconds: a gateway that starts on a busy machine lets its callers wait."""


class Book(msgspec.Struct):
    """What the clients saw, all together."""

    answered: int = 0
    repeated: int = 0
    refused: int = 0
    told_to_close: int = 0
    streaming: int = 0
    """Streamed answers that have begun and not ended."""
    failures: list[str] = []
    writes: dict[str, bytes] = {}
    """The answer to each key."""


class BeforeAnyByteError(Exception):
    """The connection was closed, and nothing of an answer had come."""


class KeepAlive:
    """One client with one connection."""

    def __init__(self, name: str, port: int, book: Book, chance: random.Random) -> None:
        self._name = name
        self._port = port
        self._book = book
        self._chance = chance
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call_until(self, stop: asyncio.Event) -> None:
        """Call, pause a little, call again."""
        number = 0
        while not stop.is_set():
            number += 1
            kind = self._chance.choice(("read", "stream", "write"))
            key = f"{self._name}-{number}"
            await self._answered(kind, key, _request(kind, key))
            await asyncio.sleep(self._chance.choice((0.0, 0.005, 0.03)))
        self._hang_up()

    async def _answered(self, kind: str, key: str, request: bytes) -> None:
        book = self._book
        for _ in range(1 + MOST_REPEATS):
            try:
                async with asyncio.timeout(_PATIENCE):
                    status, body = await self._once(request)
            except BeforeAnyByteError:
                self._hang_up()
                book.repeated += 1
                continue
            except ConnectionRefusedError:
                book.refused += 1
                await asyncio.sleep(0.02)
                continue
            except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
                self._hang_up()
                book.failures.append(f"{kind} {key}: {type(error).__name__}")
                return
            if status // 100 != 2:
                book.failures.append(f"{kind} {key}: {status} {body[:200]!r}")
            else:
                book.answered += 1
                if kind == "write":
                    book.writes[key] = body
            return
        book.failures.append(f"{kind} {key}: no answer after {MOST_REPEATS} repeats")

    async def _once(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(request)
            await writer.drain()
            first = await reader.readexactly(1)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise BeforeAnyByteError from error
        head = (first + await reader.readuntil(b"\r\n\r\n")).lower()
        streamed = b"\r\ntransfer-encoding: chunked" in head
        self._book.streaming += streamed
        try:
            body = await _body(reader, head)
        finally:
            self._book.streaming -= streamed
        if b"\r\nconnection: close" in head:
            self._book.told_to_close += 1
            self._hang_up()
        return int(head.split(b" ", 2)[1]), body

    def _hang_up(self) -> None:
        if self._streams is not None:
            with contextlib.suppress(OSError):
                self._streams[1].close()
            self._streams = None


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Read a body to its end; one that breaks off raises."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if found:
        return await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
    if b"\r\ntransfer-encoding: chunked" not in head:
        raise ValueError("an answer of unknown length")
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def _request(kind: str, key: str) -> bytes:
    if kind == "write":
        body = b'{"thing": "%s"}' % key.encode()
        return (
            b"POST /things/v1/things HTTP/1.1\r\nhost: gateway\r\nidempotency-key: %s\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (key.encode(), len(body), body)
        )
    path = b"things" if kind == "read" else b"streams"
    return b"GET /things/v1/%s HTTP/1.1\r\nhost: gateway\r\n\r\n" % path
