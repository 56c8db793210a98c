"""Circuits that several gateways share: openings as hints, and one trial for all of them.

Each gateway's own breaker stays the authority. It publishes what it saw; the others take it over a
moment later. Before a trial it asks for the cluster's one permit: a lease with a fencing number, so
that a holder who comes back late moves nothing. With Redis gone every gateway decides alone.

A gateway whose opening was refuted (another's trial succeeded) does not publish the next one until
a call of its own has succeeded: one gateway with a broken path must not close it to all.

What an operator orders is no hint: it holds where it was said at once and everywhere a moment
later, and is told when Redis is back if it was gone, or has forgotten.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Literal

import msgspec

from gateway.shared import SharedState
from runtime.guard import Breaker, Permit

_KEY: Final = "crossdock:circuits"
_LOOK_SECONDS: Final = 0.1
"""How long a gateway goes on calling an upstream that another has found dead."""
_ASK_AGAIN_SECONDS: Final = 0.2
"""The longest pause before asking again for a permit that another holds."""

_FOUND: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local c = raw and cjson.decode(raw) or {g = 0, s = 'closed', u = 0, f = 0, n = 0, l = 0}
local function keep() redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(c)) end
local function next_generation() return math.max(c.g + 1, math.floor(now / 1000)) end
"""
"""One circuit: generation, state, open until, fence in use, last fence given, lease until (us), and
why it is held. Generations are no less than the time (ms): they go on where Redis has forgotten."""

OPENED: Final = (
    _FOUND
    + """
local fence = tonumber(ARGV[3])
if fence > 0 then
  if c.f ~= fence then return c.g end
  c.f = 0
elseif c.s == 'held' or (c.s == 'open' and c.u > now) then
  return c.g
end
c.g = next_generation()
c.s = 'open'
c.u = now + tonumber(ARGV[2]) * 1000000
keep()
return c.g
"""
)

SETTLED: Final = (
    _FOUND
    + """
if c.f ~= tonumber(ARGV[3]) then return c.g end
c.f = 0
if ARGV[2] == 'closed' then c.g = next_generation(); c.s = 'closed' end
keep()
return c.g
"""
)

ORDERED: Final = (
    _FOUND
    + """
c.g = next_generation()
c.s = ARGV[2]
c.r = ARGV[3]
c.f = 0
keep()
return c.g
"""
)

TRIAL: Final = (
    _FOUND
    + """
if c.s == 'held' then return {'held', c.g, c.r or ''} end
if (c.s == 'closed' or c.s == 'reset') and c.g > tonumber(ARGV[2]) then return {c.s, c.g} end
if c.s == 'open' and c.u > now then return {'wait', c.u - now} end
if c.f > 0 and c.l > now then return {'wait', c.l - now} end
c.n = c.n + 1
c.f = c.n
c.l = now + tonumber(ARGV[3]) * 1000000
keep()
return {'ours', c.f}
"""
)

LOOK: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = {}
for i = 1, #ARGV do
  local raw = redis.call('HGET', KEYS[1], ARGV[i])
  local c = raw and cjson.decode(raw) or {g = 0, s = 'closed', u = 0}
  found[i] = {c.g, c.s, math.max(0, c.u - now), c.r or ''}
end
return found
"""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants of a circuit: `held` open until it is `reset`, and why."""

    state: Literal["held", "reset"]
    reason: str = ""


class Trial:
    """A permit for a trial, with the cluster's fence; reports to both."""

    __slots__ = ("_circuit", "_fence", "_permit", "_reported")

    def __init__(self, circuit: "SharedCircuit", permit: Permit, fence: int) -> None:
        self._circuit = circuit
        self._permit = permit
        self._fence = fence
        self._reported = False

    def succeeded(self) -> None:
        """Report that the upstream answered."""
        self._circuit.ended(self._permit.succeeded)
        self._settle()

    def failed(self) -> None:
        """Report that it did not."""
        self._circuit.ended(self._permit.failed)
        self._settle()

    def cut_short(self) -> None:
        """Report that the caller had no time for the answer: as good as not tried."""
        self.released()

    def released(self) -> None:
        """Report nothing; the permit goes to the next who asks."""
        self._permit.released()
        self._settle()

    def _settle(self) -> None:
        if not self._reported:
            self._reported = True
            self._circuit.settle(self._fence)


