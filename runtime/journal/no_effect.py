"""What a redrive is told of an action that its process could make nothing of after all.

An action is taken when it would change something; until the process hears of it, that may have
changed. Then the item says so. Only the item: the redrive's own row is locked by who drains it.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import DecodeError, Struct
from sqlalchemy import Connection, bindparam, func, select, update

from runtime.journal.codec import decode_object
from runtime.journal.process import REMEDY, Signal
from runtime.store.schema import redrive_item, signal

IGNORED: Final = "ignored"
"""How such an item is stored; whoever reads it counts it among the failed."""

_MARK: Final = (
    update(redrive_item)
    .where(
        redrive_item.c.redrive_id == bindparam("its_redrive"),
        redrive_item.c.incident_id == bindparam("its_incident"),
        redrive_item.c.outcome == "applied",
    )
    .values(outcome=IGNORED, reason=bindparam("why"))
)
_UNHEARD: Final = select(signal.c.data).where(
    signal.c.process_id == bindparam("its_process"),
    signal.c.name == REMEDY,
    signal.c.consumed_at.is_(None),
)
_COUNT: Final = (
    select(redrive_item.c.redrive_id, func.count().label("ignored"))
    .where(
        redrive_item.c.redrive_id.in_(bindparam("ids", expanding=True)),
        redrive_item.c.outcome == IGNORED,
    )
    .group_by(redrive_item.c.redrive_id)
)


class NoEffect(Struct, frozen=True, kw_only=True):
    """An item of a redrive, by its incident, and why nothing came of it."""

    redrive: str
    incident: str
    why: str


def no_effect(by: Signal, why: str) -> NoEffect | None:
    """What a redrive is to be told of a signal; None for one that is not of a redrive."""
    return _of(by.data, why) if by.name == REMEDY else None


def _of(data: Any, why: str) -> NoEffect | None:
    redrive, incident = data.get("redrive"), data.get("incident")
    if not isinstance(redrive, str) or not isinstance(incident, str):
        return None
    return NoEffect(redrive=redrive, incident=incident, why=why)


def tell(connection: Connection, told: Iterable[NoEffect | None]) -> None:
    """Write on the items that nothing came of them."""
    for one in told:
        if one is not None:
            values = {"its_redrive": one.redrive, "its_incident": one.incident, "why": one.why}
            connection.execute(_MARK, values)


def unheard(connection: Connection, process_id: str, why: str) -> list[NoEffect | None]:
    """The same for every action that a process which cannot be read was to hear of."""
    found = []
    for data in connection.execute(_UNHEARD, {"its_process": process_id}).scalars():
        try:
            found.append(_of(decode_object(data), why))
        except DecodeError:
            continue
    return found


def ignored(connection: Connection, redrives: Iterable[str]) -> dict[str, int]:
    """How many items of each redrive came to nothing after they were applied."""
    rows = connection.execute(_COUNT, {"ids": list(redrives)})
    return {row.redrive_id: row.ignored for row in rows}
