"""Telling the CRM again what a sweep found it does not show: how the order stands now, once more.

It goes the way every change of an order goes to the CRM, so it waits in line, is tried again, and
comes after whatever is on its way already. Asking twice tells it once.
"""

from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Final, Protocol

from contracts.canonical.order import Order
from contracts.ports.reconciliation import Difference, DifferenceQuery, Retelling, Retold
from process_apis.reconciliation.keeping import Keeping
from process_apis.reconciliation.sides import Orders, key_of

__all__ = ["Teller", "retell"]

_PAGE: Final = 200
_MOST_NAMED: Final = 500
NOT_OURS: Final = "It is no order of ours: remove the row in the CRM."
UNREADABLE: Final = "Its record cannot be read; see its exception."
NO_DIFFERENCE: Final = "This sweep found nothing about it that the CRM is to be told."


class Teller(Protocol):
    """Tells the CRM how orders stand."""

    async def tell(self, orders: Sequence[Order], *, actor: str, note: str) -> None:
        """Have the CRM told; audited. One that it is about to be told of is not told twice."""
        ...


async def retell(
    sweep: str, body: Retelling, *, orders: Orders, keeping: Keeping, teller: Teller, actor: str
) -> Retold:
    """Have the CRM told of every order that a sweep found it does not show as it is."""
    wanted = {key_of(each): each for each in body.references}
    not_told: dict[str, str] = {}
    pending: dict[str, str] = {}
    async for each in _of_the_crm(sweep, keeping):
        key = key_of(each.reference)
        if wanted and key not in wanted:
            continue
        if each.kind == "unknown-in-crm":
            not_told[each.reference] = NOT_OURS
        else:
            pending[key] = each.reference
    told = 0
    names = iter(pending.values())
    while some := list(islice(names, _PAGE)):
        found = await orders.named(some)
        await teller.tell(found, actor=actor, note=body.note)
        told += len(found)
        known = {key_of(order.reference) for order in found}
        not_told |= {name: UNREADABLE for name in some if key_of(name) not in known}
    seen = pending.keys() | {key_of(name) for name in not_told}
    not_told |= {name: NO_DIFFERENCE for key, name in wanted.items() if key not in seen}
    return Retold(orders=told, not_told=dict(islice(sorted(not_told.items()), _MOST_NAMED)))


async def _of_the_crm(sweep: str, keeping: Keeping) -> AsyncIterator[Difference]:
    cursor: str | None = None
    while True:
        query = DifferenceQuery(cursor=cursor, limit=_PAGE)
        found = await keeping.differences(sweep, query)
        for each in found[:_PAGE]:
            if each.system == "crm":
                yield each
        if len(found) <= _PAGE:
            return
        cursor = found[_PAGE - 1].id
