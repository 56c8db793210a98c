"""Microsoft Dynamics 365 Business Central, API v2.0."""

from system_apis.erp.business_central.connector import BusinessCentral
from system_apis.erp.business_central.settings import BusinessCentralSettings

__all__ = ["BusinessCentral", "BusinessCentralSettings"]
