"""What a warehouse does for us, in our words (system/wms/v1)."""

from datetime import date
from typing import Annotated, Protocol

import msgspec

from contracts.canonical.documents import Shipment
from contracts.canonical.ids import ExternalReference, ItemId
from contracts.canonical.money import Money
from contracts.canonical.party import Address
from contracts.canonical.shapes import Canonical, Instant, Quantity
from contracts.canonical.stock import StockPosition
from contracts.ports import examples
from contracts.ports.binding import operation
from contracts.ports.changes import Changes

READ = "system:wms:read"
WRITE = "system:wms:write"


class WarehouseLine(Canonical, frozen=True, kw_only=True):
    """One line to pick."""

    number: int
    item: ItemId
    quantity: Quantity
    unit_price: Money
    description: str


class ReleaseOrder(Canonical, frozen=True, kw_only=True):
    """A fulfilment order to be created once. `in_doubt`: an earlier try may have created it."""

    reference: ExternalReference
    lines: tuple[WarehouseLine, ...]
    ship_to: Address
    total: Money
    warehouse: str | None = None
    po_number: str | None = None
    ship_by: date | None = None
    in_doubt: bool = False


class WarehouseOrder(Canonical, frozen=True, kw_only=True):
    """A fulfilment order as the warehouse holds it."""

    id: str
    number: str
    reference: ExternalReference
    state: str
    """`pending`, `held`, `fulfilled` or `cancelled`, or the warehouse's own word for another."""
    found: bool
    held: bool = False
    shipped: bool = False
    """Whether anything of it has left."""
    changed_at: Instant | None = None


class WarehouseOrderPage(Canonical, frozen=True, kw_only=True):
    """Fulfilment orders by time of change; `cursor` is absent on the last page."""

    orders: tuple[WarehouseOrder, ...]
    cursor: str | None = None


class ShipmentPage(Canonical, frozen=True, kw_only=True):
    """Packages that left, one shipment each; `cursor` is absent on the last page.

    The order of a package is the reference of the fulfilment order, its id the same as in the
    warehouse's own messages.
    """

    shipments: tuple[Shipment, ...]
    cursor: str | None = None


class CancelRelease(Canonical, frozen=True, kw_only=True):
    """Which fulfilment order to take back."""

    reference: ExternalReference
    reason: str


class ReleaseCancelled(Canonical, frozen=True, kw_only=True):
    """What cancelling did. `was_there` is False when there was nothing to take back."""

    was_there: bool


class HoldRelease(Canonical, frozen=True, kw_only=True):
    """Whether the warehouse may pick the order."""

    reference: ExternalReference
    held: bool


class StockEnquiry(Canonical, frozen=True, kw_only=True):
    """Which items' stock is wanted."""

    items: Annotated[tuple[ItemId, ...], msgspec.Meta(min_length=1, max_length=2000)]


class StockPositions(Canonical, frozen=True, kw_only=True):
    """The positions found; an item the warehouse does not stock is missing."""

    positions: tuple[StockPosition, ...]


class Wms(Protocol):
    """The warehouse: authority for stock and for what was shipped."""

    @operation(
        "POST",
        "/stock-enquiries",
        scope=READ,
        limit="checks",
        examples={"body": examples.STOCK_ENQUIRY},
    )
    async def stock(self, body: StockEnquiry) -> StockPositions:
        """Answer what is on hand and available of these items."""
        ...

    @operation(
        "POST",
        "/releases",
        scope=WRITE,
        status=201,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        max_body_bytes=2_097_152,
        problems=("business-rule",),
        examples={"body": examples.RELEASE},
    )
    async def release(self, body: ReleaseOrder) -> WarehouseOrder:
        """Create a fulfilment order once per reference, looking first when in doubt."""
        ...

    @operation("GET", "/releases", scope=READ, criticality="sync", problems=("not-found",))
    async def list_releases(self, query: Changes) -> WarehouseOrderPage:
        """List fulfilment orders changed since an instant, all of them without one."""
        ...

    @operation(
        "GET", "/cancelled-releases", scope=READ, criticality="sync", problems=("not-found",)
    )
    async def list_cancelled_releases(self, query: Changes) -> WarehouseOrderPage:
        """List fulfilment orders that are cancelled, changed since an instant."""
        ...

    @operation("GET", "/shipments", scope=READ, criticality="sync", problems=("not-found",))
    async def shipments_since(self, query: Changes) -> ShipmentPage:
        """List every package that left since an instant, all of them without one."""
        ...

    @operation(
        "GET", "/releases/{reference}", scope=READ, examples={"reference": examples.REFERENCE}
    )
    async def find_release(self, reference: str) -> WarehouseOrder:
        """Answer the fulfilment order that carries this reference; 404 if there is none."""
        ...

    @operation(
        "POST",
        "/release-cancellations",
        scope=WRITE,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        problems=("order-not-cancellable",),
        examples={"body": examples.RELEASE_CANCELLATION},
    )
    async def cancel_release(self, body: CancelRelease) -> ReleaseCancelled:
        """Take a fulfilment order back that has not been shipped."""
        ...

    @operation(
        "POST",
        "/release-holds",
        scope=WRITE,
        criticality="capture",
        limit="orders",
        idempotency="optional",
        examples={"body": examples.HOLD},
        problems=("not-found", "business-rule"),
    )
    async def hold_release(self, body: HoldRelease) -> WarehouseOrder:
        """Stop or let go on the picking of an order."""
        ...
