"""Idempotent answers: what the first call of a key was answered, kept for those that repeat it.

Nothing is claimed beforehand: a call that is repeated while the first one runs, or after a crash
cut it off, meets the same process by its key, so that running it again is harmless.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, select

from runtime.journal.tables import Tables
from runtime.store.schema import idempotency


class KeptAnswer(Struct, frozen=True, kw_only=True):
    """What the first call of a key in a scope was answered, byte for byte.

    `fingerprint` tells whether a later call is the same one. `expires_at` is in microseconds since
    1970, UTC.
    """

    scope: str
    key: str
    fingerprint: str
    status: int
    headers: bytes
    body: bytes
    expires_at: int


_ROW = select(idempotency).where(
    idempotency.c.scope == bindparam("scope"), idempotency.c.key == bindparam("key")
)
_THAT = (
    idempotency.c.scope == bindparam("its_scope"),
    idempotency.c.key == bindparam("its_key"),
)
_EXPIRED = delete(idempotency).where(*_THAT, idempotency.c.expires_at <= bindparam("now"))


class Answering:
    """The group write behind `Journal.store_answer`: the first answer of a key stays."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __call__(
        self, connection: Connection, batch: Sequence[tuple[KeptAnswer, int]]
    ) -> Sequence[None]:
        """Keep a batch of answers, each with the microsecond it is kept at."""
        rows = [_row(answer, now) for answer, now in batch]
        kept = self._tables.add_answers.run(connection, rows)
        if kept < len(rows):
            # Somebody was first, or an expired row stands in the way.
            expired = [
                {"its_scope": row["scope"], "its_key": row["key"], "now": row["created_at"]}
                for row in rows
            ]
            connection.execute(_EXPIRED, expired)
            self._tables.add_answers.run(connection, rows)
        return [None] * len(rows)


def _row(answer: KeptAnswer, now: int) -> dict[str, Any]:
    return {
        "scope": answer.scope,
        "key": answer.key,
        "fingerprint": answer.fingerprint,
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "created_at": now,
        "expires_at": answer.expires_at,
    }


def answer_of(connection: Connection, scope: str, key: str, now: int) -> KeptAnswer | None:
    """The stored answer, if there is one and it has not expired."""
    row = connection.execute(_ROW, {"scope": scope, "key": key}).first()
    if row is None or row.expires_at <= now:
        return None
    return KeptAnswer(
        scope=row.scope,
        key=row.key,
        fingerprint=row.fingerprint,
        status=row.status,
        headers=row.headers,
        body=row.body,
        expires_at=row.expires_at,
    )


def forget_expired(connection: Connection, now: int, limit: int = 1000) -> int:
    """Delete some expired keys; answers how many."""
    old = (
        select(idempotency.c.scope, idempotency.c.key)
        .where(idempotency.c.expires_at <= now)
        .order_by(idempotency.c.expires_at)
        .limit(limit)
    )
    rows = [{"its_scope": r.scope, "its_key": r.key} for r in connection.execute(old)]
    if rows:
        connection.execute(delete(idempotency).where(*_THAT), rows)
    return len(rows)
