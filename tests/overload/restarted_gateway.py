"""A gateway to be restarted: `python -m tests.overload.restarted_gateway PORT BACKEND DATA`.

It listens on the socket it is handed, keeps answers in a store of its own on disk, and says
`listening` when it does. `--defect abrupt` ends at SIGTERM without a drain; `--defect own-socket`
opens a socket of its own: the planted defects of campaign C6.
"""

import argparse
import asyncio
import os
import signal
from pathlib import Path
from random import Random
from typing import Any

from deploy.addresses import handed_in
from deploy.keeping import JournalKeep
from gateway.config import GatewayConfig, GatewaySettings
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.resilience import ShedSettings
from gateway.server import serve
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from runtime.journal.crash_points import CrashPoints
from runtime.journal.journal import Journal
from runtime.store.engine import Store
from tests.overload.breakers import Silence

DRAIN_SECONDS = 1.0
WHOLE = frozenset({"things/v1/read", "things/v1/write"})
"""The others stream, or nobody would ever see an end in the middle of an answer."""
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1.0.0", "x-crossdock-api": "things/v1"},
    "paths": {
        "/things": {
            "get": {"operationId": "read", "security": [], "x-crossdock": {"limit": "reads"}},
            "post": {
                "operationId": "write",
                "security": [],
                "x-crossdock": {
                    "limit": "orders", "idempotency": "required", "criticality": "capture",
                },
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
            },
        },
        "/streams": {
            "get": {"operationId": "stream", "security": [], "x-crossdock": {"limit": "reads"}}
        },
    },
}  # fmt: skip


async def main(asked: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    asked.data.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    store = Store(f"sqlite:///{asked.data / 'gateway.db'}")
    journal = Journal(
        store=store,
        types=(),
        clock=clock,
        random=Random(),
        node="restarted",
        crash_points=CrashPoints(),
    )
    gateway = build_gateway(
        [CONTRACT],
        GatewayConfig(
            gateway=GatewaySettings(
                drain_seconds=DRAIN_SECONDS,
                shed=ShedSettings(enabled=False),  # a busy machine is not this campaign's subject
            )
        ),
        {"things/v1": Forwarder(asked.backend, clock=clock, whole=WHOLE)},
        JournalKeep(journal),
        records=Silence(),
        data=asked.data,
        clock=clock,
        fetch=Fetcher(),
    )
    store.open()
    await gateway.startup()

    def listening() -> None:
        print("listening", flush=True)
        if asked.defect == "abrupt":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)

    handed = None if asked.defect == "own-socket" else handed_in(os.environ, os.getpid())
    await serve(
        gateway, host="127.0.0.1", port=asked.port, drain=gateway.drain, on_listening=listening,
        descriptor=handed,
    )  # fmt: skip
    await gateway.shutdown()
    store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("backend")
    parser.add_argument("data", type=Path)
    parser.add_argument("--defect", choices=("abrupt", "own-socket"))
    asyncio.run(main(parser.parse_args()))
