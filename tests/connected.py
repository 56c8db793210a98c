"""The three vendors on a socket, and the connectors that speak to them: for tests of connectors."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from deploy.sandbox import business_central, salesforce, shiphero
from deploy.sandbox.app import Sandbox, Vendors, build_context
from deploy.sandbox.business_central.tenant import CLIENT_ID, CLIENT_SECRET, TENANT_ID, Tenant
from deploy.sandbox.faults import FaultRule
from deploy.sandbox.salesforce.policy import OrgPolicy
from deploy.sandbox.salesforce.sessions import DEVELOPMENT_APP
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.shiphero.tokens import PASSWORD, USERNAME
from deploy.sandbox.world import World
from runtime.budget import Allowance, BudgetBroker
from runtime.clock import SystemClock
from runtime.http import HttpClient
from system_apis.crm.salesforce import Salesforce, SalesforceSettings
from system_apis.erp.business_central import BusinessCentral, BusinessCentralSettings
from system_apis.wms.shiphero import ShipHero, ShipHeroSettings
from tests.serving import serving

SMALL = World.seeded(seed=7, items=120, customers=400)


class Connected:
    """A sandbox and one connector for each of its vendors."""

    def __init__(
        self, sandbox: Sandbox, base: str, allowances: Mapping[str, Allowance], **told: Any
    ) -> None:
        self.sandbox = sandbox
        self.base = base
        self.clock = SystemClock()
        self.http = HttpClient()
        self.broker = BudgetBroker(allowances, clock=self.clock)
        self.erp = BusinessCentral(
            BusinessCentralSettings(
                base_url=f"{base}/business_central",
                token_url=f"{base}/business_central",
                tenant=TENANT_ID,
                environment="sandbox",
                company="Crossdock Trading",
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                **told,
            ),
            http=self.http,
            broker=self.broker,
            clock=self.clock,
        )
        self.crm = Salesforce(
            SalesforceSettings(
                base_url=f"{base}/salesforce",
                client_id=DEVELOPMENT_APP.client_id,
                client_secret=DEVELOPMENT_APP.secret,
            ),
            http=self.http,
            broker=self.broker,
            clock=self.clock,
        )
        self.wms = ShipHero(
            ShipHeroSettings(base_url=f"{base}/shiphero", username=USERNAME, password=PASSWORD),
            http=self.http,
            broker=self.broker,
            clock=self.clock,
        )

    def fault(self, system: str, kind: str, operation: str = "*", **more: Any) -> None:
        """Arm a fault of the sandbox."""
        rule = {"system": system, "kind": kind, "operation": operation, "count": 1, **more}
        self.sandbox.context.faults.arm(msgspec.convert(rule, FaultRule))

    def forget_calls(self) -> None:
        """Start counting wire calls anew."""
        self.sandbox.context.requests.forget()

    def calls(self, system: str) -> list[str]:
        """Answer the operations asked of a vendor, in order."""
        return [str(one["operation"]) for one in self.sandbox.context.requests.entries(system)]

    def ledger(self, system: str, operation: str | None = None) -> list[Any]:
        """Answer the side effects of a system, in order."""
        rows = self.sandbox.context.ledger.rows(system)
        return [row for row in rows if operation in {None, row.operation}]


@contextlib.asynccontextmanager
async def connected(
    *,
    world: World = SMALL,
    limits: bool = False,
    tenant: Tenant | None = None,
    org: OrgPolicy | None = None,
    allowances: Mapping[str, Allowance] | None = None,
    **told: Any,
) -> AsyncIterator[Connected]:
    """Serve a sandbox that forgets everything with the test; the connectors are ready to use."""
    settings = SandboxSettings(webhook_delay=0.0, limits=limits)

    def build(context: Any) -> Vendors:
        vendors = (
            business_central.build(context, tenant),
            salesforce.build(context, org),
            shiphero.build(context),
        )
        return Vendors(
            mounted={v.path: v for v in vendors},
            desks={"warehouse": vendors[2].floor.answer},
            warm=vendors[2].library,
        )

    sandbox = Sandbox(build_context(settings, world=world), build)
    async with serving(sandbox) as base:
        vendors = Connected(sandbox, base, allowances or {}, **told)
        yield vendors
        await vendors.http.close()
    await sandbox.close()
