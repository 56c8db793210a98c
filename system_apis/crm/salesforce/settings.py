"""What the connector must be told about an org."""

import msgspec

__all__ = ["SalesforceSettings"]


class SalesforceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One connected app of one org.

    `base_url` is the org's own domain (`https://{mydomain}.my.salesforce.com`). `client_secret` is
    the value itself, resolved from its reference by the assembly. `organization_id` is the 18- or
    15-character id that notifications must carry. `client_name` marks our writes, so that their
    echo in change events can be told from a person's. Times are seconds.
    """

    base_url: str
    client_id: str
    client_secret: str
    organization_id: str = ""
    client_name: str = "crossdock"
    account: str = "salesforce"
    read_timeout: float = 10.0
    write_timeout: float = 30.0
    page_size: int = 200
    poll_overlap: float = 120.0
    """How far back a poll looks before the instant asked for: stamps are set before the commit."""
    link_seconds: float = 600.0
    """How long a link between an account and a customer is remembered."""

    def __repr__(self) -> str:
        return f"<SalesforceSettings {self.client_id} at {self.base_url}>"
