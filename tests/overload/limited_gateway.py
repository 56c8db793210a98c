"""One of several gateways that share a Redis: `python -m tests.overload.limited_gateway PORT ...`.

Its wall clock is off by `--skew` seconds, as clocks are. `--defect read-then-write` counts in two
steps where one atomic script belongs: the planted defect of campaign C1. `--defect trusting` lets
Redis's trouble through to the call: that of C2.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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
from gateway.keep import AuditEntry, StoredAnswer
from gateway.policies.quota import Spent
from gateway.records import AccessRecord
from gateway.resilience import ShedSettings
from gateway.server import serve
from gateway.shared import SharedState
from runtime.clock import SystemClock

CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1.0.0", "x-crossdock-api": "things/v1"},
    "paths": {
        "/things": {
            "get": {
                "operationId": "read",
                "security": [{"oauth2": ["things:read"]}],
                "x-crossdock": {"limit": "reads"},
            }
        }
    },
}
POLITE = Window(quota=4, seconds=2)
CLIENTS = ("hot", "polite")


class SkewedClock(SystemClock):
    """A clock that is wrong."""

    def __init__(self, skew: float) -> None:
        self._skew = timedelta(seconds=skew)

    def now(self) -> datetime:
        return super().now() + self._skew


class Nothing:
    """Keeps nothing: no operation here has an effect."""

    async def load_answer(self, scope: str, key: str) -> StoredAnswer | None:
        return None

    async def store_answer(self, scope: str, key: str, answer: StoredAnswer) -> None:
        raise AssertionError

    async def append_audit(self, entry: AuditEntry) -> None:
        raise AssertionError


class Printed:
    """Prints what happened beside the calls, for a person who reads the campaign's log."""

    def access(self, record: AccessRecord) -> None:
        pass

    def event(self, name: str, **fields: object) -> None:
        print(f"{time.monotonic():.3f}", name, fields, flush=True)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once."""
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def read_then_write(
    self: SharedState, key: str, windows: Sequence[Window], cost: int = 1
) -> Spent | None:
    """Look first, count afterwards: right for one gateway, wrong for two."""
    window = windows[0]
    name = f"crossdock:quota:{{{key}}}:{window.seconds}"
    trim = "local t = redis.call('TIME') local n = t[1] * 1000000 + t[2] "
    left = await self.run(
        trim
        + "redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, n - ARGV[1] * 1000000)"
        + " return ARGV[2] - redis.call('ZCARD', KEYS[1])",
        [name],
        [window.seconds, window.quota],
    )
    if left is None:
        return None
    if left <= 0:
        return Spent(admitted=False, binding=0, remaining=0, reset_seconds=1.0)
    await asyncio.sleep(0.003)
    count = "redis.call('ZADD', KEYS[1], n, n .. ARGV[1]) return 1"
    await self.run(trim + count, [name], [id(object())])
    return Spent(admitted=True, binding=0, remaining=int(left) - 1, reset_seconds=1.0)


def trusting(_: SharedState, error: Exception) -> None:
    """Believe that Redis is always there."""
    raise error


async def main(asked: argparse.Namespace) -> None:
    hot = Window(quota=asked.quota, seconds=asked.window)
    config = GatewayConfig(
        gateway=GatewaySettings(
            issuer=BuiltInIssuer(enabled=True),
            redis=asked.redis,
            instances=asked.instances,
            shed=ShedSettings(enabled=False),  # a busy machine is not this campaign's subject
        ),
        plans={
            "hot": Plan(reads=(hot, Window(quota=1_000_000, seconds=600))),
            "polite": Plan(reads=(POLITE,)),
        },
        clients={
            name: Client(
                secrets=(hashed(f"{name}-dev-secret"),),
                scopes=("things:read",),
                accounts="*",
                plan=name,
            )
            for name in CLIENTS
        },
    )
    gateway = build_gateway(
        [CONTRACT],
        config,
        {"things/v1": answer},
        Nothing(),
        records=Printed(),
        data=asked.data,
        clock=SkewedClock(asked.skew),
        fetch=Fetcher(),
    )
    await gateway.startup()
    # Only now: a Redis slow to take the first connection of a busy machine is not what it is about.
    if asked.defect == "trusting":
        SharedState._lost = trusting  # type: ignore[method-assign]  # the planted defect
    await serve(gateway, host="127.0.0.1", port=asked.port, drain=gateway.drain)
    await gateway.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("redis")
    parser.add_argument("--instances", type=int, default=4)
    parser.add_argument("--quota", type=int, default=200)
    parser.add_argument("--window", type=int, default=2)
    parser.add_argument("--skew", type=float, default=0.0)
    parser.add_argument("--defect", choices=("read-then-write", "trusting"))
    given = parser.parse_args()
    if given.defect == "read-then-write":
        SharedState.spend = read_then_write  # type: ignore[method-assign]  # the planted defect
    asyncio.run(main(given))
