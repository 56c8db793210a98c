"""Campaign A1: SIGKILL of the system at random moments and at named points of the journal.

    python -m tests.crash.kill --kills 1000 --seed 1

Whatever was acknowledged is in the ERP and the warehouse exactly once, at the price the caller was
told, and nothing is stuck thirty seconds after the last restart.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.crash.load import Caller
from tests.crash.oracle import Verdict, judge
from tests.crash.processes import Stage, staged

POINTS = (
    "after_accept", "before_effect", "after_effect", "before_move_commit", "after_move_commit",
    "during_takeover", "before_delivery", "after_delivery", "before_signal_commit",
    "after_signal_commit", "before_incident_commit", "during_recovery",
)  # fmt: skip
SOUND = ("-m", "deploy.cli", "up", "--no-sandbox")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the campaign did and found."""

    seed: int
    kills: int
    kills_in_flight: int
    orders: int
    slowest_restart: float
    verdict: Verdict

    @property
    def counts(self) -> bool:
        """A run in which no kill met an order in flight proves nothing."""
        return self.kills_in_flight > 0 and self.verdict.acknowledged > 0


async def kill_at_random(
    folder: Path, *, kills: int, seed: int, launcher: Sequence[str] = SOUND, callers: int = 6
) -> Run:
    """Kill the system `kills` times under load, then let it finish and judge."""
    async with staged(folder, launcher=launcher) as stage:
        faults, load = random.Random(f"faults{seed}"), random.Random(f"load{seed}")
        caller = Caller(stage, folder / "caller.jsonl", load)
        await caller.look_around()
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(_keep_ordering(caller, n, stopping)) for n in range(callers)]
        in_flight, slowest = 0, 0.0
        for _ in range(kills):
            await asyncio.sleep(0.05 + faults.random() * 0.35)
            in_flight += caller.in_flight > 0
            stage.system.kill()
            stage.system.start()
            slowest = max(slowest, await stage.system.ready(stage.client))
        stopping.set()
        await asyncio.gather(*tasks)
        return await _judged(stage, caller, seed, kills, in_flight, slowest)


async def kill_at_point(
    folder: Path, point: str, *, times: int, seed: int, launcher: Sequence[str] = SOUND
) -> Run:
    """Let the system kill itself at a named point, `times` times over; then judge."""
    async with staged(folder, launcher=launcher) as stage:
        caller = Caller(stage, folder / "caller.jsonl", random.Random(f"load{seed}"))
        await caller.look_around()
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(_keep_ordering(caller, n, stopping)) for n in range(4)]
        died, in_flight, slowest = 0, 0, 0.0
        for n in range(times):
            stage.system.stop()
            stage.system.dies_at(f"{point}:{1 + n % 3}")
            stage.system.start()
            died += await stage.system.dead(within=5.0)
            in_flight += caller.in_flight > 0
            stage.system.kill()
            stage.system.dies_at(None)
            stage.system.start()
            slowest = max(slowest, await stage.system.ready(stage.client))
        stopping.set()
        await asyncio.gather(*tasks)
        return await _judged(stage, caller, seed, died, in_flight, slowest)


async def _keep_ordering(caller: Caller, number: int, stopping: asyncio.Event) -> None:
    count = 0
    while not stopping.is_set():
        count += 1
        await caller.place(f"A1-{number}-{count}")


async def _judged(  # noqa: PLR0917  # the figures of one run, side by side
    stage: Stage, caller: Caller, seed: int, kills: int, in_flight: int, slowest: float
) -> Run:
    verdict = await judge(stage, caller.told, settle=30.0)
    caller.close()
    return Run(
        seed=seed, kills=kills, kills_in_flight=in_flight, orders=len(caller.told),
        slowest_restart=round(slowest, 2), verdict=verdict,
    )  # fmt: skip


def main() -> int:
    """Run the campaign from the command line; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--point", choices=POINTS)
    parser.add_argument("--defect", choices=("careless-connector", "acknowledge-before-commit"))
    asked = parser.parse_args()
    launcher = ("-m", "tests.crash.launch", asked.defect) if asked.defect else SOUND
    with tempfile.TemporaryDirectory() as folder:
        if asked.point:
            work = kill_at_point(
                Path(folder), asked.point, times=asked.kills, seed=asked.seed, launcher=launcher
            )
        else:
            work = kill_at_random(
                Path(folder), kills=asked.kills, seed=asked.seed, launcher=launcher
            )
        run = asyncio.run(work)
    print(msgspec.json.encode(run).decode())
    return 0 if run.verdict.clean and run.counts else 1


if __name__ == "__main__":
    sys.exit(main())
