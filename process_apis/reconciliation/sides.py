"""What each system says of one order, and whom to ask."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from contracts.canonical.documents import Invoice, Shipment
from contracts.canonical.order import Order
from contracts.ports.crm import OrderReport
from contracts.ports.erp import ErpOrder
from contracts.ports.reconciliation import SystemName
from contracts.ports.wms import WarehouseOrder


class Orders(Protocol):
    """The orders as the journal has them; credits are not among them."""

    async def changed(
        self, since: datetime, cursor: str | None
    ) -> tuple[Sequence[str], str | None]:
        """Answer ids of orders that changed since an instant, and where to go on; some twice."""
        ...

    async def of(self, ids: Collection[str]) -> Sequence[Order]:
        """Answer orders by their ids; those whose record cannot be read are left out."""
        ...

    async def named(self, references: Collection[str]) -> Sequence[Order]:
        """Answer the orders of references, their own in any case or those of their releases."""
        ...

    async def is_unread(self, reference: str) -> bool:
        """Tell whether there is an order of a reference, and its record cannot be read."""
        ...


class Sides(Struct, frozen=True, kw_only=True):
    """What the systems hold of one order. `unread` systems were not asked or did not answer.

    `packages` are those that left in the time the sweep looks at.
    """

    erp: tuple[ErpOrder, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    releases: Mapping[str, tuple[WarehouseOrder, ...]] = {}
    packages: tuple[Shipment, ...] = ()
    crm: OrderReport | None = None
    unread: frozenset[SystemName] = frozenset()


def key_of(reference: str) -> str:
    """Answer a reference as it is compared: systems fold its case."""
    return reference.strip().upper()


def release_names(order: Order) -> tuple[str, ...]:
    """Answer under which references the warehouse may have an order."""
    return tuple(dict.fromkeys((order.reference, *(each.reference for each in order.releases))))
