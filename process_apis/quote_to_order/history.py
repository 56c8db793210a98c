"""What a customer ordered and was credited, as matching a credit needs it."""

from collections import OrderedDict
from datetime import date
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from contracts.canonical.ids import CustomerId
from process_apis.quote_to_order.records import CREDIT_KIND, AgreedLine, Match
from runtime.journal.codec import Types, left_out
from runtime.journal.faults import UnreadableProcess
from runtime.store.engine import Store
from runtime.store.schema import process, term

_CUSTOMERS_KEPT: Final = 500
_UNREAD: Final = 0
"""The revision no process has: what could not be read is tried again the next time."""

_REVISIONS = (
    select(process.c.id, process.c.revision)
    .join(term, term.c.process_id == process.c.id)
    .where(term.c.kind == "customer", term.c.value == bindparam("customer"))
)
_DATA = select(
    process.c.id,
    process.c.kind,
    process.c.version,
    process.c.reference,
    process.c.state,
    process.c.data,
).where(process.c.id.in_(bindparam("ids", expanding=True)))


class SoldOrder(Struct, frozen=True, kw_only=True):
    """What of an order a credit can go against: nothing, where its record cannot be read."""

    id: str
    reference: str
    state: str
    order_date: date | None
    currency: str
    lines: tuple[AgreedLine, ...]


class Claim(Struct, frozen=True, kw_only=True):
    """What another credit of the customer goes against.

    `unread` is the reference of one whose record cannot be read: nobody knows what it goes against.
    """

    id: str
    state: str
    undecided: bool
    matches: tuple[Match, ...]
    unread: str | None = None


class History(Struct, frozen=True, kw_only=True):
    """Everything a customer ordered and was credited."""

    orders: tuple[SoldOrder, ...]
    claims: tuple[Claim, ...]


Entry = SoldOrder | Claim


class _Stored(Struct, frozen=True, kw_only=True):
    """The few fields of a record that matching needs; the rest is skipped over."""

    currency: str
    order_date: date | None = None
    lines: tuple[AgreedLine, ...] = ()
    matches: tuple[Match, ...] = ()


_stored = msgspec.json.Decoder(_Stored).decode


class Histories:
    """The histories of the customers asked for last. What is kept is bounded and checked for age.

    Only what changed since the last time is read and decoded again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of: OrderedDict[CustomerId, dict[str, tuple[int, Entry]]] = OrderedDict()

    async def of(self, customer: CustomerId, types: Types) -> History:
        """Answer a customer's history as it is in the store now."""
        known = self._of.setdefault(customer, {})
        self._of.move_to_end(customer)
        if len(self._of) > _CUSTOMERS_KEPT:
            self._of.popitem(last=False)
        known.update(await self._store.read(lambda c: _changes(c, customer, known, types)))
        entries = [entry for _, (_, entry) in sorted(known.items())]
        return History(
            orders=tuple(each for each in entries if isinstance(each, SoldOrder)),
            claims=tuple(each for each in entries if isinstance(each, Claim)),
        )


def _changes(
    connection: Connection, customer: CustomerId, known: dict[str, tuple[int, Entry]], types: Types
) -> dict[str, tuple[int, Entry]]:
    revisions = {
        row.id: row.revision for row in connection.execute(_REVISIONS, {"customer": customer})
    }
    stale = [i for i, revision in revisions.items() if known.get(i, (0, None))[0] != revision]
    if not stale:
        return {}
    # A revision may grow between the two questions: then it is read once more the next time.
    changed: dict[str, tuple[int, Entry]] = {}
    for row in connection.execute(_DATA, {"ids": stale}):
        try:
            changed[row.id] = revisions[row.id], _remembered(row, types.part(row, _stored))
        except UnreadableProcess as unreadable:
            left_out(row.id, unreadable.__cause__)
            changed[row.id] = _UNREAD, _unread(row)
    return changed


def _remembered(row: Any, stored: Any) -> Entry:
    if row.kind == CREDIT_KIND:
        return Claim(
            id=row.id,
            state=row.state,
            undecided=row.state == "accepted",
            matches=() if row.state == "cancelled" else stored.matches,
        )
    return SoldOrder(
        id=row.id,
        reference=row.reference,
        state=row.state,
        order_date=stored.order_date,
        currency=stored.currency,
        lines=stored.lines,
    )


def _unread(row: Any) -> Entry:
    """What the columns alone say. A credit that has not decided, or ended, goes against nothing."""
    if row.kind == CREDIT_KIND:
        decided = row.state not in {"accepted", "cancelled"}
        return Claim(
            id=row.id,
            state=row.state,
            undecided=False,
            matches=(),
            unread=row.reference if decided else None,
        )
    return SoldOrder(
        id=row.id,
        reference=row.reference,
        state=row.state,
        order_date=None,
        currency="",
        lines=(),
    )
