"""Campaign C5: half to five times what the service behind can do, whoever calls does not wait.

    python -m tests.overload C5 [--size smoke|full] [--seed N] [--keep]

Callers come at a rate (open loop), a tenth of them with orders to capture, the rest with status,
sync and bulk work. What counts is what is answered well and in time. At three times the capacity
at least 90 of 100 of the best goodput must be left; orders are captured until the lower
classes are shed; who is shed is told so at once. The planted defect sheds nobody.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.application import Gateway
from gateway.config import GatewayConfig, GatewaySettings, ShieldSettings
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.resilience import CircuitSettings, RepeatSettings, ShedSettings
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.overload.breakers import Silence
from tests.overload.inside import Counter, Told, ask, percentile
from tests.overload.limited_gateway import Nothing

PLACES, SECONDS = 8, 0.1
CAPACITY = PLACES / SECONDS
SHARES = {"capture": 0.1, "status": 0.2, "sync": 0.3, "bulk": 0.4}
BUDGET_MS = 3_000
STEPS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
SMOKE_STEPS = (1.0, 3.0)
_HARDLY = 0.05
_SETTLING = 5.0
"""Seconds of each step that are not counted: limits find their place in them."""
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1.0.0", "x-crossdock-api": "things/v1"},
    "paths": {
        f"/{criticality}": {
            "get": {
                "operationId": criticality,
                "security": [],
                "x-crossdock": {
                    "limit": "reads", "criticality": criticality, "budgetMs": BUDGET_MS,
                },
            }
        }
        for criticality in SHARES
    },
}  # fmt: skip


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One load."""

    factor: float
    asked: dict[str, int]
    answered: dict[str, int]
    shed: dict[str, int]
    late: int
    """Neither answered well nor shed."""
    seconds: float
    shed_p99_ms: float
    capture_p99_ms: float

    @property
    def goodput(self) -> float:
        """Calls answered well, a second."""
        return sum(self.answered.values()) / self.seconds

    @property
    def captured(self) -> float:
        """The share of orders that were captured."""
        return self.answered["capture"] / max(1, self.asked["capture"])

    @property
    def spared(self) -> bool:
        """Whether lower classes still got through: then no order may have been refused."""
        lower = [kind for kind in SHARES if kind != "capture"]
        let_in = sum(self.answered[kind] for kind in lower)
        return let_in > _HARDLY * sum(self.asked[kind] for kind in lower)


@contextlib.asynccontextmanager
async def _standing(folder: Path, *, shed: bool) -> AsyncIterator[Gateway]:
    service = Counter(places=PLACES, seconds=SECONDS)
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    once = RepeatSettings(retry_share=0, hedge_share=0)  # second attempts are campaign C4's
    gateway = build_gateway(
        [CONTRACT],
        GatewayConfig(
            gateway=GatewaySettings(
                shield=ShieldSettings(concurrency=4_000, breaker=CircuitSettings(dry_run=True)),
                shed=ShedSettings(enabled=shed),
            )
        ),
        {"things/v1": Forwarder(f"http://127.0.0.1:{port}", clock=SystemClock(), repeats=once,
                                connections=4_000)},
        Nothing(),
        records=Silence(),
        data=folder,
        clock=SystemClock(),
        fetch=Fetcher(),
    )  # fmt: skip
    await gateway.startup()
    try:
        yield gateway
    finally:
        await gateway.shutdown()
        server.close()


