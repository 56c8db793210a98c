"""Whom an event of many orders is for: every open one known by a term."""

from collections.abc import Collection, Mapping
from typing import Protocol

from sqlalchemy import Connection, bindparam, select

from runtime.journal.process import Term
from runtime.store.engine import Store
from runtime.store.schema import process, term

__all__ = ["OpenOrders", "StoredOrders"]

_OPEN = (
    select(term.c.process_id)
    .join(process, process.c.id == term.c.process_id)
    .where(
        term.c.kind == bindparam("kind"),
        term.c.value == bindparam("value"),
        process.c.done.is_(False),
    )
    .order_by(term.c.process_id)
)
_OPEN_ANY = (
    select(term.c.value, term.c.process_id)
    .join(process, process.c.id == term.c.process_id)
    .where(
        term.c.kind == bindparam("kind"),
        term.c.value.in_(bindparam("values", expanding=True)),
        process.c.done.is_(False),
    )
    .order_by(term.c.value, term.c.process_id)
)
_VALUES = (
    select(term.c.value)
    .distinct()
    .join(process, process.c.id == term.c.process_id)
    .where(term.c.kind == bindparam("kind"), process.c.done.is_(False))
    .order_by(term.c.value)
)


class OpenOrders(Protocol):
    """Which orders are still under way."""

    async def known_by(self, known: Term) -> tuple[str, ...]:
        """Answer the ids of open processes known by a term, oldest first."""
        ...

    async def known_by_any(self, kind: str, values: Collection[str]) -> Mapping[str, list[str]]:
        """Answer the ids of open processes by those of some values that they are known by."""
        ...

    async def values(self, kind: str) -> tuple[str, ...]:
        """Answer the values of a kind of term by which open processes are known."""
        ...


class StoredOrders:
    """The orders of a journal's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def known_by(self, known: Term) -> tuple[str, ...]:
        """Answer the ids of open processes known by a term, oldest first."""
        asked = {"kind": known.kind, "value": known.value}

        def read(connection: Connection) -> tuple[str, ...]:
            return tuple(connection.execute(_OPEN, asked).scalars())

        return await self._store.read(read)

    async def known_by_any(self, kind: str, values: Collection[str]) -> Mapping[str, list[str]]:
        """Answer the ids of open processes by those of some values that they are known by."""

        def read(connection: Connection) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            asked = {"kind": kind, "values": list(values)}
            for value, process_id in connection.execute(_OPEN_ANY, asked):
                found.setdefault(value, []).append(process_id)
            return found

        return await self._store.read(read) if values else {}

    async def values(self, kind: str) -> tuple[str, ...]:
        """Answer the values of a kind of term by which open processes are known."""

        def read(connection: Connection) -> tuple[str, ...]:
            return tuple(connection.execute(_VALUES, {"kind": kind}).scalars())

        return await self._store.read(read)
