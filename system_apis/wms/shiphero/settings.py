"""What the connector must be told about an account of the warehouse."""

import msgspec

__all__ = ["ShipHeroSettings"]


class ShipHeroSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One user of one ShipHero account.

    `password` and `webhook_secrets` (one for each registered type, more while they rotate) are the
    values themselves, resolved from their references by the assembly. Times are seconds.
    """

    base_url: str = "https://public-api.shiphero.com"
    username: str
    password: str
    shop_name: str = "Crossdock"
    account: str = "shiphero"
    read_timeout: float = 10.0
    write_timeout: float = 30.0
    webhook_secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<ShipHeroSettings {self.username} at {self.base_url}>"
