"""Redis as shared state: asked with atomic scripts only, never waited for long, never an error.

Every question has a "gone" answer, None. A call never waits longer than the socket time-outs, and
after a failure Redis is left alone for a moment, so that its trouble costs one call, not each.
Whoever asks again every `LEFT_ALONE_SECONDS` meets a recovered Redis within that time.
"""

import logging
from itertools import count
from typing import Any, Final
from uuid import uuid4

from runtime.clock import Clock
from runtime.tasks import CancelledAsAsked

__all__ = ["LEFT_ALONE_SECONDS", "SharedState"]

log = logging.getLogger("crossdock.shared")

_TIMEOUT_SECONDS: Final = 0.2
"""A script takes well under a millisecond; what takes longer is a server that hangs."""
_CONNECTIONS: Final = 16
"""Calls share few connections: a script takes some ten microseconds of the server's time."""
LEFT_ALONE_SECONDS: Final = 0.25


class SharedState:
    """One Redis, as one process sees it. `name` is the process's own: no two lives share one.

    Between `open()` and `close()` it answers; before and after it is gone, like a dead Redis.
    """

    def __init__(self, url: str, *, clock: Clock, name: str | None = None) -> None:
        self._url = url
        self._clock = clock
        self._name = name or uuid4().hex
        self._members = count(1)
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self._away_until = float("-inf")
        self._gone = False

    def __repr__(self) -> str:
        return f"<SharedState {'there' if self.there else 'gone'}>"

    @property
    def there(self) -> bool:
        """Whether the latest question was answered."""
        return self._client is not None and not self._gone

    def new_member(self) -> str:
        """Answer a name for one part of this process; no two are alike, anywhere."""
        return f"{self._name}.{next(self._members)}"

    async def open(self) -> None:
        """Make the client and connect; a Redis that is not there is noted, not raised."""
        # Imported only where shared state is configured: it costs a third of a second.
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        pool = BlockingConnectionPool.from_url(
            self._url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT_SECONDS,
        )
        self._client = Redis.from_pool(pool)
        await self.run("return 1", [], [])

    async def close(self) -> None:
        """Close the connections."""
        client, self._client, self._scripts = self._client, None, {}
        if client is not None:
            await client.aclose()

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Answer what a script returns; None when Redis is gone.

        None leaves open whether the script ran: say again what must not be missed.
        """
        if self._client is None or self._clock.monotonic() < self._away_until:
            return None
        with CancelledAsAsked():
            try:
                answer = await self._script(script)(keys=keys, args=arguments)
            except Exception as error:  # noqa: BLE001  # dead, hung, read-only, full, wrong type: all are "gone"
                self._away_until = self._clock.monotonic() + LEFT_ALONE_SECONDS
                if not self._gone:
                    self._gone = True
                    log.warning("shared_state_lost", extra={"error": type(error).__name__})
                return None
        if self._gone:
            self._gone = False
            log.warning("shared_state_regained")
        return answer

    def _script(self, source: str) -> Any:
        found = self._scripts.get(source)
        if found is None:
            found = self._scripts[source] = self._client.register_script(source)
        return found
