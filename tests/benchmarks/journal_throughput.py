"""How fast the journal is on this machine: `python -m tests.benchmarks.journal_throughput`.

Prints accepts beside what the bare store commits of the same rows in groups of the same size,
whole processes of eight steps that do nothing, and processor time for each; on SQLite, then on
PostgreSQL; with `--stored N` also after N orders have been stored before, with `--sealing` also
with and without seals, turn by turn.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from statistics import median

from runtime.journal.accepting import NewProcess
from runtime.journal.journal import Journal
from runtime.journal.tables import Tables
from runtime.journal.worker import Worker
from runtime.store.schema import entry
from runtime.store.statements import inserting
from tests.benchmarks.counting import STEPS, a_journal, an_order, counting
from tests.postgres_server import a_postgresql_database

CALLERS = 64


class Bare:
    """The store alone: the same rows, without asking who was first or answering who came."""

    def __init__(self, dialect) -> None:
        self._tables = Tables(dialect, "bare")
        self._add_entries = inserting(entry, dialect)

    def __call__(self, connection, batch: list[NewProcess]):
        self._tables.add_processes.run(connection, [new.row for new in batch])
        self._add_entries.run(connection, [row for new in batch for row in new.entries])
        self._tables.add_terms.run(connection, [row for new in batch for row in new.terms])
        return [None] * len(batch)


async def drive(amount: int, one: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """Rate a second, and processor microseconds for each."""
    numbers = iter(range(amount))

    async def caller() -> None:
        for number in numbers:
            await one(number)

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    took, used = time.perf_counter() - began, time.process_time() - used
    return amount / took, used / amount * 1e6


async def measure(url: str, amount: int, stored: int, *, sealing: bool) -> None:
    async with a_journal(url, kind=counting()) as journal:
        print(url.partition(":")[0])
        bare = Bare(journal.store.dialect)
        for name in ("warm", "run"):
            rows = [
                journal.intake.begin(an_order(f"{name}-bare-{n}"), None)[0] for n in range(amount)
            ]
            alone, _ = await drive(amount, lambda n, rows=rows: journal.store.submit(bare, rows[n]))
            rate, cpu = await drive(
                amount, lambda n, name=name: journal.accept(an_order(f"{name}-{n}"))
            )
        print(f"  accepts {rate:,.0f}/s, {cpu:.0f} us each; {rate / alone:.2f} of the store alone")
        await journal.store.write(lambda c: c.exec_driver_sql("DELETE FROM process") and None)
        await whole(journal, amount, "whole")
        if sealing:
            await compare_sealing(journal, amount)
        if stored:
            await fill(journal, bare, stored)
            await whole(journal, amount, f"whole after {stored:,} stored")


async def compare_sealing(journal: Journal, amount: int) -> None:
    """Whole processes with and without seals, turn by turn, and what the seals cost."""
    tables = journal.moving._tables
    sealed, plain = tables.add_entries, inserting(entry, journal.store.dialect)
    rates: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for turn in range(12):
        is_sealed = turn % 2 == 0
        tables.add_entries = sealed if is_sealed else plain
        rates[is_sealed].append(await whole(journal, amount, f"turn {turn}", says=False))
    tables.add_entries = sealed
    with_them, without = (
        [median(measured[n] for measured in rates[key]) for n in (0, 1)] for key in (True, False)
    )
    print(
        f"  sealed {with_them[0]:,.0f}/s, {with_them[1]:,.0f} us each;"
        f" unsealed {without[0]:,.0f}/s, {without[1]:,.0f} us each;"
        f" {with_them[0] / without[0]:.3f} of the rate, {with_them[1] / without[1]:.3f} of the time"
    )


async def fill(journal: Journal, bare: Bare, stored: int) -> None:
    """Store orders that have ended."""
    for begin in range(0, stored, 5000):
        rows = [
            journal.intake.begin(an_order(f"old-{n}"), None)[0]
            for n in range(begin, min(begin + 5000, stored))
        ]
        for new in rows:
            new.row |= {"done": True, "due_at": None, "state": f"s{STEPS}"}
        await asyncio.gather(*(journal.store.submit(bare, new) for new in rows))


async def whole(
    journal: Journal, amount: int, name: str, *, says: bool = True
) -> tuple[float, float]:
    """Processes of eight steps, accepted and carried to their end."""
    worker = Worker(journal)
    await worker.start()
    ended = 0
    all_ended = asyncio.Event()

    def watch(process) -> None:
        nonlocal ended
        ended += process.done
        if ended == amount:
            all_ended.set()

    journal.changed = watch
    began, used = time.perf_counter(), time.process_time()
    await drive(amount, lambda n: journal.accept(an_order(f"{name}-{n}")))
    await all_ended.wait()
    took, used = time.perf_counter() - began, time.process_time() - used
    await worker.drain()
    if says:
        print(f"  {name}: {amount / took:,.0f} processes/s, {used / amount * 1e6:,.0f} us each")
    return amount / took, used / amount * 1e6


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--amount", type=int, default=2000)
    parser.add_argument("--stored", type=int, default=0)
    parser.add_argument("--sealing", action="store_true", help="also measure what seals cost")
    arguments = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as directory:
        for url in (f"sqlite:///{directory}/journal.db", a_postgresql_database()):
            asyncio.run(measure(url, arguments.amount, arguments.stored, sealing=arguments.sealing))


if __name__ == "__main__":
    main()
