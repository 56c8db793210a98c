"""What is said of each call: one access record in one JSON line, and counters.

A record never holds a header value, a body, a query or a token: hostile strings reach it only as
JSON-escaped path templates and names the gateway itself chose.
"""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from typing import Any, BinaryIO, Final, Protocol

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from gateway.call import Call


class AccessRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One call: what was asked of whom, what became of it, how long it took (milliseconds)."""

    at: datetime
    level: str
    logger: str
    event: str
    correlation_id: str
    trace_id: str
    operation: str
    method: str
    template: str
    status: int
    duration_ms: float
    consumer: str
    bytes_in: int = 0
    bytes_out: int = 0
    policy: str | None = None
    reason: str | None = None
    stage: str | None = None
    """`deprecated` or `sunset` where the operation is going away or gone."""


class Records(Protocol):
    """Where records and other events go."""

    def access(self, record: AccessRecord) -> None:
        """Take one access record."""

    def event(self, name: str, **fields: Any) -> None:
        """Take one structured event: a snake_case name in the past tense and fixed keys."""


class Lines:
    """Access records as JSON lines on a binary stream; other events through the logger.

    What is answered in one turn of the event loop is written at once, before the loop waits for
    anything: a write costs more than a policy does. Records that cannot be written are counted in
    an event and are gone.
    """

    def __init__(self, stream: BinaryIO, logger: logging.Logger) -> None:
        self._stream = stream
        self._logger = logger
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []

    def access(self, record: AccessRecord) -> None:
        """Write one access record before the event loop next waits."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(self._encode(record))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        try:
            self._stream.write(b"\n".join(lines) + b"\n")
        except OSError as error:
            self.event("records_lost", count=len(lines), error=type(error).__name__)

    def event(self, name: str, **fields: Any) -> None:
        """Log one event."""
        self._logger.warning(name, extra=fields)


_CLASSES: Final = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)


class Metrics:
    """Counters and histograms; those of an operation are bound when the gateway is compiled."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._bound: dict[str, OperationMetrics] = {}
        self.registry.register(_Answered(self._bound))
        self.refusals = Counter(
            "crossdock_gateway_refusals",
            "Calls refused, by policy and problem.",
            ["operation", "policy", "reason"],
            registry=self.registry,
        )
        self.deprecated_calls = Counter(
            "crossdock_gateway_deprecated_calls",
            "Calls of operations that are going away, by who still calls them.",
            ["operation", "consumer"],
            registry=self.registry,
        )
        self.drifts = Counter(
            "crossdock_gateway_contract_drifts",
            "Differences between sampled answers and their contract, by keyword.",
            ["operation", "keyword"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "crossdock_gateway_in_flight", "Calls being answered now.", registry=self.registry
        )
        self.upgraded = Gauge(
            "crossdock_gateway_upgraded",
            "Connections upgraded to WebSocket, handshakes among them.",
            registry=self.registry,
        )

    def bind(self, operation: str) -> "OperationMetrics":
        """Answer the counters of one operation; they last from configuration to configuration."""
        bound = self._bound.get(operation)
        if bound is None:
            bound = self._bound[operation] = OperationMetrics(self, operation)
        return bound

    def exposition(self) -> bytes:
        """Answer the text exposition format of Prometheus."""
        return generate_latest(self.registry)


class OperationMetrics:
    """The counters of one operation, looked up once; plain numbers that a scrape reads."""

    __slots__ = ("_operation", "_refusals", "by_class", "by_time", "seconds")

    def __init__(self, metrics: Metrics, operation: str) -> None:
        self.by_class = [0] * len(_CLASSES)
        """Calls, by the first digit of the status."""
        self.by_time = [0] * (len(_BUCKETS) + 1)
        """Calls, by the bucket of their duration; the last is for what is longer than all."""
        self.seconds = 0.0
        """Of all calls together."""
        self._refusals = metrics.refusals
        self._operation = operation

    def count(self, call: Call, status: int, seconds: float) -> None:
        """Count one finished call."""
        self.by_class[min(status // 100, 5)] += 1
        self.by_time[bisect_left(_BUCKETS, seconds)] += 1
        self.seconds += seconds
        reply = call.reply
        if reply is not None and reply.policy is not None and reply.reason is not None:
            self._refusals.labels(self._operation, reply.policy, reply.reason).inc()


class _Answered(Collector):
    """Tells a scrape what every operation has counted."""

    def __init__(self, bound: Mapping[str, OperationMetrics]) -> None:
        self._bound = bound

    def collect(self) -> Iterator[Metric]:
        """Answer calls by status class, and how long they took."""
        calls = CounterMetricFamily(
            "crossdock_gateway_calls",
            "Calls answered, by operation and status class.",
            labels=["operation", "status"],
        )
        took = HistogramMetricFamily(
            "crossdock_gateway_seconds",
            "Seconds from arrival to the last byte handed to the server.",
            labels=["operation"],
        )
        for operation, counted in self._bound.items():
            for name, number in zip(_CLASSES, counted.by_class, strict=True):
                calls.add_metric([operation, name], number)
            edges = (*map(str, _BUCKETS), "+Inf")
            buckets = list(zip(edges, accumulate(counted.by_time), strict=True))
            took.add_metric([operation], buckets, counted.seconds)
        yield calls
        yield took
