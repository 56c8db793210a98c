"""Split at the ports, the system promises what it promises in one process."""

import asyncio

import msgspec
import pytest

from deploy.sandbox import credentials
from tests.command_line import crossdock
from tests.scenarios.apart import opened_apart
from tests.scenarios.stage import eventually, made

pytestmark = pytest.mark.anyio

IMPATIENT = """
[propagation]
wms_poll_every = "PT2S"
push_grace = "PT15S"
renew_every = "PT20S"
"""
TOLD = ("Shipment Update", "Order Canceled", "Inventory Update")


@pytest.fixture(scope="module")
async def apart(tmp_path_factory):
    """One system in seven processes for the stories of this module."""
    async with opened_apart(tmp_path_factory.mktemp("apart"), more=IMPATIENT) as apart:
        yield apart


async def test_an_order_passes_through_every_process_once(apart):
    """Gateway, channel, process, worker and connector are five processes; the order is one."""
    key = apart.a_key("apart")
    placed = await apart.place(apart.an_order(), key, wait=20)
    assert placed.status == 201, placed.body

    await apart.reached(key, commercial="confirmed", fulfilment="released")
    assert made(await apart.erp(key))["salesOrders.create"] == 1
    assert made(await apart.wms(key))["order_create"] == 1


async def test_checks_answer_through_three_tiers(apart):
    """A price check is firm, and comes from the ERP through process and system tier."""
    order = apart.an_order()
    answer = await apart.call(
        "POST", "/sales/v1/price-checks",
        {"customer": order["customer"], "lines": order["lines"]},
    )  # fmt: skip
    assert answer.status == 200, answer.body
    assert answer.json["standing"]["freshness"] == "firm"


async def test_operators_see_and_act_through_every_tier(apart):
    """Channel, process, connector: queues of the journal, budgets of vendors, a breaker."""
    key = apart.a_key("seen")
    await apart.place(apart.an_order(poNumber="PO-APART"), key)
    order = await apart.reached(key, commercial="confirmed", fulfilment="released")

    page = await apart.operates("/processes?id=PO-APART&open=true")
    assert [each["reference"] for each in page.json["processes"]] == [key]
    story = await apart.operates(f"/processes/{order['id']}")
    assert story.json["process"]["state"] == "released"
    lanes = await apart.operates("/lanes")
    assert [each["lane"] for each in lanes.json["lanes"]] == ["capture", "status", "sync", "bulk"]
    budgets = (await apart.operates("/budgets")).json["accounts"]
    assert all(each["used"] for each in budgets), budgets
    tripped = await apart.operates(
        "/breakers/crm.read/changes", {"action": "trip", "note": "?"}, key=apart.a_key("op")
    )
    reset = await apart.operates(
        "/breakers/crm.read/changes", {"action": "reset", "note": "!"}, key=apart.a_key("op")
    )
    assert [tripped.json["state"], reset.json["state"]] == ["forced-open", "closed"]
    unknown = await apart.operates("/redrives/nobody")
    assert (unknown.status, unknown.slug) == (404, "not-found")
    verdict = await apart.operates("/audit-verdicts", {})
    assert verdict.json["whole"], verdict.json["faults"]
    assert {each["chain"] for each in verdict.json["ends"]} >= {"gateway", "serve-process"}


async def test_the_gateways_own_circuits_obey_an_operator(apart):
    """Price checks stop at the gateway, orders go on; afterwards the audit says who and why."""

    async def checks():
        order = apart.an_order()
        body = {"customer": order["customer"], "lines": order["lines"]}
        answer = await apart.call("POST", "/sales/v1/price-checks", body)
        return answer.status, answer.slug

    async def changes(action):
        return await apart.call(
            "POST", "/gateway/v1/circuits/sales.v1.checks/changes",
            {"action": action, "note": "The channel is being moved"},
            client="operator", key=apart.a_key("op"),
        )  # fmt: skip

    told = await apart.call("GET", "/gateway/v1/circuits", client="operator")
    assert {each["state"] for each in told.json["circuits"]} == {"closed"}
    tripped = await changes("trip")
    refused = await checks()
    placed = await apart.place(apart.an_order(), apart.a_key("beside"))
    code, shown, _ = await crossdock(apart.gateway, apart.folder, "breakers")
    reset = await changes("reset")

    assert (tripped.status, tripped.json["state"]) == (200, "forced-open")
    assert refused == (503, "upstream-unavailable")
    assert placed.status in {201, 202}
    (row,) = [row for row in shown.splitlines() if row.startswith("sales.v1.checks ")]
    assert (code, "forced-open" in row) == (0, True)
    assert row.endswith("operator: The channel is being moved")
    assert "erp.write" in shown
    assert (reset.json["state"], await checks()) == ("closed", (200, ""))
    page = await apart.operates("/audit?actor=operator&limit=50")
    acts = [e["record"] for e in page.json["entries"] if e["record"].get("act") == "circuit_trip"]
    assert ("sales.v1.checks", "The channel is being moved") in [
        (act["circuit"], act["note"]) for act in acts
    ]


