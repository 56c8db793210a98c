"""The whole system as strangers meet it: processes on real sockets, and the vendors' own books.

The product is not imported. What was told comes from the gateway, what happened
comes from the vendors' ledgers; the two are compared.
"""

import asyncio
import contextlib
import hashlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from deploy.sandbox import credentials
from tests.crash.processes import Process, Stage

Found = TypeVar("Found")

WRITE_TIMEOUT = 1.0
"""Seconds a configured system waits for a vendor's answer to a write."""
SETTLED = 20.0
"""Seconds a story waits for something that must happen; on a quiet machine all take under one."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the gateway."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body, read."""
        return msgspec.json.decode(self.body)

    @property
    def slug(self) -> str:
        """Which problem it is; empty when it is none."""
        if self.headers.get("content-type") != "application/problem+json":
            return ""
        return self.json["type"].removeprefix("/problems/")

    @property
    def pointers(self) -> set[str]:
        """Where the faults are that a problem lists."""
        return {fault["pointer"] for fault in self.json.get("errors", ())}


class Outside(Stage):
    """A stage, with everything a caller, a rep, an operator or an auditor can do from outside."""

    def __init__(
        self,
        folder: Path,
        *,
        config: str | None = None,
        token_seconds: int | None = None,
        limits: str = "off",
    ) -> None:
        super().__init__(folder, launcher=(), extra={})
        environment = {
            "CROSSDOCK_PORT": str(self.port),
            "CROSSDOCK_SANDBOX_PORT": str(self.sandbox_port),
            "CROSSDOCK_DATA": str(folder / "data"),
            "CROSSDOCK_SANDBOX_LIMITS": limits,
            "CROSSDOCK_SANDBOX_WEBHOOK_DELAY": "0.05",
        }
        if config is not None or token_seconds is not None:
            path = folder / "crossdock.toml"
            path.write_text(config_file(self, config or "", token_seconds or 900), encoding="utf-8")
            environment |= {"CROSSDOCK_CONFIG": str(path), "ERP_SECRET": credentials.APP_SECRET}
        self.vendors = Process(
            [sys.executable, "-m", "deploy.sandbox"],
            environment, folder / "sandbox.log", f"{self.sandbox}/_sandbox/healthz",
        )  # fmt: skip
        self.system = Process(
            [sys.executable, "-m", "deploy.cli", "up", "--no-sandbox"],
            environment, folder / "system.log", f"{self.gateway}/readyz",
        )  # fmt: skip
        self.environment = environment
        self.catalog: dict[str, Any] = {}
        self._tokens: dict[str, tuple[str, float]] = {}
        self.first_token = ""
        self._numbers = 0

    # -- what there is to order --------------------------------------------------------------------

    def customer(self, why: str) -> dict[str, Any]:
        """The catalogue's customer for a purpose, as `good` or `blockedAll`."""
        return self.catalog["customers"][why]

    def item(self, why: str) -> dict[str, Any]:
        """The catalogue's item for a purpose."""
        return self.catalog["items"][why]

    def a_key(self, story: str) -> str:
        """An idempotency key nobody used; it is also the order's reference, so in capitals."""
        self._numbers += 1
        return f"{story.upper()}-{self._numbers}"

    def an_order(self, customer: str = "good", *lines: tuple[str, int], **more: Any) -> dict:
        """An order at the ERP's prices for customer and items named as in the catalogue."""
        who = self.customer(customer)
        return {
            "customer": f"bc:{who['number']}",
            "currency": who["currency"],
            "lines": [
                {"item": f"bc:{self.item(item)['number']}", "quantity": str(quantity)}
                for item, quantity in lines or (("good", 2),)
            ],
            **more,
        }

    # -- calls -------------------------------------------------------------------------------------

    async def token(self, client: str) -> str:
        """An access token of a development client; a new one when half its time is over."""
        token, renew_at = self._tokens.get(client, ("", 0.0))
        if time.monotonic() >= renew_at:
            told = (await self.sign_in(client)).json
            token, renew_at = told["access_token"], time.monotonic() + told["expires_in"] / 2
            self._tokens[client] = token, renew_at
        return token

    async def sign_in(self, client: str, secret: str | None = None) -> Answer:
        """Ask the token endpoint."""
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": f"{client}-dev-secret" if secret is None else secret,
        }
        return await self._answer(self.client.post(f"{self.gateway}/oauth/token").form(form))

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        client: str | None = "crm",
        token: str | None = None,
        key: str | Sequence[str] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Call the gateway. Bytes are sent as they are, anything else as JSON."""
        sent = list(headers)
        if token is None and client is not None:
            token = await self.token(client)
        if token is not None:
            sent.append(("authorization", f"Bearer {token}"))
        sent += [("idempotency-key", each) for each in ([key] if isinstance(key, str) else key)]
        request = self.client.request(method, self.gateway + path)
        if body is not None:
            if not any(name == "content-type" for name, _ in sent):
                sent.append(("content-type", "application/json"))
            raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
            request = request.body_bytes(raw)
        return await self._answer(request.headers(sent))

    async def place(self, order: Any, key: str, *, wait: int | None = None, **more: Any) -> Answer:
        """Place an order through sales/v1."""
        prefer = [("prefer", f"wait={wait}")] if wait is not None else []
        return await self.call(
            "POST", "/sales/v1/orders", order, key=key, headers=prefer, **more
        )  # fmt: skip

    async def order(self, reference: str, *, client: str = "crm") -> dict[str, Any] | None:
        """The order of a reference as operations see it, whoever placed it."""
        found = await self.call(
            "GET", f"/operations/v1/orders?reference={reference}", client="operator"
        )
        orders = found.json["orders"]
        return orders[0] if orders else None

    async def reached(self, reference: str, **states: str) -> dict[str, Any]:
        """Wait until the order stands so on these axes, and answer it."""

        async def stands() -> dict[str, Any] | None:
            order = await self.order(reference)
            if order is not None and all(order[axis] == state for axis, state in states.items()):
                return order
            return None

        async def where() -> object:
            return await self.order(reference)

        return await eventually(stands, f"{reference} reaches {states}", otherwise=where)

    async def posted(self, reference: str) -> None:
        """Wait until all of an order has left and the ERP has posted it: then it can be billed."""

        async def stands() -> bool:
            order = await self.order(reference)
            posted = [each["erpNumber"] for each in order["shipments"]] if order else []
            return bool(posted) and all(posted) and order["fulfilment"] == "shipped"

        async def where() -> object:
            return await self.order(reference)

        await eventually(stands, f"{reference} is posted", otherwise=where)

    async def still(self) -> None:
        """Wait until no vendor has done anything for two seconds: what was set going has ended."""
        seen, since = await self.counts(), time.monotonic()

        async def nobody_does_anything() -> bool:
            nonlocal seen, since
            if (now := await self.counts()) != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > 2

        await eventually(nobody_does_anything, "nobody does anything any more")

    async def operates(self, path: str, body: Any = None, *, key: str = "") -> Answer:
        """Call operations/v1 as the operator."""
        method = "GET" if body is None else "POST"
        return await self.call(
            method, f"/operations/v1{path}", body, client="operator", key=key or ()
        )

    # -- the vendors -------------------------------------------------------------------------------

    async def sandbox_call(self, method: str, path: str, body: Any = None) -> Answer:
        """Do at a vendor what its people do, or ask the sandbox."""
        request = self.client.request(method, self.sandbox + path)
        return await self._answer(request if body is None else request.body_json(body))

    async def closes(self, deal: str) -> None:
        """A rep wins a deal in the CRM."""
        closed = await self.sandbox_call(
            "POST", "/salesforce/_sandbox/close", {"opportunityId": deal}
        )
        assert closed.status == 200, closed.body

    async def erp(self, reference: str) -> list[dict[str, Any]]:
        """What the ERP's ledger says happened under a reference."""
        return _of(await self.ledger("business_central"), reference)

    async def wms(self, reference: str) -> list[dict[str, Any]]:
        """What the warehouse's ledger says happened under a reference."""
        return _of(await self.ledger("wms"), reference)

    async def crm(self, reference: str) -> list[dict[str, Any]]:
        """What the CRM was told about a reference, oldest first, from the CRM's ledger."""
        rows = _of(await self.ledger("salesforce"), reference)
        return [row for row in rows if row["operation"].startswith("ERP_Order__c.")]

    async def crm_states(self, reference: str) -> list[tuple[str, str]]:
        """Commercial and fulfilment state as the CRM showed them one after the other."""
        rows = [row["detail"] for row in await self.crm(reference)]
        return [(row["Status__c"], row["Fulfilment_Status__c"]) for row in rows]

    async def crm_record(self, reference: str) -> dict[str, Any]:
        """The order as a rep sees it in the CRM now."""
        path = f"/salesforce/services/data/v67.0/sobjects/ERP_Order__c/Reference__c/{reference}"
        request = self.client.get(self.sandbox + path).headers(await self.crm_headers())
        return (await self._answer(request)).json

    async def crm_headers(self) -> dict[str, str]:
        """Sign in to the CRM; answers what its calls carry then."""
        signed_in = await self._answer(
            self.client.post(f"{self.sandbox}/salesforce/services/oauth2/token").form(
                {
                    "grant_type": "client_credentials",
                    "client_id": credentials.CLIENT_ID,
                    "client_secret": credentials.CLIENT_SECRET,
                }
            )
        )
        return {"authorization": f"Bearer {signed_in.json['access_token']}"}

    async def crm_reached(
        self, reference: str, *, within: float = SETTLED, **fields: str
    ) -> dict[str, Any]:
        """Wait until the CRM shows these fields of an order, and answer all of them."""

        async def shown() -> dict[str, Any] | None:
            rows = await self.crm(reference)
            last = rows[-1]["detail"] if rows else {}
            return last if fields.items() <= last.items() else None

        async def where() -> object:
            return await self.crm(reference)

        what = f"the CRM shows {fields} of {reference}"
        return await eventually(shown, what, within=within, otherwise=where)

    async def counts(self) -> Counter[tuple[str, str]]:
        """How often each vendor did what, all in all."""
        rows = [row for system in SYSTEMS for row in await self.ledger(system)]
        return Counter((row["system"], row["operation"]) for row in rows)

    async def requests(self, system: str, *, since: int = 0) -> list[dict[str, Any]]:
        """The calls a vendor received, oldest first."""
        answer = await self.sandbox_call("GET", f"/_sandbox/requests?system={system}&since={since}")
        return answer.json["requests"]

    async def last_request(self) -> int:
        """The number of the newest call any vendor received."""
        return (await self.sandbox_call("GET", "/_sandbox/requests")).json["total"]

    async def _answer(self, request: Any) -> Answer:
        started = time.monotonic()
        response = await request.build().send()
        body = (await response.bytes()).to_bytes()
        return Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            seconds=time.monotonic() - started,
        )


