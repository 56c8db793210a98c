"""A program under test: `python -m tests.benchmarks.gateway_program KIND PORT BACKEND DATA`.

`full` is the gateway as it is shipped: RS256 tokens of a foreign issuer, a quota of each consumer,
circuits, places, metrics and one access record a call, written to a file. `traced` is the same and
sends the spans of one call in ten to a collector, which the backend plays. `bare` is the same
server and the same `Forwarder` with nothing before it: what forwarding alone costs here.
"""

import asyncio
import logging
import random
import sys
from pathlib import Path
from typing import Any

import uvloop

from contracts.context import CallContext, calling
from deploy.collecting import collect_seldom
from gateway.call import Application
from gateway.config import Client, GatewayConfig, GatewaySettings, Issuer, Plan, Window
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.records import Lines
from gateway.server import serve
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from runtime.exporting import SpanExport, otlp
from runtime.tracing import Tracing
from tests.overload.limited_gateway import Nothing

AUDIENCE = "crossdock"
CONSUMER = "bench"
ISSUER = "http://127.0.0.1:1/issuer"
"""A name only: nobody is asked there, keys come from the backend."""
QUOTA, SECONDS = 1_000_000, 10
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


def configured(backend: str) -> GatewayConfig:
    """One foreign issuer, one consumer, one plan with a window that is never reached."""
    return GatewayConfig(
        gateway=GatewaySettings(audience=AUDIENCE),
        issuers={
            "foreign": Issuer(
                url=ISSUER, audience=AUDIENCE, algorithms=("RS256",), jwks_uri=f"{backend}/jwks"
            )
        },
        plans={"standard": Plan(reads=(Window(quota=QUOTA, seconds=SECONDS),))},
        clients={CONSUMER: Client(issuer="foreign", scopes=("things:read",), accounts="*")},
    )


async def full(port: int, backend: str, data: Path, tracing: Tracing | None = None) -> None:
    """Serve the gateway."""
    with (data / "access.log").open("ab", buffering=0) as log:
        gateway = build_gateway(
            [CONTRACT],
            configured(backend),
            {"things/v1": Forwarder(backend, clock=SystemClock())},
            Nothing(),
            records=Lines(log, logging.getLogger("bench")),
            data=data,
            clock=SystemClock(),
            fetch=Fetcher(),
            tracing=tracing,
        )
        await gateway.startup()
        await listened(gateway, port, gateway.drain)
        await gateway.shutdown()


async def traced(port: int, backend: str, data: Path) -> None:
    """Serve the gateway, and tell of one call in ten."""
    spans = SpanExport(otlp(f"{backend}/v1/traces"))
    tracing = Tracing(spans, ratio=0.1, clock=SystemClock(), chance=random.Random())
    tracing.start()
    await full(port, backend, data, tracing)
    await tracing.stop()


async def bare(port: int, backend: str) -> None:
    """Serve the forwarder alone."""
    forwarder = Forwarder(backend, clock=SystemClock())
    await forwarder.startup()
    context = CallContext(correlation_id="bench", consumer=CONSUMER)

    async def forward(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            with calling(context):
                await forwarder(scope, receive, send)

    async def at_once() -> None:
        """Hold nothing that would have to end first."""

    await listened(forward, port, at_once)
    await forwarder.shutdown()


async def listened(application: Application, port: int, drain: Any) -> None:
    """Listen as the product does, and look for garbage as seldom as it does."""
    collect_seldom()
    await serve(application, host="127.0.0.1", port=port, drain=drain)


if __name__ == "__main__":
    kind, at, behind, folder = sys.argv[1:5]
    logging.basicConfig(level=logging.WARNING)
    kinds = {
        "full": lambda: full(int(at), behind, Path(folder)),
        "traced": lambda: traced(int(at), behind, Path(folder)),
        "bare": lambda: bare(int(at), behind),
    }
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(kinds[kind]())
