"""Campaign A5: what was done is undone once, in reverse, and never what was not.

    python -m tests.crash A5 --size full --keep

Each order meets one fate: a permanent refusal at one of its steps, a cancellation after, before or
while it is confirmed, a cancellation whose undoing fails for a while or for good, a credit hold set
in the ERP after it was released; and the system is killed now and then, in mid-compensation too.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from pyreqwest.exceptions import PyreqwestError

from tests.crash.kill import SOUND
from tests.crash.load import Caller, Operator
from tests.crash.oracle import Books
from tests.crash.processes import Stage, staged
from tests.crash.result import Result, Size, Stopwatch, whole

AT_ONCE = 16
SETTLE = 150.0
"""Seconds for the last cancellations: one in doubt waits 35 s before it is undone."""
PATIENCE = 60.0

FATES = (
    "cancelled when released",
    "cancelled at once",
    "cancelled while it is confirmed",
    "refused by the ERP",
    "refused by the warehouse",
    "undoing fails in the warehouse",
    "undoing fails in the ERP",
    "refuses to be undone",
    "held after capture, let go",
    "held after capture, cancelled",
    "left alone",
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage saw."""

    fates: dict[str, int]
    kills: int
    held: int
    compensated: int
    violations: dict[str, list[str]]
    seconds_to_settle: float


class Desk:
    """Places orders, and does to each what its fate says."""

    def __init__(self, stage: Stage, caller: Caller, books: Books, chance: random.Random) -> None:
        self._stage = stage
        self._caller = caller
        self._books = books
        self._chance = chance
        self.fates: dict[str, str] = {}
        self.orders: dict[str, str] = {}
        self.held = 0

    async def keep_on(self, number: int, orders: int) -> None:
        """Give so many orders their fate, one after the other."""
        for count in range(orders):
            fate = self._chance.choice(FATES)
            await self._live(f"A5-{number}-{count}", fate)

    async def _live(self, key: str, fate: str) -> None:
        self.fates[key] = fate
        refused = {"refused by the ERP": ("business_central", "salesOrders.create"),
                   "refused by the warehouse": ("wms", "order_create")}.get(fate)  # fmt: skip
        if refused:
            await self._fault(refused, status=400)
        told = await self._caller.place(key, give_up_after=PATIENCE)
        if told.status not in (200, 201, 202):
            return
        self.orders[key] = msgspec.json.decode(told.body)["id"]
        match fate:
            case "left alone":
                return
            case "cancelled at once":
                pass
            case "cancelled while it is confirmed":
                await asyncio.sleep(0.15 * self._chance.random())
            case "refused by the ERP" | "refused by the warehouse":
                await asyncio.sleep(0.5)
            case _:
                await self._released(key)
        if fate.startswith("held after capture"):
            await self._hold(key)
        undoing = {"undoing fails in the warehouse": ("wms", "order_cancel", 503),
                   "undoing fails in the ERP": ("business_central", "salesOrders.delete", 503),
                   "refuses to be undone": ("wms", "order_cancel", 400)}.get(fate)  # fmt: skip
        if undoing:
            await self._fault(undoing[:2], status=undoing[2], count=self._chance.randint(1, 3))
        if fate != "held after capture, let go":
            await self._cancel(key)

    async def _released(self, key: str) -> None:
        for _ in range(200):
            if self._books.wms[key]:
                return
            await asyncio.sleep(0.05)

    async def _hold(self, key: str) -> None:
        """Finance puts the order in review, and lets go after a while."""
        number = self._books.numbers.get(key)
        if number is None:
            return
        self.held += 1
        await self._status(number, "In_x0020_Review")
        await asyncio.sleep(0.5 + self._chance.random())
        if self.fates[key] == "held after capture, let go":
            await self._status(number, "Open")

    async def _status(self, number: str, status: str) -> None:
        url = f"{self._stage.sandbox}/business_central/_sandbox/orders/{number}"
        await self._stage.client.post(url).body_json({"status": status}).build().send()

    async def _cancel(self, key: str) -> None:
        """Ask until it is answered: a caller whose connection broke asks again."""
        for attempt in range(200):
            with suppress(PyreqwestError, KeyError):
                answer = await self._caller.cancels(self.orders[key], f"cancel-{key}")
                if answer is not None:
                    return
            await asyncio.sleep(0.1 + 0.001 * attempt)

    async def _fault(self, where: Sequence[str], *, status: int, count: int = 1) -> None:
        await self._stage.fault(
            system=where[0], operation=where[1], kind="error_before", status=status, count=count
        )


