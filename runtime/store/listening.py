"""Hearing what other programs on one PostgreSQL store announce (LISTEN, NOTIFY).

What is heard is a hint and never the truth: whoever depends on it looks at the store now and then
besides, more often while nothing can be heard.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

log = logging.getLogger("crossdock.store")

PAUSE = 1.0
"""Seconds between two tries to connect."""

PROBE = 10.0
"""Seconds of silence after which the connection is asked whether it is still there."""


class Listener:
    """One connection of its own, connected again whenever it is lost.

    `heard` is called with each payload, and with None after each connecting: what was announced
    meanwhile has been missed.
    """

    def __init__(
        self, connection: dict[str, Any], channel: str, heard: Callable[[str | None], None]
    ) -> None:
        self._connection = connection
        self._listen = sql.SQL("LISTEN {}").format(sql.Identifier(channel))
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name=f"store-listener-{channel}")
        self.is_hearing = False

    def stop(self) -> None:
        """Hear no more. May be called from any thread, also after the loop's end."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _run(self) -> None:
        while True:
            try:
                await self._hear()
            except (psycopg.Error, OSError) as failure:
                log.warning("listening_lost", extra={"failure": type(failure).__name__})
            finally:
                self.is_hearing = False
            await asyncio.sleep(PAUSE)

    async def _hear(self) -> None:
        opened = psycopg.AsyncConnection.connect(**self._connection, autocommit=True)
        async with await opened as connection:
            await connection.execute(self._listen)
            self.is_hearing = True
            self._heard(None)
            while True:
                async for notice in connection.notifies(timeout=PROBE):
                    self._heard(notice.payload)
                await connection.execute("SELECT 1")
