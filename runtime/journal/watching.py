"""Waiting for a process to get somewhere, whoever carries it there."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any

from runtime.journal.process import Process

Until = Collection[str] | Callable[[Process[Any]], bool]
"""States to wait for, or what must hold."""


class Watching:
    """Who waits for which process.

    `pause` answers for how many seconds a watcher may trust that it is told of every change; None
    for as long as it waits.
    """

    def __init__(
        self,
        get: Callable[[str], Awaitable[Process[Any]]],
        pause: Callable[[], float | None],
    ) -> None:
        self._get = get
        self._pause = pause
        self._watchers: dict[str, list[Callable[[Process[Any] | None], None]]] = {}

    def changed(self, process: Process[Any]) -> None:
        """A change was committed here."""
        for watcher in self._watchers.get(process.id, ()):
            watcher(process)

    def changed_elsewhere(self, ids: Collection[str] | None) -> None:
        """Changes were committed by another program; None means: to any process."""
        watched = self._watchers.keys() if ids is None else self._watchers.keys() & set(ids)
        for process_id in list(watched):
            for watcher in self._watchers[process_id]:
                watcher(None)

    async def wait_for(self, process_id: str, until: Until, timeout: timedelta) -> Process[Any]:  # noqa: ASYNC109  # the answer at the time-out is a result, not an error
        """The process once `until` is met or it has ended; after `timeout` as it then is."""
        met = until if callable(until) else (lambda process: process.state in until)
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout.total_seconds()
        arrived: asyncio.Queue[Process[Any] | None] = asyncio.Queue()
        watchers = self._watchers.setdefault(process_id, [])
        watchers.append(arrived.put_nowait)
        try:
            process = await self._get(process_id)
            while not (met(process) or process.done) and (left := ends - loop.time()) > 0:
                pause = self._pause()
                try:
                    async with asyncio.timeout(left if pause is None else min(left, pause)):
                        heard = await arrived.get()
                except TimeoutError:
                    heard = None
                process = heard or await self._get(process_id)
            return process
        finally:
            watchers.remove(arrived.put_nowait)
            if not watchers:
                self._watchers.pop(process_id, None)
