"""audit: one entry for every call that may have changed something, before its answer leaves."""

import pytest

from tests.policies.conftest import a_document

pytestmark = pytest.mark.anyio


async def test_an_order_and_its_replay_are_recorded_and_a_check_is_not(world):
    w = await world()
    token = await w.token()
    await w.call("POST", "/sales/v1/price-checks", json=w.an_order(), token=token)
    await w.order("INV-1", token)
    await w.order("INV-1", token)

    first, replay = w.keep.entries
    assert (first.consumer, first.operation, first.outcome) == ("crm", "sales/v1/placeOrder", 201)
    assert (first.idempotency_key, first.replayed, replay.replayed) == ("INV-1", False, True)
    assert first.fingerprint == replay.fingerprint
    assert len(set(w.keep.hashes)) == 3


async def test_a_refused_business_call_is_recorded_with_its_outcome(world):
    w = await world()
    w.tier.fails_with = [RuntimeError("x")]
    await w.order("INV-1", await w.token())

    assert [(each.outcome, each.reason) for each in w.keep.entries] == [(500, "internal-error")]


async def test_what_never_came_past_the_policies_has_no_entry(world):
    w = await world()
    await w.order("INV-1", "forged")
    await w.order(None, await w.token("partner-acme", "orders:read"))

    assert w.keep.entries == []


async def test_an_entry_that_cannot_be_kept_stops_the_answer(world):
    w = await world()
    token = await w.token()

    async def full(entry):
        raise OSError("no space left")

    w.keep.append_audit, appending = full, w.keep.append_audit
    told = await w.order("INV-1", token)
    assert (told.status, told.problem) == (503, "store-unavailable")
    w.keep.append_audit = appending

    again = await w.order("INV-1", token)
    assert again.status == 201
    assert w.tier.orders == 1


async def test_an_entry_that_cannot_be_kept_replaces_an_answer_that_would_have_streamed(world):
    """Whole, and nothing of the upstream's after it."""
    document = a_document()
    document["paths"]["/imports"] = {
        "post": {
            "operationId": "import",
            "security": [],
            "x-crossdock": {"limit": "operations"},
            "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        }
    }

    async def streams(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 202, "headers": []})
        for piece in (b"one", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})

    w = await world(document=document, upstream=streams)
    assert (await w.call("POST", "/sales/v1/imports", json={})).body == b"onetwothree"

    w.keep.broken = True
    told = await w.call("POST", "/sales/v1/imports", json={})
    assert (told.status, told.problem) == (503, "store-unavailable")
    assert told.header("content-length") == str(len(told.body))
    assert w.records.calls[-1].status == 503
