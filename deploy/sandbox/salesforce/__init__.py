"""Salesforce, REST API v67.0, as one org of our distributor sees it.

Written from the vendor's documentation. What it leaves out: Bulk API, Pub/Sub API, SOSL, Apex,
sharing and field-level security (every signed-in user may do everything), and SOQL aggregates
beyond COUNT().
"""

from random import Random

from deploy.sandbox.salesforce.allocation import Allocation
from deploy.sandbox.salesforce.oauth import OAuth
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.outbound import OutboundMessages
from deploy.sandbox.salesforce.policy import OrgPolicy
from deploy.sandbox.salesforce.schema import build_schema
from deploy.sandbox.salesforce.seed import ORGANIZATION, plant
from deploy.sandbox.salesforce.sessions import DEVELOPMENT_APP, ConnectedApp, Sessions
from deploy.sandbox.salesforce.vendor import SalesforceVendor
from deploy.sandbox.vendor import Vendor, VendorContext

__all__ = ["DEVELOPMENT_APP", "ConnectedApp", "OrgPolicy", "build"]


def build(context: VendorContext, policy: OrgPolicy | None = None) -> Vendor:
    """The org, seeded from the world and with what its vault remembers."""
    settings = context.settings
    org = Org(
        schema=build_schema(),
        vault=context.vault("salesforce"),
        ledger=context.ledger,
        clock=context.clock,
        chance=Random(settings.seed),  # noqa: S311  # which rows are locked is no secret
        policy=policy or OrgPolicy(),
        organization_id=ORGANIZATION,
    )
    plant(org, context.world)
    org.open()
    sessions = Sessions(org)
    allocation = Allocation(org, context.limits)
    authority = f"{settings.host}:{settings.port}"
    outbound = OutboundMessages(
        org=org,
        pushes=context.pushes,
        faults=context.faults,
        chance=Random(settings.seed + 1),  # noqa: S311  # the order of notifications is no secret
        url=f"{settings.webhook_base}/salesforce" if settings.webhook_base else "",
        base=f"http://{authority}/salesforce",
        delay=settings.webhook_delay or 0.0,
    )
    if settings.webhook_base:
        org.owing = outbound.owe
    return SalesforceVendor(
        context=context,
        org=org,
        sessions=sessions,
        allocation=allocation,
        oauth=OAuth(org, sessions, authority),
        outbound=outbound,
    )
