"""Subscriptions and notifications, sent over real loopback sockets to a receiver made here."""

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from deploy.sandbox.business_central.notifications import COLLECTION_ABOVE

pytestmark = pytest.mark.anyio


class Receiver:
    """An endpoint that shakes hands and keeps what it is told; ``answers`` is its status."""

    def __init__(self) -> None:
        self.told = []
        self.headers = []
        self.validated = 0
        self.answers = [200]
        self.echoes = True
        self.url = ""
        self._came = asyncio.Condition()

    async def serve(self, reader, writer):
        """One exchange."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split(" ", 2)[1]
        lines = (line.partition(":") for line in head.split("\r\n")[1:])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        token = parse_qs(urlsplit(target).query).get("validationToken")
        status, answer = 200, b""
        if token:
            self.validated += 1
            answer = token[0].encode() if self.echoes else b"no"
        else:
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.told.append(json.loads(body)["value"])
            self.headers.append(headers)
            async with self._came:
                self._came.notify_all()
        writer.write(
            b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (status, len(answer), answer)
        )
        await writer.drain()
        writer.close()

    async def hears(self, count=1):
        """Wait until it has been told ``count`` times."""
        async with self._came:
            with anyio.fail_after(5):
                await self._came.wait_for(lambda: len(self.told) >= count)
        return self.told

    async def hears_no_more(self, count):
        """Wait long enough that another notification would have come."""
        await asyncio.sleep(0.1)
        assert len(self.told) == count


@pytest.fixture
async def receiver():
    """A receiver on a free port of this machine."""
    async with listening() as made:
        yield made


@asynccontextmanager
async def listening():
    """Listen while inside."""
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


async def subscribes(erp, receiver, name="salesOrders", **fields):
    """Ask for notifications of a set."""
    body = {
        "notificationUrl": receiver.url,
        "resource": f"/api/v2.0/companies({erp.company})/{name}",
        "clientState": "only-we-know",
    }
    return await erp.http.post(f"{erp.root}/v2.0/subscriptions", json={**body, **fields})


async def test_a_subscription_begins_with_a_handshake_and_lives_three_days(erp, receiver):
    """The validation token comes back as the body; then 201 with the expiry."""
    answer = await subscribes(erp, receiver)

    body = answer.json()
    assert (answer.status_code, receiver.validated) == (201, 1)
    assert body["clientState"] == "only-we-know"
    assert body["expirationDateTime"] == "2026-11-25T09:00:00.000Z"
    assert body["@odata.etag"].startswith('W/"')
    listed = await erp.http.get(f"{erp.root}/v2.0/subscriptions")
    assert [one["subscriptionId"] for one in listed.json()["value"]] == [body["subscriptionId"]]


async def test_without_the_token_in_the_answer_there_is_no_subscription(erp, receiver, problem):
    """A receiver that answers something else, or none at all."""
    receiver.echoes = False
    assert problem(await subscribes(erp, receiver))[0] == 400

    nobody = await subscribes(erp, receiver, notificationUrl="http://127.0.0.1:9/hook")

    assert problem(nobody)[0] == 400
    assert (await erp.http.get(f"{erp.root}/v2.0/subscriptions")).json()["value"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"notificationUrl": "http://192.0.2.1/hook"},
        {"notificationUrl": "ftp://127.0.0.1/hook"},
        {"resource": "/api/v2.0/companies(x)/salesOrders"},
        {"resource": "unicorns"},
        {"clientState": "x" * 2049},
        {"subscriptionId": "mine"},
        {"notificationUrl": ""},
    ],
)
async def test_a_subscription_that_cannot_be_is_refused(erp, receiver, problem, fields):
    """Nothing outside this machine is called; the resource must be one of the company's."""
    assert problem(await subscribes(erp, receiver, **fields))[0] == 400
    assert receiver.validated == 0


@pytest.mark.parametrize("name", ["salesShipments", "itemLedgerEntries", "salesOrderLines"])
async def test_what_cannot_be_watched_must_be_polled(erp, receiver, problem, name):
    """Posted shipments, ledger entries and lines are not among the supported resources."""
    supported = await erp.get("webhookSupportedResources", "microsoft/runtime/beta")
    names = {row["resource"].rpartition("/")[2] for row in supported.json()["value"]}

    assert {"salesOrders", "customers", "items", "salesInvoices"} <= names
    assert name not in names
    assert problem(await subscribes(erp, receiver, name))[0] == 400


async def test_a_change_is_told_with_id_kind_and_client_state(erp, receiver):
    """The body names the record, never its content; both headers carry one guid."""
    subscription = (await subscribes(erp, receiver)).json()

    order = await erp.orders()

    [[note]] = await receiver.hears()
    assert note == {
        "subscriptionId": subscription["subscriptionId"],
        "clientState": "only-we-know",
        "expirationDateTime": subscription["expirationDateTime"],
        "resource": f"api/v2.0/companies({erp.company})/salesOrders({order['id']})",
        "changeType": "created",
        "lastModifiedDateTime": note["lastModifiedDateTime"],
    }
    [headers] = receiver.headers
    assert headers["clientrequestid"] == headers["x-ms-correlation-id"]


