"""Telling a subscriber anew how entities stand, for one that has lost what it was told."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select

from runtime.journal.auditing import AuditRecord
from runtime.journal.codec import encode
from runtime.journal.journal import Journal
from runtime.journal.rows import VERSIONS_PER_REVISION
from runtime.journal.times import to_micros
from runtime.store.schema import delivery
from runtime.store.writer import Alone

__all__ = ["News", "tell_again"]

_WAITING: Final = select(delivery.c.entity).where(
    delivery.c.subscriber == bindparam("subscriber"),
    delivery.c.entity.in_(bindparam("entities", expanding=True)),
    delivery.c.done_at.is_(None),
)


class News(Struct, frozen=True, kw_only=True):
    """How an entity stands at a revision of its process, as an event would tell it."""

    entity: str
    revision: int
    data: Any


async def tell_again(
    journal: Journal, subscriber: str, news: Sequence[News], *, actor: str, note: str
) -> int:
    """Make deliveries that tell a subscriber how entities stand; answers how many. Audited.

    An entity of which it has not had the last news yet is left out: it will be told anyway. What is
    told counts as newer than every event of its revision. Raises ValueError for a subscriber that
    this program does not have.
    """
    topics = {each.name: each.topics[0] for each in journal.subscribers}
    if subscriber not in topics:
        raise ValueError(f"no subscriber {subscriber!r}; there are {', '.join(topics)}")
    now = to_micros(journal.clock.now())

    def act(connection: Connection) -> int:
        asked = {"subscriber": subscriber, "entities": [each.entity for each in news]}
        waiting = set(connection.execute(_WAITING, asked).scalars())
        rows = [
            {
                "subscriber": subscriber,
                "entity": each.entity,
                "version": (each.revision + 1) * VERSIONS_PER_REVISION - 1,
                "topic": topics[subscriber],
                "payload": encode(each.data),
                "attempts": 0,
                "due_at": now,
                "created_at": now,
                "set_aside": False,
            }
            for each in news
            if each.entity not in waiting
        ]
        if rows:
            connection.execute(insert(delivery), rows)
        told: dict[str, Any] = {"act": "told_again", "actor": actor, "note": note}
        told |= {"subscriber": subscriber, "entities": [row["entity"] for row in rows]}
        journal.auditing(connection, [AuditRecord(chain=journal.node, at=now, record=encode(told))])
        return len(rows)

    count = await journal.store.submit(Alone(act), None)
    journal.look_for_deliveries([subscriber])
    return count
