"""What an order costs as more and more are stored, and what the worker's memory does meanwhile.

    python -m tests.benchmarks.journal_growth --sizes 1000 10000 100000 1000000

Beside the store that grows there is one that keeps its first size. At each size both carry the same
number of orders, round by round in turn, so that the figure, the processor time of an order here
beside the same in the small store, says nothing of what else the machine did. Counted: loop, writer
thread and, for PostgreSQL, every process of the server. A million orders take some 6 GB in the
temporary folder, which are given back.

`--soak 100000` then carries so many orders through one worker and tells its memory on the way.
"""

import argparse
import asyncio
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec
import psutil
from sqlalchemy import create_engine

from runtime.journal.answering import KeptAnswer
from runtime.journal.journal import Journal
from runtime.journal.worker import Worker
from tests.benchmarks.counting import a_journal, an_order, counting
from tests.benchmarks.stored_orders import CHUNK, copies
from tests.postgres_server import a_postgresql_database, the_server

CALLERS = 64
SIZES = (1_000, 10_000, 100_000)
_keys = (f"new-{number}" for number in itertools.count())


async def carry(journal: Journal, amount: int) -> None:
    """Accept so many orders and wait for the end of the last, with a worker of their own."""
    worker = Worker(journal)
    await worker.start()
    left, over = amount, asyncio.Event()
    numbers = iter(range(amount))

    def watch(process) -> None:
        nonlocal left
        left -= process.done
        if not left:
            over.set()

    async def caller() -> None:
        for _ in numbers:
            await journal.accept(an_order(next(_keys)))

    journal.changed = watch
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await over.wait()
    await worker.drain()


def spent(url: str) -> float:
    """Processor seconds so far: this program's, and the database server's if there is one."""
    own = time.process_time()
    if url.startswith("sqlite"):
        return own
    server = psutil.Process(the_server().get_pid())
    family = [server, *server.children(recursive=True)]
    return own + sum(t.user + t.system for t in (one.cpu_times() for one in family))


async def milliseconds(journal: Journal, url: str, amount: int) -> float:
    """Processor time of one order."""
    before = spent(url)
    await carry(journal, amount)
    return 1000 * (spent(url) - before) / amount


async def a_template(journal: Journal) -> str:
    """One order carried to its end, with the answer its caller was given; its id."""
    start = an_order("template")
    await carry(journal, 1)
    worker = Worker(journal)
    await worker.start()
    ended = asyncio.get_running_loop().create_future()
    journal.changed = lambda process: process.done and ended.set_result(process.id)
    accepted = await journal.accept(start)
    await ended
    await worker.drain()
    answer = KeptAnswer(
        scope="crm orders.create", key=start.key, fingerprint="body", status=202,
        headers=b'{"location": "/sales/v1/orders/1"}', body=msgspec.json.encode(start.data),
        expires_at=2**53,
    )  # fmt: skip
    await journal.store_answer(answer)
    return accepted.process_id


def fill(url: str, template: str, first: int, last: int) -> None:
    """Store so many ended orders, on a connection that does not wait for the disk.

    To be run in a process of its own, whose memory is not the worker's.
    """
    engine = create_engine(url)
    with engine.connect() as connection:
        for setting in _HASTY[engine.dialect.name]:
            connection.exec_driver_sql(setting)
        connection.commit()
        for begin in range(first, last, CHUNK):
            copies(connection, template, begin, min(begin + CHUNK, last))
            connection.commit()
    engine.dispose()


async def elsewhere(job: Callable[..., None], *arguments: object) -> None:
    """Run a job in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        await asyncio.get_running_loop().run_in_executor(processes, job, *arguments)


_HASTY = {
    "sqlite": (
        "PRAGMA synchronous = OFF",
        "PRAGMA cache_size = -1000000",
        "PRAGMA wal_autocheckpoint = 100000",
        "PRAGMA busy_timeout = 60000",
    ),
    "postgresql": ("SET synchronous_commit = off",),
}


def settle(url: str) -> None:
    """Let the database do now what it would do by itself in some quiet minutes."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if url.startswith("sqlite"):
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")
    engine.dispose()


async def grow(
    small_url: str, url: str, sizes: list[int], amount: int, rounds: int
) -> AsyncIterator[dict]:
    """Fill to each size in turn, and measure at each beside the small store."""
    kind, stored = counting(), 0
    async with (
        a_journal(small_url, kind=kind) as small,
        a_journal(url, kind=kind) as large,
    ):
        template = await a_template(large)
        await elsewhere(fill, small_url, await a_template(small), 0, sizes[0])
        for size in sizes:
            began = time.perf_counter()
            await elsewhere(fill, url, template, stored, size)
            await asyncio.to_thread(settle, small_url)
            await asyncio.to_thread(settle, url)
            filled, stored = time.perf_counter() - began, size
            await carry(small, amount // 4)
            await carry(large, amount // 4)
            pairs = []
            for number in range(rounds):
                turn = [(small, small_url), (large, url)]
                told = {}
                for journal, its_url in turn if number % 2 else reversed(turn):
                    told[its_url] = await milliseconds(journal, its_url, amount)
                pairs.append((told[url], told[small_url]))
            yield {
                "stored": size,
                "cpuMilliseconds": statistics.median(mine for mine, _ in pairs),
                "smallStore": statistics.median(other for _, other in pairs),
                "ratio": statistics.median(mine / other for mine, other in pairs),
                "rssMegabytes": psutil.Process().memory_info().rss / 2**20,
                "filledInSeconds": filled,
            }


async def soak(url: str, amount: int) -> list[tuple[int, float]]:
    """Megabytes resident after each tenth of so many orders."""
    async with a_journal(url, kind=counting()) as journal:
        told = []
        for tenth in range(1, 11):
            await carry(journal, amount // 10)
            told.append((tenth * amount // 10, psutil.Process().memory_info().rss / 2**20))
    return told


def urls(folder: str, store: str, name: str) -> str:
    return f"sqlite:///{folder}/{name}.db" if store == "sqlite" else a_postgresql_database()


async def told_as_it_goes(rows: AsyncIterator[dict], *, quietly: bool) -> list[dict]:
    """Every row, printed when it is there: a large store takes its minutes."""
    found = []
    async for row in rows:
        found.append(row)
        if not quietly:
            print(f"  {row['stored']:>9,} stored {row['cpuMilliseconds']:7.3f} ms "
                  f"({row['smallStore']:.3f} there, ratio {row['ratio']:.2f}), "
                  f"{row['rssMegabytes']:.0f} MB resident, "
                  f"filled in {row['filledInSeconds']:.0f} s", flush=True)  # fmt: skip
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--stores", nargs="+", default=("sqlite", "postgresql"))
    parser.add_argument("--amount", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    told: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for store in asked.stores:
            pair = (urls(folder, store, "small"), urls(folder, store, "large"))
            if not asked.json:
                print(f"{store}: processor time of an order, beside a store of {asked.sizes[0]:,}")
            rows = grow(*pair, list(asked.sizes), asked.amount, asked.rounds)
            told[store] = {"growth": asyncio.run(told_as_it_goes(rows, quietly=asked.json))}
            if asked.soak:
                told[store]["soak"] = asyncio.run(soak(urls(folder, store, "soak"), asked.soak))
                if not asked.json:
                    for done, megabytes in told[store]["soak"]:
                        print(f"  {done:>9,} carried: {megabytes:.1f} MB resident", flush=True)
    if asked.json:
        print(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main()