SYSTEMS = ("business_central", "salesforce", "wms")


def _of(rows: list[dict[str, Any]], reference: str) -> list[dict[str, Any]]:
    return [row for row in rows if (row["externalReference"] or "").upper() == reference.upper()]


def made(rows: list[dict[str, Any]]) -> Counter[str]:
    """How often each operation is in some rows of a ledger."""
    return Counter(row["operation"] for row in rows)


async def eventually(
    look: Callable[[], Awaitable[Found | None]],
    what: str,
    *,
    within: float = SETTLED,
    otherwise: Callable[[], Awaitable[object]] | None = None,
) -> Found:
    """Look again and again until there is something; fail with what is there instead."""
    give_up = time.monotonic() + within
    while True:
        found = await look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > give_up:
            instead = "" if otherwise is None else f"; it is {await otherwise()}"
            raise AssertionError(f"not within {within:.0f} s: {what}{instead}")
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    *,
    config: str | None = None,
    token_seconds: int | None = None,
    limits: str = "off",
    before: Callable[[Outside], Awaitable[None]] | None = None,
) -> AsyncIterator[Outside]:
    """Start sandbox and system, and stop both however the block ends.

    `config` is what a `crossdock.toml` says beside its systems and clients; without it and without
    a lifetime for tokens the sandbox profile is run. `before` is done when the vendors are there
    and the system is not.
    """
    outside = Outside(folder, config=config, token_seconds=token_seconds, limits=limits)
    try:
        outside.vendors.start()
        await outside.vendors.ready(outside.client)
        outside.catalog = (await outside.sandbox_call("GET", "/_sandbox/catalog")).json
        if before is not None:
            await before(outside)
        outside.system.start()
        await outside.system.ready(outside.client)
        yield outside
    finally:
        outside.system.stop()
        outside.vendors.stop()
        await outside.client.close()


