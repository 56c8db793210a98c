"""The audit record: append-only, each record hashed together with the one before it.

Each node has its own chain, so that no node waits for another to write. An edit, deletion,
insertion or swap breaks the chain at that place; a cut-off tail shows against a checkpoint
(`seq` and `hash`) kept elsewhere.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from runtime.journal.tables import Tables
from runtime.store.schema import audit

START = bytes(32)


class AuditRecord(Struct, frozen=True, kw_only=True):
    """One record to append; `record` is JSON, `at` in microseconds."""

    chain: str
    at: int
    record: bytes


class Checkpoint(Struct, frozen=True, kw_only=True):
    """Where a chain stood."""

    chain: str
    seq: int
    hash: bytes


_LAST = (
    select(audit.c.seq, audit.c.hash)
    .where(audit.c.chain == bindparam("chain"))
    .order_by(audit.c.seq.desc())
    .limit(1)
)
_CHAIN = (
    select(audit)
    .where(audit.c.chain == bindparam("chain"), audit.c.seq > bindparam("after"))
    .order_by(audit.c.seq)
)


def link(before: bytes, seq: int, at: int, record: bytes) -> bytes:
    """The hash of a record: SHA-256 over the hash before it, its number, its time and its text."""
    return hashlib.sha256(b"%b%d:%d:%b" % (before, seq, at, record)).digest()


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


def faults_in(rows: Iterable[Any], start: Checkpoint) -> list[str]:
    """What is wrong with the records after `start`, in words. Empty when the chain holds."""
    found = []
    seq, before = start.seq, start.hash
    for row in rows:
        if row.seq != seq + 1:
            found.append(f"{start.chain}: {seq + 1} to {row.seq - 1} missing")
        elif link(before, row.seq, row.at, row.record) != row.hash:
            found.append(f"{start.chain}: {row.seq} does not follow from the record before it")
        seq, before = row.seq, row.hash
    return found


def verify(connection: Connection, start: Checkpoint) -> tuple[str, ...]:
    """Check one chain behind a checkpoint; seq 0 and hash `START` mean from its first record."""
    asked = {"chain": start.chain, "after": start.seq}
    return tuple(faults_in(connection.execute(_CHAIN, asked), start))
