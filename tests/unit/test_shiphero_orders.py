"""The warehouse takes, holds, allocates and cancels orders as ShipHero does."""

import pytest

from tests.sandbox_callers import (
    SMALL,
    TurnedClock,
    WarehouseCaller,
    a_sandbox,
    an_http_client,
)

pytestmark = pytest.mark.anyio

STOCKED = [i.number for i in SMALL.items.values() if min(i.stock.values()) > 100]
SCARCE = next(i for i in SMALL.items.values() if i.discontinued and i.stock["EAST"])

HOLD = """
mutation($data: UpdateOrderHoldsInput!) {
  order_update_holds(data: $data) { request_id order { holds { operator_hold payment_hold } } }
}
"""
CANCEL = """
mutation($data: CancelOrderInput!) {
  order_cancel(data: $data) { complexity order { id fulfillment_status } }
}
"""
SEARCH = """
query($reference: String, $since: ISODateTime, $first: Int, $after: String) {
  orders(partner_order_id: $reference, updated_from: $since) {
    request_id
    data(first: $first, after: $after) {
      edges { node { order_number updated_at fulfillment_status } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""


@pytest.fixture
async def warehouse():
    async with an_http_client(a_sandbox(clock=TurnedClock())) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        yield caller


async def test_an_order_is_taken_and_its_stock_is_set_aside(warehouse):
    sku = STOCKED[0]
    before = await warehouse.level(sku, "EAST")
    order = await warehouse.created((sku, 5), number="R-1")
    assert order["fulfillment_status"] == "pending"
    assert order["total_price"] == "120.50"
    assert order["line_items"]["edges"][0]["node"]["quantity_allocated"] == 5
    after = await warehouse.level(sku, "EAST")
    assert after["allocated"] == before["allocated"] + 5
    assert after["available"] == before["available"] - 5
    assert after["on_hand"] == before["on_hand"]


async def test_the_same_order_twice_is_two_orders_and_the_ledger_shows_it(warehouse):
    """ShipHero enforces neither number: a careless connector is visible here."""
    first = await warehouse.created((STOCKED[0], 1), number="R-7")
    second = await warehouse.created((STOCKED[0], 1), number="R-7")
    assert first["id"] != second["id"]
    found = await warehouse.ask(SEARCH, reference="R-7")
    assert len(found["data"]["orders"]["data"]["edges"]) == 2
    rows = await warehouse.ledger()
    assert [row["operation"] for row in rows] == ["order_create"] * 2
    assert {row["externalReference"] for row in rows} == {"R-7"}
    assert {row["amount"] for row in rows} == {"120.50"}


async def test_a_hold_frees_the_stock_and_lifting_it_takes_it_again(warehouse):
    sku = STOCKED[1]
    before = await warehouse.level(sku, "EAST")
    order = await warehouse.created((sku, 3), holds={"payment_hold": True})
    assert order["holds"] == {"payment_hold": True, "operator_hold": False}
    assert await warehouse.level(sku, "EAST") == before

    lifted = {"order_id": order["id"], "payment_hold": False}
    envelope = await warehouse.ask(HOLD, data=lifted)
    assert not any(envelope["data"]["order_update_holds"]["order"]["holds"].values())
    assert (await warehouse.level(sku, "EAST"))["allocated"] == before["allocated"] + 3

    await warehouse.ask(HOLD, data={"order_id": order["id"], "operator_hold": True})
    assert await warehouse.level(sku, "EAST") == before
    rows = await warehouse.ledger()
    assert [row["detail"]["holds"] for row in rows[1:]] == [[], ["operator_hold"]]


async def test_canceling_gives_the_stock_back_once(warehouse):
    sku = STOCKED[2]
    before = await warehouse.level(sku, "EAST")
    order = await warehouse.created((sku, 4))
    for _ in range(2):
        envelope = await warehouse.ask(CANCEL, data={"order_id": order["id"], "reason": "test"})
        assert envelope["data"]["order_cancel"]["order"]["fulfillment_status"] == "canceled"
    assert await warehouse.level(sku, "EAST") == before
    rows = await warehouse.ledger()
    assert [row["operation"] for row in rows] == ["order_create", "order_cancel"]


async def test_what_is_not_there_is_owed_until_it_comes(warehouse):
    have = SCARCE.stock["EAST"]
    order = await warehouse.created((SCARCE.number, have + 5))
    node = order["line_items"]["edges"][0]["node"]
    assert (node["quantity_allocated"], node["backorder_quantity"]) == (have, 5)
    level = await warehouse.level(SCARCE.number, "EAST")
    assert (level["available"], level["backorder"]) == (0, 5)

    accounts = await warehouse.ask("{ account { data { warehouses { id identifier } } } }")
    ids = {w["identifier"]: w["id"] for w in accounts["data"]["account"]["data"]["warehouses"]}
    added = await warehouse.ask(
        "mutation($data: UpdateInventoryInput!) { inventory_add(data: $data) {"
        " warehouse_product { on_hand allocated available } } }",
        data={"sku": SCARCE.number, "warehouse_id": ids["EAST"], "quantity": 8},
    )
    assert added["data"]["inventory_add"]["warehouse_product"] == {
        "on_hand": have + 8,
        "allocated": have + 5,
        "available": 3,
    }


async def test_an_order_to_the_continent_is_served_from_there(warehouse):
    order = await warehouse.created(
        (STOCKED[0], 1), (STOCKED[1], 1), shipping_address={"city": "Köln", "country_code": "DE"}
    )
    nodes = [edge["node"] for edge in order["line_items"]["edges"]]
    assert {node["warehouse"] for node in nodes} == {"EU"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"line_items": []}, "at least one line"),
        ({"total_price": "a lot"}, "not an amount"),
        ({"total_price": "NaN"}, "not an amount"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_and_nothing_happens(
    warehouse, change, words
):
    envelope = await warehouse.orders((STOCKED[0], 1), **change)
    assert envelope["data"] == {"order_create": None}
    assert words in envelope["errors"][0]["message"]
    assert envelope["errors"][0]["operation"] == "order_create"
    assert await warehouse.ledger() == []


async def test_a_refused_line_leaves_no_trace_of_the_lines_before_it(warehouse):
    before = await warehouse.level(STOCKED[0], "EAST")
    for bad in (("NO-SUCH-SKU", 1), (STOCKED[1], 0)):
        envelope = await warehouse.orders((STOCKED[0], 1), bad)
        assert envelope["data"] == {"order_create": None}
    assert await warehouse.level(STOCKED[0], "EAST") == before


async def test_the_schema_is_enforced(warehouse):
    unknown = await warehouse.ask("{ orders { data { edges { node { colour } } } } }")
    assert "Cannot query field 'colour'" in unknown["errors"][0]["message"]
    assert "data" not in unknown
    missing = await warehouse.ask(
        "mutation($data: CancelOrderInput!) { order_cancel(data: $data) { request_id } }",
        data={"reason": "no id"},
    )
    assert "order_id" in missing["errors"][0]["message"]
    moment = await warehouse.ask(SEARCH, since="yesterday")
    assert "ISODateTime" in moment["errors"][0]["message"]
    broken = await warehouse.ask("{ orders { ")
    assert "Syntax Error" in broken["errors"][0]["message"]


async def test_fragments_aliases_directives_and_introspection_work(warehouse):
    await warehouse.created((STOCKED[0], 1), number="R-9")
    query = """
      query($full: Boolean!) {
        mine: orders(partner_order_id: "R-9") { data(first: 1) { edges { node { ...Head } } } }
        __typename
      }
      fragment Head on Order {
        number: order_number
        ... @include(if: $full) { currency holds { client_hold } }
        source @skip(if: $full)
      }
    """
    full = await warehouse.ask(query, full=True)
    brief = await warehouse.ask(query, full=False)
    assert full["data"]["__typename"] == "Query"
    assert full["data"]["mine"]["data"]["edges"][0]["node"] == {
        "number": "R-9",
        "currency": "GBP",
        "holds": {"client_hold": False},
    }
    assert brief["data"]["mine"]["data"]["edges"][0]["node"] == {"number": "R-9", "source": "api"}
    types = await warehouse.ask('{ __type(name: "Order") { name fields { name } } }')
    assert types["data"]["__type"]["name"] == "Order"


async def test_polling_by_update_time_sees_every_change_once_page_by_page():
    clock = TurnedClock()
    async with an_http_client(a_sandbox(clock=clock)) as http:
        warehouse = WarehouseCaller(http)
        await warehouse.sign_in()
        orders = []
        for number in range(5):
            clock.turn(1)
            orders.append(await warehouse.created((STOCKED[0], 1), number=f"R-{number}"))
        clock.turn(1)
        since = clock.now().isoformat()
        for order in (orders[3], orders[0], orders[4]):
            clock.turn(1)
            await warehouse.ask(CANCEL, data={"order_id": order["id"]})

        seen, after = [], None
        while True:
            envelope = await warehouse.ask(SEARCH, since=since, first=2, after=after)
            found = envelope["data"]["orders"]["data"]
            seen += [edge["node"]["order_number"] for edge in found["edges"]]
            if not found["pageInfo"]["hasNextPage"]:
                break
            after = found["pageInfo"]["endCursor"]
        assert seen == ["R-3", "R-0", "R-4"]


async def test_orders_and_stock_are_the_same_after_a_restart(tmp_path):
    async with an_http_client(a_sandbox(tmp_path)) as http:
        warehouse = WarehouseCaller(http)
        tokens = await warehouse.sign_in()
        order = await warehouse.created((STOCKED[0], 5), number="R-1")
        level = await warehouse.level(STOCKED[0], "EAST")
    async with an_http_client(a_sandbox(tmp_path)) as http:
        again = WarehouseCaller(http)
        again.headers = {"authorization": f"Bearer {tokens['access_token']}"}
        assert await again.level(STOCKED[0], "EAST") == level
        await again.ask(CANCEL, data={"order_id": order["id"]})
        assert (await again.level(STOCKED[0], "EAST"))["allocated"] == level["allocated"] - 5
        assert (await again.created((STOCKED[0], 1), number="R-2"))["id"] != order["id"]
