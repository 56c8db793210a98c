"""The statements behind every order, compiled once for the store's dialect."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Dialect, Text, bindparam, text, update

from runtime.store.schema import audit, entry, idempotency, inbox, incident, process, signal, term
from runtime.store.schema import delivery as delivery_table
from runtime.store.statements import Prepared, inserting


def _bind(name: str, column: Any) -> Any:
    return bindparam(name, type_=column.type)


def _moving(*, with_data: bool) -> Any:
    columns = [
        "version",
        "state",
        "effects",
        "attempts",
        "in_doubt",
        "step_at",
        "due_at",
        "lease_owner",
        "unread",
        "incident_id",
        "incident_category",
        "incident_passes",
        "done",
        "revision",
        "updated_at",
    ]
    if with_data:
        columns.append("data")
    return (
        update(process)
        .where(process.c.id == bindparam("process_id", type_=Text()))
        .values({c: _bind(c, process.c[c]) for c in columns})
    )


class Tables:
    """Inserts and updates in bulk. All are run by the store's writer thread only."""

    def __init__(self, dialect: Dialect) -> None:
        self.is_postgresql = dialect.name == "postgresql"
        self.add_processes = inserting(process, dialect, ignoring=True)
        self.add_entries = inserting(entry, dialect)
        self.add_terms = inserting(term, dialect, ignoring=True)
        self.add_deliveries = inserting(delivery_table, dialect)
        self.add_signals = inserting(signal, dialect)
        self.add_incidents = inserting(incident, dialect)
        self.add_messages = inserting(inbox, dialect, ignoring=True)
        self.add_answers = inserting(idempotency, dialect, ignoring=True)
        self.add_audit = inserting(audit, dialect)
        self.move = Prepared(_moving(with_data=False), dialect)
        self.move_with_data = Prepared(_moving(with_data=True), dialect)
        self.consume_signal = Prepared(
            update(signal)
            .where(
                signal.c.process_id == bindparam("process_id", type_=Text()),
                signal.c.dedupe_key == bindparam("key", type_=Text()),
            )
            .values(consumed_at=bindparam("at", type_=BigInteger())),
            dialect,
        )
        self.close_incident = Prepared(
            update(incident)
            .where(incident.c.id == bindparam("incident_id", type_=Text()))
            .values(
                closed_at=bindparam("at", type_=BigInteger()),
                closed_by=bindparam("by", type_=Text()),
            ),
            dialect,
        )

    def lock_entities(self, connection: Connection, entities: Sequence[str]) -> None:
        """Until the commit, let no other worker begin or end a process of these entities."""
        if self.is_postgresql:
            for name in sorted(set(entities)):
                connection.execute(_LOCK_ENTITY, {"name": name})


_LOCK_ENTITY = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7))")
