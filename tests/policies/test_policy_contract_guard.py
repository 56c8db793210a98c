"""contract_guard: an answer that breaks its contract is told of, and no value of it."""

import msgspec
import pytest

from gateway.resilience import ContractGuardSettings

pytestmark = pytest.mark.anyio
SECRET = "canary-7f3a"
JSON = (b"content-type", b"application/json")
EVERY = {"contract_guard": ContractGuardSettings(sample_share=1.0)}


def with_answers(world):
    document = world.document()
    page = {
        "type": "object",
        "required": ["orders"],
        "properties": {
            "orders": {"type": "array", "items": {"$ref": "#/components/schemas/Shown"}},
            "totals": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    }
    document["components"]["schemas"]["Shown"] = {
        "type": "object",
        "required": ["order", "state"],
        "properties": {"order": {"type": "string"}, "state": {"enum": ["accepted", "confirmed"]}},
    }
    document["paths"]["/orders"]["get"]["responses"] = {
        "200": {"description": "Done", "content": {"application/json": {"schema": page}}},
        "304": {"description": "Not modified"},
    }
    return document


async def answers(w, status, headers, body):
    w.tier.says = [
        (status, headers, body if isinstance(body, bytes) else msgspec.json.encode(body))
    ]
    return await w.call("GET", "/sales/v1/orders", token=await w.token())


def drifts(w):
    return [
        (fields["status"], fields["pointer"], fields["rule"])
        for name, fields in w.records.events
        if name == "contract_drift_found"
    ]


async def test_an_answer_as_agreed_says_nothing(world):
    w = await world(document=with_answers(world), config=world.config(gateway=EVERY))
    good = {"orders": [{"order": "O-1", "state": "accepted"}], "totals": {"GBP": 3}}
    assert (await answers(w, 200, [JSON], good)).status == 200
    assert (await answers(w, 304, [], b"")).status == 304
    assert drifts(w) == []


async def test_a_difference_is_told_by_place_and_rule_and_the_caller_has_its_answer(world):
    w = await world(document=with_answers(world), config=world.config(gateway=EVERY))
    bad = {"orders": [{"order": "O-1", "state": SECRET}, {"order": 3, "state": "accepted"}]}
    told = await answers(w, 200, [JSON], bad)

    assert msgspec.json.decode(told.body) == bad
    found = drifts(w)
    assert [each[1] for each in found] == ["/orders/*/state", "/orders/*/order"]
    assert [each[2].rsplit("/", 1)[-1] for each in found] == ["enum", "type"]
    assert SECRET not in repr(w.records.events)
    exposition = (await w.call("GET", "/metrics")).body.decode()
    assert 'drifts_total{keyword="enum",operation="sales/v1/findOrders"} 1.0' in exposition
    assert SECRET not in exposition


async def test_names_that_are_data_are_masked(world):
    w = await world(document=with_answers(world), config=world.config(gateway=EVERY))
    await answers(w, 200, [JSON], {"orders": [], "totals": {SECRET: "much"}})

    assert [each[1] for each in drifts(w)] == ["/totals/*"]
    assert SECRET not in repr(w.records.events)


@pytest.mark.parametrize(
    ("status", "headers", "body", "rule"),
    [
        (418, [JSON], b"{}", "responses/status"),
        (200, [(b"content-type", b"text/html")], b"<p>", "content/media-type"),
        (200, [JSON], b"{", "content/json"),
        (200, [JSON], b"\xff", "content/json"),
    ],
)
async def test_status_media_type_and_form_are_part_of_the_contract(
    world, status, headers, body, rule
):
    w = await world(document=with_answers(world), config=world.config(gateway=EVERY))
    assert (await answers(w, status, headers, body)).status == status
    assert drifts(w) == [(status, "", rule)]


async def test_the_same_drift_is_told_once_a_minute_and_counted_each_time(world):
    w = await world(document=with_answers(world), config=world.config(gateway=EVERY))
    for _ in range(3):
        await answers(w, 200, [JSON], {})
    assert len(drifts(w)) == 1
    w.clock.advance(61)
    await answers(w, 200, [JSON], {})
    assert len(drifts(w)) == 2
    exposition = (await w.call("GET", "/metrics")).body.decode()
    assert 'drifts_total{keyword="required",operation="sales/v1/findOrders"} 4.0' in exposition


async def test_only_a_share_is_looked_at_and_refusals_of_ours_never(world):
    settings = {"contract_guard": ContractGuardSettings(sample_share=0.1)}
    w = await world(document=with_answers(world), config=world.config(gateway=settings))
    looked = 0
    for number in range(100):
        w.clock.advance(61)
        w.tier.says = [(200, [JSON], b"{}")]
        await w.call("GET", "/sales/v1/orders", token=await w.token())
        await w.call("GET", "/sales/v1/orders", token="nonsense")
        looked = len(drifts(w))
        assert looked <= number // 10 + 1
    assert looked == 10


async def test_it_can_be_turned_off(world):
    settings = {"contract_guard": ContractGuardSettings(sample_share=0.0)}
    w = await world(document=with_answers(world), config=world.config(gateway=settings))
    await answers(w, 200, [JSON], {})
    assert drifts(w) == []
