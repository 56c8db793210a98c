"""Every API and its supported versions: who owns it, where it stands in its life, until when.

One row per API and version. A row's blessed OpenAPI document is `contracts/openapi/<slug>.json`; it
is compared with what the code generates and never rewritten by a test (decision record 0007).
"""

from datetime import date
from typing import Final, Literal

import msgspec

from contracts.ports.accounts import Accounts
from contracts.ports.crm import Crm
from contracts.ports.erp import Erp
from contracts.ports.gateway import Gateway
from contracts.ports.inventory import Inventory
from contracts.ports.operations import Operations
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.processes import Processes
from contracts.ports.quote_to_order import QuoteToOrder
from contracts.ports.reconciliation import Reconciliation
from contracts.ports.sales import Sales
from contracts.ports.tax import Tax
from contracts.ports.webhooks import Webhooks
from contracts.ports.wms import Wms

Tier = Literal["experience", "process", "system", "edge", "gateway"]
State = Literal["active", "deprecated", "sunset"]


class ApiVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One supported version of one API.

    `name` is its address below the gateway and before the version, as in `process/pricing-credit`.
    `deprecated_on` and `sunset_on` become the `Deprecation` and `Sunset` headers (RFC 9745, 8594).
    """

    name: str
    version: int
    title: str
    tier: Tier
    owner: str
    port: type
    state: State = "active"
    since: date = date(2026, 11, 22)
    deprecated_on: date | None = None
    sunset_on: date | None = None
    successor: str | None = None

    @property
    def path(self) -> str:
        """The public path prefix, as `/sales/v1`.

        Vendors are given addresses that never change: `/webhooks` carries no version.
        """
        return "/webhooks" if self.name == "webhooks" else f"/{self.name}/v{self.version}"

    @property
    def slug(self) -> str:
        """The file name of its documents, as `sales.v1`."""
        return f"{self.name.replace('/', '.')}.v{self.version}"


VERSIONS: Final[tuple[ApiVersion, ...]] = (
    ApiVersion(name="sales", version=1, title="Sales", tier="experience",
               owner="channel integration", port=Sales),
    ApiVersion(name="operations", version=1, title="Operations", tier="experience",
               owner="integration operations", port=Operations),
    ApiVersion(name="webhooks", version=1, title="Inbound notifications", tier="edge",
               owner="integration operations", port=Webhooks),
    ApiVersion(name="gateway", version=1, title="Gateway", tier="gateway",
               owner="integration operations", port=Gateway),
    ApiVersion(name="process/pricing-credit", version=1, title="Pricing and credit",
               tier="process", owner="order management", port=PricingCredit),
    ApiVersion(name="process/quote-to-order", version=1, title="Quote to order",
               tier="process", owner="order management", port=QuoteToOrder),
    ApiVersion(name="process/inventory", version=1, title="Inventory", tier="process",
               owner="inventory planning", port=Inventory),
    ApiVersion(name="process/reconciliation", version=1, title="Reconciliation", tier="process",
               owner="integration operations", port=Reconciliation),
    ApiVersion(name="process/journal", version=1, title="Journal", tier="process",
               owner="integration operations", port=Processes),
    ApiVersion(name="system/erp", version=1, title="ERP", tier="system",
               owner="ERP integration", port=Erp),
    ApiVersion(name="system/crm", version=1, title="CRM", tier="system",
               owner="CRM integration", port=Crm),
    ApiVersion(name="system/wms", version=1, title="Warehouse", tier="system",
               owner="warehouse integration", port=Wms),
    ApiVersion(name="system/tax", version=1, title="Tax", tier="system",
               owner="finance integration", port=Tax),
    ApiVersion(name="system/accounts", version=1, title="Vendor accounts", tier="system",
               owner="integration operations", port=Accounts),
)  # fmt: skip


def supported() -> tuple[ApiVersion, ...]:
    """Answer every version that may still be called."""
    return tuple(api for api in VERSIONS if api.state != "sunset")


def retired() -> tuple[ApiVersion, ...]:
    """Answer every version that is gone: its calls are told so, and where to go."""
    return tuple(api for api in VERSIONS if api.state == "sunset")