async def test_changes_of_one_window_are_one_body_and_a_record_is_told_once(make_erp, receiver):
    """Created and changed within the window is created; a line's change is its header's."""
    erp = await make_erp(webhook_delay=0.2).opens()
    await subscribes(erp, receiver)
    await subscribes(erp, receiver, "customers")
    first, second = await erp.orders(), await erp.orders()
    line = first["salesOrderLines"][0]["id"]
    await erp.patch(f"salesOrderLines({line})", {"quantity": 2})
    await erp.delete(f"salesOrders({second['id']})")
    customer = (await erp.customer())["id"]
    await erp.patch(f"customers({customer})", {"blocked": "Ship"})

    [notes] = await receiver.hears()

    told = {note["resource"].rpartition("(")[2][:-1]: note["changeType"] for note in notes}
    assert told == {first["id"]: "created", second["id"]: "deleted", customer: "updated"}


async def test_over_a_thousand_changes_become_one_collection_notification(make_erp, receiver):
    """With a filter from 50 ms before the first change."""
    erp = await make_erp(webhook_delay=0.5).opens()
    await subscribes(erp, receiver, "salesQuotes")
    url = f"companies({erp.company})/salesQuotes"
    one = {"method": "POST", "url": url, "body": {"customerNumber": "20001"}}
    for _ in range(0, COLLECTION_ABOVE + 1, 91):
        answer = await erp.http.post(f"{erp.root}/v2.0/$batch", json={"requests": [one] * 91})
        assert {part["status"] for part in answer.json()["responses"]} == {201}

    [[note]] = await receiver.hears()

    assert note["changeType"] == "collection"
    assert note["resource"].endswith(
        "/salesQuotes?$filter=lastModifiedDateTime%20gt%202026-11-22T08:59:59.950Z"
    )


async def test_a_server_error_is_tried_again_until_it_is_taken(make_erp, receiver):
    """503, 429 and 408 are retried, the same body each time."""
    erp = await make_erp(webhook_delay=0.001).opens()
    await subscribes(erp, receiver)
    receiver.answers = [503, 429, 408, 202]

    await erp.orders()

    told = await receiver.hears(4)
    assert told[0] == told[1] == told[2] == told[3]
    assert len((await erp.http.get(f"{erp.root}/v2.0/subscriptions")).json()["value"]) == 1


async def test_any_other_refusal_costs_the_address_all_its_subscriptions(erp, receiver):
    """A 400 to one notification, and both subscriptions of that URL are gone."""
    await subscribes(erp, receiver)
    await subscribes(erp, receiver, "customers")
    receiver.answers = [400]

    await erp.orders()
    await receiver.hears()
    await asyncio.sleep(0.05)

    assert (await erp.http.get(f"{erp.root}/v2.0/subscriptions")).json()["value"] == []
    await erp.orders()
    await receiver.hears_no_more(1)


async def test_a_subscription_ends_after_three_days_unless_renewed(erp, receiver, problem):
    """Renewal needs the tag and another handshake, and gives three more days."""
    made = (await subscribes(erp, receiver)).json()
    url = f"{erp.root}/v2.0/subscriptions('{made['subscriptionId']}')"
    assert problem(await erp.http.patch(url, json={}))[1] == "BadRequest_InvalidToken"
    erp.clock.passes(days=2)
    await erp.signs_in()

    renewed = await erp.http.patch(url, json={}, headers={"If-Match": made["@odata.etag"]})

    assert (renewed.status_code, receiver.validated) == (200, 2)
    assert renewed.json()["expirationDateTime"] == "2026-11-27T09:00:00.000Z"
    erp.clock.passes(days=2)
    await erp.signs_in()
    await erp.orders()
    await receiver.hears(1)
    erp.clock.passes(days=2)
    await erp.signs_in()
    await erp.orders()
    await receiver.hears_no_more(1)


async def test_a_deleted_subscription_is_told_nothing(erp, receiver):
    """DELETE answers 204."""
    made = (await subscribes(erp, receiver)).json()

    gone = await erp.http.delete(f"{erp.root}/v2.0/subscriptions('{made['subscriptionId']}')")
    await erp.orders()

    assert gone.status_code == 204
    await receiver.hears_no_more(0)


async def test_the_same_address_and_resource_twice_is_a_conflict(erp, receiver, problem):
    """One subscription per URL and resource."""
    await subscribes(erp, receiver)

    assert problem(await subscribes(erp, receiver))[1] == "Internal_EntityWithSameKeyExists"


async def test_a_rolled_back_batch_tells_nobody(erp, receiver):
    """What was not committed did not change."""
    await subscribes(erp, receiver)
    url = f"companies({erp.company})/salesOrders"
    good = {"method": "POST", "url": url, "body": {"customerNumber": "20001"}}
    bad = {"method": "POST", "url": url, "body": {}}

    await erp.http.post(
        f"{erp.root}/v2.0/$batch",
        json={"requests": [good, bad]},
        headers={"Isolation": "snapshot"},
    )

    await receiver.hears_no_more(0)


@pytest.mark.parametrize(("kind", "times"), [("lost_push", 0), ("duplicate_push", 2)])
async def test_a_push_can_be_lost_or_doubled_by_the_fault_switch(erp, receiver, kind, times):
    """A push is a hint: receivers must live with both."""
    await subscribes(erp, receiver)
    erp.breaks(operation="push", kind=kind, count=1)

    await erp.orders()

    await receiver.hears(times)
    await receiver.hears_no_more(times)
