"""The eight steps on this project's journal: `python -m ... journal_program DATABASE CALLERS`.

Speaks as its peers do: for each line of its input, `{"amount": N}`, it accepts N orders, so many
callers at a time, carries them to their end, and answers `{"seconds": ..., "cpu": ...}`.
"""

import asyncio
import itertools
import logging
import sys
import time

import msgspec

from runtime.journal.process import Lane
from runtime.journal.worker import Worker
from tests.benchmarks.counting import STEPS, a_journal, an_order, counting

_runs = itertools.count()


async def run(journal, amount: int, callers: int) -> None:
    """So many orders, each accepted under a key of its own and awaited to its end."""
    begun, numbers = next(_runs), iter(range(amount))
    ends: dict[str, asyncio.Future] = {}
    loop = asyncio.get_running_loop()

    def watch(process) -> None:
        if process.done:
            ends.setdefault(process.id, loop.create_future()).set_result(process.state)

    async def caller() -> None:
        for number in numbers:
            accepted = await journal.accept(an_order(f"run{begun}-{number}"))
            ended = ends.setdefault(accepted.process_id, loop.create_future())
            if await ended != f"s{STEPS}":
                raise SystemExit("a process did not do its steps")
            del ends[accepted.process_id]

    journal.changed = watch
    await asyncio.gather(*(caller() for _ in range(callers)))


async def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    url, callers = sys.argv[1], int(sys.argv[2])
    async with a_journal(url, kind=counting()) as journal:
        worker = Worker(journal, concurrency=dict.fromkeys(Lane, callers))
        await worker.start()
        print(msgspec.json.encode({"ready": True}).decode(), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = msgspec.json.decode(line)
            began, used = time.perf_counter(), time.process_time()
            await run(journal, asked["amount"], callers)
            took, used = time.perf_counter() - began, time.process_time() - used
            print(msgspec.json.encode({"seconds": took, "cpu": used}).decode(), flush=True)
        await worker.drain()


if __name__ == "__main__":
    asyncio.run(main())