class SharedCircuit:
    """One breaker and what is known of it elsewhere."""

    def __init__(self, circuits: "Circuits", name: str) -> None:
        self._circuits = circuits
        self._name = name
        self._asking = False
        self._refuted = False
        self._quiet = False
        self.breaker: Breaker
        self.generation = 0

    def __repr__(self) -> str:
        return f"<SharedCircuit {self._name} generation {self.generation}>"

    def changed(self, _: str, __: str, new: str) -> None:
        """Publish an opening of our own; a trial's end is published with its fence."""
        if new == "open" and not (self._quiet or self._refuted):
            self._circuits.later(self._publish())

    def succeeded(self) -> None:
        """Note a success of our own: what this gateway sees counts again."""
        self._refuted = False

    async def trial(self, lease_seconds: float) -> Permit | Trial | None:
        """Ask for the cluster's permit to try; None where another tries or it is too early.

        With Redis gone the local breaker decides alone.
        """
        if self._asking:
            return None
        self._asking = True
        try:
            found = await self._circuits.run(TRIAL, self._name, self.generation, lease_seconds)
        finally:
            self._asking = False
        if found is None:
            return self.breaker.admit()
        said, value = found[0].decode(), int(found[1])
        match said:
            case "ours":
                permit = self.breaker.admit()
                if permit is not None:
                    return Trial(self, permit, value)
                self.settle(value)
                return None
            case "closed" | "reset" | "held":
                self.take(value, said, 0.0, reason=b"".join(found[2:]).decode())
                return self.breaker.admit()
            case _:
                self.breaker.postpone(min(value / 1_000_000, _ASK_AGAIN_SECONDS))
                return None

    def take(self, generation: int, state: str, seconds: float, *, reason: str = "") -> None:
        """Take over what another gateway saw, unless it is known already or ordered otherwise."""
        if self._name in self._circuits.untold:
            return
        if generation <= self.generation:
            self._remind(generation)
            return
        self.generation = generation
        match state:
            case "held":
                self.ended(partial(self.breaker.trip, reason or None))
            case "open" if seconds > 0:
                self.ended(partial(self.breaker.open_for, seconds))
            case "reset":
                self.ended(self.breaker.reset)
            case "closed" if self.breaker.state != "closed":
                self._refuted = True
                self.ended(self.breaker.close_as_seen)
            case _:
                pass  # an opening that is over, or a circuit that never opened here

    def ended(self, move: Callable[[], object]) -> None:
        """Move the breaker without publishing it here: it is known, or comes with its fence."""
        self._quiet = True
        try:
            move()
        finally:
            self._quiet = False

    def settle(self, fence: int) -> None:
        """Give the permit back and publish how the trial ended."""
        self._circuits.later(self._settled(fence))

    async def order(self, order: Order) -> None:
        """Trip or reset by hand: here at once, and everywhere."""
        self.ended(partial(obey, self.breaker, order))
        self._circuits.untold[self._name] = order
        await self._circuits.tell()

    def know(self, generation: Any) -> None:
        """Note what Redis calls the state that it was told."""
        if generation is not None:
            self.generation = max(self.generation, int(generation))

    def _remind(self, generation: int) -> None:
        """Say again what is held here, to a Redis that knows nothing of the circuit."""
        standing = self.breaker.standing()
        if generation == 0 and standing.held:
            self._circuits.untold[self._name] = Order(state="held", reason=standing.reason or "")

    async def _settled(self, fence: int) -> None:
        standing = self.breaker.standing()
        if standing.state == "open" and not self._refuted:
            found = await self._circuits.run(OPENED, self._name, standing.retry_after, fence)
        else:
            said = "closed" if standing.state == "closed" else "given back"
            found = await self._circuits.run(SETTLED, self._name, said, fence)
        self.know(found)

    async def _publish(self) -> None:
        seconds = self.breaker.standing().retry_after
        self.know(await self._circuits.run(OPENED, self._name, seconds, 0))


def obey(breaker: Breaker, order: Order) -> None:
    """Do to a breaker what an operator ordered."""
    if order.state == "held":
        breaker.trip(order.reason or None)
    else:
        breaker.reset()


class Circuits:
    """Every shared circuit of this gateway; looks at the others' as long as it is open.

    `untold` is what operators ordered and Redis has not been told yet; it outlives a configuration.
    """

    def __init__(self, shared: SharedState, untold: dict[str, Order] | None = None) -> None:
        self._shared = shared
        self.untold = {} if untold is None else untold
        self._telling = asyncio.Lock()
        self._circuits: dict[str, SharedCircuit] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Circuits {len(self._circuits)} over {self._shared!r}>"

    def of(self, name: str) -> SharedCircuit:
        """Answer the shared part of a circuit; its breaker is to be set."""
        return self._circuits.setdefault(name, SharedCircuit(self, name))

    async def open(self) -> None:
        """Begin to look, where there is anything to look at."""
        if self._circuits and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_on())

    async def close(self) -> None:
        """Stop looking; let what is being published go out."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
            self._looking = None
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def run(self, script: str, name: str, *arguments: Any) -> Any:
        """Run one of the scripts above; None when Redis is gone."""
        return await self._shared.run(script, [_KEY], [name, *arguments])

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the call that caused it."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def tell(self) -> None:
        """Publish what operators ordered, one after the other; with Redis gone it waits."""
        async with self._telling:
            for name, order in list(self.untold.items()):
                found = await self.run(ORDERED, name, order.state, order.reason)
                if found is None:
                    return
                if self.untold.get(name) is order:
                    del self.untold[name]
                if name in self._circuits:  # a configuration may have no such circuit any more
                    self._circuits[name].know(found)

    async def look(self) -> None:
        """Publish what is still to be told, and take over what other gateways published."""
        await self.tell()
        circuits = dict(self._circuits)
        found = await self._shared.run(LOOK, [_KEY], list(circuits))
        for circuit, (generation, state, left, reason) in zip(
            circuits.values(), found or (), strict=False
        ):
            seconds = int(left) / 1_000_000
            circuit.take(int(generation), state.decode(), seconds, reason=reason.decode())

    async def _look_on(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)
