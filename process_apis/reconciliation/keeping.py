"""Sweeps and what they found, kept among the store's notes."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, select

from contracts.ports.reconciliation import Difference, DifferenceQuery, Sweep
from runtime.journal.notes import read_note, write_note
from runtime.journal.times import to_micros
from runtime.store.engine import Store
from runtime.store.schema import note

_SWEEP: Final = "sweep"
_OF_SWEEP: Final = "sweep-difference:"
_FIRST: Final = "difference-first"
_SHOWN: Final = 100

_encode = msgspec.json.Encoder().encode
_sweep = msgspec.json.Decoder(Sweep).decode
_difference = msgspec.json.Decoder(Difference).decode
_instant = msgspec.json.Decoder(datetime).decode


def difference_id(kind: str, system: str, reference: str) -> str:
    """Name a difference so that every sweep names it alike."""
    named = f"{kind}\n{system}\n{reference.upper()}"
    return hashlib.sha256(named.encode()).hexdigest()[:20]


class Keeping:
    """Sweeps by id, which sort by when they began; differences by sweep."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, sweep: Sweep, at: datetime) -> None:
        """Keep a sweep as it is now."""
        value, when = _encode(sweep), to_micros(at)
        await self._store.write(lambda c: write_note(c, _SWEEP, sweep.id, value, when))

    async def get(self, sweep: str) -> tuple[Sweep, int] | None:
        """Answer a sweep and when it was last kept, in microseconds."""
        query = select(note.c.value, note.c.at).where(note.c.kind == _SWEEP, note.c.key == sweep)
        row = await self._store.read(lambda c: c.execute(query).first())
        return None if row is None else (_sweep(row.value), row.at)

    async def latest(self) -> Sequence[tuple[Sweep, int]]:
        """Answer the sweeps of late, newest first."""
        query = (
            select(note.c.value, note.c.at)
            .where(note.c.kind == _SWEEP)
            .order_by(note.c.key.desc())
            .limit(_SHOWN)
        )
        rows = await self._store.read(lambda c: c.execute(query).all())
        return [(_sweep(row.value), row.at) for row in rows]

    async def add(self, sweep: str, found: Difference) -> bool:
        """Keep what a sweep found, once; answer whether no earlier sweep had found it.

        The time it was first found stays that of the first sweep.
        """
        at = to_micros(found.found_at)

        def write(connection: Connection) -> bool:
            known = read_note(connection, _FIRST, found.id)
            first = found.found_at if known is None else _instant(known)
            kept = msgspec.structs.replace(found, found_at=first)
            write_note(connection, _OF_SWEEP + sweep, found.id, _encode(kept), at)
            write_note(connection, _FIRST, found.id, _encode(first), at)
            return known is None

        return await self._store.write(write)

    async def differences(self, sweep: str, query: DifferenceQuery) -> list[Difference]:
        """Answer what a sweep found, by id, one more than asked for if there is more."""
        found: list[Difference] = []
        after = query.cursor or ""
        while len(found) <= query.limit:
            page = await self._page(sweep, after, query.limit + 1)
            found += [each for each in page if query.kind in {None, each.kind}]
            if len(page) <= query.limit:
                break
            after = page[-1].id
        return found[: query.limit + 1]

    async def _page(self, sweep: str, after: str, limit: int) -> list[Difference]:
        query = (
            select(note.c.value)
            .where(note.c.kind == _OF_SWEEP + sweep, note.c.key > after)
            .order_by(note.c.key)
            .limit(limit)
        )
        rows = await self._store.read(lambda c: c.execute(query).scalars().all())
        return [_difference(value) for value in rows]

    async def forget(self, most: int, before: datetime) -> None:
        """Keep the newest sweeps, and forget differences nobody has found since an instant."""
        at = to_micros(before)

        def write(connection: Connection) -> None:
            ids = (
                select(note.c.key)
                .where(note.c.kind == _SWEEP)
                .order_by(note.c.key.desc())
                .offset(most)
                .limit(_SHOWN)
            )
            for sweep in connection.execute(ids).scalars().all():
                connection.execute(delete(note).where(note.c.kind == _OF_SWEEP + sweep))
                connection.execute(delete(note).where(note.c.kind == _SWEEP, note.c.key == sweep))
            connection.execute(delete(note).where(note.c.kind == _FIRST, note.c.at < at))

        await self._store.write(write)
