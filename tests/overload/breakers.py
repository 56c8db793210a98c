"""Campaign C3: circuits of four gateways before one upstream that dies and comes back.

    python -m tests.overload.breakers [--openings 20] [--seed N] [--defect no-permit]

Each opening: the upstream begins to fail under fifty callers at once; circuits open; when their
time is over fifty callers come to every gateway; the upstream itself counts what reaches it. Some
of the callers are cancelled, also while their call is the trial. A second upstream stays well all
the time and must never be refused.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from gateway.circuits import Circuits, SharedCircuit, Trial
from gateway.shared import SharedState
from runtime.clock import SystemClock
from runtime.guard import Breaker, BreakerSettings, Permit
from tests.overload.cluster import redis_server

SETTINGS = BreakerSettings(failures=5, open_seconds=0.3, longest_open_seconds=0.6, jitter=0.1)
LEASE_SECONDS = 2.0
CALLERS = 50


class Silence:
    """Takes records and keeps none."""

    def access(self, record: Any) -> None:
        pass

    def event(self, name: str, **fields: object) -> None:
        pass


class UpstreamFailedError(Exception):
    """No answer."""


class Upstream:
    """Answers or fails, and counts what reaches it."""

    def __init__(self) -> None:
        self.well = True
        self.calls = 0
        self.ended = 0
        """Calls that were not given up before they ended."""
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self) -> None:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.02)
            self.ended += 1
            if not self.well:
                raise UpstreamFailedError
        finally:
            self.at_once -= 1

    def count_anew(self) -> None:
        self.calls = self.ended = self.most_at_once = 0


class Node:
    """One gateway's side of two circuits, as the shield drives it."""

    def __init__(self, circuits: Circuits, names: Sequence[str], seed: int) -> None:
        self.circuits = circuits
        self.shared: dict[str, SharedCircuit] = {}
        for name in names:
            shared = circuits.of(name)
            shared.breaker = Breaker(
                name,
                clock=SystemClock(),
                settings=SETTINGS,
                on_change=shared.changed,
                chance=random.Random(seed),
            )
            self.shared[name] = shared

    async def permit(self, name: str) -> Permit | Trial | None:
        """Ask as the shield does."""
        shared = self.shared[name]
        if shared.breaker.wants_trial:
            return await shared.trial(LEASE_SECONDS)
        return shared.breaker.admit()

    async def call(self, name: str, upstream: Upstream) -> str:
        """Make one call: answered, failed, or refused by the circuit."""
        permit = await self.permit(name)
        if permit is None:
            return "refused"
        try:
            await upstream()
        except UpstreamFailedError:
            permit.failed()
            return "failed"
        else:
            permit.succeeded()
            self.shared[name].succeeded()
            return "answered"
        finally:
            permit.released()


class WithoutPermit(Node):
    """The planted defect: every gateway tries by itself."""

    async def permit(self, name: str) -> Permit | Trial | None:
        return self.shared[name].breaker.admit()


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of openings showed."""

    campaign: str = "C3"
    seed: int
    openings: int
    trials: int
    """Calls that came to their end at the upstream while its circuits were half-open."""
    most_trials_at_once: int
    failed_trials: int
    reached_after_trip: int
    """The most calls that reached the dead upstream in one opening, beyond those under way."""
    pressed_in_time: int
    """Openings that were pressed before a trial was due; a slow machine comes too late for some."""
    healthy_refused: int
    not_closed: int

    @property
    def clean(self) -> bool:
        """Exactly one trial for each half-open; no other call is lost on the dead or the well."""
        return (
            self.openings > 0
            and self.trials == self.openings + self.failed_trials
            and self.most_trials_at_once == 1
            and self.pressed_in_time > 0
            and not self.reached_after_trip
            and not self.healthy_refused
            and not self.not_closed
        )


@asynccontextmanager
async def nodes(url: str, count: int, kind: type[Node], seed: int) -> AsyncIterator[list[Node]]:
    """Several gateways' circuits on one Redis, looking at each other."""
    made: list[Node] = []
    states: list[SharedState] = []
    try:
        for index in range(count):
            state = SharedState(url, records=Silence())
            await state.open()
            states.append(state)
            circuits = Circuits(state)
            made.append(kind(circuits, ("erp", "crm"), seed + index))
            await circuits.open()
        yield made
    finally:
        for node in made:
            await node.circuits.close()
        for state in states:
            await state.close()


async def _press(made: Sequence[Node], upstream: Upstream, chance: random.Random) -> list[str]:
    """Fifty callers at every gateway at once; one in ten gives up at some moment."""
    tasks = [
        asyncio.create_task(node.call("erp", upstream)) for node in made for _ in range(CALLERS)
    ]
    for task in tasks:
        if chance.random() < 0.1:
            asyncio.get_running_loop().call_later(chance.random() * 0.03, task.cancel)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [each for each in ended if isinstance(each, str)]


async def _tried(made: Sequence[Node], upstream: Upstream, chance: random.Random) -> None:
    """Press again and again, once every circuit's time is over, until a trial came to its end."""
    upstream.count_anew()
    async with asyncio.timeout(20):
        while not upstream.ended:
            await asyncio.sleep(SETTINGS.longest_open_seconds * 1.1 + 0.05)
            await _press(made, upstream, chance)


async def run(folder: Path, *, openings: int, seed: int, defect: str | None = None) -> Opened:
    """Open and close the circuits so many times, now and then with a trial that fails."""
    chance = random.Random(f"load{seed}")
    redis, url = redis_server(folder)
    erp, crm = Upstream(), Upstream()
    kind = WithoutPermit if defect else Node
    trials = most = failed = reached = pressed = refused = unclosed = 0
    loop = asyncio.get_running_loop()
    try:
        async with nodes(url, 4, kind, seed) as made:
            for _ in range(openings):
                erp.well = False
                erp.count_anew()
                opened = loop.time()
                await _press(made, erp, random.Random(seed))  # all at once: they are under way
                await asyncio.sleep(0.15)  # the openings are known everywhere
                before = erp.calls
                await _press(made, erp, chance)
                if loop.time() - opened < SETTINGS.open_seconds * (1 - SETTINGS.jitter):
                    pressed += 1
                    reached = max(reached, erp.calls - before)
                refused += await _healthy(made, crm)
                for well in (False, True) if chance.random() < 0.3 else (True,):
                    erp.well = well
                    await _tried(made, erp, chance)
                    trials += erp.ended
                    failed += not well
                    most = max(most, erp.most_at_once)
                await asyncio.sleep(0.3)
                unclosed += any(node.shared["erp"].breaker.state != "closed" for node in made)
                for node in made:  # each is well by its own experience
                    with suppress(UpstreamFailedError):
                        await node.call("erp", erp)
    finally:
        redis.shutdown(nosave=True)
    return Opened(
        seed=seed,
        openings=openings,
        trials=trials,
        most_trials_at_once=most,
        failed_trials=failed,
        reached_after_trip=reached,
        pressed_in_time=pressed,
        healthy_refused=refused,
        not_closed=unclosed,
    )


async def _healthy(made: Sequence[Node], crm: Upstream) -> int:
    said = await asyncio.gather(*(node.call("crm", crm) for node in made for _ in range(5)))
    return sum(each != "answered" for each in said)


def main() -> int:
    """Run from the command line; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--openings", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--defect", choices=("no-permit",))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            run(Path(folder), openings=asked.openings, seed=asked.seed, defect=asked.defect)
        )
    said = msgspec.to_builtins(found) | {"clean": found.clean}
    print(msgspec.json.encode(said).decode())
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
