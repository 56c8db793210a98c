"""Campaign C8: one partner at twenty times its plan, one upstream that hangs; others beside them.

    python -m tests.overload C8 [--size smoke|full] [--seed N] [--keep]

Four partners call the warehouse at a pace within their plans, alone and with the neighbours, in
turns. With them, one partner calls at twenty times its plan, and calls to the ERP hang until their
time is over. Nobody else may be refused or fail; the slowest hundredth of their calls takes at most
1.3 times as long. The planted defect gives the noisy partner a plan without limits.
"""

import asyncio
import contextlib
import random
import statistics
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.application import Gateway
from gateway.config import (
    BuiltInIssuer,
    Client,
    GatewayConfig,
    GatewaySettings,
    Plan,
    Window,
    hashed,
)
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.overload.breakers import Silence
from tests.overload.inside import Counter, Told, ask, percentile, token
from tests.overload.limited_gateway import Nothing

PLACES, SECONDS = 20, 0.1
"""The warehouse: 200 calls a second. The others need 40 of them, the noisy one wants 200."""
OTHERS = ("acme", "globex", "initech", "umbrella")
EACH = 10.0
NOISY, ALLOWED, TIMES = "noisy", 10, 20
HANGING = 20.0
"""Calls a second to the ERP that hangs."""
_SETTLING = 1.5


def _contract(api: str) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": api, "version": "1.0.0", "x-crossdock-api": api},
        "paths": {
            "/things": {
                "get": {
                    "operationId": "read",
                    "security": [{"oauth2": ["things:read"]}],
                    "x-crossdock": {"limit": "reads", "budgetMs": 2_000},
                }
            }
        },
    }


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """The others' calls for a while."""

    calls: int
    failed: int
    p99: float
    noisy: dict[str, int]
    """What the noisy partner was told, by status."""
    hung: dict[str, int]
    """What callers of the ERP were told."""


class Neighboured(msgspec.Struct, frozen=True, kw_only=True):
    """Turns alone and turns with the neighbours."""

    alone: tuple[Phase, ...]
    beside: tuple[Phase, ...]

    @property
    def slower(self) -> float:
        """How many times as long the slowest hundredth took: the median of neighbouring turns."""
        pairs = zip(self.alone, self.beside, strict=True)
        return statistics.median(beside.p99 / alone.p99 for alone, beside in pairs)

    @property
    def failed(self) -> int:
        """The others' calls that were not answered well beside the neighbours."""
        return sum(each.failed for each in self.beside)

    def noisy(self, status: str) -> int:
        """How often the noisy partner was told this."""
        return sum(each.noisy.get(status, 0) for each in self.beside)

    def hung(self, status: str) -> int:
        """How often callers of the ERP were told this."""
        return sum(each.hung.get(status, 0) for each in self.beside)


@contextlib.asynccontextmanager
async def _standing(folder: Path, *, limited: bool) -> AsyncIterator[tuple[Gateway, Counter]]:
    wms, erp = Counter(places=PLACES, seconds=SECONDS), Counter(places=PLACES, seconds=SECONDS)
    servers = [await asyncio.start_server(each.handle, "127.0.0.1", 0) for each in (wms, erp)]
    urls = [f"http://127.0.0.1:{each.sockets[0].getsockname()[1]}" for each in servers]
    plan = Plan(reads=(Window(quota=ALLOWED, seconds=1),)) if limited else Plan()
    clients = {
        name: Client(
            secrets=(hashed(f"{name}-dev-secret"),), scopes=("things:read",), accounts="*",
            plan="noisy" if name == NOISY else "quiet",
        )
        for name in (*OTHERS, NOISY)
    }  # fmt: skip
    gateway = build_gateway(
        [_contract("wms/v1"), _contract("erp/v1")],
        GatewayConfig(
            gateway=GatewaySettings(issuer=BuiltInIssuer(enabled=True)),
            plans={"noisy": plan, "quiet": Plan(reads=(Window(quota=100, seconds=1),))},
            clients=clients,
        ),
        {
            "wms/v1": Forwarder(urls[0], clock=SystemClock()),
            "erp/v1": Forwarder(urls[1], clock=SystemClock()),
        },
        Nothing(),
        records=Silence(),
        data=folder,
        clock=SystemClock(),
        fetch=Fetcher(),
    )
    await gateway.startup()
    try:
        yield gateway, erp
    finally:
        await gateway.shutdown()
        for each in servers:
            each.close()


