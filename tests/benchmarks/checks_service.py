"""One tier as a Litestar service of its own, the next one called over httpx.

    python -m tests.benchmarks.checks_service system|process|experience PORT BELOW [cold]

The very code of the tiers, without a gateway: what `checks_assembled` compares with. The system
tier answers from memory what its connectors answered once, as a vendor at zero latency would.
The process tier keeps its copies; with `cold` it has none and asks the system tier each time.
"""

import asyncio
import inspect
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from contracts import context
from contracts.outcomes import CallFailedError, from_problem
from contracts.ports.binding import BoundOperation, Reply, operations
from contracts.problems import ProblemError, parse
from contracts.versions import ApiVersion, supported
from deploy.assembly import surroundings
from deploy.profile import Settings, configuration
from deploy.tiers import SystemTier
from experience_apis.sales.api import SalesApi
from process_apis.pricing_credit.api import PricingCreditApi
from process_apis.pricing_credit.promises import Promises
from process_apis.pricing_credit.records import Records
from process_apis.pricing_credit.settings import CopySettings, PricingSettings
from runtime.clock import SystemClock
from runtime.rest.routes import application, router_for

COPIED = ("customers", "items", "accounts", "prices", "credit", "rates", "stock")


def over_httpx(api: ApiVersion, base_url: str, client: httpx.AsyncClient) -> Any:
    """A port's methods, each a call of httpx: what a service written by hand would do."""
    address = base_url + api.path
    return SimpleNamespace(
        **{one.name: _method(api, one, address, client) for one in operations(api.port)}
    )


def _method(
    api: ApiVersion, one: BoundOperation, address: str, client: httpx.AsyncClient
) -> Callable[..., Awaitable[Any]]:
    extra = (("body", one.body), ("query", one.query))
    names = one.path_parameters + tuple(name for name, shape in extra if shape is not None)

    async def call(*args: Any, **named: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **named}
        path = one.operation.path.format(
            **{name: quote(str(given[name]), safe="") for name in one.path_parameters}
        )
        query = msgspec.to_builtins(given.get("query")) if one.query is not None else {}
        answer = await client.request(
            one.operation.method,
            address + path,
            headers=context.to_headers(context.current(), time.monotonic()),
            params={name: value for name, value in query.items() if value is not None},
            content=msgspec.json.encode(given["body"]) if one.body is not None else None,
        )
        if answer.status_code >= 400:
            told = parse(answer.content)
            if api.tier == "system":
                raise CallFailedError(from_problem(told, system=api.name, retry_after=None))
            raise ProblemError(told)
        body = msgspec.json.decode(answer.content, type=one.result)
        return Reply(body=body, status=answer.status_code) if one.replies else body

    return call


class Remembered:
    """A connector whose every answer is kept, so that no vendor is waited for."""

    def __init__(self, behind: object) -> None:
        self._behind = behind
        self._answers: dict[bytes, Any] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._behind, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def remembered(*args: Any, **named: Any) -> Any:
            key = msgspec.json.encode((name, args, named))
            if key not in self._answers:
                self._answers[key] = await method(*args, **named)
            return self._answers[key]

        return remembered


def _apis(tier: str) -> dict[str, ApiVersion]:
    return {api.name: api for api in supported() if api.tier == tier}


def system() -> dict[str, Any]:
    """The connectors, with a memory."""
    settings = Settings.from_environment()
    apis = SystemTier(surroundings(settings, configuration(settings))).apis
    return {
        name: Remembered(apis[name])
        for name in ("system/erp", "system/crm", "system/wms", "system/tax")
    }


def process(below: str, client: httpx.AsyncClient, *, cold: bool) -> dict[str, Any]:
    """Pricing and credit over the system tier."""
    known = _apis("system")
    erp, crm, wms, tax = (
        over_httpx(known[f"system/{name}"], below, client) for name in ("erp", "crm", "wms", "tax")
    )
    never = CopySettings(firm_for=0.0, size=1_000)
    warm = PricingSettings()
    settings = PricingSettings(**dict.fromkeys(COPIED, never)) if cold else warm  # type: ignore[arg-type]  # only these fields are named
    clock = SystemClock()
    return {
        "process/pricing-credit": PricingCreditApi(
            records=Records(erp=erp, wms=wms, crm=crm, settings=settings, clock=clock),
            tax=tax,
            settings=settings,
            clock=clock,
            promises=Promises(b"p" * 32, valid_for=settings.promise_seconds),
            nonce=lambda: secrets.token_hex(8),
        )
    }


def experience(below: str, client: httpx.AsyncClient) -> dict[str, Any]:
    """The sales channel over the process tier."""
    settings = Settings.from_environment()
    pricing = over_httpx(_apis("process")["process/pricing-credit"], below, client)
    orders: Any = None  # no order is placed here
    return {
        "sales": SalesApi(pricing=pricing, orders=orders, settings=configuration(settings).sales)
    }


async def main(tier: str, port: int, below: str, *, cold: bool) -> None:
    """Serve one tier."""
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        match tier:
            case "system":
                implementations = system()
            case "process":
                implementations = process(below, client, cold=cold)
            case _:
                implementations = experience(below, client)
        apis = _apis(tier)
        routers = [router_for(apis[name], made) for name, made in implementations.items()]
        server = Server(
            application(routers), address="127.0.0.1", port=port, interface=Interfaces.ASGI,
            log_enabled=False,
        )  # fmt: skip
        await server.serve()


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], cold="cold" in sys.argv))
