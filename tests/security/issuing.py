"""An issuer on a real socket, with faults to order, that counts what it was asked."""

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any

from tests.security.forging import Minter, jwk


class FaultyIssuer:
    """Serves discovery and a key set over HTTP on loopback.

    `fault` is None, or `(status, headers, body)` sent instead of the key set; `delay` in seconds
    comes before every answer. `down` closes connections without an answer.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self.asked: Counter[str] = Counter()
        self.pending = 0
        self.down = False
        self.delay = 0.0
        self.fault: tuple[int, str, bytes] | None = None
        self.published: list[Minter] = []
        self.generation = 0
        self.url = ""
        """The issuer's name, which is where it is."""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port with one key published."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.rotate(overlap=False)

    async def stop(self) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def rotate(self, *, overlap: bool) -> Minter:
        """Sign with a new key; the old one stays published if they overlap."""
        self.generation += 1
        minter = Minter(self.url, "ES256", f"key-{self.generation}", self.now)
        self.published = [minter, *(self.published if overlap else [])]
        return minter

    def document(self) -> dict[str, Any]:
        """The key set as it should be."""
        return {"keys": [jwk(each.key, kid=each.header["kid"]) for each in self.published]}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pending += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self.pending -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        self.asked[path] += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.down:
            return
        status, headers, body = 200, "", json.dumps(self.document()).encode()
        if path.endswith("openid-configuration"):
            body = json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        elif self.fault is not None:
            status, headers, body = self.fault
        writer.write(
            f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