class _Callers:
    """Callers at a pace of their own, whatever they are told."""

    def __init__(self, gateway: Gateway, tokens: dict[str, bytes]) -> None:
        self._gateway = gateway
        self._tokens = tokens

    async def call(
        self, name: str, path: str, rate: float, seconds: float, chance: random.Random
    ) -> list[tuple[float, Told]]:
        """Answer when each call came, and what it was told."""
        loop = asyncio.get_running_loop()
        headers = [(b"authorization", b"Bearer " + self._tokens[name])]
        began, due, calls = loop.time(), 0.0, []
        while due < seconds:
            await asyncio.sleep(max(0.0, began + due - loop.time()))
            calls.append((due, asyncio.create_task(ask(self._gateway, "GET", path, headers))))
            due += chance.expovariate(rate)
        return [(came, await task) for came, task in calls]


async def _phase(callers: _Callers, *, noise: bool, seconds: float, seed: str) -> Phase:
    def calling(name: str, api: str, rate: float) -> Any:
        chance = random.Random(f"load{seed}{name}{api}")
        return callers.call(name, f"/{api}/v1/things", rate, seconds, chance)

    others = [calling(name, "wms", EACH) for name in OTHERS]
    more = []
    if noise:
        more = [calling(NOISY, "wms", ALLOWED * TIMES), calling(OTHERS[0], "erp", HANGING)]
    found = await asyncio.gather(*others, *more)
    counted = [told for calls in found[: len(OTHERS)] for came, told in calls if came >= _SETTLING]
    return Phase(
        calls=len(counted),
        failed=sum(told.status != 200 for told in counted),
        p99=percentile((told.seconds for told in counted), 0.99),
        noisy=_statuses(found[len(OTHERS)]) if noise else {},
        hung=_statuses(found[len(OTHERS) + 1]) if noise else {},
    )


def _statuses(calls: list[tuple[float, Told]]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for _, told in calls:
        counted[str(told.status)] = counted.get(str(told.status), 0) + 1
    return counted


async def neighboured(
    folder: Path, *, turns: int, seconds: float, seed: int, limited: bool = True
) -> Neighboured:
    """Take turns: alone, then with the neighbours."""
    alone, beside = [], []
    async with _standing(folder, limited=limited) as (gateway, erp):
        callers = _Callers(gateway, {name: await token(gateway, name) for name in (*OTHERS, NOISY)})
        for turn in range(turns):
            erp.well.set()
            alone.append(await _phase(callers, noise=False, seconds=seconds, seed=f"{seed}-{turn}"))
            erp.well.clear()
            beside.append(await _phase(callers, noise=True, seconds=seconds, seed=f"{seed}-{turn}"))
        erp.well.set()
    return Neighboured(alone=tuple(alone), beside=tuple(beside))


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign, and its planted defect."""
    watch = Stopwatch()
    turns, seconds = (7, 15.0) if size == "full" else (3, 5.0)
    found = await neighboured(folder, turns=turns, seconds=seconds, seed=seed)
    bad = await neighboured(folder, turns=1, seconds=6.0, seed=seed, limited=False)
    hung = found.hung("504") + found.hung("503")
    result = Result(
        campaign="C8",
        what="one partner at twenty times its plan, one upstream hung, four others beside them",
        size=size,
        seed=seed,
        trials=sum(each.calls for each in found.beside),
        accepted=sum(each.calls - each.failed for each in found.beside),
        faults={"beyond the plan": found.noisy("429"), "calls that hung": hung},
        evidence={
            "the noisy one held": found.noisy("429"),
            "ran out of time": found.hung("504"),
            "circuit open": found.hung("503"),
        },
        violations={
            "nobody else refused or failed": [f"{found.failed}"] if found.failed else [],
            "others' p99 at most 1.3 times": (
                [] if found.slower <= 1.3 else [f"{found.slower:.2f}"]
            ),
        },
        measures={
            "others' p99, times as long": round(found.slower, 3),
            "p99 alone, ms": round(1e3 * statistics.median(each.p99 for each in found.alone), 1),
            "p99 beside, ms": round(1e3 * statistics.median(each.p99 for each in found.beside), 1),
        },
    )
    caught = {"no-limit": bool(bad.failed) or bad.slower > 1.3}
    return [whole(result, defects=caught, seconds=watch.seconds)]
