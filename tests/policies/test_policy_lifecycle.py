"""lifecycle: what goes away says so in time, and afterwards says where to go."""

import pytest

from gateway.routes import Lifecycle

pytestmark = pytest.mark.anyio
STAGE = {
    "state": "deprecated",
    "deprecatedAt": "2026-01-01",
    "sunsetAt": "2026-12-01T00:00:00Z",
    "successor": "/sales/v2/orders",
    "link": "https://docs.example/orders-v1",
}


async def test_a_deprecated_operation_says_since_when_until_when_and_what_next(world):
    w = await world(document=world.document(lifecycle=STAGE))
    told = await w.call("GET", "/sales/v1/orders", token=await w.token())

    assert told.status == 200
    assert told.header("deprecation") == "@1767225600"
    assert told.header("sunset") == "Tue, 01 Dec 2026 00:00:00 GMT"
    assert '</sales/v2/orders>; rel="successor-version"' in told.header("link")
    assert '<https://docs.example/orders-v1>; rel="deprecation"' in told.header("link")
    metrics = (await w.call("GET", "/metrics")).body.decode()
    assert 'deprecated_calls_total{consumer="crm",operation="sales/v1/findOrders"} 1.0' in metrics


async def test_after_its_sunset_it_is_gone_and_names_its_successor(world):
    w = await world(document=world.document(lifecycle=STAGE))
    w.clock.advance(10 * 86_400)
    told = await w.call("GET", "/sales/v1/orders", token=await w.token())

    assert (told.status, told.problem) == (410, "version-retired")
    assert told.json()["successor"] == "/sales/v2/orders"
    assert told.header("sunset") is not None
    assert w.tier.calls == []


GONE = {
    "sales/v0": Lifecycle(
        state="sunset",
        deprecated_at="2025-01-01",
        sunset_at="2026-06-01",
        successor="/sales/v1",
    )
}


@pytest.mark.parametrize("path", ["/sales/v0", "/sales/v0/orders", "/sales/v0/anything/else"])
async def test_a_version_without_a_contract_is_gone_and_not_unknown(world, path):
    """A caller that missed the sunset learns where to go, whoever it is and whatever it asks."""
    w = await world(retired=GONE)
    for method in ("GET", "POST"):
        told = await w.call(method, path)
        assert (told.status, told.problem) == (410, "version-retired")
        assert told.json()["successor"] == "/sales/v1"
        assert told.header("sunset") == "Mon, 01 Jun 2026 00:00:00 GMT"
        assert '</sales/v1>; rel="successor-version"' in told.header("link")


@pytest.mark.parametrize("path", ["/sales/v01/orders", "/sales", "/sales/v2/orders"])
async def test_what_never_was_is_unknown(world, path):
    w = await world(retired=GONE)
    assert (await w.call("GET", path)).problem == "operation-unknown"


async def test_who_still_calls_what_is_gone_or_going_is_counted_and_recorded(world):
    w = await world(retired=GONE, document=world.document(lifecycle=STAGE))
    for token in (await w.token(), await w.token("partner-acme"), "wrong", None):
        await w.call("GET", "/sales/v0/orders", token=token)
    await w.call("GET", "/sales/v1/orders", token=await w.token())

    metrics = (await w.call("GET", "/metrics")).body.decode()
    for consumer, count in (("crm", 1.0), ("partner-acme", 1.0), ("anonymous", 2.0)):
        labels = f'consumer="{consumer}",operation="sales/v0/*"'
        assert f"deprecated_calls_total{{{labels}}} {count}" in metrics
    going = [each for each in w.records.calls if each.stage is not None]
    assert [(each.consumer, each.stage) for each in going] == [("crm", "deprecated")]
    gone = [each.consumer for each in w.records.calls if each.reason == "version-retired"]
    assert gone == ["crm", "partner-acme", "anonymous", "anonymous"]


async def test_an_active_operation_says_nothing(world):
    w = await world()
    told = await w.call("GET", "/sales/v1/orders", token=await w.token())

    assert told.header("deprecation") is None


async def test_a_sunset_before_its_deprecation_is_a_fault_of_the_contract(world):
    from gateway.config import ConfigError

    with pytest.raises(ConfigError) as refused:
        await world(document=world.document(lifecycle={**STAGE, "sunsetAt": "2025-01-01"}))
    assert "the sunset lies before the deprecation" in str(refused.value)
