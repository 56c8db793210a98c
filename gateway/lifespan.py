"""ASGI's lifespan: the server tells the application when to begin and when to end."""

from collections.abc import Awaitable, Callable

from gateway.call import Receive, Send


async def lifespan(
    startup: Callable[[], Awaitable[None]],
    shutdown: Callable[[], Awaitable[None]],
    receive: Receive,
    send: Send,
) -> None:
    """Begin and end when told to; a start that fails is told to the server."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await startup()
            except Exception as error:  # noqa: BLE001  the server must be told
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        else:
            await shutdown()
            await send({"type": "lifespan.shutdown.complete"})
            return
