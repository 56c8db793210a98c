"""Idempotent answers: the first call of a key does the work, the others get its answer.

The gateway claims a key before it lets a call through and stores the answer after. A claim whose
caller died lapses; the call may then be made again, which the process key below makes harmless.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, select, update

from runtime.journal.tables import Tables
from runtime.store.schema import idempotency


class Claimed(Struct, frozen=True):
    """The key is the caller's: do the work, then store the answer or release the key."""


class InFlight(Struct, frozen=True):
    """The first call of this key has not ended."""


class Answered(Struct, frozen=True, kw_only=True):
    """What the first call was answered, byte for byte."""

    status: int
    headers: bytes
    body: bytes


class FingerprintDiffers(Struct, frozen=True):
    """The key came before with another body."""


Claim = Claimed | InFlight | Answered | FingerprintDiffers


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """Times in microseconds."""

    scope: str
    key: str
    fingerprint: str
    now: int
    claimed_until: int
    expires_at: int


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to keep for a key."""

    scope: str
    key: str
    status: int
    headers: bytes
    body: bytes


_ROW = select(idempotency).where(
    idempotency.c.scope == bindparam("scope"), idempotency.c.key == bindparam("key")
)
_mine = (
    idempotency.c.scope == bindparam("its_scope"),
    idempotency.c.key == bindparam("its_key"),
)
_TAKE_OVER = (
    update(idempotency)
    .where(*_mine)
    .values(
        fingerprint=bindparam("its_fingerprint"),
        claimed_until=bindparam("until"),
        created_at=bindparam("now"),
        expires_at=bindparam("expiry"),
        status=None,
        headers=None,
        body=None,
    )
)
_ANSWER = (
    update(idempotency)
    .where(*_mine)
    .values(
        status=bindparam("its_status"),
        headers=bindparam("its_headers"),
        body=bindparam("its_body"),
    )
)
_RELEASE = delete(idempotency).where(*_mine, idempotency.c.status.is_(None))


class Claiming:
    """The group write behind `Journal.claim`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __call__(
        self, connection: Connection, batch: Sequence[ClaimRequest]
    ) -> Sequence[Claim | Exception]:
        """One claim for each request; of many with one key, one is `Claimed`."""
        return [self._one(connection, request) for request in batch]

    def _one(self, connection: Connection, request: ClaimRequest) -> Claim:
        row = {
            "scope": request.scope,
            "key": request.key,
            "fingerprint": request.fingerprint,
            "claimed_until": request.claimed_until,
            "status": None,
            "headers": None,
            "body": None,
            "created_at": request.now,
            "expires_at": request.expires_at,
        }
        if self._tables.add_claims.run(connection, [row]):
            return Claimed()
        asked = {"scope": request.scope, "key": request.key}
        known = connection.execute(_ROW.with_for_update(), asked).first()
        if known is None or known.expires_at <= request.now:
            return self._take_over(connection, request)
        if known.fingerprint != request.fingerprint:
            return FingerprintDiffers()
        if known.status is not None:
            return answered(known)
        if known.claimed_until > request.now:
            return InFlight()
        return self._take_over(connection, request)

    def _take_over(self, connection: Connection, request: ClaimRequest) -> Claim:
        taken = connection.execute(
            _TAKE_OVER,
            {
                "its_scope": request.scope,
                "its_key": request.key,
                "its_fingerprint": request.fingerprint,
                "until": request.claimed_until,
                "now": request.now,
                "expiry": request.expires_at,
            },
        )
        return Claimed() if taken.rowcount else InFlight()


def keep_answers(connection: Connection, batch: Sequence[Answer]) -> Sequence[None]:
    """The group write behind `Journal.store_answer`."""
    connection.execute(
        _ANSWER,
        [
            {
                "its_scope": answer.scope,
                "its_key": answer.key,
                "its_status": answer.status,
                "its_headers": answer.headers,
                "its_body": answer.body,
            }
            for answer in batch
        ],
    )
    return [None] * len(batch)


def release_key(connection: Connection, scope: str, key: str) -> None:
    """Give a claim back: the call had no effect and may be made anew."""
    connection.execute(_RELEASE, {"its_scope": scope, "its_key": key})


def answer_of(connection: Connection, scope: str, key: str, now: int) -> Answered | None:
    """The stored answer, if there is one and it has not expired."""
    row = connection.execute(_ROW, {"scope": scope, "key": key}).first()
    if row is None or row.status is None or row.expires_at <= now:
        return None
    return answered(row)


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
        connection.execute(delete(idempotency).where(*_mine), rows)
    return len(rows)


def answered(row: Any) -> Answered:
    """A row that holds an answer, as one."""
    return Answered(status=row.status, headers=row.headers or b"", body=row.body or b"")
