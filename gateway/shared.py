"""State that several gateways share through Redis, and may lose without harm.

Every answer here has a "gone" form: a call never waits longer than the socket time-outs. After a
failure no call asks Redis again until a task beside them has written to it and been answered, so
that its trouble is paid for by the calls under way when it began and by no others.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from types import TracebackType
from typing import Any, Final

from gateway.config import Window
from gateway.policies.idempotency import Claimed
from gateway.policies.quota import Spent
from gateway.records import Records
from runtime.tasks import CancelledAsAsked

_PATIENCE_SECONDS: Final = 0.08
"""How long Redis may say nothing to anybody before it is taken for gone."""
_LATE_SECONDS: Final = 0.01
_TIMEOUT_SECONDS: Final = 2.0
"""A connection's own time-out, for what our patience does not reach."""
_CONNECTIONS: Final = 8
"""Calls share few connections, all made before they are needed: making one takes longer than many
scripts, and a burst that made them would look like a Redis that says nothing."""
_AGAIN_SECONDS: Final = (0.05, 0.1, 0.2, 0.5)
"""Before each attempt to find Redis well again; the last for all that follow."""

_PULSE_KEY: Final = "crossdock:pulse"
_MOST_OWED: Final = 5_000
"""More values than that a script does not take at once."""
PULSE: Final = "redis.call('SET', KEYS[1], 1, 'PX', 5000) return 1"
"""A write: a replica and a full server answer reads, and are of no use here."""

SPEND: Final = """
-- All windows admit and count, or none counts. One log per window, newest first, in microseconds
-- of the server's own clock: gateways' clocks do not matter. A call that costs more than one is
-- logged as often as it costs. What a gateway owes from a time without us is counted first.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost = tonumber(ARGV[1])
local owed = tonumber(ARGV[#ARGV])
if owed > 0 then
  local late = {}
  for i = 1, owed do late[i] = string.format('%.0f', now) end
  for i = 1, #KEYS do
    redis.call('LPUSH', KEYS[i], unpack(late))
    redis.call('EXPIRE', KEYS[i], ARGV[2 * i + 1] + 1)
  end
end
local binding, fewest, wait, left_of, reset_of = 1, math.huge, 0, {}, {}
local admitted = 1
for i = 1, #KEYS do
  local quota, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]) * 1000000
  local oldest = redis.call('LINDEX', KEYS[i], -1)
  while oldest and tonumber(oldest) <= now - window do
    redis.call('RPOP', KEYS[i])
    oldest = redis.call('LINDEX', KEYS[i], -1)
  end
  local left = quota - redis.call('LLEN', KEYS[i])
  left_of[i] = left
  reset_of[i] = oldest and (tonumber(oldest) + window - now) or window
  if left < cost then
    if cost - left > 1 then
      reset_of[i] = tonumber(redis.call('LINDEX', KEYS[i], left - cost)) + window - now
    end
    if reset_of[i] > wait then binding, wait = i, reset_of[i] end
    admitted = 0
  elseif admitted == 1
      and (left < fewest or left == fewest and reset_of[i] > reset_of[binding]) then
    binding, fewest = i, left
  end
end
if admitted == 0 then return {0, binding, math.max(0, left_of[binding]), wait} end
local entries = {}
for i = 1, cost do entries[i] = string.format('%.0f', now) end
for i = 1, #KEYS do
  redis.call('LPUSH', KEYS[i], unpack(entries))
  redis.call('EXPIRE', KEYS[i], ARGV[2 * i + 1] + 1)
end
return {1, binding, left_of[binding] - cost, reset_of[binding]}
"""

CLAIM: Final = """
-- Held as fingerprint:holder; all fingerprints are of one length.
local held = redis.call('GET', KEYS[1])
if not held then
  redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
  return 'ours'
end
if string.sub(held, 1, #ARGV[1]) == ARGV[1] then return 'running' end
return 'other-request'
"""

UNCLAIM: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class _Patience:
    """Waits as long as Redis is heard, and a little longer.

    It begins anew when another call has been answered meanwhile (this one stands in line), or when
    it was our own event loop that stood still (the answer may lie there unread). It ends with the
    first of those who wait beside it: when nobody was answered for so long, nobody will be. One
    whose connection broke says nothing about theirs.
    """

    __slots__ = ("_beside", "_due", "_heard", "_loop", "_timeout", "_timer")

    def __init__(self, heard: Callable[[], float], beside: "set[_Patience]") -> None:
        self._heard = heard
        self._beside = beside

    async def __aenter__(self) -> None:
        self._beside.add(self)
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._arm()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._beside.discard(self)
        await self._timeout.__aexit__(kind, error, trace)

    def end(self) -> None:
        """Wait no longer."""
        if not self._timeout.expired():
            self._timeout.reschedule(self._loop.time())

    def _arm(self) -> None:
        self._due = self._loop.time() + _PATIENCE_SECONDS
        self._timer = self._loop.call_at(self._due, self._over)

    def _over(self) -> None:
        now = self._loop.time()
        heard = self._heard() > self._due - _PATIENCE_SECONDS
        if heard or now - self._due > _LATE_SECONDS:
            self._arm()
        else:
            for each in self._beside:
                each.end()


