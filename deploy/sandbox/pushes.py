"""Pushes: how a vendor's webhooks and notifications leave the sandbox."""

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyreqwest.client import Client

__all__ = ["Pushes"]


class Pushes:
    """One HTTP client for every vendor's pushes, and the tasks that send them.

    The client is built at the first push: a sandbox that never pushes never loads it.
    """

    def __init__(self) -> None:
        self._client: Client | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float = 10.0
    ) -> tuple[int, bytes] | None:
        """POST once; answers status and body, or None when there was no whole answer in time."""
        from pyreqwest.exceptions import PyreqwestError  # noqa: PLC0415  # start-up time

        try:
            request = self._open().post(url).headers(dict(headers)).body_bytes(body)
            response = await request.timeout(timedelta(seconds=seconds)).build().send()
            return response.status, (await response.bytes()).to_bytes()
        except (PyreqwestError, ValueError, OSError):
            return None

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run ``work`` in the background; it is cancelled when the sandbox is reset or stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def pending(self) -> int:
        """How many pushes are on their way or wait for a retry."""
        return len(self._tasks)

    def cancel(self) -> None:
        """Drop every push that is still on its way."""
        for task in tuple(self._tasks):
            task.cancel()

    async def close(self) -> None:
        """Drop what is on its way and close the client."""
        self.cancel()
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self) -> "Client":
        if self._client is None:
            from pyreqwest.client import ClientBuilder  # noqa: PLC0415  # start-up time

            self._client = ClientBuilder().no_proxy().build()
        return self._client
