"""Traces: who decides, what is passed on, and what a slow collector can do to us."""

import asyncio
import contextlib
import time
from datetime import timedelta
from random import Random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from contracts.context import SYSTEM, CallContext, calling, current
from contracts.outcomes import CallFailedError, Throttled
from runtime.budget import Allowance, BudgetBroker
from runtime.clock import SystemClock
from runtime.exporting import SpanExport, otlp
from runtime.guard import Guard
from runtime.http import Channel, Exchange, HttpClient
from runtime.journal.process import Lifecycle, Move, ProcessType
from runtime.journal.worker import Worker
from runtime.tracing import Tracing, is_sampled
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    Order,
    a_journal,
    an_open_store,
    an_order,
    store_url,
)

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


class Kept:
    """Keeps the spans it is told."""

    def __init__(self):
        self.spans = []

    def open(self):
        """Need nothing."""

    def record(self, span):
        self.spans.append(span)

    async def close(self, within):
        """Hold nothing."""


def a_tracing(kept, ratio=0.0):
    return Tracing(kept, ratio=ratio, clock=SystemClock(), chance=Random(7))


def test_the_ratio_is_the_share_of_the_traces_begun_here():
    tracing = a_tracing(Kept(), ratio=0.1)
    sampled = sum(is_sampled(tracing.origin()) for _ in range(20_000))
    assert 1_800 < sampled < 2_200
    assert not any(is_sampled(a_tracing(Kept(), ratio=0.0).origin()) for _ in range(1_000))
    assert all(is_sampled(a_tracing(Kept(), ratio=1.0).origin()) for _ in range(1_000))


def test_every_process_decides_alike_about_a_trace():
    """By the id alone, so that two gateways never tell half a trace each."""
    ours = a_tracing(Kept(), ratio=0.5)
    theirs = Tracing(Kept(), ratio=0.5, clock=SystemClock(), chance=Random(99))
    ids = [Random(number).getrandbits(128) for number in range(200)]
    assert [ours.samples(each) for each in ids] == [theirs.samples(each) for each in ids]


def test_the_first_span_of_a_trace_begun_here_has_no_parent():
    kept = Kept()
    tracing = a_tracing(kept, ratio=1.0)
    tracing.begin(None).end("one", "internal", {})
    tracing.begin(SAMPLED).end("two", "internal", {})
    assert [span.parent for span in kept.spans] == [None, "00f067aa0ba902b7"]
    assert tracing.begin(UNSAMPLED) is None


class Peer:
    """Answers every request with one status; keeps the heads."""

    def __init__(self, status):
        self.status = status
        self.heads = []

    async def __call__(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self.status)
                await writer.drain()


def judge(answer, safe):
    return Throttled(system="erp", retry_after=0.1) if answer.status == 429 else None


async def one_call(tracing, traceparent, status=200):
    """Make one vendor call in a trace; answer what the vendor was sent."""
    peer, clock, http = Peer(status), SystemClock(), HttpClient(tracing=tracing)
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    channel = Channel(
        account="erp", http=http, guard=Guard("erp", clock=clock),
        broker=BudgetBroker({"erp": Allowance()}, clock=clock), judge=judge,
    )  # fmt: skip
    exchange = Exchange(
        method="GET", url=f"http://127.0.0.1:{port}/", headers={}, timeout=2.0, safe=True
    )
    context = CallContext(correlation_id="c", consumer="x", traceparent=traceparent)
    with calling(context), contextlib.suppress(CallFailedError):
        await channel.send(exchange)
    await http.close()
    server.close()
    return peer.heads[0]


async def test_a_vendor_is_told_the_trace_of_a_sampled_call_alone():
    kept = Kept()
    assert "traceparent" not in await one_call(a_tracing(kept, ratio=1.0), UNSAMPLED)
    assert "traceparent" not in await one_call(None, SAMPLED)
    assert kept.spans == []
    head = await one_call(a_tracing(kept), SAMPLED)
    (span,) = kept.spans
    assert f"traceparent: {span.traceparent}\r\n" in head
    assert span.traceparent.startswith(f"00-{TRACE}-")
    assert span.attributes == {
        "crossdock.system": "erp",
        "crossdock.operation_class": "read",
        "crossdock.outcome": "done",
    }
    assert [name for name, _ in span.events] == ["sent"]


async def test_a_vendor_call_is_told_by_the_kind_of_its_outcome():
    kept = Kept()
    await one_call(a_tracing(kept), SAMPLED, status=429)
    (span,) = kept.spans
    assert (span.attributes["crossdock.outcome"], span.failed) == ("throttled", True)


TWO_STEPS = Lifecycle(
    name="order",
    initial="first",
    moves={("first", "went"): "second", ("second", "went"): "done"},
    terminal=frozenset({"done"}),
)


