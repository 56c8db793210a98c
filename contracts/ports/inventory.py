"""What can be promised, and what is promised already (process/inventory/v1).

The warehouse knows what it has and what its own fulfilment orders take of it. Orders that are
accepted and not released yet are known here alone: their reservations come off what can be
promised, until the warehouse has the order, the order is taken back, or their time is over.
"""

from decimal import Decimal
from typing import Annotated, Protocol

import msgspec

from contracts.canonical.ids import ExternalReference, ItemId
from contracts.canonical.shapes import Canonical, Instant, Quantity, WantedQuantity
from contracts.ports import examples
from contracts.ports.binding import operation

READ = "process:inventory:read"
WRITE = "process:inventory:write"

_MOST = Decimal(10_000_000)


class PromiseEnquiry(Canonical, frozen=True, kw_only=True):
    """Of which items it is asked what can be promised."""

    items: Annotated[tuple[ItemId, ...], msgspec.Meta(min_length=1, max_length=2000)]


class Promisable(Canonical, frozen=True, kw_only=True):
    """One item in one warehouse: `available` of the warehouse, less what is `reserved` here."""

    warehouse: str
    on_hand: Quantity
    available: Quantity
    reserved: Quantity
    promisable: Quantity


class ItemPromise(Canonical, frozen=True, kw_only=True):
    """What can be promised of one item (available to promise)."""

    item: ItemId
    places: tuple[Promisable, ...]
    as_of: Instant


class ItemPromises(Canonical, frozen=True, kw_only=True):
    """The items the warehouses know; others are missing."""

    items: tuple[ItemPromise, ...]


class WantedStock(Canonical, frozen=True, kw_only=True):
    """How much of an item is wanted."""

    item: ItemId
    quantity: WantedQuantity

    def __post_init__(self) -> None:
        """Refuse a quantity nobody can ship."""
        if not self.quantity.is_finite() or not Decimal(0) < self.quantity <= _MOST:
            raise ValueError("quantity must be above 0 and at most 10000000")


class ReserveStock(Canonical, frozen=True, kw_only=True):
    """Stock to reserve for `holder`, once: asked again, it answers what is reserved already.

    One warehouse is preferred that has everything, else as few as possible. What nobody has is
    `short`; with `all_or_nothing` nothing is reserved then. `preferred` is tried first.
    """

    holder: ExternalReference
    lines: Annotated[tuple[WantedStock, ...], msgspec.Meta(min_length=1, max_length=2000)]
    seconds: Annotated[int, msgspec.Meta(ge=1, le=2_592_000)] = 86_400
    all_or_nothing: bool = False
    preferred: str | None = None


class ReservedStock(Canonical, frozen=True, kw_only=True):
    """So much of an item is kept in one warehouse."""

    item: ItemId
    warehouse: str
    quantity: Quantity


class ShortStock(Canonical, frozen=True, kw_only=True):
    """So much of an item nobody has."""

    item: ItemId
    quantity: Quantity


class Reservation(Canonical, frozen=True, kw_only=True):
    """What is kept for a holder, and what nobody has. After `expires_at` it is kept no longer."""

    holder: ExternalReference
    lines: tuple[ReservedStock, ...]
    short: tuple[ShortStock, ...]
    expires_at: Instant


class ReleaseReservation(Canonical, frozen=True, kw_only=True):
    """Whose reservation is over, because the warehouse has the order or the order is not wanted.

    Without `lines` all of it. Giving back what is not there changes nothing.
    """

    holder: ExternalReference
    lines: tuple[ReservedStock, ...] = ()


class Inventory(Protocol):
    """What can be promised, over all warehouses, less what is promised already."""

    @operation(
        "POST",
        "/promise-enquiries",
        scope=READ,
        limit="checks",
        examples={"body": {"items": (examples.CANONICAL_ITEM,)}},
    )
    async def promisable(self, body: PromiseEnquiry) -> ItemPromises:
        """Answer what can be promised of these items, and where."""
        ...

    @operation(
        "POST",
        "/reservations",
        scope=WRITE,
        status=201,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        examples={
            "body": {
                "holder": examples.REFERENCE,
                "lines": ({"item": examples.CANONICAL_ITEM, "quantity": "2"},),
            }
        },
    )
    async def reserve(self, body: ReserveStock) -> Reservation:
        """Reserve stock once for a holder, in as few warehouses as possible."""
        ...

    @operation(
        "GET",
        "/reservations/{holder}",
        scope=READ,
        problems=("not-found",),
        examples={"holder": examples.REFERENCE},
    )
    async def reservation(self, holder: str) -> Reservation:
        """Answer what is kept for a holder."""
        ...

    @operation(
        "POST",
        "/reservation-releases",
        scope=WRITE,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        examples={"body": {"holder": examples.NOBODYS_REFERENCE}},
    )
    async def release(self, body: ReleaseReservation) -> Reservation:
        """Give a reservation back, wholly or in part; answers what is still kept."""
        ...
