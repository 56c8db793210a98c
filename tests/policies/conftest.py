"""A gateway to tell stories about: small contracts, a real little tier, memory for one story.

Nothing here imitates the gateway: the application under test is the one that serves.
"""

import asyncio
import base64
import hashlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from contracts.context import current
from gateway.application import Gateway
from gateway.config import (
    BuiltInIssuer,
    Client,
    GatewayConfig,
    GatewaySettings,
    Plan,
    hashed,
)
from gateway.gateway import build_gateway
from gateway.keep import AuditEntry, StoredAnswer
from gateway.records import AccessRecord

ORDER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["customer", "lines"],
    "properties": {
        "customer": {"type": "string", "maxLength": 20},
        "note": {"type": ["string", "null"]},
        "lines": {
            "type": "array",
            "minItems": 1,
            "maxItems": 500,
            "items": {"$ref": "#/components/schemas/Line"},
        },
    },
}
LINE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["item", "quantity"],
    "properties": {
        "item": {"type": "string"},
        "quantity": {"type": "integer", "minimum": 1},
        "unit": {"enum": ["piece", "box"]},
    },
}


def a_document(**terms: Any) -> dict[str, Any]:
    """A contract with the shapes that matter: a check, a keyed order, reads with parameters."""
    lifecycle = terms.pop("lifecycle", {"state": "active"})
    order_terms = {
        "idempotency": "required",
        "limit": "orders",
        "criticality": "capture",
        "budgetMs": 2_000,
        "maxBodyBytes": 262_144,
        **terms,
    }
    body = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
    }
    reads = {"limit": "reads", "budgetMs": 2_000, "lifecycle": lifecycle}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sales", "version": "1.0.0", "x-crossdock-api": "sales/v1"},
        "paths": {
            "/price-checks": {
                "post": {
                    "operationId": "checkPrices",
                    "security": [{"oauth2": ["pricing:read"]}],
                    "x-crossdock": {"limit": "checks", "budgetMs": 2_000},
                    "requestBody": body,
                }
            },
            "/orders": {
                "post": {
                    "operationId": "placeOrder",
                    "security": [{"oauth2": ["orders:write"]}],
                    "x-crossdock": order_terms,
                    "requestBody": body,
                },
                "get": {
                    "operationId": "findOrders",
                    "security": [{"oauth2": ["orders:read"]}],
                    "x-crossdock": reads,
                    "parameters": [
                        {"name": "po", "in": "query", "schema": {"type": "string"}},
                        {
                            "name": "limit",
                            "in": "query",
                            "schema": {"type": "integer", "minimum": 1, "maximum": 100},
                        },
                        {"name": "open", "in": "query", "schema": {"type": "boolean"}},
                        {
                            "name": "state",
                            "in": "query",
                            "schema": {
                                "type": "array",
                                "items": {"enum": ["accepted", "confirmed"]},
                            },
                        },
                    ],
                },
            },
            "/orders/{order}": {
                "parameters": [
                    {
                        "name": "order",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "pattern": "^[A-Z0-9-]{1,35}$"},
                    }
                ],
                "get": {
                    "operationId": "readOrder",
                    "security": [{"oauth2": ["orders:read"]}],
                    "x-crossdock": reads,
                },
            },
            "/notices": {
                "post": {
                    "operationId": "takeNotice",
                    "security": [],
                    "x-crossdock": {"limit": "webhooks", "maxBodyBytes": 100_000},
                    "requestBody": {"content": {"*/*": {}}},
                }
            },
        },
        "components": {"schemas": {"Order": ORDER, "Line": LINE}},
    }


class MovingClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        self.seconds = 1_000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


