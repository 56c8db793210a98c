"""Microsoft Dynamics 365 Business Central, API v2.0, as the outside sees it."""

from deploy.sandbox.business_central.simulator import BusinessCentral
from deploy.sandbox.business_central.tenant import Tenant
from deploy.sandbox.vendor import VendorContext

__all__ = ["BusinessCentral", "Tenant", "build"]


def build(context: VendorContext, tenant: Tenant | None = None) -> BusinessCentral:
    """The simulator over the context's world, its documents replayed from the vault."""
    return BusinessCentral(context, tenant or Tenant())
