"""An order is taken back: what was done for it is undone, once, and what has left is not."""

import asyncio

import pytest

from tests.scenarios.stage import made

pytestmark = pytest.mark.anyio


async def cancel(house, order, key, reason="ordered twice"):
    """Ask sales/v1 to take an order back."""
    path = f"/sales/v1/orders/{order}/cancellations"
    return await house.call("POST", path, {"reason": reason}, key=key)


async def released(house):
    """An order that is with the warehouse; answers its key and id."""
    key = house.a_key("cancel")
    placed = await house.place(house.an_order(), key, wait=10)
    assert placed.status == 201
    await house.reached(key, fulfilment="released")
    return key, placed.json["id"]


async def test_a_released_order_is_taken_back_everywhere(house):
    """Out of the warehouse first, then out of the ERP; the CRM says so."""
    key, order = await released(house)

    answer = await cancel(house, order, house.a_key("undo"))
    done = await house.reached(key, commercial="cancelled")
    await house.crm_reached(key, Status__c="cancelled")

    assert answer.status in {200, 202}
    assert done["fulfilment"] == "cancelled"
    assert made(await house.erp(key)) == {"salesOrders.create": 1, "salesOrders.delete": 1}
    assert made(await house.wms(key)) == {"order_create": 1, "order_cancel": 1}
    wms = next(row for row in await house.wms(key) if row["operation"] == "order_cancel")
    erp = next(row for row in await house.erp(key) if row["operation"] == "salesOrders.delete")
    assert wms["sequence"] < erp["sequence"]
    story = await house.call("GET", f"/sales/v1/orders/{order}/timeline")
    assert "ancelled" in story.json["summary"]
    assert any("ordered twice" in entry["says"] for entry in story.json["entries"])


async def test_cancelled_twice_is_cancelled_once(house):
    """With the same key, with another key, and by many at once."""
    key, order = await released(house)
    undo = house.a_key("undo")

    answers = await asyncio.gather(
        *(cancel(house, order, undo) for _ in range(4)),
        *(cancel(house, order, house.a_key("undo")) for _ in range(4)),
    )
    await house.reached(key, commercial="cancelled")
    late = await cancel(house, order, house.a_key("undo"))
    await asyncio.sleep(0.3)

    assert {each.status for each in answers} <= {200, 202}
    assert len({each.body for each in answers[:4]}) == 1
    assert late.status == 200 or late.slug == "order-not-cancellable"
    assert made(await house.erp(key)) == {"salesOrders.create": 1, "salesOrders.delete": 1}
    assert made(await house.wms(key)) == {"order_create": 1, "order_cancel": 1}


async def test_an_order_cancelled_at_once_leaves_nothing_behind(house):
    """Racing its own confirmation: whatever was done is undone, nothing is done afterwards."""
    keys = [house.a_key("race") for _ in range(8)]
    for pause, key in enumerate(keys):
        placed = await house.place(house.an_order(), key)
        await asyncio.sleep(pause * 0.004)
        answer = await cancel(house, placed.json["id"], f"{key}-UNDO")
        assert answer.status in {200, 202}, answer.body

    for key in keys:
        await house.reached(key, commercial="cancelled")
    await asyncio.sleep(0.5)

    for key in keys:
        erp, wms = made(await house.erp(key)), made(await house.wms(key))
        assert erp["salesOrders.create"] == erp["salesOrders.delete"] <= 1, key
        assert wms["order_create"] == wms["order_cancel"] <= 1, key
        await house.crm_reached(key, Status__c="cancelled")


async def test_an_order_that_waits_for_the_erp_is_cancelled_without_it(impatient):
    """Nothing was done, so nobody has to be asked."""
    await impatient.fault(system="business_central", operation="*", kind="outage")
    try:
        key = impatient.a_key("early")
        placed = await impatient.place(impatient.an_order(), key)
        await asyncio.sleep(1.2)
        answer = await cancel(impatient, placed.json["id"], f"{key}-UNDO")
        assert answer.status in {200, 202}
    finally:
        await impatient.clear_faults()

    await impatient.reached(key, commercial="cancelled")
    await asyncio.sleep(1.0)
    erp = made(await impatient.erp(key))
    assert erp["salesOrders.create"] == erp["salesOrders.delete"]
    assert made(await impatient.wms(key)) == {}


async def test_goods_that_have_left_cannot_be_cancelled(house):
    """The warehouse told us what it shipped; the order is refused as no longer cancellable."""
    key, order = await released(house)
    shipped = await house.sandbox_call("POST", "/_sandbox/warehouse/ship", {"orderNumber": key})
    await house.reached(key, fulfilment="shipped")
    await house.crm_reached(key, Fulfilment_Status__c="shipped")

    answer = await cancel(house, order, house.a_key("undo"))
    await asyncio.sleep(0.3)

    assert shipped.status == 200
    assert (answer.status, answer.slug) == (409, "order-not-cancellable")
    assert answer.json["actor"] == "sales"
    assert made(await house.erp(key)) == {"salesOrders.create": 1, "salesShipments.post": 1}
    assert made(await house.wms(key))["order_cancel"] == 0
    assert (await house.order(key))["commercial"] == "confirmed"


async def test_goods_that_left_in_part_cannot_be_cancelled(house):
    """What is left stays open; the order says how much has gone."""
    key, order = await released(house)
    part = {"orderNumber": key, "lines": [{"sku": house.item("good")["number"], "quantity": 1}]}
    await house.sandbox_call("POST", "/_sandbox/warehouse/ship", part)
    seen = await house.reached(key, fulfilment="partially-shipped")

    answer = await cancel(house, order, house.a_key("undo"))

    assert [line["shipped"] for line in seen["lines"]] == ["1"]
    assert answer.slug == "order-not-cancellable"
    assert made(await house.wms(key))["order_cancel"] == 0


async def test_goods_that_left_while_nobody_told_us_stop_the_cancellation(house):
    """The notification was lost; the warehouse refuses, and the order goes on, saying why."""
    key, order = await released(house)
    await house.fault(system="wms", operation="push", kind="lost_push", count=1)
    await house.sandbox_call("POST", "/_sandbox/warehouse/ship", {"orderNumber": key})

    await cancel(house, order, house.a_key("undo"))
    await asyncio.sleep(1.0)
    await house.clear_faults()

    seen = await house.order(key)
    story = (await house.call("GET", f"/sales/v1/orders/{order}/timeline", client="operator")).json
    assert (seen["commercial"], seen.get("exception")) == ("confirmed", None)
    assert any(line["says"].startswith("The order is not cancelled") for line in story["entries"])
    assert "salesOrders.delete" not in made(await house.erp(key))


async def test_a_refused_warehouse_cancellation_is_tried_again_not_doubled(impatient):
    """The answer to the cancellation is lost: it is looked up, and the ERP follows."""
    key = impatient.a_key("lost")
    placed = await impatient.place(impatient.an_order(), key, wait=10)
    await impatient.reached(key, fulfilment="released")
    await impatient.fault(system="wms", operation="order_cancel", kind="drop_after", count=1)
    await impatient.fault(
        system="business_central", operation="salesOrders.delete", kind="drop_after", count=1
    )

    await cancel(impatient, placed.json["id"], f"{key}-UNDO")
    await impatient.reached(key, commercial="cancelled")
    await impatient.clear_faults()

    assert made(await impatient.wms(key)) == {"order_create": 1, "order_cancel": 1}
    assert made(await impatient.erp(key)) == {"salesOrders.create": 1, "salesOrders.delete": 1}