class MemoryKeep:
    """Keeps answers and a hash-chained log, as a store would, in memory."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], StoredAnswer] = {}
        self.entries: list[AuditEntry] = []
        self.hashes = [b""]
        self.broken = False

    def _working(self) -> None:
        if self.broken:
            raise OSError("the disk is gone")

    async def load_answer(self, scope: str, key: str) -> StoredAnswer | None:
        self._working()
        await asyncio.sleep(0)
        return self.answers.get((scope, key))

    async def store_answer(self, scope: str, key: str, answer: StoredAnswer) -> None:
        self._working()
        await asyncio.sleep(0)
        self.answers.setdefault((scope, key), answer)

    async def append_audit(self, entry: AuditEntry) -> None:
        self._working()
        self.entries.append(entry)
        link = hashlib.sha256(self.hashes[-1] + msgspec.json.encode(entry)).digest()
        self.hashes.append(link)


class KeptRecords:
    """Keeps what was recorded."""

    def __init__(self) -> None:
        self.calls: list[AccessRecord] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def access(self, record: AccessRecord) -> None:
        self.calls.append(record)

    def event(self, name: str, **fields: Any) -> None:
        self.events.append((name, fields))


class Tier:
    """A small tier: takes orders, numbers them, and remembers what it was asked and by whom."""

    def __init__(self) -> None:
        self.calls: list[SimpleNamespace] = []
        self.orders = 0
        self.delay = 0.0
        self.fails_with: list[Exception] = []
        self.says: list[tuple[int, list[tuple[bytes, bytes]], bytes]] = []

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        self.calls.append(
            SimpleNamespace(
                method=scope["method"],
                path=scope["path"],
                headers=dict(scope["headers"]),
                body=body,
                context=current(),
            )
        )
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.fails_with:
            raise self.fails_with.pop(0)
        status, headers, answer = self._answer(scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if self.says:
            return self.says.pop(0)
        json = (b"content-type", b"application/json")
        if scope["method"] == "POST" and scope["path"].endswith("/orders"):
            self.orders += 1
            number = b"O-%d" % self.orders
            headers = [json, (b"location", b"/sales/v1/orders/" + number), (b"etag", b'"1"')]
            return 201, headers, b'{"order": "%s"}' % number
        return 200, [json], b'{"ok": true}'


class Told:
    """An answer as the caller saw it."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        starts = [each for each in messages if each["type"] == "http.response.start"]
        self.answered = bool(starts)
        self.status: int = starts[0]["status"] if starts else 0
        self.headers: list[tuple[bytes, bytes]] = list(starts[0]["headers"]) if starts else []
        self.body = b"".join(
            each["body"] for each in messages if each["type"] == "http.response.body"
        )

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name.encode()]
        return b", ".join(found).decode() if found else None

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> str:
        assert self.header("content-type") == "application/problem+json", (self.status, self.body)
        return self.json()["type"].removeprefix("/problems/")


