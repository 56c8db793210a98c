"""Questions about many orders at once, answered in the store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, bindparam, select

from contracts.canonical.ids import CustomerId
from process_apis.quote_to_order import uncounted
from process_apis.quote_to_order.history import Histories, History
from process_apis.quote_to_order.lifecycle import STANDING
from process_apis.quote_to_order.records import KINDS, ORDER_KIND
from process_apis.quote_to_order.uncounted import Uncounted
from runtime.journal.codec import Types
from runtime.journal.faults import UnreadableProcess
from runtime.journal.incidents import Category
from runtime.journal.process import Process
from runtime.journal.reading import REFERENCE
from runtime.journal.times import from_micros, maybe_time
from runtime.store.engine import Store
from runtime.store.schema import incident, process, term

_BY_TERM = (
    select(term.c.process_id)
    .where(
        term.c.kind == bindparam("kind"),
        term.c.value.in_(bindparam("values", expanding=True)),
        term.c.process_id < bindparam("cursor"),
    )
    .order_by(term.c.process_id.desc())
    .limit(bindparam("room"))
)
_BY_REFERENCE = select(process.c.id).where(
    process.c.reference.in_(bindparam("values", expanding=True)),
    process.c.id < bindparam("cursor"),
    process.c.kind.in_(KINDS),
)
_BY_ID = select(process).where(process.c.id.in_(bindparam("ids", expanding=True)))
_LATEST = (
    select(process)
    .where(process.c.id < bindparam("cursor"), process.c.kind == ORDER_KIND)
    .order_by(process.c.id.desc())
    .limit(bindparam("room"))
)
_STANDING = (
    select(process.c.id, process.c.reference, process.c.state)
    .join(term, term.c.process_id == process.c.id)
    .where(term.c.kind == bindparam("kind"), term.c.value == bindparam("value"))
    .order_by(process.c.id.desc())
    .limit(bindparam("room"))
)
_EXCEPTIONS = (
    select(
        process.c.id,
        process.c.kind,
        process.c.version,
        process.c.reference,
        process.c.data,
        incident.c.id.label("incident"),
        incident.c.category,
        incident.c.says,
        incident.c.opened_at,
        incident.c.closed_at,
    )
    .join(process, process.c.id == incident.c.process_id)
    .order_by(incident.c.id)
)
_CUSTOMERS = select(term.c.process_id, term.c.value).where(
    term.c.kind == "customer", term.c.process_id.in_(bindparam("ids", expanding=True))
)

LAST: Final = "Z" * 27
"""Sorts behind every id, in every collation: ids are 26 digits and capitals."""


class Page(Struct, frozen=True, kw_only=True):
    """Processes, newest first, without those that cannot be read.

    `cursor` goes on after the last that was looked at, read or not; None when there is no more.
    """

    processes: Sequence[Process[Any]]
    cursor: str | None


class Standing(Struct, frozen=True, kw_only=True):
    """What is known of a process without its record."""

    id: str
    reference: str
    state: str


class QueuedException(Struct, frozen=True, kw_only=True):
    """A row of the exception queue, with the customer it concerns.

    `unread`: the process's record cannot be read. Its customer is then the one it is found by,
    None if that is not one alone.
    """

    id: str
    process: str
    reference: str
    customer: CustomerId | None
    unread: bool
    category: Category
    says: str
    opened_at: datetime
    closed_at: datetime | None


class _Owned(Struct, frozen=True, kw_only=True):
    customer: CustomerId


_owned = msgspec.json.Decoder(_Owned).decode


class OrderQueries:
    """Reads orders and credits. One whose record cannot be read hides no other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._types = Types(())
        self._histories = Histories(store)

    def use(self, types: Types) -> None:
        """Decode by these process types, once the journal that knows them is made."""
        self._types = types

    async def by_term(
        self, kind: str, values: Sequence[str], cursor: str | None, limit: int
    ) -> Page:
        """Answer up to `limit` processes known by one of these business ids, newest first."""

        def query(connection: Connection) -> Page:
            asked = {
                "kind": kind,
                "values": list(values),
                "cursor": cursor or LAST,
                "room": limit,
            }
            query = _BY_REFERENCE if kind == REFERENCE else _BY_TERM
            ids = list(connection.execute(query, asked).scalars())
            return self._page(connection.execute(_BY_ID, {"ids": ids}).all() if ids else [], limit)

        return await self._store.read(query)

    async def latest(self, cursor: str | None, limit: int) -> Page:
        """Answer up to `limit` orders, newest first."""

        def query(connection: Connection) -> Page:
            asked = {"cursor": cursor or LAST, "room": limit}
            return self._page(connection.execute(_LATEST, asked).all(), limit)

        return await self._store.read(query)

    def _page(self, rows: Sequence[Any], limit: int) -> Page:
        rows = sorted(rows, key=lambda row: row.id, reverse=True)
        cursor = rows[-1].id if rows and len(rows) >= limit else None
        return Page(processes=self._types.readable(rows), cursor=cursor)

    async def standing(self, kind: str, value: str, limit: int) -> Sequence[Standing]:
        """Answer how processes known by a business id stand, read or not; newest first."""
        asked = {"kind": kind, "value": value, "room": limit}
        rows = await self._store.read(lambda c: c.execute(_STANDING, asked).all())
        return [Standing(id=row.id, reference=row.reference, state=row.state) for row in rows]

    async def not_in_erp(self) -> Sequence[Uncounted]:
        """Answer every order on its way to the ERP; a stopped one may be retried."""
        return await self._store.read(lambda c: uncounted.not_in_erp(c, self._types))

    async def estimated(self, waiting: Sequence[Uncounted]) -> Sequence[Uncounted]:
        """Put a figure on those whose record cannot be read; for a start, as it is slow."""
        return await self._store.read(lambda c: uncounted.estimated(c, waiting))

    async def exceptions(
        self,
        *,
        open_only: bool,
        category: Category | None,
        accounts: Sequence[str] | None,
        cursor: str | None,
        limit: int,
    ) -> Sequence[QueuedException]:
        """Answer up to `limit` rows of the exception queue, oldest first.

        With `accounts` only what concerns these customers.
        """
        query = _EXCEPTIONS.where(incident.c.id > (cursor or "")).limit(limit)
        if open_only:
            query = query.where(incident.c.closed_at.is_(None))
        if category is not None:
            query = query.where(incident.c.category == category.value)
        if accounts is not None:
            theirs = select(term.c.process_id).where(
                term.c.kind == "customer", term.c.value.in_(accounts)
            )
            query = query.where(process.c.id.in_(theirs))
        return await self._store.read(lambda connection: self._queued(connection, query))

    def _queued(self, connection: Connection, query: Select[Any]) -> list[QueuedException]:
        rows = connection.execute(query).all()
        owners: dict[str, CustomerId | None] = {}
        unread: list[str] = []
        for row in rows:
            try:
                owners[row.id] = self._types.part(row, _owned).customer
            except UnreadableProcess:
                unread.append(row.id)
        owners |= _found_by(connection, unread)
        return [
            QueuedException(
                id=row.incident,
                process=row.id,
                reference=row.reference,
                customer=owners.get(row.id),
                unread=row.id in unread,
                category=Category(row.category),
                says=row.says,
                opened_at=from_micros(row.opened_at),
                closed_at=maybe_time(row.closed_at),
            )
            for row in rows
        ]

    async def history(self, customer: CustomerId) -> History:
        """Answer what a customer ordered and was credited, as it is in the store now."""
        return await self._histories.of(customer, self._types)

    async def found_by(self, process_id: str) -> CustomerId | None:
        """Answer whose process it is by its business ids; None if they name none, or several."""
        found = await self._store.read(lambda c: _found_by(c, [process_id]))
        return found.get(process_id)


def _found_by(connection: Connection, ids: Sequence[str]) -> dict[str, CustomerId | None]:
    """Answer the customers that processes are found by, where each has one alone."""
    found: dict[str, CustomerId | None] = {}
    if ids:
        for row in connection.execute(_CUSTOMERS, {"ids": list(ids)}):
            found[row.process_id] = None if row.process_id in found else CustomerId(row.value)
    return found


CONFIRMED: Final = frozenset({*STANDING, "posting", "suspending", "resuming", "shipped", "closed"})
"""The states in which the ERP holds the order."""
