"""What is said of each call: one access record in one JSON line, and counters.

A record never holds a header value, a body, a query or a token: hostile strings reach it only as
JSON-escaped path templates and names the gateway itself chose.
"""

import logging
from datetime import datetime
from typing import Any, BinaryIO, Protocol

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

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
    """Access records as JSON lines on a binary stream; other events through the logger."""

    def __init__(self, stream: BinaryIO, logger: logging.Logger) -> None:
        self._stream = stream
        self._logger = logger
        self._encode = msgspec.json.Encoder().encode

    def access(self, record: AccessRecord) -> None:
        """Write one access record."""
        self._stream.write(self._encode(record) + b"\n")

    def event(self, name: str, **fields: Any) -> None:
        """Log one event."""
        self._logger.warning(name, extra=fields)


_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters and histograms; children are bound per operation when the gateway is compiled."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.calls = Counter(
            "crossdock_gateway_calls",
            "Calls answered, by operation and status class.",
            ["operation", "status"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "crossdock_gateway_refusals",
            "Calls refused, by policy and problem.",
            ["operation", "policy", "reason"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "crossdock_gateway_seconds",
            "Seconds from arrival to the last byte handed to the server.",
            ["operation"],
            buckets=_BUCKETS,
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

    def bind(self, operation: str) -> "OperationMetrics":
        """Answer the bound counters of one operation."""
        return OperationMetrics(self, operation)

    def exposition(self) -> bytes:
        """Answer the text exposition format of Prometheus."""
        return generate_latest(self.registry)


class OperationMetrics:
    """The counters of one operation, looked up once."""

    def __init__(self, metrics: Metrics, operation: str) -> None:
        self._by_class = tuple(
            metrics.calls.labels(operation, each)
            for each in ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
        )
        self._observe = metrics.seconds.labels(operation).observe
        self._refusals = metrics.refusals
        self._operation = operation

    def count(self, call: Call, status: int, seconds: float) -> None:
        """Count one finished call."""
        self._by_class[min(status // 100, 5)].inc()
        self._observe(seconds)
        reply = call.reply
        if reply is not None and reply.policy is not None and reply.reason is not None:
            self._refusals.labels(self._operation, reply.policy, reply.reason).inc()
