"""Campaign A3: every hop of the wire breaks, in every way, all the time.

    python -m tests.crash A3 --size full --keep

Between the system and its vendors: resets, errors before and after the work, half answers, slow
ones, black holes, broken JSON, throttling with and without a time, flapping, lost and doubled
notifications. Between caller and gateway: calls cut off half sent and sent whole, sent slowly, and
sent several times at once. Every order is in the ERP and the warehouse once all the same, and a
create is never repeated before somebody has looked.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tests.crash.kill import SOUND
from tests.crash.load import Caller, Operator
from tests.crash.oracle import Books, Verdict, judge
from tests.crash.processes import Stage, staged
from tests.crash.result import Result, Size, Stopwatch, whole

SHARE = 0.03
"""Of the calls of an operation, for each kind of fault; most orders meet at least one."""
RARE = 0.002
"""The share of those that hold a call for as long as it is waited for."""
HELD = 40.0
"""Seconds; longer than any call is waited for."""
SETTLE = 240.0
"""Seconds after the faults end: what is in doubt waits for its time-out, a breaker to close."""
TOO_MANY = 429
AT_ONCE = 24
MOST_AHEAD = 400

_CALLS = {
    "business_central": ("salesOrders.create", "salesOrders.list"),
    "wms": ("order_create", "orders"),
    "salesforce": ("collections.ERP_Order__c.upsert",),
}
_KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "reset"},
    {"kind": "error_before", "status": 503},
    {"kind": "error_before", "status": 500},
    {"kind": "error_after", "status": 500},
    {"kind": "drop_after"},
    {"kind": "half_answer"},
    {"kind": "truncated_json"},
    {"kind": "throttle", "status": 429, "retryAfter": 1},
    {"kind": "throttle", "status": 429},
    {"kind": "latency", "latency": 0.3},
)
_RARE: tuple[dict[str, Any], ...] = (
    {"kind": "slow_answer", "latency": HELD},
    {"kind": "swallowed", "latency": HELD},
    {"kind": "silent", "latency": HELD},
)
_PUSHES: tuple[dict[str, Any], ...] = (
    {"kind": "lost_push", "share": 0.2},
    {"kind": "duplicate_push", "share": 0.5},
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage saw."""

    faults: dict[str, int]
    rude: dict[str, int]
    orders: int
    unseen_creates: list[str]
    looked_up: int
    """Creates that were repeated, each after a look-up."""
    verdict: Verdict


async def break_everything(
    folder: Path, *, faults: int, seed: int, launcher: Sequence[str] = SOUND, settle: float = SETTLE
) -> Run:
    """Order until so many faults were acted out, then let everything heal, and judge."""
    async with staged(folder, launcher=launcher) as stage:
        caller = RudeCaller(stage, folder / "caller.jsonl", random.Random(f"load{seed}"))
        await caller.look_around()
        books, watch = Books(stage), Lookups(stage)
        await _arm(stage)
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(caller.keep_on(n, stopping, books)) for n in range(AT_ONCE)]
        while sum((met := await _met(stage)).values()) + sum(caller.rude.values()) < faults:
            await asyncio.sleep(0.5)
            await books.read()
            await watch.read()
        stopping.set()
        await asyncio.gather(*tasks)
        met = await _met(stage)
        await stage.clear_faults()
        await _retry_exceptions(stage, books)
        verdict = await judge(stage, caller.told, settle=settle, books=books)
        await watch.read()
        watch.judge()
        caller.close()
        return Run(
            faults=dict(met), rude=dict(caller.rude), orders=len(caller.told),
            unseen_creates=sorted(watch.unseen), looked_up=watch.looked_up, verdict=verdict,
        )  # fmt: skip


async def _arm(stage: Stage) -> None:
    for system, operations in _CALLS.items():
        for operation in operations:
            for kind in _KINDS:
                await stage.fault(system=system, operation=operation, share=SHARE, **kind)
            for kind in _RARE:
                await stage.fault(system=system, operation=operation, share=RARE, **kind)
    for push in _PUSHES:
        await stage.fault(system="wms", operation="push", **push)


async def _met(stage: Stage) -> Counter[str]:
    """The faults that were acted out so far, by what and where."""
    response = await stage.client.get(f"{stage.sandbox}/_sandbox/faults").build().send()
    acted = (await response.json())["acted"]
    return Counter({f"{one['system']} {one['kind']}": 0 for one in acted}) + Counter(
        [f"{one['system']} {one['kind']}" for one in acted for _ in range(one["count"])]
    )


async def _retry_exceptions(stage: Stage, books: Books) -> None:
    """A system that failed for too long leaves an exception; somebody retries it."""
    operator = Operator(stage)
    for _ in range(3):
        await asyncio.sleep(2.0)
        await books.read()
        for exception in await operator.exceptions():
            await operator.remedies(exception, "retry")


