"""Campaign A1: SIGKILL of gateway and workers, at random moments and at the journal's named points.

    python -m tests.crash A1-sqlite A1-postgresql --size full --keep

Whatever was acknowledged is in the ERP and the warehouse exactly once, at the price the caller was
told; nothing is stuck thirty seconds after the last restart; what the CRM shows never goes
backwards. On SQLite the one process is killed, on PostgreSQL the gateway or one of two workers.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec

from tests.crash.load import Caller, Operator
from tests.crash.oracle import Books, Verdict, judge
from tests.crash.processes import Process, Stage, Store, staged
from tests.crash.result import Result, Size, Stopwatch, whole

POINTS = (
    "after_accept", "before_effect", "after_effect", "before_move_commit", "after_move_commit",
    "during_takeover", "before_delivery", "after_delivery", "before_signal_commit",
    "after_signal_commit", "before_incident_commit", "during_recovery",
)  # fmt: skip
KILLS: Mapping[Size, int] = {"smoke": 20, "full": 500}
TIMES: Mapping[Size, int] = {"smoke": 1, "full": 25}
"""For each store; the two together make 1,000 kills, and 50 at each point."""
SOUND = ("-m", "deploy.cli", "up", "--no-sandbox")
SETTLE = 30.0
"""Seconds after the last restart by which every acknowledged order must be done (I3)."""
SEEN = 6.0
"""Seconds in which a planted defect shows."""
MOST_AHEAD = 300
"""Orders acknowledged beyond those in the ERP, as last looked: some seconds of work."""
MOST_TRIES = 2
"""For each death at a point: a start may come upon nothing that passes it."""
READY = 20.0
"""Seconds a killed process may take to answer again; the figure itself is in the result."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage saw: how often it was killed, how often with orders in flight, the verdict."""

    kills: dict[str, int]
    in_flight: int
    orders: int
    unpriced: int
    slowest_restart: float
    verdict: Verdict

    @property
    def counts(self) -> bool:
        """A run in which no kill met an order in flight proves nothing."""
        return self.in_flight > 0 and self.verdict.acknowledged > 0


async def kill_at_random(
    folder: Path,
    *,
    kills: int,
    seed: int,
    store: Store = "sqlite",
    launcher: Sequence[str] = SOUND,
    callers: int = 6,
    settle: float = SETTLE,
) -> Run:
    """Kill a process `kills` times under load, then let it finish and judge."""
    workers = 0 if store == "sqlite" else 2
    async with staged(folder, launcher=launcher, store=store, workers=workers) as stage:
        faults = random.Random(f"faults{seed}")
        async with loaded(stage, seed, callers) as (caller, books):
            in_flight, slowest, killed = 0, 0.0, Counter[str]()
            for _ in range(kills):
                await asyncio.sleep(0.05 + faults.random() * 0.35)
                victim = faults.choice([stage.system, *stage.workers])
                in_flight += caller.in_flight > 0
                victim.kill()
                killed[_name(stage, victim)] += 1
                victim.start()
                slowest = max(slowest, await victim.ready(stage.client, within=READY))
                await books.read()
        verdict = await judge(stage, caller.told, settle=settle, books=books)
        return _seen(dict(killed), in_flight, slowest, caller, verdict)


async def kill_at_points(
    folder: Path,
    points: Mapping[str, int],
    *,
    seed: int,
    store: Store = "sqlite",
    launcher: Sequence[str] = SOUND,
    settle: float = SETTLE,
) -> Run:
    """Let a process kill itself at each named point as often as said; then judge."""
    workers = 0 if store == "sqlite" else 1
    async with staged(folder, launcher=launcher, store=store, workers=workers) as stage:
        async with loaded(stage, seed, 4) as (caller, books):
            in_flight, slowest, died = 0, 0.0, Counter[str]()
            warehouse = asyncio.create_task(_keep_shipping(stage, books))
            for point, times in points.items():
                for n in range(MOST_TRIES * times):
                    died[point] += await _dies_at(stage, point, 1 + n % 3)
                    in_flight += caller.in_flight > 0
                    slowest = max(slowest, await _rises(stage))
                    if died[point] == times:
                        break
            warehouse.cancel()
        await _retry_exceptions(stage, Operator(stage))
        verdict = await judge(stage, caller.told, settle=settle, books=books)
        return _seen(dict(died), in_flight, slowest, caller, verdict)


@contextlib.asynccontextmanager
async def loaded(
    stage: Stage, seed: int, callers: int, *, prefix: str = "A1"
) -> AsyncIterator[tuple[Caller, Books]]:
    """Order as fast as the callers can until the block ends; every order gets its answer."""
    caller = Caller(stage, stage.folder / "caller.jsonl", random.Random(f"load{seed}"))
    await caller.look_around()
    stopping, books = asyncio.Event(), Books(stage)
    tasks = [
        asyncio.create_task(_keep_ordering(caller, f"{prefix}-{n}", stopping, books))
        for n in range(callers)
    ]
    try:
        yield caller, books
    finally:
        stopping.set()
        await asyncio.gather(*tasks)
        caller.close()


async def _keep_ordering(
    caller: Caller, prefix: str, stopping: asyncio.Event, books: Books
) -> None:
    """Order again and again, but never far ahead of the ERP: a backlog is not what is tested."""
    count = 0
    while not stopping.is_set():
        if len(caller.told) - len(books.erp) > MOST_AHEAD:
            await asyncio.sleep(0.05)
            continue
        count += 1
        await caller.place(f"{prefix}-{count}")


