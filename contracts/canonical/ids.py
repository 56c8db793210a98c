"""Typed ids, and the references by which a caller may name a customer or an item.

Canonical ids are ours and never change: an order's is minted by the journal, a customer's or item's
carries the ERP's number (decision record 0006). A caller may also use the id of a system it knows
(`bc:10000`, `sf:001...`); the cross-reference turns it into ours.
"""

from typing import Annotated, NewType

import msgspec

CustomerId = NewType("CustomerId", str)
ItemId = NewType("ItemId", str)
OrderId = NewType("OrderId", str)

Reference = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/+\-]*$",
        description=(
            "A canonical id, or `system:id` of a system that is cross-referenced "
            "(`bc:` Business Central number, `sf:` Salesforce id)."
        ),
    ),
]
ExternalReference = Annotated[str, msgspec.Meta(min_length=1, max_length=35)]
"""The one reference an order carries into every system; Business Central allows 35 characters."""


class SystemId(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The id one system gives an entity. `system` is a short name: `bc`, `sf`, `wms`."""

    system: str
    id: str


def customer_id(number: str) -> CustomerId:
    """Answer the canonical id of the customer whose number in the ERP is `number`.

    The ERP is the authority for customers (see its manifest), so its number is the canonical id's
    value; other systems' ids are cross-referenced to it.
    """
    return CustomerId("cust_" + number.upper())


def item_id(number: str) -> ItemId:
    """Answer the canonical id of the item whose number in the ERP is `number`."""
    return ItemId("item_" + number.upper())


def number_of(canonical: str) -> str:
    """Answer the ERP number inside a canonical customer or item id."""
    return canonical.partition("_")[2]
