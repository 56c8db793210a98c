"""A gateway before a tier that writes down every call it is reached by: the campaigns' target.

The gateway is the one that serves, built from a contract and a configuration; only the issuers'
documents come from memory instead of the network.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from contracts.context import current
from gateway.application import Gateway
from gateway.config import Client, GatewayConfig, GatewaySettings, Issuer, Plan
from gateway.gateway import build_gateway
from gateway.keep import AuditEntry, StoredAnswer
from gateway.keys import Fetch
from gateway.records import AccessRecord
from gateway.resilience import ShedSettings
from gateway.tokens import Verifier
from runtime.clock import SystemClock

CONTRACT = {
    "openapi": "3.1.0",
    "info": {"title": "Guarded", "version": "1.0.0", "x-crossdock-api": "guarded/v1"},
    "paths": {
        "/orders": {
            "get": {
                "operationId": "read",
                "security": [{"oauth2": ["orders:read"]}],
                "x-crossdock": {"limit": "reads", "budgetMs": 10_000},
            }
        }
    },
}
PATH = "/guarded/v1/orders"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer; `body` without the correlation id, which alone may differ."""

    status: int
    slug: str
    body: str
    challenge: str | None
    retry_after: str | None = None


class Reached:
    """The tier: answers 200 and remembers who reached it, by correlation id."""

    def __init__(self) -> None:
        self.calls: dict[str, str] = {}

    async def __call__(self, scope, receive, send) -> None:
        context = current()
        self.calls[context.correlation_id] = context.consumer
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


class Nothing:
    """Keeps nothing: no operation here has an effect."""

    async def load_answer(self, scope: str, key: str) -> StoredAnswer | None:
        raise AssertionError

    async def store_answer(self, scope: str, key: str, answer: StoredAnswer) -> None:
        raise AssertionError

    async def append_audit(self, entry: AuditEntry) -> None:
        raise AssertionError


class Heard:
    """Keeps the events, so that an unexpected failure cannot hide behind a 401."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def access(self, record: AccessRecord) -> None:
        pass

    def event(self, name: str, **fields: Any) -> None:
        self.events.append((name, fields))


class Guarded:
    """The gateway, what is behind it, and a way to ask it."""

    def __init__(self, gateway: Gateway, reached: Reached, heard: Heard) -> None:
        self.gateway = gateway
        self.reached = reached
        self.heard = heard
        self._asked = 0

    async def ask(
        self,
        headers: Sequence[tuple[str, str]] = (),
        *,
        query: str = "",
        method: str = "GET",
    ) -> tuple[Answer, bool]:
        """Answer what was said, and whether the tier was reached."""
        self._asked += 1
        name = f"b-{self._asked}"
        sent = [("host", "gateway"), ("x-correlation-id", name), *headers]
        told: list[dict[str, Any]] = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            told.append(message)

        await self.gateway(
            {
                "type": "http",
                "http_version": "1.1",
                "method": method,
                "path": PATH,
                "raw_path": PATH.encode(),
                "query_string": query.encode(),
                "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in sent],
                "client": ("192.0.2.7", 40_000),
            },
            receive,
            send,
        )
        return _read(told), name in self.reached.calls

    async def token(self, token: str) -> tuple[Answer, bool]:
        """Ask with a bearer token."""
        return await self.ask([("authorization", f"Bearer {token}")])


def _read(told: list[dict[str, Any]]) -> Answer:
    headers = dict(told[0]["headers"])
    raw = b"".join(each.get("body", b"") for each in told[1:])
    document = json.loads(raw) if raw else {}
    document.pop("instance", None)
    challenge, retry = headers.get(b"www-authenticate"), headers.get(b"retry-after")
    return Answer(
        status=told[0]["status"],
        slug=str(document.get("type", "")).rpartition("/")[2],
        body=json.dumps(document, sort_keys=True),
        challenge=None if challenge is None else challenge.decode(),
        retry_after=None if retry is None else retry.decode(),
    )


def guarded(
    folder: Path,
    issuers: Mapping[str, Issuer],
    fetch: Fetch,
    *,
    clients: Mapping[str, Client] | None = None,
    verifier: Callable[..., Verifier] = Verifier,
    clock: Any = None,
) -> Guarded:
    """Build a gateway that trusts these issuers; start and stop it as a gateway."""
    reached, heard = Reached(), Heard()
    gateway = build_gateway(
        [CONTRACT],
        GatewayConfig(
            # Shedding is a campaign of its own: here a late event loop must not answer first.
            gateway=GatewaySettings(shed=ShedSettings(enabled=False)),
            issuers=dict(issuers),
            clients=dict(clients or {}),
            plans={"standard": Plan()},
        ),
        {"guarded/v1": reached},
        Nothing(),
        records=heard,
        data=folder,
        clock=clock or SystemClock(),
        fetch=fetch,
        verifier=verifier,
    )
    return Guarded(gateway, reached, heard)
