"""One Salesforce org in the test's own process, and somebody who calls it."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from deploy.sandbox import salesforce
from deploy.sandbox.app import build_context
from deploy.sandbox.settings import SandboxSettings
from tests.sandbox_callers import SMALL, TurnedClock

ROOT = "/services/data/v67.0"


class OrgCaller:
    """An org with a signed-in integration user; ``context`` is its sandbox."""

    def __init__(self, *, clock, data=None, policy=None, **settings):
        chosen = SandboxSettings(
            data=data, **{"webhook_base": "", "webhook_delay": 0.0, **settings}
        )
        self.clock = clock
        self.context = build_context(chosen, world=SMALL, clock=clock)
        self.vendor = salesforce.build(self.context, policy)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.vendor), base_url="http://sandbox:8090"
        )

    async def sign_in(self) -> str:
        app = salesforce.DEVELOPMENT_APP
        answer = await self.token(
            grant_type="client_credentials", client_id=app.client_id, client_secret=app.secret
        )
        token = answer.json()["access_token"]
        self.http.headers["authorization"] = f"Bearer {token}"
        return token

    async def token(self, *, headers=None, **form) -> httpx.Response:
        return await self.http.post("/services/oauth2/token", data=form, headers=headers)

    async def call(self, method: str, path: str, body: Any = None, **headers) -> httpx.Response:
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            headers = {"content-type": "application/json", **headers}
        return await self.http.request(method, f"{ROOT}/{path}", content=content, headers=headers)

    async def create(self, name: str, **fields) -> str:
        """Create a record that must be taken; answers its id."""
        answer = await self.call("POST", f"sobjects/{name}", fields)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def record(self, name: str, record_id: str) -> dict:
        answer = await self.call("GET", f"sobjects/{name}/{record_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, method: str, path: str, body: Any = None, **headers) -> tuple[int, str]:
        """Status and error code of a call that must be refused in Salesforce's shape."""
        answer = await self.call(method, path, body, **headers)
        errors = answer.json()
        assert isinstance(errors, list), answer.text
        assert len(errors) == 1, answer.text
        assert errors[0]["message"], answer.text
        return answer.status_code, errors[0]["errorCode"]

    async def query(self, soql: str, resource: str = "query", **headers) -> httpx.Response:
        return await self.http.get(f"{ROOT}/{resource}", params={"q": soql}, headers=headers)

    async def rows(self, soql: str) -> list[dict]:
        answer = await self.query(soql)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["done"], "more than one page"
        return page["records"]

    async def names(self, soql: str, field: str = "Name") -> list:
        return [row[field] for row in await self.rows(soql)]

    async def hook(self, path: str, **body) -> httpx.Response:
        return await self.http.post(f"/_sandbox/{path}", json=body)

    def ledger(self) -> list:
        return list(self.context.ledger.rows("salesforce"))

    async def close(self) -> None:
        await self.context.pushes.close()
        await self.http.aclose()
        self.vendor.close()
        self.context.ledger.close()


@pytest.fixture
def clock():
    return TurnedClock()


@pytest.fixture
async def an_org(clock):
    """Builds orgs; two with one data directory are one org before and after a restart."""
    built = []

    async def build(data: Path | None = None, **options) -> OrgCaller:
        caller = OrgCaller(clock=clock, data=data, **options)
        built.append(caller)
        await caller.sign_in()
        return caller

    yield build
    for caller in built:
        await caller.close()


@pytest.fixture
async def org(an_org):
    return await an_org()


@pytest.fixture(scope="module")
async def shared_org():
    """One org for those tests of a module that do not mind what others leave in it."""
    caller = OrgCaller(clock=TurnedClock())
    await caller.sign_in()
    yield caller
    await caller.close()


@pytest.fixture
def deal():
    """An open deal of the world with more than one line."""
    return next(deal for deal in SMALL.deals.values() if len(deal.lines) > 1)