def config_file(stage: Stage, more: str, token_seconds: int) -> str:
    """A `crossdock.toml` for the sandbox's vendors, as an operator would write it, and `more`."""
    secret = {
        client: hashlib.sha256(f"{client}-dev-secret".encode()).hexdigest()
        for client in ("crm", "operator")
    }
    return f"""
[gateway]
public_url = "{stage.gateway}"

[gateway.issuer]
enabled = true
token_seconds = {token_seconds}

[clients.crm]
secrets = ["sha256:{secret["crm"]}"]
scopes = ["pricing:read", "credit:read", "tax:read", "stock:read", "quotes:validate",
          "orders:write", "orders:read", "customers:read"]
accounts = "*"

[clients.operator]
secrets = ["sha256:{secret["operator"]}"]
scopes = ["operations:read", "operations:write", "orders:read"]
accounts = "*"

[systems.business_central]
base_url = "{stage.sandbox}/business_central"
token_url = "{stage.sandbox}/business_central"
tenant = "{credentials.TENANT_ID}"
environment = "{credentials.ENVIRONMENT}"
company = "Crossdock Trading"
client_id = "{credentials.APP_ID}"
client_secret = "env:ERP_SECRET"
write_timeout = {WRITE_TIMEOUT}

[systems.salesforce]
base_url = "{stage.sandbox}/salesforce"
client_id = "{credentials.CLIENT_ID}"
client_secret = "file:{_secret_file(stage)}"
write_timeout = {WRITE_TIMEOUT}
organization_id = "{credentials.ORGANIZATION_ID}"

[systems.shiphero]
base_url = "{stage.sandbox}/shiphero"
username = "{credentials.CLIENT_ID}"
password = "file:{_secret_file(stage)}"
write_timeout = {WRITE_TIMEOUT}
webhook_secrets = ["file:{_secret_file(stage)}"]
{more}
"""


def _secret_file(stage: Stage) -> Path:
    path = stage.folder / "secret"
    path.write_text(credentials.CLIENT_SECRET + "\n", encoding="utf-8")
    return path
