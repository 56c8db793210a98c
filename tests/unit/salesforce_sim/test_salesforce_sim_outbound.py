"""The outbound message: a won deal told to the gateway at least once, over a real socket."""

import asyncio
from contextlib import asynccontextmanager
from xml.etree.ElementTree import fromstring

import pytest

from deploy.sandbox.faults import FaultRule
from deploy.sandbox.salesforce import OrgPolicy
from deploy.sandbox.salesforce.ids import eighteen
from deploy.sandbox.salesforce.soap import acknowledged
from tests.sandbox_callers import SMALL

pytestmark = pytest.mark.anyio
OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"
RECORD = "{urn:sobject.enterprise.soap.sforce.com}"
ACK = (
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
QUICK = OrgPolicy(push_first_gap=0.01, push_longest_gap=0.02, push_ack_seconds=2.0)
DEALS = list(SMALL.deals.values())


class RunningClock:
    """Real seconds since an agreed morning: retries need time that passes by itself."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self._ahead = 0.0

    def now(self):
        from datetime import timedelta

        return self._clock.now() + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self._ahead

    def leap(self, seconds: float) -> None:
        self._ahead += seconds


class Receiver:
    """Somebody who listens on a port and answers each message as told."""

    def __init__(self) -> None:
        self.messages = []
        self.answers = []  # (status, body) for the next messages; afterwards it acknowledges
        self.url = ""
        self._news = asyncio.Event()

    async def hear(self, reader, writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.messages.append((lines[0], headers, body))
        self._news.set()
        status, answer = self.answers.pop(0) if self.answers else (200, ACK)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(answer)}\r\n"
            "connection: close\r\n\r\n".encode()
            + answer
        )
        await writer.drain()
        writer.close()

    def notified(self):
        """Notification id and record of every notification heard, in order."""
        found = []
        for _, _, body in self.messages:
            for notification in fromstring(body).iter(f"{OUTBOUND}Notification"):
                record = notification.find(f"{OUTBOUND}sObject")
                fields = {el.tag.removeprefix(RECORD): el.text for el in record}
                found.append((notification.find(f"{OUTBOUND}Id").text, fields))
        return found

    async def heard(self, count: int) -> None:
        """Wait until so many messages came."""
        async with asyncio.timeout(5):
            while len(self.messages) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def listening():
    receiver = Receiver()
    server = await asyncio.start_server(receiver.hear, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks"
    async with server:
        yield receiver


@pytest.fixture
async def receiver():
    async with listening() as receiver:
        yield receiver


@pytest.fixture
def clock():
    from tests.sandbox_callers import TurnedClock

    return RunningClock(TurnedClock())


@pytest.fixture
async def org(an_org, receiver):
    return await an_org(webhook_base=receiver.url, policy=QUICK)


async def settled(org) -> None:
    """Wait until nothing is owed any more."""
    async with asyncio.timeout(5):
        while org.vendor._org.outbox.pending():  # noqa: ASYNC110  # the outbox has no event
            await asyncio.sleep(0.005)


async def win(org, deal) -> None:
    changed = await org.call(
        "PATCH", f"sobjects/Opportunity/{deal.id}", {"StageName": "Closed Won"}
    )
    assert changed.status_code == 204


async def test_a_won_deal_is_told_once_in_the_vendors_soap(org, receiver):
    deal = DEALS[0]
    await win(org, deal)
    await receiver.heard(1)
    await settled(org)

    request, headers, body = receiver.messages[0]
    assert request.startswith("POST /webhooks/salesforce ")
    assert headers["content-type"].startswith("text/xml")
    assert headers["soapaction"] == '""'
    message = next(fromstring(body).iter(f"{OUTBOUND}notifications"))
    organization = message.find(f"{OUTBOUND}OrganizationId").text
    assert organization == (await org.rows("SELECT Id FROM Organization"))[0]["Id"]
    assert message.find(f"{OUTBOUND}ActionId").text.startswith("04k")
    assert message.find(f"{OUTBOUND}PartnerUrl").text.endswith(organization)

    ((notification, fields),) = receiver.notified()
    assert notification == eighteen(notification)
    assert notification.startswith("04l")
    assert fields["Id"] == deal.id
    assert fields["AccountId"] == SMALL.customers[deal.customer].salesforce_account_id
    assert (fields["StageName"], fields["IsWon"]) == ("Closed Won", "true")
    assert fields["Amount"] == f"{sum(x.unit_price * x.quantity for x in deal.lines):.2f}"
    assert fields["CurrencyIsoCode"] == deal.currency
    assert fields["PO_Number__c"] == deal.po_number
    assert len(receiver.messages) == 1


async def test_only_turning_won_is_told(org, receiver):
    """Lost, edited while won, and won again after being reopened."""
    first, second = DEALS[:2]
    await org.call("PATCH", f"sobjects/Opportunity/{second.id}", {"StageName": "Closed Lost"})
    await win(org, first)
    await org.call("PATCH", f"sobjects/Opportunity/{first.id}", {"NextStep": "ship"})
    await win(org, first)
    await settled(org)
    assert [fields["Id"] for _, fields in receiver.notified()] == [first.id]

    await org.call("PATCH", f"sobjects/Opportunity/{first.id}", {"StageName": "Prospecting"})
    await win(org, first)
    await receiver.heard(2)
    (one, _), (two, _) = receiver.notified()
    assert one != two


async def test_an_operator_closes_a_deal_as_a_rep_would(org, receiver):
    deal = DEALS[0]
    closed = await org.hook("close", opportunityId=deal.id)
    assert (closed.status_code, closed.json()["IsWon"]) == (200, True)
    await receiver.heard(1)
    assert receiver.notified()[0][1]["Id"] == deal.id
    (row,) = org.ledger()
    assert (row.operation, row.entity, row.detail["StageName"]) == (
        "Opportunity.update",
        deal.id,
        "Closed Won",
    )
    unknown = await org.hook("close", opportunityId="0065g0000000000")
    assert (unknown.status_code, unknown.json()[0]["errorCode"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "answer",
    [
        (500, b""),
        (200, b""),
        (202, ACK),
        (200, b"OK"),
        (200, ACK.replace(b"true", b"false")),
    ],
)
async def test_what_is_not_acknowledged_is_told_again_with_the_same_id(org, receiver, answer):
    receiver.answers = [answer, answer]
    await win(org, DEALS[0])
    await receiver.heard(3)
    await settled(org)
    assert len({notification for notification, _ in receiver.notified()}) == 1


async def test_a_retry_carries_the_values_of_its_own_moment(org, receiver):
    receiver.answers = [(503, b"")] * 3
    await win(org, DEALS[0])
    await receiver.heard(1)
    await org.call("PATCH", f"sobjects/Opportunity/{DEALS[0].id}", {"PO_Number__c": "CHANGED"})
    await settled(org)
    numbers = [fields["PO_Number__c"] for _, fields in receiver.notified()]
    assert (numbers[0], numbers[-1]) == (DEALS[0].po_number, "CHANGED")


async def test_a_notification_is_given_up_after_a_day(an_org, receiver, clock):
    """The vendor keeps trying for 24 hours; then only polling finds the deal."""
    org = await an_org(webhook_base=receiver.url, policy=QUICK)
    receiver.answers = [(503, b"")] * 1000
    await win(org, DEALS[0])
    await receiver.heard(2)
    clock.leap(86_400)
    await settled(org)
    told = len(receiver.messages)
    await asyncio.sleep(0.1)
    assert len(receiver.messages) == told


async def test_many_deals_won_at_once_travel_together(an_org, receiver):
    org = await an_org(webhook_base=receiver.url, webhook_delay=0.05, policy=QUICK)
    records = [
        {"attributes": {"type": "Opportunity"}, "id": deal.id, "StageName": "Closed Won"}
        for deal in DEALS[:120]
    ]
    changed = await org.call("PATCH", "composite/sobjects", {"records": records})
    assert all(result["success"] for result in changed.json())
    await settled(org)
    told = [fields["Id"] for _, fields in receiver.notified()]
    assert sorted(told) == sorted(deal.id for deal in DEALS[:120])
    assert told != [deal.id for deal in DEALS[:120]]  # in no order
    assert len(receiver.messages) < 12  # up to 100 in one


async def test_the_fault_switch_loses_a_push_and_repeats_one(org, receiver):
    org.context.faults.arm(
        FaultRule(system="salesforce", kind="lost_push", operation="push", count=1)
    )
    await win(org, DEALS[0])
    await settled(org)
    assert receiver.messages == []

    org.context.faults.arm(
        FaultRule(system="salesforce", kind="duplicate_push", operation="push", count=1)
    )
    await win(org, DEALS[1])
    await receiver.heard(2)
    (one, _), (two, _) = receiver.notified()
    assert one == two


async def test_what_is_owed_survives_a_killed_vendor(an_org, receiver, tmp_path):
    """Nobody listens, the process ends, and the next one tells the deal."""
    org = await an_org(tmp_path, webhook_base="http://127.0.0.1:9/webhooks", policy=QUICK)
    await win(org, DEALS[0])
    await org.close()

    again = await an_org(tmp_path, webhook_base=receiver.url, policy=QUICK)
    assert (await again.record("Opportunity", DEALS[0].id))["IsWon"] is True
    await receiver.heard(1)
    await settled(again)
    assert receiver.notified()[0][1]["Id"] == DEALS[0].id

    await win(again, DEALS[1])
    await receiver.heard(2)
    assert len({notification for notification, _ in receiver.notified()}) == 2


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        (ACK, True),
        (ACK.replace(b"<Ack>true", b"<Ack> true "), True),
        (b"<!DOCTYPE x [<!ENTITY a 'true'>]><Ack>&a;</Ack>", False),
        (b"<Ack>true", False),
        (b"", False),
    ],
)
def test_only_a_readable_ack_counts(body, taken):
    assert acknowledged(200, body) is taken
    assert not acknowledged(500, body)
