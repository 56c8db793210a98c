"""Items: what can be sold."""

from contracts.canonical.ids import ItemId, SystemId
from contracts.canonical.money import Money
from contracts.canonical.shapes import Canonical, Instant


class Item(Canonical, frozen=True, kw_only=True):
    """An item's master data; the ERP is the authority."""

    id: ItemId
    number: str
    name: str
    list_price: Money
    unit_of_measure: str
    blocked: bool = False
    tax_group: str | None = None
    gtin: str | None = None
    known_as: tuple[SystemId, ...] = ()
    changed_at: Instant | None = None