class SharedState:
    """Redis, asked with scripts only and never waited for long.

    `owed` is what it was not told yet of the calls admitted without it; it outlives this object.
    """

    def __init__(self, url: str, *, records: Records, owed: dict[str, int] | None = None) -> None:
        self._url = url
        self._records = records
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self._gone = False
        self._heard = float("-inf")
        self._waiting: set[_Patience] = set()
        self._owed: dict[str, int] = {} if owed is None else owed
        self._seeking: asyncio.Task[None] | None = None

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
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT_SECONDS,
        )
        self._client = Redis.from_pool(pool)
        await self.run(PULSE, [_PULSE_KEY], [])
        if not self._gone:
            with contextlib.suppress(Exception):  # the next call finds out what is wrong
                await self._warm()

    async def _warm(self) -> None:
        """Make every connection, by asking over all of them at once."""
        pulse = self._script(PULSE)
        await asyncio.gather(*(pulse(keys=[_PULSE_KEY], args=[]) for _ in range(_CONNECTIONS)))

    async def close(self) -> None:
        """Close the connections; what is being asked over them finds Redis gone."""
        # First: a script that fails because of us is no Redis lost, and nobody is to look for it.
        client, self._client = self._client, None
        if self._seeking is not None:
            self._seeking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._seeking
            self._seeking = None
        if client is not None:
            await client.aclose()
            self._scripts = {}

    async def spend(self, key: str, windows: Sequence[Window], cost: int = 1) -> Spent | None:
        """Count one call for all gateways; None when Redis is gone."""
        keys = [f"crossdock:quota:{{{key}}}:{each.seconds}" for each in windows]
        numbers = [number for each in windows for number in (each.quota, each.seconds)]
        owed = self._owed.pop(key, 0)
        found = None
        try:
            found = await self.run(SPEND, keys, [cost, *numbers, owed])
        finally:  # a caller who leaves meanwhile takes no debt along
            if found is None and owed:
                self.owe(key, owed)
        if found is None:
            return None
        admitted, binding, remaining, reset = (int(each) for each in found)
        return Spent(
            admitted=bool(admitted),
            binding=binding - 1,
            remaining=remaining,
            reset_seconds=reset / 1_000_000,
        )

    def owe(self, key: str, cost: int) -> None:
        """Remember what was admitted without Redis: it is counted when Redis is there again."""
        self._owed[key] = min(self._owed.get(key, 0) + cost, _MOST_OWED)

    async def claim(
        self, scope: str, key: str, fingerprint: str, *, holder: str, seconds: float
    ) -> Claimed:
        """Claim a key; with Redis gone every claim is granted, the tier below is keyed too."""
        name = f"crossdock:claim:{scope}:{key}"
        found = await self.run(CLAIM, [name], [fingerprint, holder, int(seconds * 1000)])
        match found:
            case b"running":
                return "running"
            case b"other-request":
                return "other-request"
            case _:
                return "ours"

    async def unclaim(self, scope: str, key: str, fingerprint: str, *, holder: str) -> None:
        """Give a claim back, if it is still this holder's."""
        await self.run(UNCLAIM, [f"crossdock:claim:{scope}:{key}"], [f"{fingerprint}:{holder}"])

    @property
    def gone(self) -> bool:
        """Tell whether Redis was lost and has not been found again."""
        return self._gone

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script on keys of ours; None when Redis is gone or the keys are not ours."""
        if self._client is None or self._gone:
            return None
        with CancelledAsAsked():
            try:
                async with _Patience(lambda: self._heard, self._waiting):
                    answer = await self._script(script)(keys=keys, args=arguments)
            except Exception as error:  # noqa: BLE001  dead, hung, read-only or full: all are "gone"
                if "WRONGTYPE" in str(error):  # a script names its own line before it
                    await self._cleared(keys)
                else:
                    self._lost(error)
                return None
        self._heard = asyncio.get_running_loop().time()
        return answer

    async def _cleared(self, keys: list[str]) -> None:
        """Remove what is under our names and not ours: the next call begins anew."""
        self._records.event("shared_state_misfit", keys=len(keys))
        try:
            await self._client.delete(*keys)
        except Exception as error:  # noqa: BLE001  as in `run`
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        if self._gone or self._client is None:
            return
        self._gone = True
        self._records.event("shared_state_lost", error=type(error).__name__)
        self._seeking = asyncio.get_running_loop().create_task(self._seek())

    async def _seek(self) -> None:
        """Try until Redis takes a write again."""
        for seconds in chain(_AGAIN_SECONDS, repeat(_AGAIN_SECONDS[-1])):
            await asyncio.sleep(seconds)
            with CancelledAsAsked():
                try:
                    async with _Patience(lambda: self._heard, self._waiting):
                        await self._script(PULSE)(keys=[_PULSE_KEY], args=[])
                    await self._warm()
                except Exception:  # noqa: BLE001, S112  as in `run`; said once, when it was lost
                    continue
            self._gone = False
            self._records.event("shared_state_regained")
            return

    def _script(self, source: str) -> Any:
        found = self._scripts.get(source)
        if found is None:
            found = self._scripts[source] = self._client.register_script(source)
        return found
