"""One worker on a shared PostgreSQL.

    python -m tests.benchmarks.peers.journal_worker DATABASE NAME LEDGER LATENCY CONCURRENCY

Says `ready`, works until its input ends, and then tells its processor seconds. Every run of a step
leaves two lines in LEDGER, one when it begins and one when it has had its effect, each written
whole at the end of the file by one call: what several workers did can be judged from there.
"""

import asyncio
import logging
import os
import sys
import time

from runtime.journal.process import Lane
from runtime.journal.worker import Worker
from tests.benchmarks.counting import a_journal, count, counting


def recorded(name: str, ledger: int, seconds: float):
    """The step that does nothing, at a vendor that takes so long."""

    async def step(process, context):
        line = f"{process.id} {process.state} {name}"
        os.write(ledger, f"begun {line} {int(context.in_doubt)}\n".encode())
        if seconds:
            await asyncio.sleep(seconds)
        os.write(ledger, f"done {line} {int(context.in_doubt)}\n".encode())
        return await count(process, context)

    return step


async def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    url, name, path, latency, concurrency = sys.argv[1:]
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    kind = counting(recorded(name, ledger, float(latency) / 1000))
    async with a_journal(url, kind=kind, node=name) as journal:
        loop = asyncio.get_running_loop()
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        before = time.process_time()
        worker = Worker(journal, concurrency=dict.fromkeys(Lane, int(concurrency)))
        await worker.start()
        await loop.run_in_executor(None, sys.stdin.read)
        await worker.drain()
        print(time.process_time() - before, flush=True)
    os.close(ledger)


if __name__ == "__main__":
    asyncio.run(main())
