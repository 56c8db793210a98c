"""Campaign A6: the exception queue loses nothing, whoever redrives it, and healthy orders go on.

    python -m tests.crash A6 --size full --keep

The ERP is away for a while and orders are accepted all the same. Back again, it refuses one order
in a hundred for good; three operators redrive whatever is excepted, all at once, again and again,
while healthy orders are placed at the same pace as before. In the end every order is in the ERP
once, and the queue is empty.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from pyreqwest.exceptions import PyreqwestError

from tests.crash.kill import SOUND
from tests.crash.load import Caller, Operator
from tests.crash.oracle import Books, Verdict, judge
from tests.crash.processes import Stage, staged
from tests.crash.result import Result, Size, Stopwatch, whole

OPERATORS = 3
SLOWER = 1.5
"""How much slower the slowest hundredth of the healthy orders may be."""
SETTLE = 60.0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How big a run is: orders before, while the ERP is away (and for how long), and after.

    `poison` is the share of orders that the ERP refuses until the campaign ends.
    """

    before: int
    away: int
    away_seconds: float
    after: int
    poison: float


SIZES: dict[str, Shape] = {
    "smoke": Shape(before=40, away=20, away_seconds=4.0, after=60, poison=0.1),
    "full": Shape(before=3_000, away=1_000, away_seconds=600.0, after=6_000, poison=0.01),
}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage saw. Times are seconds from the call to the ERP's confirmation."""

    excepted: int
    redrives: int
    outcomes: dict[str, int]
    left: list[str]
    p99_before: float
    p99_after: float
    orders: int
    verdict: Verdict


async def redrive_at_once(
    folder: Path,
    *,
    shape: Shape,
    seed: int,
    launcher: Sequence[str] = SOUND,
    settle: float = SETTLE,
) -> Run:
    """Fill the queue, let three operators work it off at once, and judge."""
    async with staged(folder, launcher=launcher) as stage:
        caller = Caller(stage, folder / "caller.jsonl", random.Random(f"load{seed}"))
        await caller.look_around()
        books = Books(stage)
        await _placed(caller, "A6-before", shape.before)
        await stage.fault(system="business_central", operation="*", kind="outage")
        begun = time.monotonic()
        await _placed(caller, "A6-away", shape.away, wait=0)
        await asyncio.sleep(max(0.0, shape.away_seconds - (time.monotonic() - begun)))
        await stage.clear_faults()
        await _drained(stage, books, caller)
        await stage.fault(
            system="business_central", operation="salesOrders.create", kind="error_before",
            status=400, share=shape.poison,
        )  # fmt: skip
        operators = [Redriver(stage, number) for number in range(OPERATORS)]
        stopping = asyncio.Event()
        at_work = [asyncio.create_task(one.keep_on(stopping)) for one in operators]
        await _placed(caller, "A6-after", shape.after)
        await stage.clear_faults()
        stopping.set()
        await asyncio.gather(*at_work)
        left = await _worked_off(operators)
        verdict = await judge(stage, caller.told, settle=settle, books=books)
        caller.close()
        outcomes = sum((one.outcomes for one in operators), Counter[str]())
        return Run(
            excepted=len(set().union(*(one.seen for one in operators))),
            redrives=sum(one.redrives for one in operators),
            outcomes=dict(outcomes),
            left=left,
            p99_before=_p99(caller, "A6-before"),
            p99_after=_p99(caller, "A6-after"),
            orders=len(caller.told),
            verdict=verdict,
        )


async def _placed(caller: Caller, name: str, orders: int, *, wait: int = 20) -> None:
    """Place so many orders, four at a time, and wait for each one's confirmation."""
    numbers = iter(range(orders))

    async def one_after_the_other() -> None:
        for number in numbers:
            await caller.place(f"{name}-{number}", wait=wait)

    await asyncio.gather(*(one_after_the_other() for _ in range(4)))