def two_steps(traces):
    async def step(process, context):
        assert current() is SYSTEM, "a step runs in nobody's call"
        traces.append((process.reference, context.traceparent))
        return Move(event="went", data=process.data)

    return ProcessType(
        name="order", version=1, data_type=Order, lifecycle=TWO_STEPS,
        steps={"first": step, "second": step},
    )  # fmt: skip


@contextlib.asynccontextmanager
async def at_work(journal, tracing):
    worker = Worker(journal, tracing=tracing)
    await worker.start()
    try:
        yield
    finally:
        await worker.drain(timedelta(seconds=1))


async def test_steps_belong_to_the_call_that_asked_even_after_a_restart(store_url):  # noqa: F811  # the fixture
    """The trace is on the timeline: a worker that never saw the call goes on under it."""
    kept, traces = Kept(), []
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [two_steps(traces)])
        await journal.open()
        with calling(CallContext(correlation_id="a", consumer="crm", traceparent=SAMPLED)):
            told = await journal.accept(an_order("A"))
        with calling(CallContext(correlation_id="b", consumer="crm", traceparent=UNSAMPLED)):
            silent = await journal.accept(an_order("B"))
        async with at_work(journal, a_tracing(kept, ratio=1.0)):
            for accepted in (told, silent):
                await journal.wait_for(accepted.process_id, {"done"}, timedelta(seconds=8))

    assert [span.name for span in kept.spans] == ["order first", "order second"]
    assert {span.traceparent[3:35] for span in kept.spans} == {TRACE}
    assert {span.parent for span in kept.spans} == {"00f067aa0ba902b7"}
    assert [trace for key, trace in traces if key == "B"] == [UNSAMPLED, UNSAMPLED]


async def test_a_step_is_no_part_of_the_call_that_made_room_for_it(tmp_path):
    """Accepted beside the worker: an order nobody traces stays out of its neighbour's trace."""
    kept, traces = Kept(), []
    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as store:
        journal = a_journal(store, [two_steps(traces)])
        await journal.open()
        async with at_work(journal, a_tracing(kept)):
            ids = []
            for key, trace in (("A", SAMPLED), ("B", None)):
                with calling(CallContext(correlation_id=key, consumer="x", traceparent=trace)):
                    ids.append((await journal.accept(an_order(key))).process_id)
            for each in ids:
                await journal.wait_for(each, {"done"}, timedelta(seconds=8))

    assert {span.attributes["crossdock.process.id"] for span in kept.spans} == {ids[0]}
    assert len(kept.spans) == 2
    assert not any(is_sampled(trace) for key, trace in traces if key == "B")


async def test_a_collector_gets_what_the_standard_says():
    """OTLP over HTTP, read with the standard's own messages."""
    received = ExportTraceServiceRequest()

    async def collect(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"post /v1/traces ")
        (length,) = [line for line in head.split(b"\r\n") if line.startswith(b"content-length")]
        received.ParseFromString(await reader.readexactly(int(length.split(b":")[1])))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    server = await asyncio.start_server(collect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    spans = SpanExport(otlp(f"http://127.0.0.1:{port}/v1/traces"))
    tracing = Tracing(spans, ratio=0.0, clock=SystemClock(), chance=Random(7))
    tracing.start()
    span = tracing.begin(SAMPLED)
    span.note("sent")
    span.end("erp write", "client", {"crossdock.outcome": "throttled", "tries": 2}, failed=True)
    await tracing.stop()
    server.close()

    (resource,) = received.resource_spans
    (told,) = resource.scope_spans[0].spans
    assert (told.name, told.trace_id.hex()) == ("erp write", TRACE)
    assert (told.span_id.hex(), told.parent_span_id.hex()) == (
        span.traceparent[36:52],
        "00f067aa0ba902b7",
    )
    assert [event.name for event in told.events] == ["sent"]
    assert told.status.code == told.status.STATUS_CODE_ERROR
    assert {a.key: a.value.string_value or a.value.int_value for a in told.attributes} == {
        "crossdock.outcome": "throttled",
        "tries": 2,
    }
    assert 0 <= time.time_ns() - told.end_time_unix_nano < 5e9
    service = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert service["service.name"] == "crossdock"


async def test_a_collector_that_never_answers_holds_up_a_shutdown_for_two_seconds():
    async def swallow(reader, writer):
        await reader.read()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    spans = SpanExport(otlp(f"http://127.0.0.1:{port}/v1/traces"))
    tracing = Tracing(spans, ratio=1.0, clock=SystemClock(), chance=Random(7))
    tracing.start()
    for _ in range(2_000):
        tracing.begin(None).end("lost", "internal", {})
    began = time.monotonic()
    await tracing.stop()
    assert time.monotonic() - began < 2.5
    tracing.begin(None).end("after the end", "internal", {})
    server.close()
