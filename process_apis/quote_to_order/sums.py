"""Sums over a channel's orders and credits, for reconciliation with the ERP.

On a store of our own only what changed since the last time is read: every change of a process
leaves a line in the journal's timeline, and those are numbered. On a shared store numbers may
become visible out of order, so there everything is read again, a page at a time.
"""

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, bindparam, func, select

from process_apis.quote_to_order.queries import CONFIRMED
from process_apis.quote_to_order.records import CREDIT_KIND, KINDS
from runtime.journal.codec import Types, left_out
from runtime.journal.faults import UnreadableProcess
from runtime.store.engine import Store
from runtime.store.schema import entry, process

_PAGE: Final = 1000
_MOST_REMEMBERED: Final = 200_000
"""Processes whose share is remembered; with more than that everything is added up anew."""

_COLUMNS: Final = (
    process.c.id,
    process.c.kind,
    process.c.version,
    process.c.state,
    process.c.incident_category,
    process.c.data,
)
_OURS = select(*_COLUMNS).where(process.c.kind.in_(KINDS))
_PAGE_OF = _OURS.where(process.c.id > bindparam("after")).order_by(process.c.id).limit(_PAGE)
_THESE = _OURS.where(process.c.id.in_(bindparam("ids", expanding=True)))
_LAST_LINE = select(func.max(entry.c.seq))
_CHANGED = select(entry.c.process_id).where(
    entry.c.seq > bindparam("after"), entry.c.seq <= bindparam("until")
)


class ChannelSums(Struct, kw_only=True):
    """Figures of one channel. Amounts by currency.

    `unreadable` are in no channel's figures: which is theirs cannot be read either.
    """

    orders: int = 0
    confirmed: int = 0
    credits: int = 0
    credited: int = 0
    exceptions: dict[str, int] = {}
    net_ordered: dict[str, Decimal] = {}
    net_credited: dict[str, Decimal] = {}
    unreadable: int = 0


class _Share(Struct, frozen=True, gc=False):
    """What one process adds to the figures of its channel."""

    channel: str
    currency: str
    net: Decimal
    is_credit: bool
    counts: bool
    exception: str | None


_UNREADABLE: Final = _Share("", "", Decimal(0), is_credit=False, counts=False, exception=None)
"""The share of what cannot be read: it is counted for itself, until it can be."""


class _Stored(Struct, frozen=True, kw_only=True):
    """The few fields of a record that sums need; the rest is skipped over."""

    channel: str
    currency: str
    net: Decimal


_stored = msgspec.json.Decoder(_Stored).decode


class Sums:
    """The figures of every channel."""

    def __init__(self, store: Store, types: Types) -> None:
        self._store = store
        self._types = types
        self._turn = asyncio.Lock()
        self._shares: dict[str, _Share] = {}
        self._channels: dict[str, ChannelSums] = {}
        self._unreadable = 0
        self._read_until: int | None = None

    async def of(self, channel: str) -> ChannelSums:
        """Answer the figures of a channel as they are in the store now."""
        async with self._turn:
            keeps = self._store.is_exclusive and len(self._shares) < _MOST_REMEMBERED
            if keeps and self._read_until is not None:
                await self._catch_up(self._read_until)
            else:
                await self._add_up(remember=keeps)
            found = self._channels.get(channel, ChannelSums())
            return structs.replace(found, unreadable=self._unreadable)

    async def _add_up(self, *, remember: bool) -> None:
        # What changes while this runs is read again by the next look, from this line on.
        last = await self._store.read(lambda c: c.execute(_LAST_LINE).scalar() or 0)
        self._shares, self._channels, self._unreadable, after = {}, {}, 0, ""
        while True:
            found = await self._page(after)
            for process_id, share in found:
                self._count(share, 1)
                if remember:
                    self._shares[process_id] = share
            if len(found) < _PAGE:
                break
            after = found[-1][0]
        self._read_until = last if remember else None

    async def _page(self, after: str) -> Sequence[tuple[str, _Share]]:
        return await self._store.read(lambda c: self._shared(c.execute(_PAGE_OF, {"after": after})))

    async def _catch_up(self, after: int) -> None:
        last, found = await self._store.read(lambda c: self._changes(c, after))
        for process_id, share in found:
            before = self._shares.get(process_id)
            if before is not None:
                self._count(before, -1)
            self._count(share, 1)
            self._shares[process_id] = share
        self._read_until = last

    def _changes(self, connection: Connection, after: int) -> tuple[int, list[tuple[str, _Share]]]:
        last = connection.execute(_LAST_LINE).scalar() or 0
        changed = connection.execute(_CHANGED, {"after": after, "until": last}).scalars()
        ids = list(dict.fromkeys(changed))
        return last, self._shared(_rows(connection, ids))

    def _shared(self, rows: Iterable[Any]) -> list[tuple[str, _Share]]:
        found = []
        for row in rows:
            try:
                share = _share_of(row, self._types.part(row, _stored))
            except UnreadableProcess as unreadable:
                left_out(row.id, unreadable.__cause__)
                share = _UNREADABLE
            found.append((row.id, share))
        return found

    def _count(self, share: _Share, sign: int) -> None:
        if share is _UNREADABLE:
            self._unreadable += sign
            return
        sums = self._channels.get(share.channel)
        if sums is None:
            sums = self._channels[share.channel] = ChannelSums()
        if share.exception is not None:
            _add(sums.exceptions, share.exception, sign)
        if share.is_credit:
            sums.credits += sign
        else:
            sums.orders += sign
        if not share.counts:
            return
        if share.is_credit:
            sums.credited += sign
            _add(sums.net_credited, share.currency, sign * share.net)
        else:
            sums.confirmed += sign
            _add(sums.net_ordered, share.currency, sign * share.net)


def _add(figures: dict[str, Any], name: str, amount: int | Decimal) -> None:
    """Add to a figure; one that comes to nothing is not shown."""
    figures[name] = figures.get(name, 0) + amount
    if not figures[name]:
        del figures[name]


def _rows(connection: Connection, ids: Sequence[str]) -> Iterable[Any]:
    for start in range(0, len(ids), _PAGE):
        yield from connection.execute(_THESE, {"ids": ids[start : start + _PAGE]})


def _share_of(row: Any, stored: Any) -> _Share:
    category = row.incident_category
    is_credit = row.kind == CREDIT_KIND
    return _Share(
        stored.channel,
        stored.currency,
        stored.net,
        is_credit,
        row.state == "credited" if is_credit else row.state in CONFIRMED,
        None if category is None else category.replace("_", "-"),
    )
