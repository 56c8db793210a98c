"""correlate: every call has one correlation id and one trace, and leaves one access record.

A well-formed `X-Correlation-Id` is accepted, anything else replaced. W3C Trace Context: a valid
`traceparent` is continued with a new span id, else a trace begins here (W3C REC, section 3.2). The
caller's sampled flag is honoured; a trace that begins here is sampled by the configured ratio. Of a
sampled call one span is told when it ends.
"""

import random
import re
from collections.abc import Iterator, Sequence
from typing import Final

from contracts.context import CORRELATION_HEADER, TRACEPARENT_HEADER
from gateway.call import PASS, Call, ConfigFault, Finding, Reply, Step, Verdict
from gateway.records import AccessRecord, Metrics, OperationMetrics, Records
from gateway.routes import Operation
from runtime.clock import Clock
from runtime.tracing import Tracing, is_sampled

_CORRELATION: Final = CORRELATION_HEADER.encode()
_TRACEPARENT: Final = TRACEPARENT_HEADER.encode()
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:\-]{1,64}")
_TRACE: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
_ID_BYTES: Final = 16 + 16 + 8
"""A correlation id, a trace id and a span id."""
_DRAWN_FOR: Final = 64
"""So many calls' chance is drawn at once: the system's chance is a system call."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR: Final = 500
CLIENT_GONE: Final = 499
"""The status recorded when the caller left before it could be told (nginx's convention)."""


class Correlate:
    """Mints and continues correlation; writes the access record when the call ends."""

    name = "correlate"

    def __init__(
        self,
        *,
        clock: Clock,
        chance: random.Random,
        records: Records,
        metrics: Metrics,
        tracing: Tracing | None = None,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._records = records
        self._metrics = metrics
        self._tracing = tracing
        self._ids: Iterator[str] = iter(())

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
        state = operation.terms.lifecycle.state
        stage = None if state == "active" else state
        return (
            Step(
                self.name,
                ask=self._ask,
                tell=self._tell,
                release=lambda call: self._record(call, bound, stage),
                explain=lambda _: Finding(
                    policy=self.name, verdict="pass", because="a correlation id is minted"
                ),
            ),
        )

    def _ask(self, call: Call) -> Verdict:
        given = trace = None
        drawn = self._drawn()
        # The first thing that runs: it reads the raw headers, guard has not indexed them yet.
        for name, value in call.scope["headers"]:
            if name == _CORRELATION:
                given = value
            elif name == _TRACEPARENT:
                trace = value
        if given is not None and _WELL_FORMED.fullmatch(given):
            call.correlation_id = given.decode("ascii")
        else:
            call.correlation_id = drawn[:32]
        call.traceparent = self._continued(call, trace, drawn)
        return PASS

    def _drawn(self) -> str:
        """Answer hexadecimal digits of a correlation id, a trace id and a span id."""
        for drawn in self._ids:
            return drawn
        digits = self._chance.randbytes(_ID_BYTES * _DRAWN_FOR).hex()
        each = _ID_BYTES * 2
        self._ids = iter([digits[at : at + each] for at in range(0, len(digits), each)])
        return next(self._ids)

    def _continued(self, call: Call, trace: bytes | None, drawn: str) -> str:
        span = drawn[64:]
        found = _TRACE.fullmatch(trace) if trace is not None else None
        if found is not None:
            version, trace_id, parent, flags, rest = found.groups()
            valid = version != b"ff" and trace_id != _NO_TRACE and parent != _NO_SPAN
            if valid and not (version == b"00" and rest):
                sampled = int(flags, 16) & 1
                call.parent_span = parent.decode()
                return f"00-{trace_id.decode()}-{span}-{sampled:02x}"
        begun = drawn[32:64]
        if self._tracing is not None and self._tracing.samples(int(begun, 16)):
            return f"00-{begun}-{span}-01"
        return f"00-{begun}-{span}-00"

    def _tell(self, call: Call, reply: Reply) -> None:
        reply.headers.append((_CORRELATION, call.correlation_id.encode()))

    def _record(self, call: Call, bound: OperationMetrics, stage: str | None) -> None:
        reply = call.reply
        status = reply.status if reply is not None else CLIENT_GONE
        seconds = self._clock.monotonic() - call.started
        bound.count(call, status, seconds)
        if self._tracing is not None and is_sampled(call.traceparent):
            _tell(self._tracing, call, status)
        self._records.access(
            AccessRecord(
                at=self._clock.now(),
                level="info",
                logger="crossdock.gateway",
                event="call_answered",
                correlation_id=call.correlation_id,
                trace_id=call.traceparent[3:35],
                operation=call.operation.key,
                # A method is the caller's word, and may be as long as a head.
                method=call.method if call.method in _METHODS else "_OTHER",
                template=call.operation.template,
                status=status,
                duration_ms=round(seconds * 1000, 3),
                consumer=call.consumer.name,
                bytes_in=call.bytes_in or len(call.body or b""),
                bytes_out=call.bytes_out,
                policy=reply.policy if reply is not None else None,
                reason=reply.reason if reply is not None else "client-gone",
                stage=stage,
            )
        )


def _tell(tracing: Tracing, call: Call, status: int) -> None:
    """Tell the call's span (OpenTelemetry semantic conventions for HTTP servers, 1.23)."""
    attributes: dict[str, str | int] = {
        "http.request.method": call.method if call.method in _METHODS else "_OTHER",
        "http.route": call.operation.template,
        "http.response.status_code": status,
        "crossdock.consumer": call.consumer.name,
        "crossdock.correlation_id": call.correlation_id,
    }
    reply = call.reply
    if reply is not None and reply.policy is not None and reply.reason is not None:
        attributes["crossdock.policy"] = reply.policy
        attributes["crossdock.reason"] = reply.reason
    tracing.tell(
        call.operation.key,
        "server",
        traceparent=call.traceparent,
        parent=call.parent_span,
        started=call.started,
        attributes=attributes,
        failed=status >= _SERVER_ERROR,
    )
