"""What quote-to-order needs of whoever makes promises: to hold us to one."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from contracts.canonical.ids import CustomerId, ItemId


class Redeemed(Protocol):
    """A genuine promise that fits the order."""

    @property
    def id(self) -> str:
        """What makes it one of a kind."""
        ...

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The unit prices promised, line by line; empty when the order must name them."""
        ...

    @property
    def net_amount(self) -> Decimal:
        """The net amount promised."""
        ...


class PromiseReader(Protocol):
    """Reads promises."""

    def redeem(
        self,
        token: str,
        *,
        customer: CustomerId,
        currency: str,
        wanted: Sequence[tuple[ItemId, Decimal]],
        now: datetime,
    ) -> Redeemed:
        """Answer what a token promises for this very order; refuses promise-invalid."""
        ...
