"""What the connector must be told about a tenant."""

import msgspec

__all__ = ["BusinessCentralSettings"]


class BusinessCentralSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One company of one environment of one tenant.

    `base_url` is the API host, `token_url` the host of the token endpoint; both without a path of
    the tenant. `client_secret` is the value itself, resolved from its reference by the assembly.
    `local_currency` is the company's own (LCY), which the vendor leaves blank on some records.
    `webhook_secrets` are values too: the `clientState` notifications must carry, the first one for
    new subscriptions. `probe_quantities` are the quantities whose prices are asked for when the
    tenant lacks the price page and drafts a quote instead. Times are seconds.
    """

    base_url: str = "https://api.businesscentral.dynamics.com"
    token_url: str = "https://login.microsoftonline.com"  # noqa: S105  # an address
    tenant: str
    environment: str
    company: str
    """The company's name, or its id."""
    client_id: str
    client_secret: str
    local_currency: str = "GBP"
    account: str = "business_central"
    read_timeout: float = 10.0
    write_timeout: float = 30.0
    page_size: int = 1000
    webhook_secrets: tuple[str, ...] = ()
    probe_quantities: tuple[int, ...] = (1, 5, 10, 25, 50, 100, 250, 500, 1000)

    def __repr__(self) -> str:
        return f"<BusinessCentralSettings {self.tenant}/{self.environment}/{self.company}>"
