"""One holder at a time, among all processes on one store: who runs a job that must not run twice.

A hold is a row with an expiry. Whoever finds it expired takes it; a holder that cannot renew in
time must stop, and has as long for that as it left between its last renewal and the expiry. The
clocks of hosts are compared, as for leases: keep them well within a hold of each other.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_
from sqlalchemy.dialects import postgresql, sqlite

from runtime.clock import Clock
from runtime.journal.times import to_micros
from runtime.store.engine import Store
from runtime.store.schema import note

_KIND = "holder"


class Holding:
    """The holds of one process, under the name `holder`, which no other process may have."""

    def __init__(self, store: Store, *, holder: str, clock: Clock) -> None:
        self._store = store
        self._holder = holder.encode()
        self._clock = clock

    async def take(self, name: str, span: timedelta) -> bool:
        """Take or renew a hold until `span` from now; whether it is ours.

        Raises `StoreUnavailable`; whether it is ours is then unknown until the next answer.
        """
        now = self._clock.now()
        return await self._store.write(
            lambda connection: self._take(connection, name, to_micros(now), to_micros(now + span))
        )

    async def give_back(self, name: str) -> None:
        """Let another take it at once; one that is not ours stays as it is."""
        mine = (note.c.kind == _KIND) & (note.c.key == name) & (note.c.value == self._holder)
        await self._store.write(lambda connection: connection.execute(delete(note).where(mine)))

    def _take(self, connection: Connection, name: str, now: int, until: int) -> bool:
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(note).values(kind=_KIND, key=name, value=self._holder, at=until)
        taken = connection.execute(
            insert.on_conflict_do_update(
                index_elements=["kind", "key"],
                set_={"value": self._holder, "at": until},
                where=or_(note.c.value == self._holder, note.c.at < now),
            )
        )
        return bool(taken.rowcount)
