"""A service behind the gateway, byte by byte: what it is sent is kept, what it answers is planned.

It reads requests by a reader of its own, strictly by RFC 9112; two requests where one was sent show
here and nowhere else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_HEAD_BYTES = 1 << 20


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came; header names in lower case, in order, as often as they came."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    raw: bytes
    trailers: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]


class FramingError(Exception):
    """What came is not one request after the other."""


class RawService:
    """Answers `answer(taken)`, raw bytes; keeps every request, and what was no request."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.garbage: list[bytes] = []
        self.answer: Callable[[Taken], bytes] = lambda _: OK
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def close(self) -> None:
        """Hang up on everybody and wait until the connections have noticed."""
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:  # noqa: ASYNC110  a handful of turns of the loop
            await asyncio.sleep(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                try:
                    taken = await _read(reader)
                except FramingError as error:
                    self.garbage.append(str(error).encode())
                    break
                self.taken.append(taken)
                answer = self.answer(taken)
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer.split(b"\r\n\r\n", 1)[0].lower():
                    break
        self._writers.discard(writer)
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Taken:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1" or not parts[0].isalpha():
        raise FramingError(f"request line {lines[0][:80]!r}")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name or b"\r" in line or b"\n" in line:
            raise FramingError(f"header line {line[:80]!r}")
        headers.append((name.lower(), value.strip(b" \t")))
    lengths = {value for name, value in headers if name == b"content-length"}
    coded = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) + len(coded) > 1:
        raise FramingError("framed twice")
    body = trailers = b""
    if coded:
        body, trailers = await _chunked(reader)
    elif lengths:
        body = await reader.readexactly(int(lengths.pop()))
    return Taken(
        method=parts[0].decode(),
        target=parts[1].decode("latin-1"),
        headers=tuple(headers),
        body=body,
        raw=head + body,
        trailers=trailers,
    )


async def _chunked(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size = (await reader.readuntil(b"\r\n"))[:-2]
        if not size or any(each not in b"0123456789abcdefABCDEF" for each in size):
            raise FramingError(f"chunk size {size[:40]!r}")
        if int(size, 16) == 0:
            break
        body += await reader.readexactly(int(size, 16))
        if await reader.readexactly(2) != b"\r\n":
            raise FramingError("chunk without an end")
    trailers = b""
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers += line
    return body, trailers


@contextlib.asynccontextmanager
async def raw_service() -> AsyncIterator[RawService]:
    """Serve on a free port until the block ends."""
    service = RawService()
    server: Any = await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        await service.close()
