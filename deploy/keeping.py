"""The gateway's durable memory, kept in the journal's store."""

from typing import Final

import msgspec

from gateway.keep import AuditEntry, StoredAnswer
from runtime.journal.answering import KeptAnswer
from runtime.journal.journal import Journal

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


class JournalKeep:
    """Implements `gateway.keep.Keep`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def load_answer(self, scope: str, key: str) -> StoredAnswer | None:
        """Answer what was stored under the key in the scope."""
        kept = await self._journal.idempotent_answer(scope, key)
        if kept is None:
            return None
        return StoredAnswer(
            fingerprint=kept.fingerprint,
            status=kept.status,
            headers=_decode(kept.headers),
            body=kept.body,
            expires=kept.expires_at / 1_000_000,
        )

    async def store_answer(self, scope: str, key: str, answer: StoredAnswer) -> None:
        """Store the first answer of a key."""
        await self._journal.store_answer(
            KeptAnswer(
                scope=scope,
                key=key,
                fingerprint=answer.fingerprint,
                status=answer.status,
                headers=_encode(answer.headers),
                body=answer.body,
                expires_at=int(answer.expires * 1_000_000),
            )
        )

    async def append_audit(self, entry: AuditEntry) -> None:
        """Append to the hash-chained audit log."""
        await self._journal.append_audit(msgspec.to_builtins(entry))
