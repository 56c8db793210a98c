"""Which channel a consumer of sales/v1 sells through."""

from collections.abc import Mapping
from typing import Final

import msgspec

from contracts.context import CallContext

AGREED_PRICES: Final = "orders:agreed-prices"
"""The scope by which a consumer may send orders whose prices are agreed already."""


class SalesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The channel of each consumer, by its name in `channels`.

    One that is not named sells through `channel`; one with the scope for agreed prices through
    `agreed_prices_channel`.
    """

    channels: Mapping[str, str] = {}
    channel: str = "sales"
    agreed_prices_channel: str = "order-file"

    def channel_of(self, call: CallContext) -> str:
        """Answer the channel whose policy applies to a call."""
        named = self.channels.get(call.consumer)
        if named is not None:
            return named
        return self.agreed_prices_channel if AGREED_PRICES in call.scopes else self.channel
