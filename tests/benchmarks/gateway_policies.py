"""What each policy of the gateway costs, in microseconds a call, without a socket.

One authenticated JSON POST with a remembered token, a local quota and a small body, as a check is.
CPU time, so that a busy machine tells the same. `python -m tests.benchmarks` runs it with others.
"""

import asyncio
import base64
import gc
import inspect
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.application import Gateway
from gateway.call import Call, Scope
from gateway.config import (
    BuiltInIssuer,
    Client,
    GatewayConfig,
    GatewaySettings,
    Plan,
    Window,
    hashed,
)
from gateway.gateway import build_gateway
from gateway.keep import AuditEntry, StoredAnswer
from gateway.records import Lines
from runtime.clock import SystemClock
from runtime.tracing import Tracing

CALLS = 20_000
BODY = msgspec.json.encode(
    {"customer": "C1000", "lines": [{"item": f"ITEM-{n}", "quantity": n + 1} for n in range(3)]}
)
LINE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["item", "quantity"],
    "properties": {"item": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}},
}
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Sales", "version": "1", "x-crossdock-api": "sales/v1"},
    "paths": {
        "/price-checks": {
            "post": {
                "operationId": "check",
                "security": [{"oauth2": ["pricing:read"]}],
                "x-crossdock": {"limit": "checks"},
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "additionalProperties": False,
                                "required": ["customer", "lines"],
                                "properties": {
                                    "customer": {"type": "string"},
                                    "lines": {"type": "array", "items": LINE},
                                },
                            }
                        }
                    },
                },
            }
        }
    },
}


class Nothing:
    """Keeps nothing: a check has no effect."""

    async def load_answer(self, scope: str, key: str) -> StoredAnswer | None:
        return None

    async def store_answer(self, scope: str, key: str, answer: StoredAnswer) -> None:
        """Keep nothing."""

    async def append_audit(self, entry: AuditEntry) -> None:
        """Keep nothing."""


async def answer(scope: Scope, receive: Any, send: Any) -> None:
    """Answer at once: what is left is the gateway."""
    await receive()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


class Sink:
    """Takes bytes and drops them."""

    def write(self, line: bytes) -> int:
        return len(line)


def a_gateway(data: Path, tracing: Tracing | None = None) -> Gateway:
    """One operation, one client, one plan with a window it never reaches."""
    import logging

    window = Window(quota=1_000_000, seconds=1)
    config = GatewayConfig(
        gateway=GatewaySettings(issuer=BuiltInIssuer(enabled=True)),
        plans={"standard": Plan(checks=(window,))},
        clients={"crm": Client(secrets=(hashed("s"),), scopes=("pricing:read",), accounts="*")},
    )

    async def fetch(url: str) -> bytes:
        raise OSError(url)

    return build_gateway(
        [CONTRACT],
        config,
        {"sales/v1": answer},
        Nothing(),
        records=Lines(Sink(), logging.getLogger("bench")),
        data=data,
        clock=SystemClock(),
        fetch=fetch,
        tracing=tracing,
    )


def a_scope(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> Scope:
    """An ASGI scope as the server makes it."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8080"), (b"accept", b"*/*"), *headers],
    }


def receiving(body: bytes) -> Any:
    """Give a body in one piece."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def a_token(gateway: Gateway) -> bytes:
    """Get a token the way a client does."""
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    form = b"grant_type=client_credentials"
    headers = [
        (b"authorization", b"Basic " + base64.b64encode(b"crm:s")),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"%d" % len(form)),
    ]
    await gateway(a_scope("POST", "/oauth/token", headers), receiving(form), send)
    token: str = msgspec.json.decode(said[1]["body"])["access_token"]
    return token.encode()


async def measured(gateway: Gateway) -> Iterator[tuple[str, float]]:
    """Answer (what, microseconds a call): each policy in turn, then the whole path."""
    token = await a_token(gateway)
    headers = [
        (b"authorization", b"Bearer " + token),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
        (b"user-agent", b"bench"),
    ]
    scope = a_scope("POST", "/sales/v1/price-checks", headers)

    async def send(_: dict[str, Any]) -> None:
        """Drop what is answered."""

    await gateway(dict(scope), receiving(BODY), send)
    plan = next(each for each in gateway.served.plans if each.operation.api == "sales/v1")
    spent = dict.fromkeys(range(len(plan.steps)), 0.0)
    for _ in range(CALLS):
        call, _plan = gateway.served.begin(dict(scope), receiving(BODY), time.monotonic())
        for index, step in enumerate(plan.steps):
            began = time.thread_time()
            verdict: Any = step.ask(call)
            if inspect.isawaitable(verdict):
                await verdict
            spent[index] += time.thread_time() - began
        _release(call, plan.steps)
    found = [(step.name, spent[i] / CALLS * 1e6) for i, step in enumerate(plan.steps)]

    async def bare() -> None:
        receive = receiving(BODY)
        await answer(scope, receive, send)

    async def whole() -> None:
        await gateway(dict(scope), receiving(BODY), send)

    for name, run in (("upstream alone", bare), ("whole call through the gateway", whole)):
        began = time.thread_time()
        for _ in range(CALLS):
            await run()
        found.append((name, (time.thread_time() - began) / CALLS * 1e6))
    return iter(found)


def _release(call: Call, steps: Any) -> None:
    for step in steps:
        if step.release is not None:
            step.release(call)


def cases() -> list[tuple[str, float]]:
    """Answer (what, microseconds a call)."""

    async def run() -> list[tuple[str, float]]:
        with tempfile.TemporaryDirectory() as data:
            gateway = a_gateway(Path(data))
            await gateway.startup()
            try:
                return list(await measured(gateway))
            finally:
                await gateway.shutdown()

    gc.collect()
    return asyncio.run(run())


def main() -> None:
    """Print the table."""
    print(f"gateway policies, {CALLS} calls each, {len(BODY)} byte body")
    for name, microseconds in cases():
        print(f"  {name:34} {microseconds:8.1f} us")


if __name__ == "__main__":
    main()
