"""A gateway on its real listener, before a raw service over its real forwarder.

    python -m tests.security.wired PORT SERVICE_PORT DATA [--defect NAME]

Contract and configuration are small; listener, policies and forwarder are those that serve. Access
records and events are kept in memory as the lines they would be written as. A defect is planted
around the gateway, never in it.
"""

import argparse
import asyncio
import contextlib
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.application import Gateway
from gateway.call import Application
from gateway.config import BuiltInIssuer, Client, GatewayConfig, GatewaySettings, Plan, hashed
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.keep import AuditEntry
from gateway.policies.guard import GuardLimits
from gateway.records import Lines
from gateway.resilience import ContractGuardSettings, RepeatSettings, ShedSettings
from gateway.server import listener
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from runtime.telemetry import JsonLines
from tests.security.guarded import Nothing
from tests.security.rawservice import RawService, raw_service
from tests.security.wiredefects import Defect
from tests.serving import free_port

MOST_BODY = 262_144
_NESTED = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "amount": {"type": ["string", "number"]}},
}


def _takes(schema: dict[str, Any] | None, **terms: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}} if schema is not None else {"*/*": {}}
    limit = "checks" if schema is not None else "webhooks"
    return {
        "security": [],
        "x-crossdock": {"limit": limit, "maxBodyBytes": MOST_BODY, "budgetMs": 20_000, **terms},
        "requestBody": {"required": schema is not None, "content": content},
    }


_MARK = [{"name": "mark", "in": "path", "required": True, "schema": {"type": "string"}}]
_READS = {"limit": "reads", "budgetMs": 20_000}
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Wired", "version": "1.0.0", "x-crossdock-api": "wired/v1"},
    "paths": {
        "/things": {
            "get": {"operationId": "read", "security": [], "x-crossdock": _READS},
            "post": {"operationId": "write", **_takes({"type": ["object", "array"]})},
        },
        "/orders": {
            "get": {
                "operationId": "orders",
                "security": [{"oauth2": ["orders:read"]}],
                "x-crossdock": _READS,
                "responses": {"200": {"content": {"application/json": {"schema": _NESTED}}}},
            },
        },
        "/tried/{mark}": {
            "parameters": _MARK,
            "get": {"operationId": "tried", "security": [], "x-crossdock": _READS},
            "post": {"operationId": "try", **_takes({"type": ["object", "array"]})},
        },
        "/smuggled/{mark}": {
            "parameters": _MARK,
            "get": {"operationId": "smuggled", "security": [], "x-crossdock": _READS},
        },
        "/notices": {"post": {"operationId": "notice", **_takes(None)}},
    },
}
THINGS, ORDERS, NOTICES = (f"/wired/v1/{each}" for each in ("things", "orders", "notices"))
CLIENT = "partner"


class Kept(Nothing):
    """Takes audit entries, which notices leave; no operation here has an answer to keep."""

    async def append_audit(self, entry: AuditEntry) -> None:
        pass


class Wired(msgspec.Struct, frozen=True, kw_only=True):
    """What runs, and everything it said."""

    port: int
    service: RawService
    gateway: Gateway
    access: io.BytesIO
    log: io.StringIO

    def failures(self) -> list[str]:
        """Unexpected failures inside, which a refusal outside could hide."""
        events = [msgspec.json.decode(line) for line in self.log.getvalue().splitlines()]
        return [str(each) for each in events if each["event"] == "call_failed_unexpectedly"]


def a_gateway(
    data: Path,
    service_port: int,
    access: Any,
    logger: logging.Logger,
    limits: GuardLimits = GuardLimits(),  # noqa: B008  immutable
) -> Gateway:
    """Build the gateway."""
    clock = SystemClock()
    config = GatewayConfig(
        gateway=GatewaySettings(
            issuer=BuiltInIssuer(enabled=True),
            guard=limits,
            # Neither shedding nor circuits are the subject: who answers must be the policy asked.
            shed=ShedSettings(enabled=False),
            contract_guard=ContractGuardSettings(sample_share=1.0),
        ),
        plans={"standard": Plan()},
        clients={
            CLIENT: Client(
                secrets=(hashed(f"{CLIENT}-dev-secret"),),
                scopes=("orders:read",),
                accounts=("cust_1",),
            )
        },
    )
    forwarder = Forwarder(
        f"http://127.0.0.1:{service_port}",
        clock=clock,
        # A second attempt would be a second request: here each that arrives must have been sent.
        repeats=RepeatSettings(retry_share=0, hedge_share=0),
    )
    return build_gateway(
        [CONTRACT],
        config,
        {"wired/v1": forwarder},
        Kept(),
        records=Lines(access, logger),
        data=data,
        clock=clock,
        fetch=Fetcher(),
    )


