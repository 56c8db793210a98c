"""Orders that went their own ways through the whole system agree everywhere: a sweep says so."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.scenarios.stage import eventually

pytestmark = pytest.mark.anyio

SWEEPS = "/process/reconciliation/v1/sweeps"


async def sweep(house, since):
    """Have everything compared since an instant; answers the sweep at its end."""
    body = {"since": since.isoformat(), "settleSeconds": 0}
    begun = await house.call("POST", SWEEPS, body, client="operator", key=house.a_key("sweep"))
    assert begun.status == 202, begun.body
    while True:
        shown = await house.call("GET", f"{SWEEPS}/{begun.json['id']}", client="operator")
        if shown.json["state"] != "running":
            return shown.json
        await asyncio.sleep(0.1)


async def differences(house, swept):
    """What a sweep found, as (kind, system, reference)."""
    path = f"{SWEEPS}/{swept['id']}/differences"
    found = (await house.call("GET", path, client="operator")).json["differences"]
    return {(each["kind"], each["system"], each["reference"]) for each in found}


async def crm_row(house, key, method, body=None):
    """Do to the row of an order in the CRM what somebody does who works there."""
    row = await house.crm_record(key)
    path = f"/salesforce/services/data/v67.0/sobjects/ERP_Order__c/{row['Id']}"
    request = house.client.request(method, house.sandbox + path).headers(await house.crm_headers())
    done = await house._answer(request if body is None else request.body_json(body))
    assert done.status == 204, done.body


async def meddled_with(house, key, since):
    """Cancel a release in the warehouse, and sweep before anybody has looked there.

    Its message is lost: whoever heard it would make an exception of it, which is no difference any
    more. So would a look that comes by in this moment, as one does every half minute.
    """
    await house.fault(system="wms", operation="push", kind="lost_push", count=1)
    body = {"reference": key, "reason": "a picker thought so"}
    await house.call("POST", "/system/wms/v1/release-cancellations", body, client="operator")
    swept = await sweep(house, since)
    await house.clear_faults()
    return swept


async def test_the_crm_is_told_again_what_it_lost(house):
    """One row deleted, one edited by hand: a sweep finds both, and telling the CRM ends both."""
    since = datetime.now(UTC)
    gone, edited = house.a_key("gone"), house.a_key("edited")
    for key in (gone, edited):
        await house.place(house.an_order(), key, wait=10)
        await house.crm_reached(key, Fulfilment_Status__c="released")
    await crm_row(house, gone, "DELETE")
    await crm_row(house, edited, "PATCH", {"Fulfilment_Status__c": "shipped"})
    lost = await sweep(house, since)
    mine = {each for each in await differences(house, lost) if each[2] in {gone, edited}}
    assert mine == {("missing-in-crm", "crm", gone), ("status", "crm", edited)}

    path = f"/sweeps/{lost['id']}/retellings"
    body = {"note": "restored", "references": [gone, edited]}
    said = [await house.operates(path, body, key=house.a_key("retell")) for _ in range(2)]

    assert [each.json for each in said] == [{"orders": 2, "notTold": {}}] * 2
    for key in (gone, edited):

        async def shown(key=key):
            row = await house.crm_record(key)
            is_there = isinstance(row, dict)
            return is_there and row.get("Fulfilment_Status__c") == "released"

        await eventually(shown, f"the CRM shows {key}")
    agreed = await differences(house, await sweep(house, since))
    assert not {each for each in agreed if each[2] in {gone, edited}}
    audit = await house.operates("/audit?limit=50")
    acts = [each["record"] for each in audit.json["entries"]]
    told = [each for each in acts if each.get("act") == "told_again"]
    assert {each["subscriber"] for each in told} == {"crm-orders"}
    assert all(each["note"] == "restored" for each in told)


async def test_whatever_an_order_went_through_the_books_agree_until_somebody_meddles(house):
    """Released, shipped in part, shipped and billed, held, taken back; then a row is lost."""
    since = datetime.now(UTC)
    keys = {name: house.a_key(name) for name in ("open", "part", "billed", "back", "held")}
    orders = {}
    for name in ("open", "part", "billed", "back"):
        lines = (("good", 3), ("good", 2)) if name == "part" else ()
        placed = await house.place(house.an_order("good", *lines), keys[name], wait=10)
        orders[name] = placed.json["id"]
    await house.place(house.an_order("overCreditLimit"), keys["held"], wait=5)
    for name in ("open", "part", "billed", "back"):
        await house.reached(keys[name], fulfilment="released")
    await house.sandbox_call("POST", "/_sandbox/warehouse/ship", {"orderNumber": keys["billed"]})
    path = f"/sales/v1/orders/{orders['back']}/cancellations"
    await house.call("POST", path, {"reason": "ordered twice"}, key=house.a_key("undo"))
    await house.reached(keys["back"], commercial="cancelled")
    await house.posted(keys["billed"])
    invoice = {"order": keys["billed"]}
    billed = await house.sandbox_call("POST", "/business_central/_sandbox/invoices", invoice)
    assert billed.status == 201, billed.body
    await house.reached(keys["billed"], billing="invoiced")
    await house.crm_reached(keys["billed"], Billing_Status__c="invoiced")
    await house.crm_reached(keys["back"], Status__c="cancelled")
    await house.crm_reached(keys["held"], Credit_Status__c="held")
    for name in ("open", "part"):
        await house.crm_reached(keys[name], Fulfilment_Status__c="released")

    await house.still()
    agreed = await sweep(house, since)
    for name in ("part", "open"):
        meddled = await meddled_with(house, keys[name], since)
        found = ("cancelled-in-wms", "wms", keys[name]) in await differences(house, meddled)
        if found:
            break

    assert await differences(house, agreed) == set(), agreed
    assert agreed["complete"] is True, agreed
    assert agreed["compared"]["journal"] >= 5
    assert found, meddled
    assert meddled["complete"] is False
    # nobody heard of it, and yet it is seen: who looks every half minute makes up for lost messages
    await house.crm_reached(keys[name], within=45, Fulfilment_Status__c="rejected")
