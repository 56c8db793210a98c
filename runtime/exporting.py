"""Finished spans to an OpenTelemetry collector, over OTLP/HTTP.

Importing this module imports the SDK, which costs 0.1 s: only who sends traces does. A collector
that is away costs spans, never a call: the queue is bounded, a thread of its own sends, and an
outage is one warning, with one more line when it is over.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from runtime.tracing import Kind, Span

__all__ = ["SpanExport", "otlp"]

log = logging.getLogger("crossdock.telemetry")

QUEUE: Final = 4096
"""Spans that may wait; what comes while it is full pushes out the oldest."""
BATCH: Final = 512
EVERY_MILLISECONDS: Final = 1000
PATIENCE: Final = 2.0
"""Seconds for one batch, tries included."""

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_FAILED: Final = Status(StatusCode.ERROR)
_WELL: Final = Status()
_KINDS: Final[dict[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}
_TALKATIVE: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
"""Loggers that say every lost batch and every full queue; `_Calm` says it once."""


def otlp(endpoint: str) -> SpanExporter:
    """Make the exporter for a collector; nothing is sent yet."""
    session = requests.Session()
    session.trust_env = False  # no proxy and no credentials from the environment
    return OTLPSpanExporter(endpoint=endpoint, timeout=PATIENCE, session=session)


class _Calm(SpanExporter):
    """An exporter that says once that it cannot send, and once that it can again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self.ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, or lose it."""
        if self.ended:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning("spans_not_exported", extra={"spans": len(spans)})
            self._lost += len(spans)
        elif self._lost:
            log.info("spans_exported_again", extra={"lost": self._lost})
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Break off what is being sent, once."""
        if not self.ended:
            self.ended = True
            self._exporter.shutdown()


class SpanExport:
    """`runtime.tracing.Spans` over an exporter of the SDK. Construction has no effects.

    Spans are handed to the SDK as it hands them to an exporter: 4 microseconds each, where its
    tracer takes 35.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = _Calm(exporter)
        self._processor: BatchSpanProcessor | None = None
        release = version("crossdock")
        self._resource = Resource({"service.name": "crossdock", "service.version": release})
        self._scope = InstrumentationScope("crossdock", release)

    def open(self) -> None:
        """Start the thread that sends."""
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=EVERY_MILLISECONDS,
            max_export_batch_size=BATCH,
            export_timeout_millis=PATIENCE * 1000,
        )

    def record(self, span: Span) -> None:
        """Queue one span; before `open` and after `close` it is dropped."""
        if self._processor is not None:
            self._processor.on_end(self._finished(span))

    async def close(self, within: float) -> None:
        """Send what is left, for at most `within` seconds."""
        processor, self._processor = self._processor, None
        if processor is None:
            return
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            processor.shutdown()  # type: ignore[no-untyped-call]  # as the SDK has it
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop has closed
                loop.call_soon_threadsafe(closed.set)

        # the SDK waits for half a minute; a daemon cannot keep the program from ending
        threading.Thread(target=close, name="spans-closing", daemon=True).start()
        try:
            async with asyncio.timeout(within):
                await closed.wait()
        except TimeoutError:
            self._exporter.shutdown()
            log.warning("spans_left_behind")

    def _finished(self, span: Span) -> ReadableSpan:
        told = span.traceparent
        trace_id = int(told[3:35], 16)
        above = span.parent
        return ReadableSpan(
            span.name,
            SpanContext(trace_id, int(told[36:52], 16), is_remote=False, trace_flags=_SAMPLED),
            None
            if above is None
            else SpanContext(
                trace_id, int(above, 16), is_remote=span.parent_is_remote, trace_flags=_SAMPLED
            ),
            self._resource,
            span.attributes,
            events=[Event(name, timestamp=at) for name, at in span.events],
            kind=_KINDS[span.kind],
            status=_FAILED if span.failed else _WELL,
            start_time=span.started_at,
            end_time=span.ended_at,
            instrumentation_scope=self._scope,
        )
