"""A vendor answers badly in the middle of it: still one order, and nobody has to look."""

import asyncio

import pytest

from tests.scenarios.stage import WRITE_TIMEOUT, eventually, made

pytestmark = pytest.mark.anyio

DONE_THERE = {
    "the answer is lost": {"kind": "drop_after"},
    "an error after the commit": {"kind": "error_after", "status": 500},
    "an answer cut in the middle": {"kind": "truncated_json"},
    "half an answer": {"kind": "half_answer"},
    "an answer that takes too long": {"kind": "slow_answer", "latency": WRITE_TIMEOUT + 0.5},
    "a call that takes too long": {"kind": "latency", "latency": WRITE_TIMEOUT + 0.5},
}
"""After these the order is there, and the caller cannot know it."""
NOT_DONE_THERE = {
    "an error before anything": {"kind": "error_before", "status": 503},
    "a gateway in between": {"kind": "error_before", "status": 502},
    "too many calls": {"kind": "throttle", "retryAfter": 1},
    "an outage": {"kind": "outage"},
    "a reset": {"kind": "reset"},
}
MAYBE_DONE_THERE = {"a gateway in between", "a reset", "an error before anything"}
"""Of these a caller cannot tell that nothing was done."""
FAULTS = DONE_THERE | NOT_DONE_THERE
ERP = ("business_central", "salesOrders.create", "salesOrders.list")
WMS = ("wms", "order_create", "orders")


@pytest.fixture
async def stage(impatient):
    """The impatient system, with no fault armed and every circuit closed, before and after."""
    yield impatient
    await impatient.clear_faults()
    key = impatient.a_key("calm")
    await impatient.place(impatient.an_order(), key)
    await impatient.reached(key, commercial="confirmed", fulfilment="released")


async def through(stage, fault, system, operation, *, count=1):
    """Place an order into a fault; answer its reference once it is confirmed and released."""
    await stage.fault(system=system, operation=operation, count=count, **fault)
    key = stage.a_key("storm")
    placed = await stage.place(stage.an_order(), key)
    assert placed.status == 202, placed.body
    await stage.reached(key, commercial="confirmed", fulfilment="released")
    await stage.crm_reached(key, Fulfilment_Status__c="released")
    faults = (await stage.sandbox_call("GET", "/_sandbox/faults")).json["rules"]
    assert faults[-1]["acted"] == count, "the fault never met the order"
    await asyncio.sleep(0.3 + (fault["kind"] == "latency"))  # a late call has come to its end
    return key


async def looked_before_creating_again(stage, since, system, create, look):
    """Between two creates there is a look whether the first one did it."""
    calls = [call["operation"] for call in await stage.requests(system, since=since)]
    first, second = (at for at, operation in enumerate(calls) if operation == create)
    return look in calls[first:second]


@pytest.mark.parametrize("bad", FAULTS)
async def test_the_erp_answers_badly_and_has_the_order_once(stage, bad):
    """Looked up by reference before anything is created a second time."""
    since = await stage.last_request()

    key = await through(stage, FAULTS[bad], ERP[0], ERP[1])

    assert made(await stage.erp(key)) == {"salesOrders.create": 1}
    assert made(await stage.wms(key)) == {"order_create": 1}
    calls = [call["operation"] for call in await stage.requests(ERP[0], since=since)]
    if bad in DONE_THERE:
        assert "salesOrders.list" in calls[calls.index(ERP[1]) :]
        assert calls.count(ERP[1]) == 1
    elif bad in MAYBE_DONE_THERE:
        assert await looked_before_creating_again(stage, since, *ERP)


@pytest.mark.parametrize("bad", FAULTS)
async def test_the_warehouse_answers_badly_and_has_the_order_once(stage, bad):
    """The same, in a vendor that speaks GraphQL and refuses nothing twice."""
    since = await stage.last_request()

    key = await through(stage, FAULTS[bad], WMS[0], WMS[1])

    assert made(await stage.wms(key)) == {"order_create": 1}
    assert made(await stage.erp(key)) == {"salesOrders.create": 1}
    calls = [call["operation"] for call in await stage.requests(WMS[0], since=since)]
    if bad in DONE_THERE:
        assert calls.count(WMS[1]) == 1
    elif bad in MAYBE_DONE_THERE:
        assert await looked_before_creating_again(stage, since, *WMS)


@pytest.mark.parametrize("bad", sorted(FAULTS.keys() - {"too many calls"}))  # ends with the day
async def test_the_crm_answers_badly_and_shows_one_order_in_the_end(stage, bad):
    """Telling the CRM holds up nothing, and what it shows in the end is the truth."""
    operation = "collections.ERP_Order__c.upsert"
    await stage.fault(system="salesforce", operation=operation, count=2, **FAULTS[bad])
    key = stage.a_key("storm")

    await stage.place(stage.an_order(), key)
    order = await stage.reached(key, commercial="confirmed", fulfilment="released")
    await stage.crm_reached(key, Fulfilment_Status__c="released", Status__c="confirmed")

    told = made(await stage.crm(key))
    assert told["ERP_Order__c.create"] == 1
    versions = [row["detail"]["Version__c"] for row in await stage.crm(key)]
    assert versions == sorted(versions)
    record = await stage.crm_record(key)
    assert record["ERP_Order_No__c"] in {each["id"] for each in order["knownAs"]}


async def test_a_vendor_that_fails_three_times_is_asked_a_fourth(stage):
    """Patience outlasts a bad minute; the story says what it waited for."""
    fault = {"kind": "error_before", "status": 503}

    key = await through(stage, fault, ERP[0], ERP[1], count=3)

    assert made(await stage.erp(key)) == {"salesOrders.create": 1}


async def test_a_token_endpoint_that_is_down_holds_orders_and_loses_none(stage):
    """Signed out everywhere while nobody can sign in: the order waits and is placed once."""
    await stage.fault(system="business_central", operation="token", kind="outage")
    await stage.fault(
        system="business_central", operation="salesOrders.create", kind="error_before",
        status=401, count=1,
    )  # fmt: skip
    key = stage.a_key("token")
    await stage.place(stage.an_order(), key)
    await asyncio.sleep(1.0)
    waiting = await stage.erp(key)
    await stage.clear_faults()

    await stage.reached(key, commercial="confirmed", fulfilment="released")

    assert waiting == []
    assert made(await stage.erp(key)) == {"salesOrders.create": 1}


async def test_everything_at_once_and_every_order_once(stage):
    """Twenty orders through a storm over all three vendors."""
    for system, operation, kind in (
        ("business_central", "*", "drop_after"),
        ("business_central", "*", "error_before"),
        ("wms", "order_create", "error_after"),
        ("wms", "order_create", "throttle"),
        ("salesforce", "*", "drop_after"),
    ):
        await stage.fault(
            system=system, operation=operation, kind=kind, share=0.3, count=12, retryAfter=1
        )
    keys = [stage.a_key("rough") for _ in range(20)]
    placed = await asyncio.gather(*(stage.place(stage.an_order(), key) for key in keys))
    await asyncio.sleep(2.0)
    await stage.clear_faults()

    assert {each.status for each in placed} == {202}
    for key in keys:
        await stage.reached(key, commercial="confirmed", fulfilment="released")
    await eventually(lambda: _all_told(stage, keys), "the CRM knows them all")
    for key in keys:
        assert made(await stage.erp(key)) == {"salesOrders.create": 1}, key
        assert made(await stage.wms(key)) == {"order_create": 1}, key


async def _all_told(stage, keys):
    for key in keys:
        await stage.crm_reached(key, Fulfilment_Status__c="released")
    return True
