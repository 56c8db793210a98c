"""One, two and four workers on one PostgreSQL: how throughput grows, and whether work is doubled.

    python -m tests.benchmarks.journal_workers --workers 1 2 4 --latencies 0 20

So many orders of eight steps are queued first, and then so many worker processes carry them to
their end. Where a vendor takes some milliseconds to answer, workers mostly wait, and two do twice
as much, until the cores are full; at zero latency one worker and the database nearly fill two.
Judged from outside: every run of a step is a pair of lines in a file that all workers append to. A
step that ran twice, or ran while another worker ran a step of the same order, is counted; either
ends the program with 1.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import psutil
from sqlalchemy import create_engine, text

from tests.benchmarks.counting import STEPS, a_journal, an_order, counting
from tests.postgres_server import a_postgresql_database, the_server

PATIENCE = 240
_OPEN = text("SELECT count(*) FROM process WHERE NOT done")


async def queue(url: str, amount: int) -> None:
    """Accept so many orders where no worker is."""
    async with a_journal(url, kind=counting()) as journal:
        numbers = iter(range(amount))

        async def caller() -> None:
            for number in numbers:
                await journal.accept(an_order(f"order-{number}"))

        await asyncio.gather(*(caller() for _ in range(64)))


def judge(ledger: Path) -> dict[str, int]:
    """What the file tells: runs of steps, how many steps ran again, and how many beside another."""
    runs: Counter[tuple[str, str]] = Counter()
    running: dict[str, str] = {}
    beside = 0
    for line in ledger.read_text().splitlines():
        what, process_id, state, worker, _ = line.split()
        if what == "begun":
            runs[process_id, state] += 1
            beside += process_id in running
            running[process_id] = worker
        else:
            running.pop(process_id, None)
    return {
        "steps": sum(runs.values()),
        "twice": sum(times > 1 for times in runs.values()),
        "besideEachOther": beside,
    }


def wait_until_all_ended(url: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    ends = time.monotonic() + PATIENCE
    with engine.connect() as connection:
        while connection.execute(_OPEN).scalar_one():
            if time.monotonic() > ends:
                raise SystemExit("the orders were not carried to their end in time")
            time.sleep(0.05)
    engine.dispose()


def database_seconds() -> float:
    server = psutil.Process(the_server().get_pid())
    family = [server, *server.children(recursive=True)]
    return sum(t.user + t.system for t in (one.cpu_times() for one in family))


def measure(workers: int, latency: int, amount: int, concurrency: int) -> dict:
    """Carry `amount` queued orders with so many workers."""
    url = a_postgresql_database()
    asyncio.run(queue(url, amount))
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        module = "tests.benchmarks.peers.journal_worker"
        started = [
            subprocess.Popen(
                [sys.executable, "-m", module, url, f"worker-{n}", str(ledger), str(latency),
                 str(concurrency)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for n in range(workers)
        ]  # fmt: skip
        try:
            for one in started:
                one.stdout.readline()
            before, began = database_seconds(), time.perf_counter()
            for one in started:
                one.stdin.write("go\n")
                one.stdin.flush()
            wait_until_all_ended(url)
            took, database = time.perf_counter() - began, database_seconds() - before
            used = [float(one.communicate(timeout=30)[0]) for one in started]
        finally:
            for one in started:
                one.kill()
                one.wait()
        found = judge(ledger)
    return {
        "workers": workers,
        "latencyMilliseconds": latency,
        "ordersPerSecond": amount / took,
        "coresBusy": (sum(used) + database) / took,
        "cpuMilliseconds": 1000 * (sum(used) + database) / amount,
        **found,
        "missing": amount * STEPS - found["steps"],
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2, 4))
    parser.add_argument("--latencies", type=int, nargs="+", default=(0, 20), help="milliseconds")
    parser.add_argument("--concurrency", type=int, default=16, help="steps at once in a worker")
    parser.add_argument("--amount", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    told = []
    for latency in asked.latencies:
        for workers in asked.workers:
            row = measure(workers, latency, asked.amount, asked.concurrency)
            told.append(row)
            if not asked.json:
                print(f"  vendors at {latency} ms, {workers} workers: "
                      f"{row['ordersPerSecond']:7.1f} orders/s, {row['coresBusy']:.2f} cores busy, "
                      f"{row['cpuMilliseconds']:.2f} ms CPU each; of {row['steps']:,} steps "
                      f"{row['twice']} ran twice, {row['besideEachOther']} beside another, "
                      f"{row['missing']} are missing", flush=True)  # fmt: skip
    if asked.json:
        loaded = {"loadAverage": os.getloadavg()[0], "runs": told}
        print(msgspec.json.encode(loaded).decode())
    if any(row["twice"] or row["besideEachOther"] or row["missing"] for row in told):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
