"""Campaign C4: an upstream that fails, slows, half fails and heals, behind a real gateway.

    python -m tests.overload.retries [--rate 200] [--seconds 5] [--defect retry-all]

The upstream counts what reaches it, the callers what they asked: in every phase at most 1.2
attempts a request. Once it heals, at least 99 of 100 calls are answered again within ten seconds.
The circuits run dry in the first pass, so that nothing but the budgets holds the attempts back.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.application import Gateway
from gateway.config import GatewayConfig, GatewaySettings, ShieldSettings
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.resilience import CircuitSettings, RepeatSettings
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from tests.overload.breakers import Silence
from tests.overload.limited_gateway import Nothing

Mood = Literal["well", "failing", "resetting", "slow", "half"]
MOODS: tuple[Mood, ...] = ("well", "failing", "resetting", "slow", "half")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = b"HTTP/1.1 503 Unwell\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\noops"
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1.0.0", "x-crossdock-api": "things/v1"},
    "paths": {
        "/things": {
            "get": {
                "operationId": "read",
                "security": [],
                "x-crossdock": {"limit": "reads", "budgetMs": 400},
            }
        }
    },
}
UNBOUNDED = RepeatSettings(retry_share=1.0, hedge_share=1.0)
"""The planted defect: everything that fails or lags is tried again."""


class Service:
    """An HTTP service with moods; counts every request that reaches it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.mood: Mood = "well"
        self.attempts = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.attempts += 1
                lucky = self._chance.random() < 0.5
                await asyncio.sleep(1.0 if self.mood == "slow" else 0.002)
                if self.mood == "resetting" or (self.mood == "half" and lucky):
                    break
                writer.write(BROKEN if self.mood == "failing" else OK)
                await writer.drain()
        writer.close()


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One mood of the upstream."""

    mood: Mood
    requests: int
    attempts: int
    answered: int

    @property
    def factor(self) -> float:
        """Attempts a request."""
        return self.attempts / self.requests


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What the phases and the healing showed."""

    campaign: str = "C4"
    seed: int
    phases: tuple[Phase, ...]
    retried: int
    healed: Phase
    """The last two seconds of the ten after the upstream healed, with circuits that refuse."""

    @property
    def clean(self) -> bool:
        """Whether attempts stayed within 1.2 times the requests, and all is well again."""
        return (
            self.retried > 0
            and all(each.factor <= 1.2 for each in self.phases)
            and self.healed.answered >= 0.99 * self.healed.requests
        )


async def call(gateway: Gateway) -> int:
    """Make one call and answer its status."""
    told: list[dict[str, Any]] = []
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/things/v1/things",
        "raw_path": b"/things/v1/things", "query_string": b"", "headers": [(b"host", b"x")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await gateway(scope, receive, send)
    return int(told[0]["status"])


@contextlib.asynccontextmanager
async def standing(
    service: Service, folder: Path, *, repeats: RepeatSettings, dry_run: bool
) -> AsyncIterator[Gateway]:
    """Run a gateway before the service, over real sockets."""
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    circuits = CircuitSettings(dry_run=dry_run, open_seconds=0.5, longest_open_seconds=2.0)
    gateway = build_gateway(
        [CONTRACT],
        GatewayConfig(
            gateway=GatewaySettings(shield=ShieldSettings(breaker=circuits, concurrency=2_000))
        ),
        {"things/v1": Forwarder(f"http://127.0.0.1:{port}", clock=SystemClock(), repeats=repeats)},
        Nothing(),
        records=Silence(),
        data=folder,
        clock=SystemClock(),
        fetch=Fetcher(),
    )
    await gateway.startup()
    try:
        yield gateway
    finally:
        await gateway.shutdown()
        server.close()


async def phase(
    gateway: Gateway, service: Service, mood: Mood, *, rate: float, seconds: float
) -> Phase:
    """Call at a rate, whatever is answered."""
    service.mood = mood
    before = service.attempts
    loop = asyncio.get_running_loop()
    began, tasks = loop.time(), []
    while (passed := loop.time() - began) < seconds:
        while len(tasks) < passed * rate:
            tasks.append(asyncio.create_task(call(gateway)))
        await asyncio.sleep(0.002)
    statuses = await asyncio.gather(*tasks)
    return Phase(
        mood=mood,
        requests=len(statuses),
        attempts=service.attempts - before,
        answered=sum(status == 200 for status in statuses),
    )


async def run(
    folder: Path, *, rate: float, seconds: float, seed: int, defect: bool = False
) -> Retried:
    """Every mood with dry circuits, then a death and a healing with circuits that refuse."""
    service = Service(random.Random(f"faults{seed}"))
    repeats = UNBOUNDED if defect else RepeatSettings()
    async with standing(service, folder, repeats=repeats, dry_run=True) as gateway:
        phases = [await phase(gateway, service, mood, rate=rate, seconds=seconds) for mood in MOODS]
        forwarder: Any = gateway.served.upstreams["things/v1"]
        retried = forwarder.repeats.retried + forwarder.repeats.hedged
    async with standing(service, folder, repeats=repeats, dry_run=False) as gateway:
        phases.append(await phase(gateway, service, "failing", rate=rate, seconds=seconds))
        await phase(gateway, service, "well", rate=rate, seconds=8.0)
        healed = await phase(gateway, service, "well", rate=rate, seconds=2.0)
    return Retried(seed=seed, phases=tuple(phases), retried=retried, healed=healed)


def main() -> int:
    """Run from the command line; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--defect", choices=("retry-all",))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            run(
                Path(folder), rate=asked.rate, seconds=asked.seconds, seed=asked.seed,
                defect=asked.defect is not None,
            )
        )  # fmt: skip
    said = msgspec.to_builtins(found) | {
        "factors": {each.mood: round(each.factor, 3) for each in found.phases},
        "clean": found.clean,
    }
    print(msgspec.json.encode(said).decode())
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
