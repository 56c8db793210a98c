"""audit: who caused what, appended where nobody can change it unseen.

Every call that may have had an effect leaves one entry before its answer leaves; if the entry
cannot be kept, the caller is told to repeat, and under its key the repeat is the same call.
"""

from collections.abc import Sequence

from gateway.call import PASS, Call, ConfigFault, Finding, Reply, Step, Told
from gateway.keep import AuditEntry, Keep
from gateway.routes import Operation
from runtime.clock import Clock


class Audit:
    """Appends one entry per effectful call."""

    name = "audit"

    def __init__(self, keep: Keep, *, clock: Clock) -> None:
        self._keep = keep
        self._clock = clock

    async def provision(self) -> None:
        """Need nothing: the store is handed in open."""

    def check(self, _: Sequence[Operation], /) -> list[ConfigFault]:
        """Nothing to configure."""
        return []

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply to operations that may change something."""
        if not operation.effectful:
            return ()
        return (
            Step(
                self.name,
                ask=lambda _: PASS,
                tell=self._tell,
                explain=lambda _: Finding(
                    policy=self.name, verdict="pass", because="the call is recorded"
                ),
            ),
        )

    def _tell(self, call: Call, reply: Reply) -> Told:
        entry = AuditEntry(
            time=self._clock.now().timestamp(),
            correlation_id=call.correlation_id,
            consumer=call.consumer.name,
            subject=call.consumer.subject,
            operation=call.operation.key,
            target=call.path,
            outcome=reply.status,
            reason=reply.reason,
            idempotency_key=call.idempotency_key,
            fingerprint=call.fingerprint,
            replayed=reply.reason == "replayed",
        )
        return self._keep.append_audit(entry)
