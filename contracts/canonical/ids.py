"""Typed ids, and the references by which a caller may name a customer or an item.

Canonical ids are ours: a prefix and a value that never changes. A caller may also use the id of a
system it knows (`bc:10000`, `sf:001...`, `shopify:...`); the cross-reference turns it into ours.
"""

import os
import time
from typing import Annotated, Final, NewType

import msgspec

CustomerId = NewType("CustomerId", str)
ItemId = NewType("ItemId", str)
OrderId = NewType("OrderId", str)
ProcessId = NewType("ProcessId", str)

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

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Mint an id that sorts by time: prefix, 48 bits of milliseconds, 80 random bits, base 32."""
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[value & 31])
        value >>= 5
    return prefix + "_" + "".join(reversed(digits))


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
