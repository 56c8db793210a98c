"""The distributor that all three vendors know: one deterministic world, in nobody's vocabulary.

Amounts are ``Decimal``. The local currency (LCY) is GBP. Item, customer and warehouse codes are
upper case.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec

__all__ = [
    "Deal",
    "DealLine",
    "PriceRule",
    "World",
    "WorldCurrency",
    "WorldCustomer",
    "WorldItem",
    "WorldWarehouse",
]


class WorldItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An item. ``unit_price`` is the GBP list price; ``tax_group`` is STANDARD, REDUCED or ZERO.

    ``stock`` is pieces by warehouse code. A discontinued item still sells what is left of it.
    """

    number: str
    name: str
    category: str
    unit_price: Decimal
    unit_cost: Decimal
    gtin: str
    unit_of_measure: str = "PCS"
    tax_group: str = "STANDARD"
    blocked: bool = False
    discontinued: bool = False
    weight_kg: Decimal = Decimal("0.25")
    stock: Mapping[str, int]


class WorldCustomer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A customer. ``credit_limit`` (0: unlimited), ``balance`` and ``overdue`` are in GBP.

    ``blocked`` is empty, ``Ship``, ``Invoice`` or ``All``. ``tax_area`` is DOMESTIC (GB), EU-RC (EU
    business with a VAT id: reverse charge), EU-<country> (EU without one), US-<state> or EXPORT.
    ``price_group`` is a ``PriceRule.customer_group`` or empty; ``payment_terms`` like ``NET30``.
    """

    number: str
    name: str
    country: str
    state: str = ""
    city: str
    street: str
    postcode: str
    currency: str
    vat_id: str | None = None
    tax_area: str
    price_group: str = ""
    credit_limit: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)
    overdue: Decimal = Decimal(0)
    blocked: str = ""
    email: str
    phone: str
    payment_terms: str = "NET30"
    region: str
    salesforce_account_id: str


class PriceRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of a price list: for a customer, for a group, or with neither for everybody.

    The unit price holds from ``minimum_quantity`` pieces on, from ``starts`` to ``ends`` inclusive.
    """

    item: str
    customer_group: str | None = None
    customer: str | None = None
    currency: str
    minimum_quantity: Decimal
    unit_price: Decimal
    starts: date | None = None
    ends: date | None = None


class DealLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a deal; the price is per piece in the deal's currency."""

    item: str
    quantity: int
    unit_price: Decimal


class Deal(msgspec.Struct, frozen=True, kw_only=True):
    """A sales opportunity. ``id`` is its 18-character Salesforce id; ``stage`` a stage name."""

    id: str
    name: str
    customer: str
    currency: str
    lines: tuple[DealLine, ...]
    po_number: str
    stage: str


class WorldWarehouse(msgspec.Struct, frozen=True, kw_only=True):
    """A warehouse: a location in the ERP, a warehouse in the WMS."""

    code: str
    name: str
    country: str
    city: str
    street: str
    postcode: str


class WorldCurrency(msgspec.Struct, frozen=True, kw_only=True):
    """A currency; ``gbp_per_unit`` is what one unit of it is worth in GBP."""

    code: str
    name: str
    gbp_per_unit: Decimal


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the distributor is at the start of time. Keys are numbers and codes.

    ``added`` says when items (``item:<number>``) and customers (``customer:<number>``) that came
    later were added, as ISO 8601 in UTC.
    """

    source: str
    items: dict[str, WorldItem]
    customers: dict[str, WorldCustomer]
    price_rules: dict[str, tuple[PriceRule, ...]]  # by item number
    warehouses: dict[str, WorldWarehouse]
    currencies: dict[str, WorldCurrency]
    deals: dict[str, Deal]
    added: dict[str, str] = {}

    def including(self, other: "World", at: str) -> "World":
        """This world with the items and customers of another that it lacks, added ``at``.

        What was there keeps its place, so that ids derived from an order of things stay.
        """
        items = {n: item for n, item in other.items.items() if n not in self.items}
        customers = {n: one for n, one in other.customers.items() if n not in self.customers}
        return msgspec.structs.replace(
            self,
            source=f"{self.source}, {other.source}" if items or customers else self.source,
            items=self.items | items,
            customers=self.customers | customers,
            added=self.added
            | {f"item:{number}": at for number in items}
            | {f"customer:{number}": at for number in customers},
        )

    @classmethod
    def seeded(cls, seed: int = 7, items: int = 4000, customers: int = 4000) -> "World":
        """A distributor drawn from ``seed``: the same arguments give the same world, always."""
        from deploy.sandbox.seeding import seeded_world  # noqa: PLC0415  # a circle

        return seeded_world(seed, items, customers)

    @classmethod
    def from_order_file(cls, path: Path) -> "World":
        """The catalogue and customers found in a wholesaler's order file (csv or csv.gz).

        Raises:
            OrderFileError: the file is not of that layout; the message names the missing columns.
        """
        from deploy.sandbox.order_file import world_from_order_file  # noqa: PLC0415  # a circle

        return world_from_order_file(path)
