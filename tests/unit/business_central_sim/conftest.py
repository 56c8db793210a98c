"""A company in Business Central, and somebody who talks to its API."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.sandbox.app import build_context
from deploy.sandbox.business_central import BusinessCentral, Tenant
from deploy.sandbox.business_central.tenant import CLIENT_ID, CLIENT_SECRET, SCOPE, TENANT_ID
from deploy.sandbox.faults import FaultRule
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.vendor import VendorContext
from deploy.sandbox.world import World


class HandClock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
        self._passed = 0.0

    def now(self) -> datetime:
        """What time it is."""
        return self._now

    def monotonic(self) -> float:
        """How many seconds have passed."""
        return self._passed

    def passes(self, **span: float) -> None:
        """Let time pass: ``clock.passes(days=3)``."""
        step = timedelta(**span)
        self._now += step
        self._passed += step.total_seconds()


class Erp:
    """The simulator with a signed-in caller. Paths start behind the company."""

    def __init__(self, context: VendorContext, tenant: Tenant, clock: HandClock) -> None:
        self.context = context
        self.clock = clock
        self.vendor = BusinessCentral(context, tenant)
        self.company = "not known yet"
        self.root = f"/v2.0/{TENANT_ID}/sandbox/api"
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.vendor),  # type: ignore[arg-type]  # httpx types the scope as a plain dict
            base_url="http://sandbox.test:8090",
        )

    async def signs_in(self, **changes: str) -> httpx.Response:
        """Ask for a token and use it when there is one."""
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": SCOPE,
        }
        form |= changes
        answer = await self.http.post(
            f"/{TENANT_ID}/oauth2/v2.0/token",
            data={name: value for name, value in form.items() if value},
        )
        if answer.status_code == 200:
            self.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer

    async def opens(self) -> "Erp":
        """Sign in and find the company."""
        await self.signs_in()
        companies = await self.http.get(f"{self.root}/v2.0/companies")
        self.company = companies.json()["value"][0]["id"]
        return self

    def url(self, path: str, api: str = "v2.0") -> str:
        """The path of something in the company."""
        return f"{self.root}/{api}/companies({self.company})/{path}"

    async def get(self, path: str, api: str = "v2.0", **headers: str) -> httpx.Response:
        """GET."""
        return await self.http.get(self.url(path, api), headers=headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """POST, a body as JSON when there is one."""
        if body is None:
            return await self.http.post(self.url(path), headers=headers)
        return await self.http.post(self.url(path), json=body, headers=headers)

    async def patch(self, path: str, body: Any, tag: str | None = "*") -> httpx.Response:
        """PATCH with an ``If-Match``, or without one."""
        headers = {} if tag is None else {"If-Match": tag}
        return await self.http.patch(self.url(path), json=body, headers=headers)

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        """DELETE."""
        return await self.http.delete(self.url(path), headers=headers)

    async def rows(self, path: str, api: str = "v2.0") -> list[dict[str, Any]]:
        """The rows that a read answers with."""
        answer = await self.get(path, api)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["value"])

    async def orders(self, reference: str = "PO-1", **fields: Any) -> dict[str, Any]:
        """A sales order for customer 20001: ten of item 10001 at 2.00, or what the fields say."""
        lines = [{"lineObjectNumber": "10001", "quantity": 10, "unitPrice": 2}]
        body = {
            "customerNumber": "20001",
            "externalDocumentNumber": reference,
            "salesOrderLines": lines,
        }
        answer = await self.post("salesOrders?$expand=salesOrderLines", {**body, **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def customer(self, number: str = "20001") -> dict[str, Any]:
        """A customer with what it owes."""
        path = f"customers?$filter=number eq '{number}'&$expand=customerFinancialDetail"
        return (await self.rows(path))[0]

    def booked(self) -> list[tuple[str, str | None, str | None]]:
        """The ledger as operation, reference and amount."""
        return [
            (
                row.operation,
                row.external_reference,
                None if row.amount is None else str(row.amount),
            )
            for row in self.context.ledger.rows()
        ]

    def breaks(self, **rule: Any) -> None:
        """Arm the fault switch."""
        self.context.faults.arm(FaultRule(system="business_central", **rule))


@pytest.fixture(scope="session")
def small_world() -> World:
    """Forty items, eighty customers, deterministic."""
    return World.seeded(seed=7, items=40, customers=80)


@pytest.fixture
async def make_erp(small_world: World) -> AsyncIterator[Callable[..., Erp]]:
    """Makes companies: other tenants, with limits, on disk, with another webhook delay."""
    made: list[Erp] = []

    def make(
        *,
        tenant: Tenant | None = None,
        limits: bool = False,
        data: Path | None = None,
        webhook_delay: float = 0.01,
    ) -> Erp:
        clock = HandClock()
        settings = SandboxSettings(limits=limits, data=data, webhook_delay=webhook_delay)
        context = build_context(settings, world=small_world, clock=clock)
        erp = Erp(context, tenant or Tenant(), clock)
        made.append(erp)
        return erp

    yield make
    for erp in made:
        await erp.http.aclose()
        await erp.context.pushes.close()
        erp.vendor.close()
        erp.context.ledger.close()


@pytest.fixture
async def erp(make_erp: Callable[..., Erp]) -> Erp:
    """A company with nothing sold yet, no limits, and somebody signed in."""
    return await make_erp().opens()


@pytest.fixture
def problem() -> Callable[[httpx.Response], tuple[int, str, str]]:
    """Reads a refusal: status, code, and the text without its correlation id."""

    def read(answer: httpx.Response) -> tuple[int, str, str]:
        error = answer.json()["error"]
        assert set(answer.json()) == {"error"}
        text, mark, rest = error["message"].partition("  CorrelationId:  ")
        assert mark
        assert len(rest) == 37, rest
        return answer.status_code, error["code"], text

    return read
