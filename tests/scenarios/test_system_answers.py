"""Where is it, and why: what a caller is told, and how cheaply it can ask again."""

import asyncio

import pytest

from tests.scenarios.stage import made

pytestmark = pytest.mark.anyio

ORDERS = "/sales/v1/orders"


async def test_waiting_answers_with_the_confirmed_order(house):
    """201 with the ERP's number, and the address of the order."""
    key = house.a_key("wait")

    answer = await house.place(house.an_order(poNumber=f"PO-{key}"), key, wait=10)

    assert answer.status == 201
    order = answer.json
    assert order["commercial"] == "confirmed"
    assert order["knownAs"][0]["system"] == "bc"
    assert answer.headers["location"] == f"{ORDERS}/{order['id']}"
    read = await house.call("GET", answer.headers["location"])
    assert read.status == 200
    assert read.json["reference"] == key


async def test_not_waiting_answers_at_once_and_the_address_leads_on(house):
    """202 says where to look."""
    key = house.a_key("nowait")

    answer = await house.place(house.an_order(), key)

    assert answer.status == 202
    assert answer.json["commercial"] == "accepted"
    await house.reached(key, commercial="confirmed", fulfilment="released")
    read = await house.call("GET", answer.headers["location"])
    assert read.json["commercial"] == "confirmed"


async def test_sent_again_it_is_the_first_answer_and_one_order(house):
    """Byte for byte, also when the order has moved on meanwhile."""
    key, order = house.a_key("again"), house.an_order()
    first = await house.place(order, key)
    await house.reached(key, commercial="confirmed", fulfilment="released")

    again = await house.place(order, key)
    reordered = await house.place(dict(reversed(order.items())), key)
    other = await house.place({**order, "note": "more"}, key)

    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert reordered.body == first.body
    assert (other.status, other.slug) == (422, "idempotency-key-reused")
    assert made(await house.erp(key)) == {"salesOrders.create": 1}


async def test_an_order_is_found_by_its_purchase_order_number(house):
    """The number the customer quotes on the phone, whoever placed it."""
    key = house.a_key("po")
    order = house.an_order(poNumber="4711/A b")
    await house.place(order, key, wait=10)

    found = await house.call("GET", f"{ORDERS}?po=4711%2FA%20b")
    nothing = await house.call("GET", f"{ORDERS}?po=4711")
    own = await house.call("GET", f"{ORDERS}?po=4711%2FA%20b", client="partner-acme")
    others = await house.call("GET", f"{ORDERS}?po=4711%2FA%20b", client="partner-globex")

    assert [each["reference"] for each in found.json["orders"]] == [key]
    assert nothing.json["orders"] == []
    assert [each["reference"] for each in own.json["orders"]] == [key]  # it is acme's account
    assert others.json["orders"] == []


async def test_orders_come_in_pages_newest_first_and_none_twice(house):
    """A cursor goes on where it left off, whatever is ordered meanwhile."""
    keys = [house.a_key("page") for _ in range(7)]
    for key in keys:
        await house.place(house.an_order("keyAccount"), key)

    seen, cursor = [], ""
    while True:
        page = await house.call("GET", f"{ORDERS}?customer=bc:20005&limit=3{cursor}")
        assert len(page.json["orders"]) <= 3
        seen += [order["reference"] for order in page.json["orders"]]
        await house.place(house.an_order("keyAccount"), house.a_key("between"))
        if page.json["cursor"] is None:
            break
        cursor = f"&cursor={page.json['cursor']}"

    assert [key for key in seen if key in keys] == keys[::-1]
    assert len(seen) == len(set(seen))