async def _drained(stage: Stage, books: Books, caller: Caller) -> None:
    """What was accepted without the ERP is placed there now."""
    give_up = time.monotonic() + 120.0
    while time.monotonic() < give_up:
        await books.read()
        if all(books.erp[key] for key, told in caller.told.items() if told.status in (201, 202)):
            return
        await asyncio.sleep(0.2)


def _p99(caller: Caller, name: str) -> float:
    """The slowest hundredth of the orders of a phase that were confirmed while waited for."""
    seconds = sorted(
        one.seconds
        for key, one in caller.told.items()
        if key.startswith(name) and one.status == 201
    )
    return round(seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))], 3) if seconds else 0.0


async def _worked_off(operators: list["Redriver"]) -> list[str]:
    """Redrive until nothing is left, or nothing more happens."""
    for _ in range(20):
        left = await operators[0].exceptions()
        if not left:
            return []
        await asyncio.gather(*(one.redrive() for one in operators))
        await asyncio.sleep(1.0)
    return await operators[0].exceptions()


class Redriver(Operator):
    """An operator who redrives whatever is excepted, not caring who else does."""

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__(stage)
        self._number = number
        self.seen: set[str] = set()
        self.redrives = 0
        self.outcomes: Counter[str] = Counter()

    async def keep_on(self, stopping: asyncio.Event) -> None:
        """Look and redrive until told to stop."""
        while not stopping.is_set():
            with suppress(PyreqwestError, KeyError):
                self.seen.update(await self.exceptions())
                await self.redrive()
            await asyncio.sleep(0.5)

    async def redrive(self) -> None:
        """Start a redrive over everything there is, and wait for its end."""
        self.redrives += 1
        body = {"selection": {}, "action": "retry", "note": "All of them", "rate": 100}
        key = f"redrive-{self._number}-{self.redrives}"
        started = await self.call("POST", "/operations/v1/redrives", body, key=key)
        for _ in range(100):
            stands = await self.call("GET", f"/operations/v1/redrives/{started['id']}")
            if stands["state"] != "running":
                self.outcomes += Counter(
                    {name: stands[name] for name in ("applied", "skipped", "failed")}
                )
                return
            await asyncio.sleep(0.1)


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The whole campaign, with its planted defect."""
    watch = Stopwatch()
    (folder / "sound").mkdir()
    sound = await redrive_at_once(folder / "sound", shape=SIZES[size], seed=seed)
    (folder / "planted").mkdir()
    planted = await redrive_at_once(
        folder / "planted", seed=seed, settle=6.0,
        shape=Shape(before=4, away=4, away_seconds=0.5, after=60, poison=0.1),
        launcher=("-m", "tests.crash.launch", "pretends-on-retry"),
    )  # fmt: skip
    slower = sound.p99_after > SLOWER * sound.p99_before
    result = Result(
        campaign="A6",
        what="the ERP away, one order in a hundred refused, three operators redriving at once",
        size=size,
        seed=seed,
        trials=sound.orders,
        accepted=sound.verdict.acknowledged,
        faults={"orders excepted": sound.excepted, "redrives": sound.redrives},
        # What is redriven before an operator has looked at the queue was excepted all the same.
        evidence={
            "exceptions redriven": sound.outcomes.get("applied", 0),
            "redrives": sound.redrives,
        },
        violations={
            **sound.verdict.violations,
            "nothing left in the queue": sound.left,
            "healthy orders at most 1.5 times as slow": [
                f"{sound.p99_after} s after {sound.p99_before} s"
            ]
            if slower and size == "full"
            else [],
        },
        measures={
            "p99 before s": sound.p99_before,
            "p99 while redriving s": sound.p99_after,
            **{f"actions {name}": count for name, count in sound.outcomes.items()},
        },
    )
    defects = {"pretends that a retry worked": bool(planted.verdict.lost)}
    return [whole(result, defects=defects, seconds=watch.seconds)]