class Lookups:
    """Whether each second create of a reference came after somebody had looked.

    A create that was refused for its rate (429, or the vendor's own words for it) is certain not
    to have happened: nobody need look.
    """

    _CREATES = frozenset({"salesOrders.create", "order_create"})
    _LOOKS = frozenset({"salesOrders.list", "salesInvoices.list", "salesShipments.list", "orders"})

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._since = 0
        self._calls: dict[tuple[str, str], list[tuple[float, str, bool]]] = defaultdict(list)
        self.unseen: set[str] = set()
        self.looked_up = 0

    async def read(self) -> None:
        """Take in the vendors' request journal since the last time."""
        url = f"{self._stage.sandbox}/_sandbox/requests?since={self._since}"
        told = await (await self._stage.client.get(url).build().send()).json()
        for one in told["requests"]:
            self._since = max(self._since, one["number"])
            if one["reference"] and one["operation"] in self._CREATES | self._LOOKS:
                place = one["system"], one["reference"]
                refused = one["status"] == TOO_MANY or one["fault"] == "throttle"
                self._calls[place].append((one["at"], one["operation"], refused))

    def judge(self) -> None:
        """Go through the calls of each reference as they began; a slow one is noted at its end."""
        for (system, reference), calls in self._calls.items():
            certain = True
            for number, (_, operation, refused) in enumerate(sorted(calls)):
                if operation in self._LOOKS:
                    certain = True
                    continue
                if not certain:
                    self.unseen.add(f"{system} {reference}")
                self.looked_up += number > 0 and certain
                certain = refused


class RudeCaller(Caller):
    """Calls as a bad network would let it, and then once properly, under the same key."""

    def __init__(self, stage: Stage, journal: Path, chance: random.Random) -> None:
        super().__init__(stage, journal, chance)
        self.rude: Counter[str] = Counter()
        self._chances = chance
        self._port = stage.port

    async def keep_on(self, number: int, stopping: asyncio.Event, books: Books) -> None:
        """Order until told to stop; a backlog is not what is tested."""
        count = 0
        while not stopping.is_set():
            if len(self.told) - len(books.erp) > MOST_AHEAD:
                await asyncio.sleep(0.05)
                continue
            count += 1
            key, payload = f"A3-{number}-{count}", msgspec.json.encode(self.an_order())
            if self._chances.random() < 0.3:
                with suppress(OSError):
                    await self._rudely(key, payload)
            await self.place(key, payload=payload, give_up_after=60.0)

    async def _rudely(self, key: str, payload: bytes) -> None:
        manner = self._chances.choice(("half sent", "cut off", "slowly", "several at once"))
        head = await self.head_of(key, payload)
        self.rude[f"caller {manner}"] += 1
        match manner:
            case "half sent":
                await self._send([head, payload[: len(payload) // 2]])
            case "cut off":
                await self._send([head, payload], stay=self._chances.random() * 0.02)
            case "slowly":
                pieces = [payload[at : at + 20] for at in range(0, len(payload), 20)]
                await self._send([head, *pieces], pause=0.01)
            case _:
                copies = self._chances.randint(2, 5)
                await asyncio.gather(
                    *(self._send([head, payload], stay=0.05) for _ in range(copies))
                )

    async def _send(self, pieces: list[bytes], *, pause: float = 0.0, stay: float = 0.0) -> None:
        """Write to a connection of its own and hang up without reading the answer."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if pause:
                    await asyncio.sleep(pause)
            await asyncio.sleep(stay)
        finally:
            writer.transport.abort()


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The whole campaign, with its planted defect."""
    watch = Stopwatch()
    faults = 48_000 if size == "full" else 480
    (folder / "sound").mkdir()
    sound = await break_everything(folder / "sound", faults=faults, seed=seed)
    (folder / "careless").mkdir()
    careless = await break_everything(
        folder / "careless", faults=300, seed=seed,
        launcher=("-m", "tests.crash.launch", "careless-connector"), settle=6.0,
    )  # fmt: skip
    result = Result(
        campaign="A3",
        what="every hop of the wire breaks in every way",
        size=size,
        seed=seed,
        trials=sum(sound.faults.values()) + sum(sound.rude.values()),
        accepted=sound.verdict.acknowledged,
        faults={**sound.faults, **sound.rude},
        evidence={
            "faults of vendors": sum(sound.faults.values()),
            "faults of callers": sum(sound.rude.values()),
            "creates repeated after a look-up": sound.looked_up,
        },
        violations={
            **sound.verdict.violations,
            "a look-up before every second create": sound.unseen_creates,
        },
        measures={"settled after s": sound.verdict.seconds_to_settle},
    )
    caught = bool(careless.verdict.doubled or careless.unseen_creates)
    return [
        whole(
            result,
            defects={"creates again without looking": caught},
            seconds=watch.seconds,
        )
    ]
