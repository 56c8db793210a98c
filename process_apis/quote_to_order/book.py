"""Every order as the journal has it, for whoever compares it with other systems."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select

from contracts.canonical.order import Order
from process_apis.quote_to_order.records import ORDER_KIND
from process_apis.quote_to_order.views import order_of
from runtime.journal.codec import Types
from runtime.journal.times import to_micros
from runtime.store.engine import Store
from runtime.store.schema import entry, process, term

_PAGE: Final = 2_000
_OUT_OF_ORDER: Final = timedelta(minutes=1)
"""How far lines of the timeline may be from the order of their times, on a shared store."""

_LAST: Final = select(func.max(entry.c.seq))
_NEXT: Final = (
    select(entry.c.seq, entry.c.at)
    .where(entry.c.seq >= bindparam("seq"))
    .order_by(entry.c.seq)
    .limit(1)
)
_CHANGED: Final = (
    select(entry.c.seq, entry.c.process_id)
    .where(entry.c.seq > bindparam("after"))
    .order_by(entry.c.seq)
    .limit(_PAGE)
)
_OF: Final = select(process).where(
    process.c.id.in_(bindparam("ids", expanding=True)), process.c.kind == ORDER_KIND
)
_NAMED: Final = select(process).where(
    func.upper(process.c.reference).in_(bindparam("names", expanding=True)),
    process.c.kind == ORDER_KIND,
)
_BY_RELEASE: Final = select(term.c.process_id).where(
    term.c.kind == "release", term.c.value.in_(bindparam("names", expanding=True))
)


class OrderBook:
    """Orders by when they changed, by id, and by the references they are known under.

    Every change of an order leaves a line in its timeline, and lines are numbered: so what changed
    since an instant is found without looking at what did not.
    """

    def __init__(self, store: Store, types: Types) -> None:
        self._store = store
        self._types = types

    async def changed(
        self, since: datetime, cursor: str | None
    ) -> tuple[Sequence[str], str | None]:
        """Answer ids of orders that changed since an instant, and where to go on; some twice."""

        def query(connection: Connection) -> tuple[Sequence[str], str | None]:
            after = _before(connection, since) if cursor is None else int(cursor)
            rows = connection.execute(_CHANGED, {"after": after}).all()
            ids = list(dict.fromkeys(row.process_id for row in rows))
            return ids, str(rows[-1].seq) if len(rows) == _PAGE else None

        return await self._store.read(query)

    async def of(self, ids: Collection[str]) -> Sequence[Order]:
        """Answer orders by their ids; credits are left out, and what cannot be read."""
        if not ids:
            return []
        return await self._store.read(lambda c: self._shown(c.execute(_OF, {"ids": list(ids)})))

    async def named(self, references: Collection[str]) -> Sequence[Order]:
        """Answer the orders of references: their own, in any case, or those of their releases."""
        return await self._store.read(lambda c: self._shown(_named(c, references)))

    async def is_unread(self, reference: str) -> bool:
        """Tell whether there is an order of a reference, and its record cannot be read."""
        rows = await self._store.read(lambda c: _named(c, [reference]))
        return len(self._types.readable(rows)) < len(rows)

    def _shown(self, rows: Iterable[Any]) -> list[Order]:
        return [order_of(each) for each in self._types.readable(rows)]


def _named(connection: Connection, references: Collection[str]) -> list[Any]:
    upper = [reference.upper() for reference in references]
    if not upper:
        return []
    found = list(connection.execute(_NAMED, {"names": upper}))
    names = {"names": [*references, *upper]}
    others = set(connection.execute(_BY_RELEASE, names).scalars()) - {row.id for row in found}
    return [*found, *connection.execute(_OF, {"ids": list(others)})] if others else found


def _before(connection: Connection, since: datetime) -> int:
    """Answer a line's number behind which every line since an instant is, by halving."""
    wanted = to_micros(since - _OUT_OF_ORDER)
    low, high = 0, connection.execute(_LAST).scalar() or 0
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(_NEXT, {"seq": middle + 1}).first()
        if row is None or row.at >= wanted:
            high = middle
        else:
            low = row.seq
    return low
