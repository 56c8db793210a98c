"""A gateway on a real socket, for stories that need one: `served_gateway.py PORT DATA [abrupt]`.

Prints `listening` when it does, `reloaded` and whether at each SIGHUP (not while a file `absurd`
makes the configuration faulty), and one line with what it counted when it has drained.
"""

import asyncio
import logging
import sys
from pathlib import Path

from gateway.application import Gateway
from gateway.config import BuiltInIssuer, Client, GatewayConfig, GatewaySettings, hashed
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.keep import AuditEntry, StoredAnswer
from gateway.lasting import Lasting
from gateway.policies.guard import GuardLimits
from gateway.records import AccessRecord
from gateway.server import serve
from runtime.clock import SystemClock

CONTRACT = {
    "openapi": "3.1.0",
    "info": {"title": "Echo", "version": "1.0.0", "x-crossdock-api": "echo/v1"},
    "paths": {
        "/things": {
            "get": {"operationId": "read", "security": [], "x-crossdock": {"limit": "reads"}},
            "post": {
                "operationId": "write",
                "security": [],
                "x-crossdock": {"limit": "checks", "maxBodyBytes": 262_144},
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
            },
        },
        "/streams": {
            "get": {"operationId": "stream", "security": [], "x-crossdock": {"limit": "reads"}},
        },
    },
}


class Nothing:
    """Keeps nothing: no operation here has an effect."""

    async def load_answer(self, scope: str, key: str) -> StoredAnswer | None:
        return None

    async def store_answer(self, scope: str, key: str, answer: StoredAnswer) -> None:
        raise AssertionError

    async def append_audit(self, entry: AuditEntry) -> None:
        raise AssertionError


class Silence:
    """Takes records and keeps none."""

    def access(self, record: AccessRecord) -> None:
        pass

    def event(self, name: str, **fields: object) -> None:
        pass


class Echo:
    """Answers how many requests it has seen, and after a moment, so that some are in flight."""

    def __init__(self) -> None:
        self.seen = 0

    async def __call__(self, scope, receive, send) -> None:
        self.seen += 1
        await asyncio.sleep(0.005)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"].endswith("streams"):
            for number in range(3):
                piece = b'{"n": %d}\n' % number
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0.01)
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.body", "body": b'{"seen": %d}' % self.seen})


async def stop_at_once() -> None:
    """The planted defect of the drain's story."""


async def main(port: int, data: Path, *, abrupt: bool) -> None:
    echo = Echo()

    def build(lasting: Lasting | None = None) -> Gateway:
        limits = GuardLimits(body_seconds=1.0, url_bytes=1 if (data / "absurd").exists() else 8192)
        return build_gateway(
            [CONTRACT],
            GatewayConfig(
                gateway=GatewaySettings(issuer=BuiltInIssuer(enabled=True), guard=limits),
                clients={"crm": Client(secrets=(hashed("crm-dev-secret"),))},
            ),
            {"echo/v1": echo},
            Nothing(),
            records=Silence(),
            data=data,
            clock=SystemClock(),
            fetch=Fetcher(),
            lasting=lasting,
        )

    gateway = build()

    async def reload() -> None:
        print(f"reloaded {await gateway.reload(build)}", flush=True)

    await serve(
        gateway,
        host="127.0.0.1",
        port=port,
        drain=stop_at_once if abrupt else gateway.drain,
        reload=reload,
        on_listening=lambda: print("listening", flush=True),
    )
    print(f"seen {echo.seen}", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), abrupt="abrupt" in sys.argv))
