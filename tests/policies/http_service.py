"""A small HTTP/1.1 service on a real socket, told byte by byte what to answer."""

import asyncio
import contextlib

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Service:
    """An HTTP/1.1 service that answers what it is told to, byte by byte."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: list[bytes | list[bytes | float]] = []
        """Each in one piece, or in several with pauses in seconds between them."""
        self.delay = 0.0
        self.connections = 0

    @contextlib.asynccontextmanager
    async def serving(self):
        """Serve until the block ends; answer the address."""
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0, limit=1_000_000)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()

    async def handle(self, reader, writer) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b""
                lower = head.lower()
                if b"content-length:" in lower:
                    size = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                    body = await reader.readexactly(size)
                elif b"transfer-encoding: chunked" in lower:
                    body = await reader.readuntil(b"0\r\n\r\n")
                self.requests.append(head + body)
                await asyncio.sleep(self.delay)
                answer = self.answers.pop(0) if self.answers else OK
                for each in answer if isinstance(answer, list) else [answer]:
                    if isinstance(each, float):
                        await asyncio.sleep(each)
                    else:
                        writer.write(each)
                        await writer.drain()
                if isinstance(answer, bytes) and b"connection: close" in answer.lower():
                    break
        writer.close()

    def field(self, name: str) -> str | None:
        for line in self.requests[-1].split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name:
                return value
        return None