class World:
    """One gateway with everything around it."""

    def __init__(self, gateway: Gateway, *, tier: Tier, keep, records, clock, data) -> None:
        self.gateway = gateway
        self.tier = tier
        self.keep = keep
        self.records = records
        self.clock = clock
        self.data = data

    async def call(
        self,
        method: str,
        target: str,
        *,
        headers: list[tuple[str, str]] | None = None,
        body: bytes | list[bytes] = b"",
        json: Any = None,
        token: str | None = None,
        key: str | None = None,
        plain: bool = False,
        peer: str | None = "192.0.2.7",
        hear: Any = None,
    ) -> Told:
        """Make one call. `plain` sends exactly `headers` and nothing of its own.

        `hear` is told each message of the answer when it comes.
        """
        if json is not None:
            body = msgspec.json.encode(json)
        chunks = body if isinstance(body, list) else [body]
        sent = list(headers or ())
        if not plain:
            sent.insert(0, ("host", "gateway"))
            names = {name for name, _ in sent}
            if token is not None:
                sent.append(("authorization", f"Bearer {token}"))
            if key is not None:
                sent.append(("idempotency-key", key))
            if any(chunks) and "content-length" not in names and "transfer-encoding" not in names:
                sent.append(("content-length", str(sum(map(len, chunks)))))
            if any(chunks) and "content-type" not in names:
                sent.append(("content-type", "application/json"))
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in sent],
            "client": None if peer is None else (peer, 40_000),
        }
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        told: list[dict[str, Any]] = []

        async def receive():
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message):
            told.append(message)
            if hear is not None:
                await hear(message)

        await self.gateway(scope, receive, send)
        return Told(told)

    def building(
        self, config: GatewayConfig | None = None, *, upstream: Any = None
    ) -> Callable[[Any], Gateway]:
        """Build another gateway around the same tier and keep, as a reload does."""

        def build(lasting: Any) -> Gateway:
            return build_gateway(
                [a_document()],
                config or a_config(),
                {"sales/v1": upstream or self.tier},
                self.keep,
                records=self.records,
                data=self.data,
                clock=self.clock,
                chance=random.Random(8),
                fetch=unreachable,
                lasting=lasting,
            )

        return build

    async def token(self, client: str = "crm", scope: str | None = None) -> str:
        """Get a token the way a client does."""
        told = await self.ask_token(client, f"{client}-dev-secret", scope)
        assert told.status == 200, told.body
        return told.json()["access_token"]

    async def ask_token(self, client: str, secret: str, scope: str | None = None) -> Told:
        """Ask for a token with HTTP Basic."""
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        form = "grant_type=client_credentials" + (f"&scope={scope}" if scope else "")
        return await self.call(
            "POST",
            "/oauth/token",
            headers=[
                ("authorization", f"Basic {basic}"),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            body=form.encode(),
        )

    def an_order(self, **changes: Any) -> dict[str, Any]:
        """A small valid order."""
        return {"customer": "C1", "lines": [{"item": "A", "quantity": 2}], **changes}

    async def order(self, key: str | None, token: str, **changes: Any) -> Told:
        """Place a small order under a key."""
        return await self.call(
            "POST", "/sales/v1/orders", json=self.an_order(**changes), token=token, key=key
        )


def a_config(**changes: Any) -> GatewayConfig:
    """Two clients of the built-in issuer; no limits unless a story sets them."""
    everything = ("pricing:read", "orders:write", "orders:read")
    settings = changes.pop("gateway", {})
    clients = {
        "crm": Client(secrets=(hashed("crm-dev-secret"),), scopes=everything, accounts="*"),
        "partner-acme": Client(
            secrets=(hashed("partner-acme-dev-secret"),),
            scopes=("orders:write", "orders:read"),
            accounts=("C1", "C2"),
        ),
        **changes.pop("clients", {}),
    }
    return GatewayConfig(
        gateway=GatewaySettings(issuer=BuiltInIssuer(enabled=True), **settings),
        clients=clients,
        plans=changes.pop("plans", {"standard": Plan()}),
        **changes,
    )


async def unreachable(url: str) -> bytes:
    """No issuer but the built-in one."""
    raise OSError(url)


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
async def world(tmp_path, clock):
    """Build worlds; each is started, and closed when the story ends."""
    opened: list[Gateway] = []

    async def build(
        *,
        document: dict[str, Any] | None = None,
        config: GatewayConfig | None = None,
        upstream: Any = None,
        fetch: Any = unreachable,
        ready: Callable[[], Any] | None = None,
        keep: MemoryKeep | None = None,
        data: Any = None,
        records: Any = None,
        retired: Any = None,
        lasting: Any = None,
    ) -> World:
        tier, records = Tier(), records or KeptRecords()
        keep = keep or MemoryKeep()
        extra = {"ready": ready} if ready is not None else {}
        gateway = build_gateway(
            [document or a_document()],
            config or a_config(),
            {"sales/v1": upstream or tier},
            keep,
            records=records,
            data=data or tmp_path,
            clock=clock,
            chance=random.Random(7),
            fetch=fetch,
            retired=retired,
            lasting=lasting,
            **extra,
        )
        await gateway.startup()
        opened.append(gateway)
        return World(
            gateway, tier=tier, keep=keep, records=records, clock=clock, data=data or tmp_path
        )

    build.document = a_document
    build.config = a_config
    yield build
    for gateway in opened:
        await gateway.shutdown()
