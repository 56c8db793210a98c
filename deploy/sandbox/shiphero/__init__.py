"""The third-party warehouse, on ShipHero: its GraphQL API, its limits and its webhooks.

Written from developer.shiphero.com; where the vendor publishes no answer the module says so.
"""

from deploy.sandbox.shiphero.simulator import ShipHero
from deploy.sandbox.vendor import VendorContext

__all__ = ["ShipHero", "build"]


def build(context: VendorContext) -> ShipHero:
    """The simulator, its vault replayed and the world's stock loaded."""
    return ShipHero(context)
