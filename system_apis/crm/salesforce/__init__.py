"""Salesforce, REST API v67.0."""

from system_apis.crm.salesforce.connector import Salesforce
from system_apis.crm.salesforce.settings import SalesforceSettings

__all__ = ["Salesforce", "SalesforceSettings"]
