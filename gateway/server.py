"""The listener: Granian inside our own event loop, with limits a slow client cannot stretch.

SIGTERM and SIGINT drain: answers say `Connection: close`, so that keep-alive clients go elsewhere
of their own accord, and the listener closes only when calls have stopped coming. A second signal
stops at once. SIGHUP reloads, where there is anything to reload; reloads wait for one another.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from gateway.call import Application

HEADER_READ_MS = 3_000
"""A head that is not complete by then closes the connection (decision record 0003)."""
_BUFFER_BYTES = 64 * 1024
_BACKLOG = 2_048


class ListensOn(Server):
    """Granian, on a socket that is there already if there is one."""

    def __init__(self, target: Any, *, descriptor: int | None, **settings: Any) -> None:
        super().__init__(target, **settings)
        self._descriptor = descriptor

    def _init_shared_socket(self) -> None:
        if self._descriptor is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]  # not annotated there
            return
        is_unix = False
        # Granian's stubs know neither the constructor nor that these two may be something.
        self._shd = SocketHolder(self._descriptor, is_unix, self.backlog)  # type: ignore[call-arg, assignment]  # see above
        self._sfd = self._descriptor  # type: ignore[assignment]  # see above
        self._ssp = None


def listener(
    application: Application,
    *,
    host: str,
    port: int,
    descriptor: int | None = None,
    upgrades: bool = False,
) -> Server:
    """Make the listener with its limits; nothing is bound yet.

    HTTP/1.1 only, and no upgrades unless a contract allows one: what the policies cannot see is not
    offered.
    """
    return ListensOn(
        application,
        descriptor=descriptor,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=upgrades,
        backlog=_BACKLOG,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_READ_MS,
            keep_alive=True,
            max_buffer_size=_BUFFER_BYTES,
            pipeline_flush=False,
        ),
        log_enabled=False,
        log_level=LogLevels.warning,
        log_access=False,
    )


async def serve(
    application: Application,
    *,
    host: str,
    port: int,
    drain: Callable[[], Awaitable[object]],
    reload: Callable[[], Awaitable[object]] | None = None,
    on_listening: Callable[[], None] | None = None,
    descriptor: int | None = None,
    upgrades: bool = False,
) -> None:
    """Serve until a signal has drained the application and the last connection is closed.

    `descriptor` is a listening socket that was handed in; without one, one is opened. A socket that
    outlives the process loses nobody: while one stops and the next starts, connections wait in it.
    """
    server = listener(application, host=host, port=port, descriptor=descriptor, upgrades=upgrades)
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []
    reloading: set[asyncio.Future[object]] = set()

    async def stop() -> None:
        await drain()
        server.stop()  # type: ignore[no-untyped-call]  # Granian's own methods are not annotated

    def signalled() -> None:
        if stopping:
            server.stop()  # type: ignore[no-untyped-call]  # as above
        else:
            stopping.append(loop.create_task(stop()))

    def hung_up() -> None:
        if reload is not None and not stopping:
            task = asyncio.ensure_future(reload())
            reloading.add(task)
            task.add_done_callback(reloading.discard)

    def started() -> None:
        # Granian has just set its own handlers, which would drop what is in flight.
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, signalled)
        if reload is not None:
            loop.add_signal_handler(signal.SIGHUP, hung_up)
        if on_listening is not None:
            loop.call_soon(on_listening)

    server.on_startup(started)
    await server.serve()
