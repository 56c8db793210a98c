"""correlate: one id, one trace and one record for every call."""

import msgspec
import pytest

pytestmark = pytest.mark.anyio


async def test_a_well_formed_correlation_id_is_kept_and_told(world):
    w = await world()
    told = await w.call("GET", "/healthz", headers=[("x-correlation-id", "deal-7.A:1")])

    assert told.header("x-correlation-id") == "deal-7.A:1"
    assert w.records.calls[-1].correlation_id == "deal-7.A:1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "a\tb", "ü", "a,b"])
async def test_any_other_correlation_id_is_replaced(world, given):
    """A hostile id never reaches an answer or a log."""
    w = await world()
    told = await w.call("GET", "/healthz", headers=[("x-correlation-id", given)])

    minted = told.header("x-correlation-id")
    assert minted != given
    assert len(minted) == 32


async def test_a_trace_is_continued_with_a_new_span(world):
    w = await world()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    token = await w.token()
    await w.call(
        "POST",
        "/sales/v1/price-checks",
        json=w.an_order(),
        token=token,
        headers=[("traceparent", f"00-{trace}-00f067aa0ba902b7-01")],
    )

    version, trace_id, span, flags = w.tier.calls[-1].context.traceparent.split("-")
    assert (version, trace_id, flags) == ("00", trace, "01")
    assert span != "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "broken",
    [
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "nonsense",
    ],
)
async def test_a_broken_trace_begins_anew(world, broken):
    """W3C Trace Context, section 3.2.2.3: what cannot be parsed is restarted."""
    w = await world()
    await w.call("GET", "/healthz", headers=[("traceparent", broken)])

    trace_id = w.records.calls[-1].trace_id
    assert len(trace_id) == 32
    assert trace_id not in broken.lower()


async def test_a_vendors_trace_state_goes_on_only_with_its_trace(world):
    """W3C Trace Context, section 3.3.1.5: without a parent that is believed it says nothing."""
    w = await world()
    token, state = await w.token(), ("tracestate", "vendor=state")
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    passed = []
    for more in ([("traceparent", parent)], [], [("traceparent", "nonsense")]):
        await w.call("GET", "/sales/v1/orders", token=token, headers=[state, *more])
        passed.append(w.tier.calls[-1].headers.get(b"tracestate"))

    assert passed == [b"vendor=state", None, None]


async def test_every_call_leaves_one_record_in_one_line(world):
    w = await world()
    token = await w.token()
    await w.order("K-1", token)
    await w.call("GET", "/sales/v1/nothing?evil=%0aevent", headers=[("user-agent", "a\tb")])

    placed, unknown = w.records.calls[-2:]
    assert (placed.operation, placed.status, placed.consumer) == ("sales/v1/placeOrder", 201, "crm")
    assert (unknown.status, unknown.policy, unknown.reason) == (404, "route", "operation-unknown")
    line = msgspec.json.encode(unknown)
    assert b"\n" not in line
    assert b"evil" not in line


async def test_a_method_nobody_knows_is_not_repeated_in_the_record(world):
    """A method is the caller's word; it may be a secret, or as long as a head."""
    w = await world()
    await w.call("S3CRET", "/sales/v1/orders")

    assert w.records.calls[-1].method == "_OTHER"
