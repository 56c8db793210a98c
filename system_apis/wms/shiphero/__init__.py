"""ShipHero's public GraphQL API."""

from system_apis.wms.shiphero.connector import ShipHero
from system_apis.wms.shiphero.settings import ShipHeroSettings

__all__ = ["ShipHero", "ShipHeroSettings"]