async def undo_everything(
    folder: Path,
    *,
    orders: int,
    kills: int,
    seed: int,
    launcher: Sequence[str] = SOUND,
    settle: float = SETTLE,
) -> Run:
    """Give orders their fates while the system is killed, let it finish, and judge."""
    async with staged(folder, launcher=launcher) as stage:
        caller = Caller(stage, folder / "caller.jsonl", random.Random(f"load{seed}"))
        await caller.look_around()
        books = Books(stage)
        desk = Desk(stage, caller, books, random.Random(f"fates{seed}"))
        reading = asyncio.create_task(_keep_reading(books))
        killing = asyncio.create_task(_keep_killing(stage, kills, random.Random(f"faults{seed}")))
        each = orders // AT_ONCE
        await asyncio.gather(*(desk.keep_on(number, each) for number in range(AT_ONCE)))
        await killing
        await stage.clear_faults()
        seconds, states = await _settled(stage, desk, settle)
        reading.cancel()
        await books.read()
        caller.close()
        return Run(
            fates=dict(Counter(desk.fates.values())),
            kills=kills,
            held=desk.held,
            compensated=sum(books.erp_cancelled.values()) + sum(books.wms_cancelled.values()),
            violations=_violations(desk, books, states),
            seconds_to_settle=seconds,
        )


async def _keep_reading(books: Books) -> None:
    while True:
        await books.read()
        await asyncio.sleep(0.1)


async def _keep_killing(stage: Stage, kills: int, chance: random.Random) -> None:
    for _ in range(kills):
        await asyncio.sleep(2.0 + 2.0 * chance.random())
        stage.system.kill()
        stage.system.start()
        await stage.system.ready(stage.client)


async def _settled(stage: Stage, desk: Desk, settle: float) -> tuple[float, dict[str, str]]:
    """Retry what stopped until nothing moves; answer how each order stands in the end."""
    operator, watch = Operator(stage), Stopwatch()
    while True:
        for exception in await operator.exceptions():
            await operator.remedies(exception, "retry")
        states = {key: await operator.state(order) for key, order in desk.orders.items()}
        if all(state in {"cancelled", "confirmed"} for state in states.values()):
            return watch.seconds, states
        if watch.seconds > settle:
            return watch.seconds, states
        await asyncio.sleep(2.0)


def _violations(desk: Desk, books: Books, states: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {
        "I2 at most one order a reference": [],
        "I3 nothing stuck": [],
        "I6 undone exactly once, in reverse, never what was not done": [],
        "I7 the CRM never goes backwards": sorted(books.backwards),
    }
    order = _sequence(books)
    for key, state in states.items():
        made = books.erp[key], books.wms[key]
        undone = books.erp_cancelled[key], books.wms_cancelled[key]
        where = f"{key} ({desk.fates[key]}, {state}): done {made}, undone {undone}"
        if max(made) > 1:
            found["I2 at most one order a reference"].append(where)
        if state not in {"cancelled", "confirmed"}:
            found["I3 nothing stuck"].append(where)
        elif (state == "cancelled" and made != undone) or (state == "confirmed" and any(undone)):
            found["I6 undone exactly once, in reverse, never what was not done"].append(where)
        elif all(undone) and order[key].get("order_cancel", 0) > order[key]["salesOrders.delete"]:
            found["I6 undone exactly once, in reverse, never what was not done"].append(
                f"{where}, the ERP first"
            )
    return found


def _sequence(books: Books) -> dict[str, dict[str, Any]]:
    """When the latest of each act happened to each reference."""
    when: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in books.rows:
        when[row["externalReference"]][row["operation"]] = row["sequence"]
    return when


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The whole campaign, with its planted defect."""
    watch = Stopwatch()
    (folder / "sound").mkdir()
    sound = await undo_everything(
        folder / "sound", orders=6_000 if size == "full" else 128,
        kills=60 if size == "full" else 2, seed=seed,
    )  # fmt: skip
    (folder / "planted").mkdir()
    planted = await undo_everything(
        folder / "planted", orders=64, kills=0, seed=seed, settle=20.0,
        launcher=("-m", "tests.crash.launch", "forgets-the-warehouse"),
    )  # fmt: skip
    result = Result(
        campaign="A5",
        what="orders refused, cancelled, held and taken back, with kills",
        size=size,
        seed=seed,
        trials=sum(sound.fates.values()),
        accepted=sum(sound.fates.values()),
        faults={**sound.fates, "kills": sound.kills},
        evidence={"effects undone": sound.compensated, "orders held": sound.held},
        violations=sound.violations,
        measures={"settled after s": sound.seconds_to_settle},
    )
    defects = {"says undone what it did not undo": any(planted.violations.values())}
    return [whole(result, defects=defects, seconds=watch.seconds)]
