"""Campaign C7: cold copies under a herd, an upstream that comes back, an absurd configuration.

    python -m tests.overload.herd [--callers 2000] [--seed N] [--defect each-asks|blind-reload]

The upstream's own count is the oracle: one miss for each key however many ask at once; when it
comes back from the dead with as many callers queued, no more calls at once than there are places.
Absurd configurations are pushed meanwhile: each is refused, calls are answered on.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from gateway.application import Gateway
from gateway.config import GatewayConfig, GatewaySettings, ShieldSettings
from gateway.copies import Copies
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.lasting import Lasting
from gateway.resilience import ShedSettings
from runtime.clock import SystemClock
from tests.overload.breakers import Silence
from tests.overload.limited_gateway import Nothing

KEYS = 20
PLACES = 50
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1.0.0", "x-crossdock-api": "things/v1"},
    "paths": {
        "/copied/{thing}": {
            "get": {
                "operationId": "copied",
                "security": [],
                "parameters": [
                    {"name": "thing", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "x-crossdock": {
                    "limit": "reads",
                    "cache": {
                        "entity": "thing",
                        "freshSeconds": 600,
                        "public": True,
                    },
                },
            }
        },
        "/asked": {
            "get": {"operationId": "asked", "security": [], "x-crossdock": {"limit": "checks"}}
        },
    },
}
ABSURD = (
    GatewaySettings(shield=ShieldSettings(longest_budget_ms=1)),
    GatewaySettings(shed=ShedSettings(least=900, first=10)),
    GatewaySettings(redis="http://nowhere"),
)


class Herded(msgspec.Struct, frozen=True, kw_only=True):
    """What the herd met."""

    campaign: str = "C7"
    seed: int
    callers: int
    keys: int
    misses: int
    cold_answered: int
    peak: int
    places: int
    returned: dict[int, int]
    pushed: int
    refused_configurations: int
    answered_after: int

    @property
    def clean(self) -> bool:
        """One miss a key; no more at once than places; every absurd configuration refused."""
        return (
            self.misses == self.keys
            and self.cold_answered == self.callers
            and self.peak <= 1.5 * self.places
            and set(self.returned) <= {200, 503}
            and self.returned.get(200, 0) > 0
            and self.refused_configurations == self.pushed
            and self.answered_after > 0
        )


class Upstream:
    """Answers after a moment; counts by path, and how many it answers at once."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.at_once = 0
        self.peak = 0
        self.dead = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked[scope["path"]] += 1
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        try:
            await asyncio.sleep(0.05)
        finally:
            self.at_once -= 1
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


def building(upstream: Upstream, folder: Path, settings: GatewaySettings) -> Any:
    """Answer what builds a gateway of these settings around what lasts."""

    def build(lasting: Lasting | None = None) -> Gateway:
        return build_gateway(
            [CONTRACT],
            GatewayConfig(gateway=settings),
            {"things/v1": upstream},
            Nothing(),
            records=Silence(),
            data=folder,
            clock=SystemClock(),
            fetch=Fetcher(),
            lasting=lasting,
        )

    return build


async def call(gateway: Gateway, path: str) -> int:
    """Make one call and answer its status."""
    told: list[Any] = []
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "headers": [(b"host", b"x")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    try:
        await gateway(scope, receive, send)
    except Exception:  # noqa: BLE001  whatever it was, the caller has no answer
        return 0  # nothing was answered: the connection would have been dropped
    return int(told[0]["status"])


async def run(folder: Path, *, callers: int, seed: int, defect: str | None = None) -> Herded:
    """Let a herd meet cold copies, then a door of few places, while absurd settings are pushed."""
    chance = random.Random(f"load{seed}")
    upstream = Upstream()
    sound = GatewaySettings(
        shield=ShieldSettings(concurrency=PLACES),
        shed=ShedSettings(first=2 * callers, most=2 * callers, late_seconds=30.0),  # all are let in
    )
    gateway = building(upstream, folder, sound)()
    await gateway.startup()
    if defect == "each-asks":
        gateway.lasting.copies.__class__ = _Forgetful
    try:
        keys = [chance.randrange(KEYS) for _ in range(callers)]
        cold = await asyncio.gather(*(call(gateway, f"/things/v1/copied/{key}") for key in keys))
        misses = sum(count for path, count in upstream.asked.items() if "copied" in path)
        upstream.peak = 0
        returning = asyncio.gather(*(call(gateway, "/things/v1/asked") for _ in range(callers)))
        refused = 0
        for settings in ABSURD:
            taken = await _push(gateway, building(upstream, folder, settings), defect)
            refused += not taken
        returned = Counter(await returning)
        after = Counter([await call(gateway, "/things/v1/asked") for _ in range(5)])
    finally:
        await gateway.shutdown()
    return Herded(
        seed=seed,
        callers=callers,
        keys=len(set(keys)),
        misses=misses,
        cold_answered=cold.count(200),
        peak=upstream.peak,
        places=PLACES,
        returned=dict(returned),
        pushed=len(ABSURD),
        refused_configurations=refused,
        answered_after=after[200],
    )


class _Forgetful(Copies):
    """The planted defect: nobody knows that somebody is asking already."""

    def fetch(self, key: Any) -> None:
        return None


async def _push(gateway: Gateway, build: Any, defect: str | None) -> bool:
    """Reload; the planted defect drops the old configuration before the new one is good."""
    if defect == "blind-reload":
        gateway._served.plans = ()
    return await gateway.reload(build)


def main() -> int:
    """Run from the command line; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--defect", choices=("each-asks", "blind-reload"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            run(Path(folder), callers=asked.callers, seed=asked.seed, defect=asked.defect)
        )
    said = msgspec.to_builtins(found, str_keys=True) | {"clean": found.clean}
    print(msgspec.json.encode(said).decode())
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
