"""correlate: every call has one correlation id and one trace, and leaves one access record.

A well-formed `X-Correlation-Id` is accepted, anything else replaced. W3C Trace Context: a valid
`traceparent` is continued with a new span id, else a trace begins here (W3C REC, section 3.2).
"""

import random
import re
from collections.abc import Sequence
from typing import Final

from contracts.context import CORRELATION_HEADER, TRACEPARENT_HEADER
from gateway.call import PASS, Call, ConfigFault, Finding, Reply, Step, Verdict
from gateway.records import AccessRecord, Metrics, OperationMetrics, Records
from gateway.routes import Operation
from runtime.clock import Clock

_CORRELATION: Final = CORRELATION_HEADER.encode()
_TRACEPARENT: Final = TRACEPARENT_HEADER.encode()
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:\-]{1,64}")
_TRACE: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
CLIENT_GONE: Final = 499
"""The status recorded when the caller left before it could be told (nginx's convention)."""


class Correlate:
    """Mints and continues correlation; writes the access record when the call ends."""

    name = "correlate"

    def __init__(
        self, *, clock: Clock, chance: random.Random, records: Records, metrics: Metrics
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._records = records
        self._metrics = metrics

    async def provision(self) -> None:
        """Need nothing."""

    def check(self, _: Sequence[Operation], /) -> list[ConfigFault]:
        """Nothing to configure."""
        return []

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply to every operation."""
        bound = self._metrics.bind(operation.key)
        return (
            Step(
                self.name,
                ask=self._ask,
                tell=self._tell,
                release=lambda call: self._record(call, bound),
                explain=lambda _: Finding(
                    policy=self.name, verdict="pass", because="a correlation id is minted"
                ),
            ),
        )

    def _ask(self, call: Call) -> Verdict:
        given = trace = None
        # The first thing that runs: it reads the raw headers, guard has not indexed them yet.
        for name, value in call.scope["headers"]:
            if name == _CORRELATION:
                given = value
            elif name == _TRACEPARENT:
                trace = value
        if given is not None and _WELL_FORMED.fullmatch(given):
            call.correlation_id = given.decode("ascii")
        else:
            call.correlation_id = f"{self._chance.getrandbits(128):032x}"
        call.traceparent = self._continued(trace)
        return PASS

    def _continued(self, trace: bytes | None) -> str:
        span = self._chance.getrandbits(64) or 1
        found = _TRACE.fullmatch(trace) if trace is not None else None
        if found is not None:
            version, trace_id, parent, flags, rest = found.groups()
            valid = version != b"ff" and trace_id != _NO_TRACE and parent != _NO_SPAN
            if valid and not (version == b"00" and rest):
                sampled = int(flags, 16) & 1
                return f"00-{trace_id.decode()}-{span:016x}-{sampled:02x}"
        return f"00-{self._chance.getrandbits(128) or 1:032x}-{span:016x}-00"

    def _tell(self, call: Call, reply: Reply) -> None:
        reply.headers.append((_CORRELATION, call.correlation_id.encode()))

    def _record(self, call: Call, bound: OperationMetrics) -> None:
        reply = call.reply
        status = reply.status if reply is not None else CLIENT_GONE
        seconds = self._clock.monotonic() - call.started
        bound.count(call, status, seconds)
        self._records.access(
            AccessRecord(
                at=self._clock.now(),
                level="info",
                logger="crossdock.gateway",
                event="call_answered",
                correlation_id=call.correlation_id,
                trace_id=call.traceparent[3:35],
                operation=call.operation.key,
                method=call.method,
                template=call.operation.template,
                status=status,
                duration_ms=round(seconds * 1000, 3),
                consumer=call.consumer.name,
                bytes_in=len(call.body or b""),
                bytes_out=call.bytes_out,
                policy=reply.policy if reply is not None else None,
                reason=reply.reason if reply is not None else "client-gone",
            )
        )
