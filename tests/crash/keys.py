"""Campaign A4: the idempotency key, misused in every way and raced.

    python -m tests.crash A4 --size full --keep

One key has one effect, and everybody who used it is given byte-equal answers.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from pyreqwest.exceptions import PyreqwestError

from tests.crash.kill import SOUND
from tests.crash.load import Caller
from tests.crash.oracle import created
from tests.crash.processes import Stage, staged
from tests.crash.result import Result, Size, Stopwatch, whole


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer as it came over the wire; status 0 when the connection broke."""

    status: int
    body: bytes
    location: str | None = None
    replayed: bool = False

    @property
    def slug(self) -> str:
        """Which problem it is; empty for none."""
        return msgspec.json.decode(self.body).get("type", "").rpartition("/")[2]


class Races(msgspec.Struct, frozen=True, kw_only=True):
    """What racing keys against themselves did and found."""

    seed: int
    races: int
    calls: int
    unequal: list[str]
    effects: dict[str, int]
    """References with other than one ERP order."""

    @property
    def clean(self) -> bool:
        """One effect and one answer a key."""
        return self.races > 0 and not self.unequal and not self.effects


class KeyCaller:
    """Posts orders with exactly the headers it is told to send."""

    def __init__(self, stage: Stage, chance: random.Random):
        self.stage = stage
        self._shopper = Caller(stage, stage.folder / "keys.jsonl", chance)
        self._tokens: dict[str, str] = {}

    async def look_around(self) -> None:
        """Learn what can be ordered."""
        await self._shopper.look_around()

    def an_order(self) -> bytes:
        """An order's bytes."""
        return msgspec.json.encode(self._shopper.an_order())

    async def post(
        self,
        payload: bytes,
        keys: Sequence[str],
        *,
        client: str = "crm",
        path: str = "/sales/v1/orders",
        prefer: str | None = None,
    ) -> Answer:
        """Post once with these Idempotency-Key headers, however many."""
        headers = [
            ("authorization", f"Bearer {await self._token(client)}"),
            ("content-type", "application/json"),
            *(("idempotency-key", key) for key in keys),
            *((("prefer", prefer),) if prefer else ()),
        ]
        request = self.stage.client.post(self.stage.gateway + path).headers(headers)
        try:
            response = await request.body_bytes(payload).build().send()
            body = (await response.bytes()).to_bytes()
        except PyreqwestError:
            return Answer(status=0, body=b"{}")
        return Answer(
            status=response.status,
            body=body,
            location=response.headers.get("location"),
            replayed=response.headers.get("idempotency-replayed") == "true",
        )

    async def _token(self, client: str) -> str:
        if client not in self._tokens:
            form = {
                "grant_type": "client_credentials",
                "client_id": client,
                "client_secret": f"{client}-dev-secret",
            }
            response = (
                await self.stage.client.post(f"{self.stage.gateway}/oauth/token")
                .form(form).build().send()
            )  # fmt: skip
            self._tokens[client] = (await response.json())["access_token"]
        return self._tokens[client]


async def race(stage: Stage, *, races: int, seed: int, at_once: int = 8) -> Races:
    """Use each key several times at once and once more afterwards; then ask the ledger."""
    chance = random.Random(f"load{seed}")
    caller = KeyCaller(stage, chance)
    await caller.look_around()
    before, _ = await created(stage)
    unequal: list[str] = []
    calls = 0
    for number in range(races):
        key, payload = f"A4-{seed}-{number}", caller.an_order()
        callers = chance.randint(2, at_once)
        first = await asyncio.gather(*(caller.post(payload, [key]) for _ in range(callers)))
        again = await caller.post(payload, [key])
        calls += callers + 1
        if len({(one.status, one.body, one.location) for one in (*first, again)}) != 1:
            unequal.append(f"{key}: {_told([*first, again])}")
    await asyncio.sleep(1.0)
    effects = await orders_of(stage, prefix=f"A4-{seed}-", at_least=races)
    expected = {f"A4-{seed}-{number}" for number in range(races)}
    wrong = {key: effects[key] for key in expected if effects[key] != 1}
    extra = {key: count for key, count in (effects - before).items() if key not in expected}
    return Races(seed=seed, races=races, calls=calls, unequal=unequal, effects=wrong | extra)


def _told(answers: Sequence[Answer]) -> str:
    """What a key's callers were told, each different answer once."""
    different = dict.fromkeys((one.status, one.slug or one.body.decode()) for one in answers)
    return "; ".join(f"{status} {said}" for status, said in different)


async def orders_of(stage: Stage, *, prefix: str, at_least: int) -> Counter[str]:
    """ERP orders by reference, once at least so many are there or ten seconds have passed."""
    for _ in range(50):
        erp, _ = await created(stage)
        if sum(count for key, count in erp.items() if key.startswith(prefix)) >= at_least:
            break
        await asyncio.sleep(0.2)
    return erp


async def campaign(folder: Path, *, races: int, seed: int, launcher: Sequence[str]) -> Races:
    """Stage a system of its own and race it."""
    async with staged(folder, launcher=launcher) as stage:
        return await race(stage, races=races, seed=seed)


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The races, with their planted defect."""
    watch = Stopwatch()
    races = 5_000 if size == "full" else 200
    (folder / "sound").mkdir()
    sound = await campaign(folder / "sound", races=races, seed=seed, launcher=SOUND)
    (folder / "planted").mkdir()
    planted = await campaign(
        folder / "planted", races=5, seed=seed,
        launcher=("-m", "tests.crash.launch", "key-ignored"),
    )  # fmt: skip
    result = Result(
        campaign="A4",
        what="the idempotency key raced by two to eight callers",
        size=size,
        seed=seed,
        trials=sound.races,
        accepted=sound.races,
        faults={"calls": sound.calls},
        evidence={"calls beyond one a key": sound.calls - sound.races},
        violations={
            "I2 one effect a key": [f"{key}: {count}" for key, count in sound.effects.items()],
            "I10 byte-equal answers": sound.unequal,
        },
    )
    return [whole(result, defects={"key ignored": not planted.clean}, seconds=watch.seconds)]
