"""The statements behind every order, compiled once for the store's dialect."""

from collections.abc import Sequence

from sqlalchemy import Connection, Dialect, text

from runtime.journal.sealing import SealedLines
from runtime.store.schema import audit, idempotency, inbox, incident, process, signal, term
from runtime.store.schema import delivery as delivery_table
from runtime.store.statements import inserting, updating

_MOVED = (
    "version",
    "state",
    "effects",
    "attempts",
    "in_doubt",
    "settled_at",
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
)


class Tables:
    """Inserts and updates in bulk. All are run by the store's writer thread only.

    `chain` names the chain of seals that the lines of timelines are put on.
    """

    def __init__(self, dialect: Dialect, chain: str) -> None:
        self.dialect = dialect
        self.is_postgresql = dialect.name == "postgresql"
        self.add_processes = inserting(process, dialect, ignoring=True)
        self.add_entries = SealedLines(dialect, chain)
        self.add_terms = inserting(term, dialect, ignoring=True)
        self.add_deliveries = inserting(delivery_table, dialect)
        self.add_signals = inserting(signal, dialect)
        self.add_incidents = inserting(incident, dialect)
        self.add_messages = inserting(inbox, dialect, ignoring=True)
        self.add_answers = inserting(idempotency, dialect, ignoring=True)
        self.add_audit = inserting(audit, dialect)
        its_id = {"id": "process_id"}
        moved = {column: column for column in _MOVED}
        self.move = updating(process, dialect, where=its_id, sets=moved)
        self.move_with_data = updating(
            process, dialect, where=its_id, sets={**moved, "data": "data"}
        )
        if self.is_postgresql:
            as_held = {
                **its_id,
                "fence": "its_fence",
                "lease_owner": "its_holder",
                "unread": "its_unread",
                "revision": "its_revision",
            }
            self.move_as_held = updating(
                process, dialect, where=as_held, sets=moved, returning=process.c.id
            )
            self.move_as_held_with_data = updating(
                process,
                dialect,
                where=as_held,
                sets={**moved, "data": "data"},
                returning=process.c.id,
            )
        self.consume_signal = updating(
            signal,
            dialect,
            where={"process_id": "its_process", "dedupe_key": "its_key"},
            sets={"consumed_at": "at"},
        )
        self.close_incident = updating(
            incident,
            dialect,
            where={"id": "incident_id"},
            sets={"closed_at": "at", "closed_by": "by"},
        )

    def lock_entities(self, connection: Connection, entities: Sequence[str]) -> None:
        """Until the commit, let no other worker begin or end a process of these entities."""
        if self.is_postgresql:
            for name in sorted(set(entities)):
                connection.execute(_LOCK_ENTITY, {"name": name})


_LOCK_ENTITY = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7))")