@contextlib.asynccontextmanager
async def listening(application: Application, port: int) -> AsyncIterator[None]:
    """Listen as the product does until the block ends."""
    server = listener(application, host="127.0.0.1", port=port)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.01)
        yield
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # Granian's own methods are not annotated
        await task


@contextlib.asynccontextmanager
async def wired(folder: Path, defect: Defect | None = None) -> AsyncIterator[Wired]:
    """Run gateway and service in this process; both listen on sockets."""
    access, log = io.BytesIO(), io.StringIO()
    logger = logging.Logger("wired")  # noqa: LOG001  one for this gateway, not for the process
    handler = logging.StreamHandler(log)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    port = free_port()
    defect = defect or Defect()
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  once, before anything runs
    async with raw_service() as service:
        gateway = a_gateway(folder, service.port, access, logger)
        await gateway.startup()
        try:
            application = defect.plant(gateway) if defect.plant else gateway
            async with (defect.listen or listening)(application, port):
                yield Wired(port=port, service=service, gateway=gateway, access=access, log=log)
        finally:
            await gateway.shutdown()


def request(
    method: str,
    path: str,
    *headers: str,
    body: bytes = b"",
    close: bool = True,
    length: bool = True,
) -> bytes:
    """One well-formed request; `headers` are whole lines."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *headers]
    if body and length:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that came back on a connection, whether it was closed, and after how long."""

    raw: bytes
    closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """The status of every answer, in order."""
        return [
            int(piece[2:5])
            for piece in self.raw.split(b"HTTP/1.")[1:]
            if piece[2:5].isdigit() and piece[2:3] != b"1"  # interim ones are no answer
        ]

    @property
    def status(self) -> int:
        """The first status, or 0."""
        return (self.statuses or [0])[0]


async def said(
    port: int,
    *pieces: bytes,
    wait: float = 5.0,
    silence: float | None = None,
    pause: float = 0.0,
    hang_up: bool = False,
    enough: int = 1,
) -> Heard:
    """Send pieces on a fresh connection; hear until it is closed, or too long.

    Or, once it has given `enough` answers, until it is silent for so many seconds.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard, closed = b"", False

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if pause:
                    await asyncio.sleep(pause)
            if hang_up:
                writer.write_eof()

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(wait):
            while True:
                async with asyncio.timeout(silence if heard.count(b"HTTP/1.") >= enough else None):
                    chunk = await reader.read(1 << 16)
                if not chunk:
                    closed = True
                    break
                heard += chunk
    except TimeoutError:
        pass
    except ConnectionError:
        closed = True
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
    return Heard(raw=heard, closed=closed, seconds=loop.time() - began)


async def a_token(port: int) -> str:
    """An access token of the one client."""
    form = f"grant_type=client_credentials&client_id={CLIENT}&client_secret={CLIENT}-dev-secret"
    kind = "Content-Type: application/x-www-form-urlencoded"
    heard = await said(port, request("POST", "/oauth/token", kind, body=form.encode()))
    return str(msgspec.json.decode(heard.raw.split(b"\r\n\r\n", 1)[1])["access_token"])


async def main(asked: argparse.Namespace) -> None:
    """Serve before a service of somebody else's until killed."""
    from tests.security.limits import DEFECTS

    plant = DEFECTS[asked.defect].plant if asked.defect else None
    limits = GuardLimits(body_seconds=asked.body_seconds)
    with (asked.data / "access.log").open("ab", buffering=0) as access:
        gateway = a_gateway(asked.data, asked.service, access, logging.getLogger("wired"), limits)
        await gateway.startup()
        async with listening(plant(gateway) if plant else gateway, asked.port):
            await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("service", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("--defect")
    parser.add_argument("--body-seconds", type=float, default=GuardLimits().body_seconds)
    asyncio.run(main(parser.parse_args()))
