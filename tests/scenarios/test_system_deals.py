"""A deal won in the CRM becomes one order in the ERP and one in the warehouse."""

import asyncio

import pytest

from tests.scenarios.stage import eventually, made

pytestmark = pytest.mark.anyio

ONWARD = [
    ("accepted", "not-released"),
    ("provisional", "not-released"),
    ("confirmed", "not-released"),
    ("confirmed", "released"),
]
"""The way of a healthy order; the CRM may skip a step, and never takes one back."""


async def one_order(stage, deal):
    """The order of a deal, once it is with the warehouse; fails if there is more than one."""
    reference = f"SF-{deal['id']}"
    order = await stage.reached(reference, commercial="confirmed", fulfilment="released")
    assert made(await stage.erp(reference)) == {"salesOrders.create": 1}
    assert made(await stage.wms(reference)) == {"order_create": 1}
    return order


async def test_a_won_deal_is_one_order_everywhere(house):
    """ERP, warehouse and CRM each have it once, and each knows what the others call it."""
    deal = house.catalog["deals"][0]
    reference = f"SF-{deal['id']}"

    await house.closes(deal["id"])
    order = await one_order(house, deal)
    await house.crm_reached(reference, Fulfilment_Status__c="released")

    known = {each["system"]: each["id"] for each in order["knownAs"]}
    record = await house.crm_record(reference)
    assert record["ERP_Order_No__c"] == known["bc"]
    assert record["Warehouse_Order_No__c"] == known["wms"]
    assert record["Opportunity__c"] == known["sf"] == deal["id"]
    assert record["Order_Id__c"] == order["id"]
    (erp_row,) = await house.erp(reference)
    assert erp_row["detail"]["number"] == known["bc"]
    assert order["poNumber"] == deal["poNumber"]


async def test_the_amount_is_the_deals_to_the_penny_in_all_books(house):
    """What the rep sold is what is ordered, released and shown."""
    deal = house.catalog["deals"][1]
    reference = f"SF-{deal['id']}"
    sold = sum(line["quantity"] * round(float(line["unitPrice"]) * 100) for line in deal["lines"])

    await house.closes(deal["id"])
    order = await one_order(house, deal)
    record = await house.crm_reached(reference, Fulfilment_Status__c="released")

    rows = [*await house.erp(reference), *await house.wms(reference), *await house.crm(reference)]
    assert {row["amount"] for row in rows} == {f"{sold / 100:.2f}"} == {
        order["netAmount"]["amount"]
    }  # fmt: skip
    assert {row["currency"] for row in rows} == {"GBP"}
    assert record["Credit_Status__c"] == "approved"


async def test_the_crm_is_told_in_order_and_never_backwards(house):
    """A rep who looks twice never sees an order undo itself."""
    deal = house.catalog["deals"][2]
    reference = f"SF-{deal['id']}"

    await house.closes(deal["id"])
    await one_order(house, deal)
    await house.crm_reached(reference, Fulfilment_Status__c="released")

    states = await house.crm_states(reference)
    versions = [row["detail"]["Version__c"] for row in await house.crm(reference)]
    assert states == [state for state in ONWARD if state in states]
    assert states[-1] == ("confirmed", "released")
    assert versions == sorted(set(versions))


async def test_a_deal_won_twice_is_ordered_once(house):
    """Reopened, closed again, saved again: the customer gets one order."""
    deal = house.catalog["deals"][3]
    await house.closes(deal["id"])
    before = await one_order(house, deal)

    await asyncio.gather(*(house.closes(deal["id"]) for _ in range(3)))
    await asyncio.sleep(0.5)

    assert await one_order(house, deal) == before


async def test_a_notification_sent_twice_is_ordered_once(house):
    """The CRM delivers at least once."""
    await house.fault(system="salesforce", kind="duplicate_push", count=1)
    deal = house.catalog["deals"][4]

    await house.closes(deal["id"])
    await one_order(house, deal)
    await eventually(lambda: pushed(house, "duplicate_push"), "the notification is sent twice")
    await asyncio.sleep(0.3)

    await one_order(house, deal)


async def test_a_lost_notification_is_found_by_looking(impatient):
    """A push is a hint: without it the deal is found all the same, and once."""
    await impatient.fault(system="salesforce", kind="lost_push", count=1)
    deal = impatient.catalog["deals"][5]

    await impatient.closes(deal["id"])
    order = await one_order(impatient, deal)
    await asyncio.sleep(1.3)  # it is looked for once more

    assert await one_order(impatient, deal) == order
    assert await pushed(impatient, "lost_push")


async def test_deals_in_other_currencies_are_ordered_in_them(house):
    """A deal in euro is an order in euro, at the prices of the deal."""
    deal = next(deal for deal in house.catalog["deals"] if deal["currency"] == "EUR")

    await house.closes(deal["id"])
    order = await one_order(house, deal)

    assert order["currency"] == "EUR"
    assert [line["unitPrice"]["amount"] for line in order["lines"]] == [
        line["unitPrice"] for line in deal["lines"]
    ]
    (row,) = await house.erp(order["reference"])
    assert (row["currency"], row["amount"]) == ("EUR", order["netAmount"]["amount"])


async def pushed(stage, kind):
    """Whether the fault switch has acted on a notification."""
    faults = (await stage.sandbox_call("GET", "/_sandbox/faults")).json
    return any(acted["kind"] == kind for acted in faults["acted"])
