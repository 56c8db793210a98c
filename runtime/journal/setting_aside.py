"""Setting aside: what the journal does with a process that nothing here can go on with.

Its record or one of its signals can no longer be read, or what is decided about it cannot be
written. The row is touched without being understood: it gets an incident and gives its lease up,
so that it is looked at again only when somebody acts, and no other process waits for it.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select, update

from runtime.journal import no_effect
from runtime.journal.codec import encode
from runtime.journal.faults import LeaseLost
from runtime.journal.incidents import Category
from runtime.journal.process import REMEDY, Says
from runtime.journal.rows import entry_row, incident_row
from runtime.journal.tables import Tables
from runtime.store.schema import incident, process, signal

CATEGORY = Category.CONTRACT_VIOLATION


class SetAside(Struct, frozen=True, kw_only=True):
    """One process to set aside, under the fence of its lease. `detail` names the failure's type."""

    process_id: str
    fence: int
    incident_id: str
    at: int
    says: str
    failure: str


_ROWS = (
    select(
        process.c.id,
        process.c.fence,
        process.c.state,
        process.c.revision,
        process.c.incident_id,
        process.c.incident_category,
    )
    .where(process.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(process.c.id)
    .with_for_update()
)
_GIVE_UP = (
    update(process)
    .where(process.c.id == bindparam("process_id"))
    .values(
        lease_owner=None,
        due_at=None,
        in_doubt=True,
        revision=process.c.revision + 1,
        unread=process.c.unread - bindparam("answered"),
        updated_at=bindparam("now"),
    )
)
_MARK = (
    update(process)
    .where(process.c.id == bindparam("process_id"))
    .values(
        incident_id=bindparam("opened"),
        incident_category=CATEGORY.value,
        incident_passes=False,
    )
)
_ANSWER = (
    update(signal)
    .where(
        signal.c.process_id == bindparam("its_process"),
        signal.c.name == REMEDY,
        signal.c.consumed_at.is_(None),
    )
    .values(consumed_at=bindparam("now"))
)
_REPLACE = (
    update(incident)
    .where(incident.c.id == bindparam("replaced"))
    .values(closed_at=bindparam("now"), closed_by="another incident")
)


class SettingAside:
    """The group write behind it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __call__(
        self, connection: Connection, batch: Sequence[SetAside]
    ) -> Sequence[Exception | None]:
        """None, or `LeaseLost` for a process that another worker has taken over."""
        asked = {"ids": [one.process_id for one in batch]}
        rows = {row.id: row for row in connection.execute(_ROWS, asked)}
        return [self._one(connection, one, rows.get(one.process_id)) for one in batch]

    def _one(self, connection: Connection, one: SetAside, row: Any) -> Exception | None:
        if row is None or row.fence != one.fence:
            return LeaseLost(one.process_id)
        now = {"now": one.at}
        no_effect.tell(connection, no_effect.unheard(connection, one.process_id, one.says))
        answered = connection.execute(_ANSWER, now | {"its_process": one.process_id}).rowcount
        connection.execute(_GIVE_UP, now | {"process_id": one.process_id, "answered": answered})
        detail = {"failure": one.failure}
        says = Says(text=one.says, data={"category": CATEGORY, **detail})
        line = entry_row(
            one.process_id, one.at, "incident", row.state, says, revision=row.revision + 1
        )
        if row.incident_category != CATEGORY:
            if row.incident_id is not None:
                connection.execute(_REPLACE, now | {"replaced": row.incident_id})
            opened = incident_row(
                one.incident_id,
                one.process_id,
                one.at,
                category=CATEGORY,
                says=one.says,
                detail=encode(detail),
            )
            self._tables.add_incidents.run(connection, [opened])
            connection.execute(_MARK, {"process_id": one.process_id, "opened": one.incident_id})
        self._tables.add_entries.run(connection, [line])
        return None
