"""A real server on a real socket for one test."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from granian.server.embed import Server


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def serving(application: object, *, deadline: float = 5.0) -> AsyncIterator[str]:
    """Serve an ASGI application until the block ends; answer its base address."""
    port = free_port()
    server = Server(
        application, address="127.0.0.1", port=port, interface="asgi", log_enabled=False
    )
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(deadline):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await task