async def test_an_order_that_has_not_changed_is_not_sent_again(house):
    """304 to whoever has it; a new tag once it moved."""
    key = house.a_key("etag")
    placed = await house.place(house.an_order(), key)
    path = placed.headers["location"]
    await house.reached(key, commercial="confirmed", fulfilment="released")
    first = await house.call("GET", path)
    tag = first.headers["etag"]

    same = await house.call("GET", path, headers=[("if-none-match", tag)])
    either = await house.call("GET", path, headers=[("if-none-match", f'"0", W/{tag}')])
    old = await house.call("GET", path, headers=[("if-none-match", placed.headers["etag"])])

    assert (same.status, same.body) == (304, b"")
    assert same.headers["etag"] == tag
    assert either.status == 304
    assert old.status == 200
    assert tag != placed.headers["etag"]


async def test_the_timeline_reads_as_a_story(house):
    """Whole sentences a sales rep understands, oldest first, with the numbers of each system."""
    key = house.a_key("story")
    placed = await house.place(house.an_order(), key, wait=10)
    order = await house.reached(key, commercial="confirmed", fulfilment="released")
    known = {each["system"]: each["id"] for each in order["knownAs"]}

    story = (await house.call("GET", f"{ORDERS}/{placed.json['id']}/timeline")).json

    says = [entry["says"] for entry in story["entries"]]
    assert says[:2] == [
        "Accepted; it is placed in the ERP next.",
        f"Confirmed by the ERP as order {known['bc']}.",
    ]
    assert says[-1].startswith("Released to the warehouse")
    assert says[-1].endswith(f" as {known['wms']}.")
    times = [entry["at"] for entry in story["entries"]]
    assert times == sorted(times)
    assert known["bc"] in story["summary"]
    assert house.customer("good")["name"] in story["summary"]
    assert story["next"] == "The warehouse picks and ships the goods."


async def test_the_story_of_a_deal_reads_well_too(house):
    """From the deal to the warehouse, with no word of machinery in it."""
    deal = next(deal for deal in house.catalog["deals"] if len(deal["lines"]) == 1)
    await house.closes(deal["id"])
    order = await house.reached(f"SF-{deal['id']}", commercial="confirmed", fulfilment="released")

    story = (await house.call("GET", f"{ORDERS}/{order['id']}/timeline", client="operator")).json

    says = [entry["says"] for entry in story["entries"]]
    assert says[:3] == [
        f"The deal {deal['id']} was won in the CRM.",
        "The CRM is asked what was sold.",
        "One line was sold.",
    ]
    assert says[3].startswith("Confirmed by the ERP as order")
    assert says[-1].startswith("Released to the warehouse")


async def test_every_answer_carries_its_correlation(house):
    """What a caller quotes to operations is what it sent, or what it was given."""
    given = await house.call("GET", ORDERS, headers=[("x-correlation-id", "phone-call-17")])
    minted = await house.call("GET", ORDERS)
    refused = await house.call("GET", "/sales/v1/nothing")

    assert given.headers["x-correlation-id"] == "phone-call-17"
    assert len(minted.headers["x-correlation-id"]) >= 16
    assert refused.json["instance"].endswith(refused.headers["x-correlation-id"])


async def test_the_health_of_the_house_needs_no_token(house):
    """And tells nothing about anybody."""
    for path in ("/healthz", "/readyz", "/.well-known/jwks.json", "/.well-known/api-catalog"):
        answer = await house.call("GET", path, client=None)
        assert answer.status == 200, path


async def test_it_is_ready_while_every_vendor_is_down(house):
    """Ready is whoever can take an order."""
    for system in ("business_central", "salesforce", "wms"):
        await house.fault(system=system, operation="*", kind="outage")
    try:
        ready = await house.call("GET", "/readyz", client=None)
        key = house.a_key("alone")
        taken = await house.place(house.an_order(), key)
    finally:
        await house.clear_faults()

    assert ready.status == 200
    assert taken.status == 202
    await house.reached(key, commercial="confirmed", fulfilment="released")
    await house.crm_reached(key, Fulfilment_Status__c="released")
    await asyncio.sleep(0.1)
    assert made(await house.erp(key)) == {"salesOrders.create": 1}
