"""Goods leave package by package, and ShipHero tells of it, mostly."""

import asyncio
from base64 import b64encode
from hashlib import sha256
from hmac import digest

import msgspec
import pytest

from tests.sandbox_callers import SMALL, WarehouseCaller, a_sandbox, an_http_client
from tests.serving import serving

pytestmark = pytest.mark.anyio

STOCKED = [i.number for i in SMALL.items.values() if min(i.stock.values()) > 100]
SHIPMENTS = """
query($id: String!) {
  order(id: $id) { data {
    fulfillment_status
    line_items { edges { node { sku quantity_shipped quantity_pending_fulfillment } } }
    shipments {
      id total_packages warehouse { identifier }
      shipping_labels { tracking_number package_number }
      line_items { edges { node { quantity line_item { sku partner_line_item_id } } } }
    }
  } }
}
"""
WEBHOOK = """
mutation($data: CreateWebhookInput!) {
  webhook_create(data: $data) { webhook { id name url shared_signature_secret } }
}
"""


class Receiver:
    """A partner's endpoint: keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.answer = b'{"code": "200", "Status": "Success"}'
        self._news = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.received.append((headers, body))
        self._news.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.answer})

    async def wait_for(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        async with asyncio.timeout(5):
            while len(self.received) < count:
                self._news.clear()
                await self._news.wait()
        return self.received


@pytest.fixture
async def warehouse():
    sandbox = a_sandbox()
    async with an_http_client(sandbox) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        yield caller
    await sandbox.close()


@pytest.fixture
async def receiver():
    endpoint = Receiver()
    async with serving(endpoint) as endpoint.address:
        yield endpoint


async def ship(warehouse, **asked):
    return await warehouse.http.post("/_sandbox/warehouse/ship", json=asked)


async def listen(warehouse, receiver, name="Shipment Update") -> str:
    envelope = await warehouse.ask(WEBHOOK, data={"name": name, "url": receiver.address + "/hook"})
    return envelope["data"]["webhook_create"]["webhook"]["shared_signature_secret"]


async def test_a_whole_order_ships_and_its_stock_is_gone(warehouse):
    before = await warehouse.level(STOCKED[0], "EAST")
    order = await warehouse.created((STOCKED[0], 5), number="R-1")
    answer = await ship(warehouse, orderNumber="R-1")
    assert answer.json()["fulfillmentStatus"] == "fulfilled"
    after = await warehouse.level(STOCKED[0], "EAST")
    assert after == {**before, "on_hand": before["on_hand"] - 5, "available": after["available"]}
    assert after["available"] == before["available"] - 5
    row = (await warehouse.ledger())[-1]
    assert (row["operation"], row["externalReference"], row["amount"]) == (
        "shipment",
        "R-1",
        "12.50",
    )
    cancel = "mutation($data: CancelOrderInput!) { order_cancel(data: $data) { request_id } }"
    refused = await warehouse.ask(cancel, data={"order_id": order["id"]})
    assert "completed shipments" in refused["errors"][0]["message"]


async def test_a_part_ships_and_the_rest_stays_open(warehouse):
    order = await warehouse.created((STOCKED[0], 5), (STOCKED[1], 2), number="R-2")
    part = [{"sku": STOCKED[0], "quantity": 3}]
    assert (await ship(warehouse, orderNumber="R-2", lines=part)).status_code == 200
    shown = (await warehouse.ask(SHIPMENTS, id=order["id"]))["data"]["order"]["data"]
    assert shown["fulfillment_status"] == "pending"
    lines = [edge["node"] for edge in shown["line_items"]["edges"]]
    assert [line["quantity_shipped"] for line in lines] == [3, 0]
    assert [line["quantity_pending_fulfillment"] for line in lines] == [2, 2]

    too_much = await ship(warehouse, orderNumber="R-2", lines=[{"sku": STOCKED[0], "quantity": 3}])
    assert (too_much.status_code, "2 are pending" in too_much.json()["error"]) == (409, True)

    assert (await ship(warehouse, orderNumber="R-2", packages=2)).status_code == 200
    shown = (await warehouse.ask(SHIPMENTS, id=order["id"]))["data"]["order"]["data"]
    assert shown["fulfillment_status"] == "fulfilled"
    assert [shipment["total_packages"] for shipment in shown["shipments"]] == [1, 2]
    shipped = shown["shipments"][1]["line_items"]["edges"]
    assert [edge["node"]["quantity"] for edge in shipped] == [2, 2]


async def test_a_held_or_canceled_order_does_not_ship(warehouse):
    await warehouse.created((STOCKED[0], 1), number="R-3", holds={"operator_hold": True})
    refused = await ship(warehouse, orderNumber="R-3", lines=[{"sku": STOCKED[0], "quantity": 1}])
    assert refused.status_code == 409
    assert (await ship(warehouse, orderNumber="R-NONE")).status_code == 404
    assert (await ship(warehouse, orderNumber="R-3", box=1)).status_code == 400
    assert [row["operation"] for row in await warehouse.ledger()] == ["order_create"]


async def test_a_shipment_of_three_packages_is_three_signed_messages(warehouse, receiver):
    secret = await listen(warehouse, receiver)
    skus = STOCKED[:3]
    await warehouse.created(*((sku, 2) for sku in skus), number="R-4")
    await ship(warehouse, orderNumber="R-4", packages=3)

    received = await receiver.wait_for(3)
    bodies = []
    for headers, body in received:
        expected = b64encode(digest(secret.encode(), body, sha256)).decode()
        assert headers["x-shiphero-hmac-sha256"] == expected
        bodies.append(msgspec.json.decode(body))
    assert {body["webhook_type"] for body in bodies} == {"Shipment Update"}
    parts = [body["fulfillment"] for body in bodies]
    assert sorted(part["package_number"] for part in parts) == [1, 2, 3]
    assert {part["total_packages"] for part in parts} == {3}
    assert len({part["shipment_uuid"] for part in parts}) == 1
    assert {part["partner_order_id"] for part in parts} == {"R-4"}
    pieces = {item["sku"]: item["quantity"] for part in parts for item in part["line_items"]}
    assert pieces == dict.fromkeys(skus, 2)
    assert len({headers["x-shiphero-message-id"] for headers, _ in received}) == 3


async def test_the_secret_is_told_once_and_a_type_has_one_webhook(warehouse, receiver):
    assert await listen(warehouse, receiver)
    listed = await warehouse.ask(
        "{ webhooks { data { edges { node { name shared_signature_secret } } } } }"
    )
    nodes = [edge["node"] for edge in listed["data"]["webhooks"]["data"]["edges"]]
    assert nodes == [{"name": "Shipment Update", "shared_signature_secret": None}]
    again = {"name": "Shipment Update", "url": receiver.address}
    assert "already exists" in (await warehouse.ask(WEBHOOK, data=again))["errors"][0]["message"]
    delete = "mutation($data: DeleteWebhookInput!) { webhook_delete(data: $data) { complexity } }"
    assert "errors" not in await warehouse.ask(delete, data={"name": "Shipment Update"})
    assert "errors" in await warehouse.ask(delete, data={"name": "Shipment Update"})


async def test_a_lost_push_never_comes_and_polling_still_finds_the_shipment(warehouse, receiver):
    await listen(warehouse, receiver)
    lost = {"system": "wms", "kind": "lost_push", "count": 1}
    await warehouse.http.post("/_sandbox/faults", json=lost)
    first = await warehouse.created((STOCKED[0], 1), number="R-5")
    await ship(warehouse, orderNumber="R-5")
    await warehouse.created((STOCKED[0], 1), number="R-6")
    await asyncio.sleep(0.05)
    await ship(warehouse, orderNumber="R-6")
    received = await receiver.wait_for(1)
    numbers = [msgspec.json.decode(body)["fulfillment"]["order_number"] for _, body in received]
    assert numbers == ["R-6"]
    shown = (await warehouse.ask(SHIPMENTS, id=first["id"]))["data"]["order"]["data"]
    assert len(shown["shipments"]) == 1


async def test_a_duplicated_push_comes_twice_under_one_message_id(warehouse, receiver):
    await listen(warehouse, receiver)
    twice = {"system": "wms", "kind": "duplicate_push", "count": 1}
    await warehouse.http.post("/_sandbox/faults", json=twice)
    await warehouse.created((STOCKED[0], 1), number="R-8")
    await ship(warehouse, orderNumber="R-8")
    received = await receiver.wait_for(2)
    assert received[0][1] == received[1][1]
    assert len({headers["x-shiphero-message-id"] for headers, _ in received}) == 1


async def test_an_endpoint_that_does_not_say_success_is_tried_again(warehouse, receiver):
    receiver.answer = b"thanks"
    await listen(warehouse, receiver, "Order Canceled")
    order = await warehouse.created((STOCKED[0], 1), number="R-9")
    cancel = "mutation($data: CancelOrderInput!) { order_cancel(data: $data) { request_id } }"
    await warehouse.ask(cancel, data={"order_id": order["id"]})
    await receiver.wait_for(1)
    receiver.answer = b'{"code": "200", "Status": "Success"}'
    received = await receiver.wait_for(2)
    assert received[0][1] == received[1][1]
    await asyncio.sleep(0.05)
    assert len(received) == 2


async def test_counting_stock_tells_who_listens(warehouse, receiver):
    await listen(warehouse, receiver, "Inventory Update")
    counted = {"sku": STOCKED[0], "warehouse": "WEST", "onHand": 17}
    assert (await warehouse.http.post("/_sandbox/warehouse/count", json=counted)).json() == {
        "sku": STOCKED[0],
        "on_hand": 17,
        "allocated": 0,
        "available": 17,
    }
    [(_, body)] = await receiver.wait_for(1)
    row = msgspec.json.decode(body)["inventory"][0]
    assert row["updated_warehouse"]["identifier"] == "WEST"
    assert row["updated_warehouse"]["inventory"] == 17


async def test_the_gateway_is_listening_from_the_start(receiver):
    """The account was set up with the gateway's address: no code of ours registers it."""
    sandbox = a_sandbox(webhook_base=receiver.address + "/webhooks")
    async with an_http_client(sandbox) as http:
        warehouse = WarehouseCaller(http)
        await warehouse.sign_in()
        await warehouse.created((STOCKED[0], 1), number="R-10")
        await ship(warehouse, orderNumber="R-10")
        received = await receiver.wait_for(2)
    await sandbox.close()
    kinds = {msgspec.json.decode(body)["webhook_type"] for _, body in received}
    assert kinds == {"Shipment Update", "Inventory Update"}
    for headers, body in received:
        expected = b64encode(digest(b"crossdock-sandbox-secret", body, sha256)).decode()
        assert headers["x-shiphero-hmac-sha256"] == expected
