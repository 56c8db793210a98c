"""One order, one trace: from the caller through gateway and steps to the vendors."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from random import Random

import httpx
import pytest
from msgspec import structs
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from deploy.assembly import System
from deploy.profile import Settings, configuration
from runtime.clock import SystemClock
from runtime.exporting import SpanExport
from runtime.tracing import TelemetrySettings, Tracing
from tests.connected import SMALL, connected
from tests.serving import free_port

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
CUSTOMER = next(
    c for c in SMALL.customers.values() if not c.blocked and not c.credit_limit and not c.overdue
)
ITEM = next(item for item in SMALL.items.values() if not item.blocked and min(item.stock.values()))


class Traced:
    """The assembled system beside its vendors, and the spans it told."""

    def __init__(self, system, client, kept):
        self.system = system
        self.client = client
        self.kept = kept

    async def signed_in(self):
        form = {
            "grant_type": "client_credentials",
            "client_id": "crm",
            "client_secret": "crm-dev-secret",
        }
        token = (await self.client.post("/oauth/token", data=form)).json()["access_token"]
        self.client.headers["authorization"] = f"Bearer {token}"

    async def order(self, key, *, flags):
        """Place an order in the trace of a caller, and wait until the warehouse has it."""
        order = {
            "customer": f"bc:{CUSTOMER.number}",
            "currency": CUSTOMER.currency or "GBP",
            "lines": [{"item": f"bc:{ITEM.number}", "quantity": "1"}],
        }
        headers = {
            "idempotency-key": key,
            "prefer": "wait=10",
            "x-correlation-id": f"deal-{key}",
            "traceparent": f"00-{TRACE}-{CALLER}-{flags}",
        }
        placed = await self.client.post("/sales/v1/orders", json=order, headers=headers)
        assert placed.status_code == 201, placed.text
        async with asyncio.timeout(10):
            while placed.json()["fulfilment"] != "released":
                await asyncio.sleep(0.02)
                placed = await self.client.get(f"/sales/v1/orders/{placed.json()['id']}")
        return placed.json()

    async def spans(self):
        """Stop the system and answer every span it told."""
        await self.system.stop()
        return self.kept.get_finished_spans()


@contextlib.asynccontextmanager
async def traced(folder, *, ratio=0.0, endpoint=None):
    """`endpoint`: a collector to send to, instead of keeping the spans."""
    async with connected() as vendors:
        settings = Settings(
            port=free_port(), sandbox_port=int(vendors.base.rpartition(":")[2]), data=folder
        )
        configured, kept, tracing = configuration(settings), InMemorySpanExporter(), None
        if endpoint is None:
            tracing = Tracing(SpanExport(kept), ratio=ratio, clock=SystemClock(), chance=Random(7))
        else:
            telemetry = TelemetrySettings(traces_endpoint=endpoint, sample_ratio=ratio)
            configured = structs.replace(configured, telemetry=telemetry)
        system = System(settings, configured, tracing=tracing)
        await system.start()
        transport = httpx.ASGITransport(app=system.gateway)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                outside = Traced(system, client, kept)
                await outside.signed_in()
                yield outside
        finally:
            with contextlib.suppress(Exception):  # a story may have stopped it already
                await system.stop()


async def test_an_order_is_one_trace_from_the_gateway_to_the_vendors(tmp_path):
    """What a caller samples is told: its call, the steps under it, the vendor calls under those."""
    async with traced(tmp_path) as outside:
        order = await outside.order("TRACED-1", flags="01")
        told = await outside.spans()

    assert {span.context.trace_id for span in told} == {int(TRACE, 16)}
    by_id = {span.context.span_id: span for span in told}
    (call,) = [span for span in told if span.kind is SpanKind.SERVER]
    assert call.name == "sales/v1/place_order"
    assert call.parent.span_id == int(CALLER, 16)
    assert dict(call.attributes) == {
        "http.request.method": "POST",
        "http.route": "/sales/v1/orders",
        "http.response.status_code": 201,
        "crossdock.consumer": "crm",
        "crossdock.correlation_id": "deal-TRACED-1",
    }
    steps = {span.name: span for span in told if span.kind is SpanKind.INTERNAL}
    assert {step.parent.span_id for step in steps.values()} == {call.context.span_id}
    placed = dict(steps["order accepted"].attributes)
    assert placed["crossdock.process.id"] == order["id"]
    assert placed["crossdock.process.event"] == "placed"
    assert placed["crossdock.process.attempt"] == 1

    under = {
        (by_id[span.parent.span_id].name, span.name): dict(span.attributes)["crossdock.outcome"]
        for span in told
        if span.kind is SpanKind.CLIENT
    }
    assert under["order accepted", "business_central write"] == "done"
    assert under["order allocated", "shiphero write"] == "done"
    assert under["sales/v1/place_order", "business_central read"] == "done"
    for span in told:
        if (above := by_id.get(span.parent.span_id)) is not None:
            assert above.start_time <= span.start_time <= span.end_time


async def test_an_unsampled_caller_leaves_no_span_whatever_the_ratio(tmp_path):
    """The caller has decided: neither its call nor what became of it is told."""
    async with traced(tmp_path, ratio=1.0) as outside:
        order = await outside.order("QUIET-1", flags="00")
        told = await outside.spans()

    assert told, "calls without a caller's trace are sampled by the ratio"
    assert int(TRACE, 16) not in {span.context.trace_id for span in told}
    assert order["id"] not in {span.attributes.get("crossdock.process.id") for span in told}
    assert not any(span.kind is SpanKind.SERVER and "place_order" in span.name for span in told)


async def test_the_first_line_of_a_timeline_names_the_call_that_asked(tmp_path):
    async with traced(tmp_path) as outside:
        order = await outside.order("NAMED-1", flags="00")
        (first, *_) = await outside.system.journal.timeline(order["id"])

    assert first.data["correlationId"] == "deal-NAMED-1"
    assert first.data["traceparent"].startswith(f"00-{TRACE}-")


async def test_a_collector_that_is_away_costs_one_warning_and_no_call(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces"
    async with traced(tmp_path, ratio=1.0, endpoint=endpoint) as outside:
        for number in range(3):
            await outside.order(f"ALONE-{number}", flags="01")
        async with asyncio.timeout(10):
            while not any(r.message == "spans_not_exported" for r in caplog.records):  # noqa: ASYNC110  # a log sets no event
                await asyncio.sleep(0.05)
        await outside.order("ALONE-LAST", flags="01")
        began = time.monotonic()
        await outside.system.tracing.stop()
        assert time.monotonic() - began < 2.5

    of_traces = [
        r for r in caplog.records if r.name.startswith(("opentelemetry", "crossdock.tele"))
    ]
    complaints = [r.message for r in of_traces if r.levelno >= logging.WARNING]
    assert complaints.count("spans_not_exported") == 1
    assert set(complaints) <= {"spans_not_exported", "spans_left_behind"}
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_who_sends_no_traces_does_not_import_the_sdk(tmp_path):
    """The SDK takes 0.1 s to import, and a start is measured."""
    program = (
        "import sys; from pathlib import Path; from deploy.assembly import System;"
        "from deploy.profile import Settings, configuration;"
        f"settings = Settings(data=Path({str(tmp_path)!r}));"
        "system = System(settings, configuration(settings));"
        "assert system.tracing is None;"
        "unwanted = ('opentelemetry.sdk', 'opentelemetry.exporter', 'google.protobuf', 'requests');"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
