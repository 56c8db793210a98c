"""Which warehouse keeps what: values in, a value out."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import combinations

from contracts.canonical.ids import ItemId
from contracts.ports.inventory import ReservedStock, ShortStock, WantedStock

Wanted = Mapping[ItemId, Decimal]
Place = tuple[ItemId, str]
"""An item in a warehouse."""

_NOTHING = Decimal(0)
_MORE_THAN_THERE_IS = Decimal(10) ** 12


def wanted_of(lines: Iterable[WantedStock]) -> dict[ItemId, Decimal]:
    """Add up what is wanted of each item."""
    wanted: dict[ItemId, Decimal] = {}
    for line in lines:
        wanted[line.item] = wanted.get(line.item, _NOTHING) + line.quantity
    return wanted


def given_back(lines: Iterable[ReservedStock]) -> dict[Place, Decimal]:
    """Add up what is given back of each item in each warehouse; no number, no matter."""
    amounts: dict[Place, Decimal] = {}
    for line in lines:
        if line.quantity.is_finite() and line.quantity > 0:
            place = (line.item, line.warehouse)
            amounts[place] = amounts.get(place, _NOTHING) + min(line.quantity, _MORE_THAN_THERE_IS)
    return amounts


def short_of(wanted: Wanted, kept: Iterable[ReservedStock]) -> tuple[ShortStock, ...]:
    """Answer what of the wanted nobody keeps."""
    left = dict(wanted)
    for line in kept:
        left[line.item] = left.get(line.item, _NOTHING) - line.quantity
    return tuple(ShortStock(item=item, quantity=q) for item, q in left.items() if q > 0)


def picked(
    wanted: Wanted,
    free: Mapping[Place, Decimal],
    *,
    preferred: str | None,
    all_or_nothing: bool,
) -> dict[Place, Decimal]:
    """Take as much of the wanted as there is, from as few warehouses as that needs.

    Among as many warehouses the preferred one goes first, then those with most of what is wanted.
    """
    stock: dict[str, dict[ItemId, Decimal]] = {}
    for (item, warehouse), quantity in free.items():
        if quantity > 0 and item in wanted:
            stock.setdefault(warehouse, {})[item] = quantity
    everywhere = _covered(wanted, list(stock.values()))
    if not everywhere or (all_or_nothing and everywhere < sum(wanted.values(), _NOTHING)):
        return {}
    order = sorted(stock, key=lambda name: (name != preferred, -_held(wanted, stock[name]), name))
    for count in range(1, len(order) + 1):
        for names in combinations(order, count):
            if _covered(wanted, [stock[name] for name in names]) == everywhere:
                return _taken(wanted, {name: stock[name] for name in names})
    return {}  # not reached: all of them together cover what all of them cover


def _held(wanted: Wanted, stock: Mapping[ItemId, Decimal]) -> Decimal:
    """Tell how much of what is wanted a warehouse could give, and then how much it has."""
    given = sum((min(stock.get(item, _NOTHING), q) for item, q in wanted.items()), _NOTHING)
    return given * 1_000_000 + sum(stock.values(), _NOTHING)


def _covered(wanted: Wanted, stocks: Sequence[Mapping[ItemId, Decimal]]) -> Decimal:
    return sum(
        (
            min(quantity, sum((stock.get(item, _NOTHING) for stock in stocks), _NOTHING))
            for item, quantity in wanted.items()
        ),
        _NOTHING,
    )


def _taken(wanted: Wanted, stock: Mapping[str, Mapping[ItemId, Decimal]]) -> dict[Place, Decimal]:
    """Take each item from the first that has all of it, else from one after the other."""
    taken: dict[Place, Decimal] = {}
    for item, quantity in wanted.items():
        alone = next((n for n, has in stock.items() if has.get(item, _NOTHING) >= quantity), None)
        left = quantity
        for warehouse in stock if alone is None else (alone,):
            part = min(left, stock[warehouse].get(item, _NOTHING))
            if part > 0:
                taken[item, warehouse] = part
                left -= part
    return taken
