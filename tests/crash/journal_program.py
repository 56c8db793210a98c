"""The journal alone, as a program to be killed.

`python -m tests.crash.journal_program` waits for runs on its standard input, one JSON line each,
and forks a process for each: importing once keeps a thousand kills affordable, and what is killed
is a real process. It answers with the process's id, and with its wait status when it has ended.

A run accepts orders, advances them, tells a subscriber, remedies incidents, and ends with 0 when
everything it acknowledged has ended. Whatever it does to the world outside it writes into files
that the oracle reads: `acknowledged`, `vendor` and `told`, each line on disk before the next act.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from random import Random

from runtime.clock import SystemClock
from runtime.journal.crash_points import CrashPoints, KillAt
from runtime.journal.faults import ActionNotAllowed, CannotContinue
from runtime.journal.incidents import Action
from runtime.journal.journal import Journal
from runtime.journal.process import Lane
from runtime.journal.propagation import Delivered, Subscriber
from runtime.journal.reading import Query
from runtime.journal.worker import Worker
from runtime.store.engine import Store
from tests.crash.releases import RELEASES
from tests.journal_orders import Order, an_order, the_order_process

PATIENCE = 25
"""Seconds after which a run that has not ended is stuck."""

REFUSED = 3
"""How a release ends that does not understand what it finds."""

HELD, CANCELLED, ORDINARY = "held", "cancelled", "ordinary"


def fate(key: str) -> str:
    """Of four orders one is over the credit limit, and one is cancelled while under way."""
    return {3: HELD, 1: CANCELLED}.get(int(key.removeprefix("INV-")) % 4, ORDINARY)


class Record:
    """Lines on disk: each survives the death of the program that wrote it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, *words: object) -> None:
        self._file.write((" ".join(map(str, words)) + "\n").encode())
        os.fsync(self._file.fileno())


def lines(path: Path) -> list[list[str]]:
    """What a record holds; a torn last line is no line."""
    if not path.exists():
        return []
    text = path.read_text()
    return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]


class LedgerVendor:
    """A vendor whose memory is its ledger file: it outlives the program under test."""

    def __init__(self, path: Path, random: Random) -> None:
        acts = lines(path)
        self._known = {(w[1], w[2]) for w in acts if w[0] == "create"}
        self._known -= {(w[1], w[2]) for w in acts if w[0] == "cancel"}
        self._ledger = Record(path)
        self._random = random

    async def create(self, what, reference):
        await asyncio.sleep(self._random.random() * 0.004)
        self._known.add((what, reference))
        self._ledger.write("create", what, reference)
        await asyncio.sleep(self._random.random() * 0.004)
        return f"{what}-{reference}"

    async def find(self, what, reference):
        self._ledger.write("find", what, reference)
        return f"{what}-{reference}" if (what, reference) in self._known else None

    async def cancel(self, what, reference):
        await asyncio.sleep(self._random.random() * 0.002)
        self._known.discard((what, reference))
        self._ledger.write("cancel", what, reference)
        await asyncio.sleep(self._random.random() * 0.002)


async def run(plan: dict) -> None:
    """One life of the program."""
    directory = Path(plan["directory"])
    random = Random(plan["seed"])
    vendor = LedgerVendor(directory / "vendor", random)
    told = Record(directory / "told")
    point = plan.get("crash_at")

    async def tell(deliveries):
        for delivery in deliveries:
            told.write(delivery.entity, delivery.version, delivery.topic)
        return [Delivered()] * len(deliveries)

    store = Store(plan["url"])
    store.open()
    journal = Journal(
        store=store,
        types=[
            RELEASES[plan.get("release", "current")](
                the_order_process(vendor, heeds_doubt=plan.get("defect") != "never looks")
            )
        ],
        subscribers=[Subscriber(name="crm", topics=("order.*",), deliver=tell)],
        clock=SystemClock(),
        random=random,
        node=f"node-{os.getpid()}",
        crash_points=KillAt(point[0], point[1]) if point else CrashPoints(),
    )
    await journal.open()
    worker = Worker(journal, lease=timedelta(seconds=1))
    await worker.start()
    async with asyncio.timeout(plan.get("patience", PATIENCE)), asyncio.TaskGroup() as group:
        desk = group.create_task(_resolve_incidents(journal))
        orders = [group.create_task(_order(journal, plan, n)) for n in range(plan["orders"])]
        await asyncio.wait(orders)
        while (await journal.list(Query(open_only=True), limit=1)).snapshots:  # noqa: ASYNC110  # a database sets no event
            await asyncio.sleep(0.02)
        while await journal.waiting_deliveries("crm"):  # noqa: ASYNC110  # same
            await asyncio.sleep(0.02)
        desk.cancel()
    if await journal.verify_audit():
        raise AssertionError("the audit chain is broken")
    await worker.drain()
    store.close()


async def _order(journal: Journal, plan: dict, number: int) -> None:
    """A caller that asks until it has an answer, then reports the shipment."""
    directory = Path(plan["directory"])
    acknowledged = Record(directory / "acknowledged")
    key = f"INV-{number}"
    answered = {w[0] for w in lines(directory / "acknowledged")}
    hasty = plan.get("defect") == "acknowledges early"
    if hasty and key not in answered:
        acknowledged.write(key)
    await asyncio.sleep(0.003 * number)
    if key not in answered:
        quantity = 500 if fate(key) == HELD else 1
        lane = Lane(number // 4 % 4)
        accepted = await journal.accept(an_order(key, data=Order(quantity=quantity), lane=lane))
        if not hasty:
            acknowledged.write(key, accepted.process_id)
        process_id = accepted.process_id
    elif hasty:
        return
    else:
        (process_id,) = (w[1] for w in lines(directory / "acknowledged") if w[0] == key)
    if fate(key) == CANCELLED:
        await journal.signal(process_id, "cancel", {}, "cancellation")
    elif fate(key) == ORDINARY:
        await journal.signal(process_id, "shipped", {}, "shipment")


async def _resolve_incidents(journal: Journal) -> None:
    """An operator who cancels every order that is held."""
    asked = set()
    while True:
        for incident in await journal.incidents():
            if incident.id not in asked:
                asked.add(incident.id)
                with contextlib.suppress(ActionNotAllowed):  # an earlier life's act closed it
                    await journal.remedy(incident.id, Action.CANCEL, "operator")
        await asyncio.sleep(0.01)


def main() -> None:
    """Fork a process for each line read, and tell how it ended."""
    for line in sys.stdin:
        plan = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.alarm(PATIENCE + 10)
            try:
                asyncio.run(run(plan))
            except CannotContinue:
                os._exit(REFUSED)
            except BaseException:  # noqa: BLE001  # whatever it was, it must reach the log and the status
                with (Path(plan["directory"]) / "log").open("a") as log:
                    traceback.print_exc(file=log)
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)  # this is how the campaign hears of it
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # same


if __name__ == "__main__":
    main()
