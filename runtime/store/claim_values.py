"""What claims are made of: amounts as whole hundred-thousandths, bounds, choices, answers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Final

from msgspec import Struct

from runtime.journal.times import from_micros, to_micros

NEVER: Final = 2**63 - 1
"""Of an instant in microseconds: not in anybody's lifetime."""

_PLACES: Final = 5
_UNIT: Final = Decimal(1).scaleb(-_PLACES)

Choose = Callable[[Mapping[str, Decimal]], Mapping[str, Decimal]]
"""What to take of what is free in each account."""


class Bound(Struct, frozen=True, kw_only=True):
    """To how much the claims under an account may come that a reading does not include.

    `most` None: to any amount. `as_of`: when the other system was read; None when nothing that
    has ended counts.
    """

    most: Decimal | None
    as_of: datetime | None = None

    @property
    def reading(self) -> int:
        """The instant of the reading in microseconds."""
        return NEVER if self.as_of is None else to_micros(self.as_of)


class Holding(Struct, frozen=True, kw_only=True):
    """What a holder holds, by account. `is_new`: this very call took it or put it so."""

    amounts: Mapping[str, Decimal]
    expires_at: datetime | None = None
    is_new: bool = False


class Taking(Struct, frozen=True, kw_only=True):
    """One call of `Claims.take`; instants in microseconds."""

    holder: str
    bounds: Mapping[str, Bound]
    choose: Choose
    expires_at: int
    at: int


class Putting(Struct, frozen=True, kw_only=True):
    """One call of `Claims.put`."""

    holder: str
    account: str
    amount: int
    at: int
    bound: Bound

    def fits(self, total: int) -> bool:
        """Tell whether the bound is kept when all others hold `total`."""
        most = self.bound.most
        return most is None or quantity_of(total + self.amount) <= most


class Ending(Struct, frozen=True, kw_only=True):
    """One call of `Claims.end`. `amounts` None: all."""

    holder: str
    amounts: Mapping[str, int] | None
    until: int
    at: int


class OpenClaim(Struct, frozen=True, kw_only=True):
    """A claim that has neither ended nor expired."""

    holder: str
    account: str
    amount: Decimal


def units_of(amount: Decimal) -> int:
    """Answer an amount in hundred-thousandths, rounded up: rather too much is claimed."""
    return int(amount.scaleb(_PLACES).to_integral_value(ROUND_CEILING))


def quantity_of(units: int) -> Decimal:
    """Answer the amount of so many hundred-thousandths."""
    return (Decimal(units) * _UNIT).normalize() + 0


def holding_of(amounts: Mapping[str, int], expires_at: int, *, is_new: bool = False) -> Holding:
    """Answer a holding in the caller's words."""
    return Holding(
        amounts={account: quantity_of(units) for account, units in amounts.items()},
        expires_at=None if expires_at >= NEVER or not amounts else from_micros(expires_at),
        is_new=is_new,
    )


def chosen(taking: Taking, totals: Mapping[str, int]) -> dict[str, int]:
    """Have a taking choose among what the totals leave free.

    Raises `ValueError` for a choice of more than that.
    """
    free = {
        account: Decimal(NEVER)
        if bound.most is None
        else bound.most - quantity_of(totals.get(account, 0))
        for account, bound in taking.bounds.items()
    }
    choice = {account: amount for account, amount in taking.choose(free).items() if amount}
    for account, amount in choice.items():
        if account not in free or not 0 < amount <= free[account]:
            raise ValueError(f"{amount} of {account}, of which {free.get(account)} is free")
    return {account: units_of(amount) for account, amount in choice.items()}


def all_or_nothing(wanted: Mapping[str, Decimal]) -> Choose:
    """Take these amounts if all of them are free, else nothing."""

    def choose(free: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        return wanted if all(free[account] >= q for account, q in wanted.items()) else {}

    return choose


def what_fits(wanted: Mapping[str, Decimal]) -> Choose:
    """Take of each what is free of it."""

    def choose(free: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        return {a: max(Decimal(0), min(free[a], quantity)) for a, quantity in wanted.items()}

    return choose
