"""What the gateway needs durable. The store behind it is handed in at assembly.

The gateway never decides how rows are kept: the journal's store implements this, so that an
answer is as durable as the order it speaks of.
"""

from typing import Protocol

import msgspec


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The first answer under an idempotency key: replayed byte for byte until it expires.

    `headers` are those that belong to the answer (Content-Type, Location, ETag), not those of the
    exchange (Date, correlation id, quota). `expires` is an epoch second.
    """

    fingerprint: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    expires: float


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One effectful call or operator action, as evidence. Holds no payload, only its fingerprint.

    `time` is an epoch second; `outcome` the HTTP status the caller was told.
    """

    time: float
    correlation_id: str
    consumer: str
    subject: str
    operation: str
    target: str
    outcome: int
    reason: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    replayed: bool = False


class Keep(Protocol):
    """Durable memory. Every method returns only once the fact would survive a process crash.

    A store that cannot answer raises `ProblemError("store-unavailable")` or any exception; the
    gateway then refuses with `store-unavailable` rather than guess.
    """

    async def load_answer(self, scope: str, key: str) -> StoredAnswer | None:
        """Answer what was stored under the key in the scope; None if nothing or expired."""

    async def store_answer(self, scope: str, key: str, answer: StoredAnswer) -> None:
        """Store the first answer; storing an equal answer again changes nothing."""

    async def append_audit(self, entry: AuditEntry) -> None:
        """Append to the hash-chained audit log, in the order of the calls to this method."""
