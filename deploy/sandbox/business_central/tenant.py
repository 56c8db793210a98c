"""The tenant that the simulator plays: its app registrations, environments and company."""

import msgspec

from deploy.sandbox.credentials import APP_ID as CLIENT_ID
from deploy.sandbox.credentials import APP_SECRET as CLIENT_SECRET
from deploy.sandbox.credentials import TENANT_ID

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "COMPANY_NAME",
    "RESOURCE",
    "SCOPE",
    "TENANT_ID",
    "Principal",
    "Tenant",
]

RESOURCE = "https://api.businesscentral.dynamics.com"
SCOPE = f"{RESOURCE}/.default"
COMPANY_NAME = "Crossdock Trading"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An app registration. Without ``enabled`` it gets tokens, but the company does not list it."""

    client_id: str
    client_secret: str
    enabled: bool = True


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """What one tenant has.

    ``custom_pages`` False is a tenant without the pricing extension: its pages answer 404.
    ``filters_blocked`` False is a version that fails on ``$filter`` over a customer's ``blocked``.
    """

    tenant_id: str = TENANT_ID
    domain: str = "crossdock-trading.example"
    environments: frozenset[str] = frozenset({"sandbox", "production"})
    company_name: str = COMPANY_NAME
    principals: tuple[Principal, ...] = (
        Principal(client_id=CLIENT_ID, client_secret=CLIENT_SECRET),
        Principal(client_id="e0d3c5b8-94a7-4b12-a6f1-58c07d9e2f44", client_secret=CLIENT_SECRET),
        Principal(
            client_id="0f9b1d77-2c46-4a3e-bd58-e1a6720c93f5",
            client_secret=CLIENT_SECRET,
            enabled=False,
        ),
    )
    token_seconds: int = 3599
    requests_per_window: int = 6000
    window_seconds: float = 300.0
    parallel: int = 5
    queued: int = 95
    queue_seconds: float = 480.0
    custom_pages: bool = True
    filters_blocked: bool = True
