"""By which names a caller may call a customer or an item.

Canonical ids (`cust_10000`, `item_1896-S`), the ERP's own numbers, bare or as `bc:10000`, and
ids of the CRM (`sf:001...`), which are cross-referenced and need a look-up. Numbers are
upper-cased, as the ERP's code fields are.
"""

from typing import Final

from contracts.canonical.ids import CustomerId, ItemId, customer_id, item_id

_ERP: Final = "bc:"
_CRM: Final = "sf:"
_CUSTOMER: Final = "cust_"
_ITEM: Final = "item_"


def item_of(reference: str) -> ItemId:
    """Answer the canonical id a reference to an item stands for; the item may not exist."""
    return item_id(_number(reference, _ITEM))


def customer_of(reference: str) -> CustomerId | None:
    """Answer the canonical id a reference to a customer stands for.

    None means the reference is the CRM's and must be looked up in the cross-reference.
    """
    if is_of_crm(reference):
        return None
    return customer_id(_number(reference, _CUSTOMER))


def is_of_crm(reference: str) -> bool:
    """Tell whether a reference is an id of the CRM."""
    return reference[:3].lower() == _CRM


def _number(reference: str, prefix: str) -> str:
    head = reference[: len(prefix)].lower()
    if head == prefix:
        return reference[len(prefix) :].strip()
    if reference[:3].lower() == _ERP:
        return reference[3:].strip()
    return reference.strip()
