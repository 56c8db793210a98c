"""Who may sign in to the simulated vendors. Public on purpose: they guard nothing."""

__all__ = [
    "APP_ID",
    "APP_SECRET",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "ENVIRONMENT",
    "ORGANIZATION_ID",
    "TENANT_ID",
]

CLIENT_ID = "crossdock"
"""The connected app in Salesforce and the user in the warehouse."""
CLIENT_SECRET = "crossdock-sandbox-secret"  # noqa: S105  # see above
TENANT_ID = "5c1e2a34-7d0b-4f86-9a63-0e8b7f21d4c9"
"""The Entra tenant of Business Central."""
APP_ID = "b7a4f6d2-31c8-4e95-8f0a-6d29c4e7130b"
"""The app registration that Business Central lists."""
APP_SECRET = "business-central-dev-secret"  # noqa: S105  # see above
ENVIRONMENT = "production"
ORGANIZATION_ID = "00D5g0000000Q0vEAE"
"""The Salesforce org, as its outbound messages name it."""