async def _keep_shipping(stage: Stage, books: Books) -> None:
    """The warehouse ships what it has been given: each shipment becomes a signal."""
    shipped = 0
    while True:
        await books.read()
        for reference in list(books.wms)[shipped:]:
            url = f"{stage.sandbox}/_sandbox/warehouse/ship"
            await stage.client.post(url).body_json({"orderNumber": reference}).build().send()
            shipped += 1
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)


async def _dies_at(stage: Stage, point: str, nth: int) -> bool:
    """Restart the system so that it kills itself at a point; whether it did."""
    if point in {"during_takeover", "during_recovery"}:
        # what a dead process leaves must be found by this one, not by a worker beside it
        for process in (stage.system, *stage.workers):
            process.kill()
        nth = 1
    else:
        stage.system.stop()
    if point == "before_incident_commit":
        await stage.fault(
            system="business_central", operation="salesOrders.create", kind="error_before",
            status=400, count=nth,
        )  # fmt: skip
    stage.system.dies_at(f"{point}:{nth}")
    stage.system.start()
    return await stage.system.dead(within=25.0 if point == "during_takeover" else 10.0)


async def _rises(stage: Stage) -> float:
    """Start again whatever is down; answer the seconds the slowest took to be ready."""
    stage.system.kill()
    stage.system.dies_at(None)
    down = [stage.system, *(worker for worker in stage.workers if not worker.running)]
    for process in down:
        process.start()
    return max([await process.ready(stage.client, within=READY) for process in down])


async def _retry_exceptions(stage: Stage, operator: Operator) -> None:
    """What the ERP refused once is retried by an operator: it may not stay behind."""
    await stage.clear_faults()
    for exception in await operator.exceptions():
        await operator.remedies(exception, "retry")


def _name(stage: Stage, victim: Process) -> str:
    return "system" if victim is stage.system else "worker"


def _seen(
    kills: dict[str, int], in_flight: int, slowest: float, caller: Caller, verdict: Verdict
) -> Run:
    return Run(
        kills=kills,
        in_flight=in_flight,
        orders=len(caller.told),
        unpriced=sum(not one.amount for one in caller.told.values() if one.status),
        slowest_restart=round(slowest, 2),
        verdict=verdict,
    )


async def on_sqlite(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The whole campaign, with one process that has its store to itself."""
    times = TIMES[size]
    points = {**dict.fromkeys(POINTS, times), "during_recovery": 2 * times}
    return [await _run(folder, "sqlite", points, size=size, seed=seed)]


async def on_postgresql(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The whole campaign, with workers beside the system, which therefore recovers nothing."""
    points = dict.fromkeys(POINTS, TIMES[size])
    del points["during_recovery"]
    return [await _run(folder, "postgresql", points, size=size, seed=seed)]


async def _run(
    folder: Path, store: Store, points: Mapping[str, int], *, size: Size, seed: int
) -> Result:
    """Kill at random and at every point, and see the planted defects."""
    watch = Stopwatch()
    random_kills = await kill_at_random(
        _made(folder / "random"), kills=KILLS[size], seed=seed, store=store
    )
    at_points = await kill_at_points(_made(folder / "points"), points, seed=seed, store=store)
    defects = await _defects(folder / "defects", seed, store)
    return whole(
        _result(store, size, seed, random_kills, at_points), defects=defects, seconds=watch.seconds
    )


async def _defects(folder: Path, seed: int, store: Store) -> dict[str, bool]:
    """Each planted defect must be seen, or the campaign is worth nothing."""
    careless = await kill_at_points(
        _made(folder / "careless"), {"after_effect": 4}, seed=seed, store=store,
        launcher=("-m", "tests.crash.launch", "careless-connector"), settle=SEEN,
    )  # fmt: skip
    hasty = await kill_at_random(
        _made(folder / "hasty"), kills=4, seed=seed, store=store,
        launcher=("-m", "tests.crash.launch", "acknowledge-before-commit"), settle=SEEN,
    )  # fmt: skip
    return {
        "creates again without looking": bool(careless.verdict.doubled),
        "acknowledges before the commit": bool(hasty.verdict.lost),
    }


def _result(store: Store, size: Size, seed: int, at_random: Run, at_points: Run) -> Result:
    runs = (at_random, at_points)
    kills = sum(at_random.kills.values())
    violations = {
        name: [case for one in runs for case in one.verdict.violations[name]]
        for name in at_random.verdict.violations
    }
    return Result(
        campaign=f"A1-{store}",
        what=f"SIGKILL at random and at named points, {store}",
        size=size,
        seed=seed,
        trials=kills + sum(at_points.kills.values()),
        accepted=sum(one.verdict.acknowledged for one in runs),
        faults={
            **{f"random {name}": count for name, count in at_random.kills.items()},
            **{f"at {point}": count for point, count in at_points.kills.items()},
        },
        evidence={
            "random kills with an order in flight": at_random.in_flight,
            "kills at points with an order in flight": at_points.in_flight,
            **{f"died {point}": count for point, count in at_points.kills.items()},
        },
        violations=violations,
        measures={
            "slowest restart s": max(one.slowest_restart for one in runs),
            "settled after s": max(one.verdict.seconds_to_settle for one in runs),
            "accepted before a price was known": sum(one.unpriced for one in runs),
        },
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
