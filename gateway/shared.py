"""State that several gateways share through Redis, and may lose without harm.

Every answer here has a "gone" form: a call never waits longer than the socket time-outs, and after
a failure Redis is left alone for a moment, so that its trouble costs one call, not each.
"""

from collections.abc import Sequence
from typing import Any, Final

from gateway.config import Window
from gateway.policies.idempotency import Claimed
from gateway.policies.quota import Spent
from gateway.records import Records
from runtime.clock import Clock

_TIMEOUT_SECONDS: Final = 0.1
_CONNECT_SECONDS: Final = 0.2
_CONNECTIONS: Final = 16
"""Calls share few connections: a script takes some ten microseconds of the server's time."""
_LEFT_ALONE_SECONDS: Final = 1.0

SPEND: Final = """
-- All windows admit and count, or none counts. One log per window, newest first, in microseconds
-- of the server's own clock: gateways' clocks do not matter.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local binding, tightest, wait, left_of, reset_of = 1, 2, 0, {}, {}
local admitted = 1
for i = 1, #KEYS do
  local quota, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i]) * 1000000
  local oldest = redis.call('LINDEX', KEYS[i], -1)
  while oldest and tonumber(oldest) <= now - window do
    redis.call('RPOP', KEYS[i])
    oldest = redis.call('LINDEX', KEYS[i], -1)
  end
  local left = quota - redis.call('LLEN', KEYS[i])
  left_of[i] = left
  reset_of[i] = oldest and (tonumber(oldest) + window - now) or window
  if left <= 0 then
    if reset_of[i] > wait then binding, wait = i, reset_of[i] end
    admitted = 0
  elseif admitted == 1 and left / quota < tightest then
    binding, tightest = i, left / quota
  end
end
if admitted == 0 then return {0, binding, 0, wait} end
for i = 1, #KEYS do
  redis.call('LPUSH', KEYS[i], string.format('%.0f', now))
  redis.call('EXPIRE', KEYS[i], ARGV[2 * i] + 1)
end
return {1, binding, left_of[binding] - 1, reset_of[binding]}
"""

CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if not held then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 'ours'
end
if held == ARGV[1] then return 'running' end
return 'other-request'
"""

UNCLAIM: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class SharedState:
    """Redis, asked with scripts only and never waited for long."""

    def __init__(self, url: str, *, clock: Clock, records: Records) -> None:
        self._url = url
        self._clock = clock
        self._records = records
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self._away_until = float("-inf")
        self._gone = False

    def __repr__(self) -> str:
        return f"<SharedState {'gone' if self._gone else 'there'}>"

    async def open(self) -> None:
        """Make the client and connect; a Redis that is not there is noted, not raised."""
        # Imported only where shared state is configured: it costs a third of a second.
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        pool = BlockingConnectionPool.from_url(
            self._url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT_SECONDS,
        )
        self._client = Redis.from_pool(pool)
        await self._run("return 1", [], [])

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
            self._scripts = {}

    async def spend(self, key: str, windows: Sequence[Window]) -> Spent | None:
        """Count one call for all gateways; None when Redis is gone."""
        keys = [f"crossdock:quota:{{{key}}}:{each.seconds}" for each in windows]
        arguments = [number for each in windows for number in (each.quota, each.seconds)]
        found = await self._run(SPEND, keys, arguments)
        if found is None:
            return None
        admitted, binding, remaining, reset = (int(each) for each in found)
        return Spent(
            admitted=bool(admitted),
            binding=binding - 1,
            remaining=remaining,
            reset_seconds=reset / 1_000_000,
        )

    async def claim(self, scope: str, key: str, fingerprint: str, seconds: float) -> Claimed:
        """Claim a key; with Redis gone every claim is granted, the tier below is keyed too."""
        name = f"crossdock:claim:{scope}:{key}"
        found = await self._run(CLAIM, [name], [fingerprint, int(seconds * 1000)])
        match found:
            case b"running":
                return "running"
            case b"other-request":
                return "other-request"
            case _:
                return "ours"

    async def unclaim(self, scope: str, key: str, fingerprint: str) -> None:
        """Give a claim back, if it is still this request's."""
        await self._run(UNCLAIM, [f"crossdock:claim:{scope}:{key}"], [fingerprint])

    async def _run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        if self._client is None or self._clock.monotonic() < self._away_until:
            return None
        try:
            answer = await self._script(script)(keys=keys, args=arguments)
        except Exception as error:  # noqa: BLE001  dead, hung, read-only, full, wrong type: all are "gone"
            self._away_until = self._clock.monotonic() + _LEFT_ALONE_SECONDS
            if not self._gone:
                self._gone = True
                self._records.event("shared_state_lost", error=type(error).__name__)
            return None
        if self._gone:
            self._gone = False
            self._records.event("shared_state_regained")
        return answer

    def _script(self, source: str) -> Any:
        found = self._scripts.get(source)
        if found is None:
            found = self._scripts[source] = self._client.register_script(source)
        return found
