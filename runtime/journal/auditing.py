"""The audit record: append-only, each record hashed together with the one before it.

Each node has its own chain, so that no node waits for another to write. An edit, deletion,
insertion or swap breaks the chain at that place; a cut-off tail shows against a checkpoint
(`seq` and `hash`) kept elsewhere.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from runtime.journal.sealing import START, link
from runtime.journal.tables import Tables
from runtime.journal.verifying import Checkpoint
from runtime.store.schema import audit


class AuditRecord(Struct, frozen=True, kw_only=True):
    """One record to append; `record` is JSON, `at` in microseconds."""

    chain: str
    at: int
    record: bytes


_LAST = (
    select(audit.c.seq, audit.c.hash)
    .where(audit.c.chain == bindparam("chain"))
    .order_by(audit.c.seq.desc())
    .limit(1)
)


class Auditing:
    """The group write behind `Journal.append_audit`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __call__(
        self, connection: Connection, batch: Sequence[AuditRecord]
    ) -> Sequence[Checkpoint]:
        """Append in order; answers where each record stands."""
        ends: dict[str, tuple[int, bytes]] = {}
        rows: list[dict[str, Any]] = []
        for new in batch:
            if new.chain not in ends:
                last = connection.execute(_LAST, {"chain": new.chain}).first()
                ends[new.chain] = (last.seq, last.hash) if last else (0, START)
            seq, before = ends[new.chain]
            linked = link(before, seq + 1, new.at, new.record)
            ends[new.chain] = (seq + 1, linked)
            rows.append(
                {
                    "chain": new.chain,
                    "seq": seq + 1,
                    "at": new.at,
                    "record": new.record,
                    "hash": linked,
                }
            )
        self._tables.add_audit.run(connection, rows)
        return [Checkpoint(chain=r["chain"], seq=r["seq"], hash=r["hash"]) for r in rows]
