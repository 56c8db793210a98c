"""lifecycle: what goes away says so in time, and afterwards says where to go."""

import pytest

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


async def test_an_active_operation_says_nothing(world):
    w = await world()
    told = await w.call("GET", "/sales/v1/orders", token=await w.token())

    assert told.header("deprecation") is None


async def test_a_sunset_before_its_deprecation_is_a_fault_of_the_contract(world):
    from gateway.config import ConfigError

    with pytest.raises(ConfigError) as refused:
        await world(document=world.document(lifecycle={**STAGE, "sunsetAt": "2025-01-01"}))
    assert "the sunset lies before the deprecation" in str(refused.value)
