"""Questions about many orders at once, answered in the store."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from contracts.canonical.ids import CustomerId
from contracts.canonical.order import CreditState
from process_apis.quote_to_order.lifecycle import STANDING
from process_apis.quote_to_order.records import AgreedLine, Match, Trouble
from runtime.journal.codec import Types
from runtime.journal.incidents import Category
from runtime.journal.process import Lane, Process
from runtime.journal.reading import REFERENCE
from runtime.journal.times import from_micros, maybe_time
from runtime.store.engine import Store
from runtime.store.schema import incident, process, term

ORDER_KIND: Final = "order"
CREDIT_KIND: Final = "credit"
_CUSTOMERS_KEPT: Final = 500

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
)
_BY_ID = select(process).where(process.c.id.in_(bindparam("ids", expanding=True)))
_LATEST = (
    select(process)
    .where(process.c.id < bindparam("cursor"), process.c.kind == ORDER_KIND)
    .order_by(process.c.id.desc())
    .limit(bindparam("room"))
)
_REVISIONS = (
    select(process.c.id, process.c.kind, process.c.state, process.c.revision)
    .join(term, term.c.process_id == process.c.id)
    .where(term.c.kind == "customer", term.c.value == bindparam("customer"))
)
_DATA = select(
    process.c.id, process.c.kind, process.c.reference, process.c.state, process.c.data
).where(process.c.id.in_(bindparam("ids", expanding=True)))
_EXCEPTIONS = (
    select(incident, process.c.reference, process.c.data)
    .join(process, process.c.id == incident.c.process_id)
    .order_by(incident.c.id)
)

_NOT_IN_ERP = select(process.c.consumer, process.c.key, process.c.data).where(
    process.c.lane.in_([lane.value for lane in Lane]),  # leads the index
    process.c.kind == ORDER_KIND,
    process.c.state.in_(("accepted", "provisional", "stopped")),
    ~process.c.done,
)

LAST: Final = "Z" * 27
"""Sorts behind every id, in every collation: ids are 26 digits and capitals."""


class SoldOrder(Struct, frozen=True, kw_only=True):
    """What of an order a credit can go against."""

    id: str
    reference: str
    state: str
    order_date: date | None
    currency: str
    lines: tuple[AgreedLine, ...]


class Claim(Struct, frozen=True, kw_only=True):
    """What another credit of the customer goes against."""

    id: str
    state: str
    undecided: bool
    matches: tuple[Match, ...]


class History(Struct, frozen=True, kw_only=True):
    """Everything a customer ordered and was credited."""

    orders: tuple[SoldOrder, ...]
    claims: tuple[Claim, ...]


class QueuedException(Struct, frozen=True, kw_only=True):
    """A row of the exception queue, with the customer it concerns."""

    id: str
    process: str
    reference: str
    customer: CustomerId
    category: Category
    says: str
    opened_at: datetime
    closed_at: datetime | None


class _Stored(Struct, frozen=True, kw_only=True):
    """The few fields of a record that matching and sums need; the rest is skipped over."""

    channel: str
    currency: str
    net: Decimal
    order_date: date | None = None
    lines: tuple[AgreedLine, ...] = ()
    matches: tuple[Match, ...] = ()
    trouble: Trouble | None = None


class _Summed(Struct, frozen=True, kw_only=True):
    channel: str
    customer: CustomerId
    currency: str
    net: Decimal


class Uncounted(Struct, frozen=True, kw_only=True):
    """What an order that is not in the ERP yet adds to what its customer will owe."""

    consumer: str
    key: str
    customer: CustomerId
    exposure: Decimal | None


class _Exposed(Struct, frozen=True, kw_only=True):
    customer: CustomerId
    exposure: Decimal | None = None
    credit: CreditState = "unchecked"


_exposed = msgspec.json.Decoder(_Exposed).decode
_stored = msgspec.json.Decoder(_Stored).decode
_summed = msgspec.json.Decoder(_Summed).decode


class OrderQueries:
    """Reads orders and credits. What it keeps in memory is bounded and checked for age."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._types = Types(())
        self._histories: OrderedDict[CustomerId, dict[str, tuple[int, SoldOrder | Claim]]]
        self._histories = OrderedDict()

    def use(self, types: Types) -> None:
        """Decode by these process types, once the journal that knows them is made."""
        self._types = types

    async def by_term(
        self, kind: str, values: Sequence[str], cursor: str | None, limit: int
    ) -> Sequence[Process[Any]]:
        """Answer up to `limit` processes known by one of these business ids, newest first."""

        def query(connection: Connection) -> list[Process[Any]]:
            asked = {
                "kind": kind,
                "values": list(values),
                "cursor": cursor or LAST,
                "room": limit,
            }
            query = _BY_REFERENCE if kind == REFERENCE else _BY_TERM
            ids = list(connection.execute(query, asked).scalars())
            rows = connection.execute(_BY_ID, {"ids": ids}).all() if ids else []
            found = [self._types.process(row) for row in rows]
            return sorted(found, key=lambda one: one.id, reverse=True)

        return await self._store.read(query)

    async def latest(self, cursor: str | None, limit: int) -> Sequence[Process[Any]]:
        """Answer up to `limit` orders, newest first."""

        def query(connection: Connection) -> list[Process[Any]]:
            rows = connection.execute(_LATEST, {"cursor": cursor or LAST, "room": limit})
            return [self._types.process(row) for row in rows]

        return await self._store.read(query)

    async def not_in_erp(self) -> Sequence[Uncounted]:
        """Answer every order on its way to the ERP; a stopped one may be retried."""

        def query(connection: Connection) -> list[Uncounted]:
            rows = connection.execute(_NOT_IN_ERP)
            return [_uncounted(row) for row in rows]

        return await self._store.read(query)

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
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return [
            QueuedException(
                id=row.id,
                process=row.process_id,
                reference=row.reference,
                customer=_summed(row.data).customer,
                category=Category(row.category),
                says=row.says,
                opened_at=from_micros(row.opened_at),
                closed_at=maybe_time(row.closed_at),
            )
            for row in rows
        ]

    async def history(self, customer: CustomerId) -> History:
        """Answer what a customer ordered and was credited, as it is in the store now.

        Only what changed since the last time is read and decoded again.
        """
        known = self._histories.setdefault(customer, {})
        self._histories.move_to_end(customer)
        if len(self._histories) > _CUSTOMERS_KEPT:
            self._histories.popitem(last=False)
        changes = await self._store.read(lambda connection: _changes(connection, customer, known))
        known.update(changes)
        entries = [entry for _, entry in sorted(known.items())]
        return History(
            orders=tuple(e for _, e in entries if isinstance(e, SoldOrder)),
            claims=tuple(e for _, e in entries if isinstance(e, Claim)),
        )


def _uncounted(row: Any) -> Uncounted:
    exposed = _exposed(row.data)
    return Uncounted(
        consumer=row.consumer,
        key=row.key,
        customer=exposed.customer,
        exposure=None if exposed.credit == "held" else exposed.exposure,
    )


def _changes(
    connection: Connection, customer: CustomerId, known: dict[str, tuple[int, SoldOrder | Claim]]
) -> dict[str, tuple[int, SoldOrder | Claim]]:
    revisions = {
        row.id: row.revision for row in connection.execute(_REVISIONS, {"customer": customer})
    }
    stale = [i for i, revision in revisions.items() if known.get(i, (0, None))[0] != revision]
    if not stale:
        return {}
    # A revision may grow between the two questions: then it is read once more the next time.
    return {
        row.id: (revisions[row.id], _remembered(row))
        for row in connection.execute(_DATA, {"ids": stale})
    }


def _remembered(row: Any) -> SoldOrder | Claim:
    stored = _stored(row.data)
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


CONFIRMED: Final = frozenset({*STANDING, "posting", "suspending", "resuming", "shipped", "closed"})
"""The states in which the ERP holds the order."""