async def test_a_repeated_call_gets_its_first_answer(apart):
    """The gateway alone keeps answers as durably as the assembled system."""
    key = apart.a_key("again")
    order = apart.an_order()
    first = await apart.place(order, key, wait=20)
    again = await apart.place(order, key, wait=20)
    assert (again.status, again.body) == (first.status, first.body)


async def test_a_worker_killed_in_mid_order_leaves_nothing_behind(apart):
    """SIGKILL of one worker with orders in flight: the other takes over, nothing is doubled."""
    keys = [apart.a_key("killed") for _ in range(12)]
    victim = apart.workers[0]
    placing = [asyncio.create_task(apart.place(apart.an_order(), key)) for key in keys]
    await asyncio.sleep(0.15)
    victim.kill()
    answers = await asyncio.gather(*placing)
    assert {answer.status for answer in answers} <= {201, 202}
    victim.start()

    for key in keys:
        await apart.reached(key, commercial="confirmed", fulfilment="released")
        assert made(await apart.erp(key))["salesOrders.create"] == 1
        assert made(await apart.wms(key))["order_create"] == 1
    await victim.ready(apart.client)


async def asks_warehouse(apart, document, **data):
    """Ask ShipHero in its own words, as somebody with our account."""
    account = {"username": credentials.CLIENT_ID, "password": credentials.CLIENT_SECRET}
    told = await apart.sandbox_call("POST", "/shiphero/auth/token", account)
    request = apart.client.post(f"{apart.sandbox}/shiphero/graphql").headers(
        {"authorization": f"Bearer {told.json['access_token']}"}
    )
    asked = request.body_json({"query": document, "variables": {"data": data} if data else {}})
    return (await apart._answer(asked)).json


async def registered(apart):
    """What the warehouse is to tell us, by type."""
    document = "query{webhooks{data(first:25){edges{node{name url}}}}}"
    told = await asks_warehouse(apart, document)
    edges = told["data"]["webhooks"]["data"]["edges"]
    return {edge["node"]["name"] for edge in edges if edge["node"]["url"].startswith(apart.gateway)}


def pushes(apart):
    """How the gateway answered the warehouse, one after the other."""
    lines = (apart.folder / "gateway" / "access.log").read_bytes().splitlines()
    calls = [msgspec.json.decode(line) for line in lines]
    return [each["status"] for each in calls if each["operation"] == "webhooks/shiphero"]


async def test_a_warehouse_that_fell_silent_is_made_to_tell_again(apart):
    """Who looks, who takes its messages and who has its connector are three processes."""
    keys = [apart.a_key("silent") for _ in range(2)]
    for key in keys:
        await apart.place(apart.an_order(), key)
        await apart.reached(key, fulfilment="released")
    for name in TOLD:
        document = "mutation($data:DeleteWebhookInput!){webhook_delete(data:$data){complexity}}"
        await asks_warehouse(apart, document, name=name, shop_name="Crossdock")
    assert await registered(apart) == set()

    await apart.sandbox_call("POST", "/_sandbox/warehouse/ship", {"orderNumber": keys[0]})
    await apart.reached(keys[0], fulfilment="shipped")

    async def tells_again():
        return await registered(apart) == set(TOLD)

    await eventually(tells_again, "the warehouse is registered with again", within=90)
    before = len(pushes(apart))
    await apart.sandbox_call("POST", "/_sandbox/warehouse/ship", {"orderNumber": keys[1]})

    async def told():
        return pushes(apart)[before:] or None

    assert set(await eventually(told, "the warehouse tells")) == {200}, "its new secret is known"


async def test_a_tier_that_is_gone_is_a_problem_with_a_time_to_return(apart):
    """Without its process tier the gateway says 503 and when to come back, never 500."""
    process = apart.tiers["process"]
    process.kill()
    answer = await apart.place(apart.an_order(), apart.a_key("gone"))
    assert (answer.status, answer.slug) == (503, "upstream-unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    process.start()
    await process.ready(apart.client)