async def _step(gateway: Gateway, factor: float, *, seconds: float, chance: random.Random) -> Step:
    """Call at a rate; what came in the settling time is left out."""
    loop = asyncio.get_running_loop()
    began, due = loop.time(), 0.0
    calls: list[tuple[float, str, asyncio.Task[Told]]] = []
    while (passed := loop.time() - began) < _SETTLING + seconds:
        while due <= passed:
            kind = chance.choices(list(SHARES), weights=list(SHARES.values()))[0]
            task = asyncio.create_task(ask(gateway, "GET", f"/things/v1/{kind}"))
            calls.append((due, kind, task))
            due += chance.expovariate(CAPACITY * factor)
        await asyncio.sleep(0.002)
    await asyncio.gather(*(task for _, _, task in calls))
    counted = [(kind, task.result()) for came, kind, task in calls if came >= _SETTLING]

    def of(kind: str, *, status: int | None = None, problem: str | None = None) -> int:
        return sum(
            name == kind and status in {None, told.status} and problem in {None, told.problem}
            for name, told in counted
        )

    asked = {kind: of(kind) for kind in SHARES}
    answered = {kind: of(kind, status=200) for kind in SHARES}
    shed = {kind: of(kind, problem="overloaded") for kind in SHARES}
    return Step(
        factor=factor,
        asked=asked,
        answered=answered,
        shed=shed,
        late=len(counted) - sum(answered.values()) - sum(shed.values()),
        seconds=seconds,
        shed_p99_ms=1e3
        * percentile((told.seconds for _, told in counted if told.problem == "overloaded"), 0.99),
        capture_p99_ms=1e3
        * percentile(
            (told.seconds for kind, told in counted if kind == "capture" and told.status == 200),
            0.99,
        ),
    )


async def overloaded(
    folder: Path, *, steps: tuple[float, ...], seconds: float, seed: int, shed: bool = True
) -> list[Step]:
    """Every load one after the other on the same gateway, with a rest between them."""
    chance = random.Random(f"load{seed}")
    found = []
    async with _standing(folder, shed=shed) as gateway:
        for factor in steps:
            found.append(await _step(gateway, factor, seconds=seconds, chance=chance))
            await asyncio.sleep(1.0)
    return found


def goodput_kept(steps: list[Step]) -> float:
    """The goodput at three times the capacity, as a share of the best."""
    at_three = next(each for each in steps if each.factor == 3.0)
    return at_three.goodput / max(1.0, *(each.goodput for each in steps))


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign, and its planted defect."""
    watch = Stopwatch()
    steps, seconds = (STEPS, 30.0) if size == "full" else (SMOKE_STEPS, 5.0)
    found = await overloaded(folder, steps=steps, seconds=seconds, seed=seed)
    bad = await overloaded(folder, steps=SMOKE_STEPS, seconds=5.0, seed=seed, shed=False)
    result = Result(
        campaign="C5",
        what="half to five times the capacity behind, open loop, four classes of work",
        size=size,
        seed=seed,
        trials=sum(sum(each.asked.values()) for each in found),
        accepted=sum(sum(each.answered.values()) for each in found),
        faults={f"{each.factor:g}x": sum(each.asked.values()) for each in found},
        evidence={"shed": sum(sum(each.shed.values()) for each in found)},
        violations={
            "goodput at 3x is 90 % of the best": (
                [] if goodput_kept(found) >= 0.9 else [f"{goodput_kept(found):.3f}"]
            ),
            "orders captured until lower classes are shed": [
                f"{each.factor:g}x: {each.captured:.4f}"
                for each in found
                if each.spared and each.captured < 0.999
            ],
            "shed within 10 ms": [
                f"{each.factor:g}x: {each.shed_p99_ms:.1f} ms"
                for each in found
                if each.shed_p99_ms >= 10
            ],
        },
        measures={
            "goodput kept at 3x": round(goodput_kept(found), 4),
            **{f"goodput {each.factor:g}x, calls/s": each.goodput for each in found},
            **{f"captured {each.factor:g}x": each.captured for each in found},
            **{f"shed p99 {each.factor:g}x, ms": round(each.shed_p99_ms, 2) for each in found},
            **{f"capture p99 {each.factor:g}x, ms": round(each.capture_p99_ms) for each in found},
            **{f"late {each.factor:g}x": float(each.late) for each in found},
        },
    )
    return [whole(result, defects={"no-shed": goodput_kept(bad) < 0.9}, seconds=watch.seconds)]
