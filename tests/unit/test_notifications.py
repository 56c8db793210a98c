"""What vendors push is believed if signed as agreed, and recorded before it is acknowledged."""

import base64
import hmac

import msgspec
import pytest

from contracts.ports.binding import RawRequest
from contracts.problems import ProblemError
from deploy.notifications import Notifications
from deploy.profile import Settings, configuration
from deploy.subscribing import WarehouseSecrets
from process_apis.propagation.intake import Intake
from runtime.clock import SystemClock
from runtime.journal.signalling import Published, SignalResult
from runtime.store.faults import StoreUnavailable

pytestmark = pytest.mark.anyio

SYSTEMS = configuration(Settings()).systems
ORGANIZATION = SYSTEMS.salesforce.organization_id
SECRET = SYSTEMS.shiphero.webhook_secrets[0]


class Heard:
    """Whoever must know, remembering what it was told."""

    def __init__(self):
        self.deals, self.doubted, self.published = [], [], []
        self.subscriptions, self.packages, self.looked = [], [], []
        self.signals = []
        self.store_is_down = False

    async def deal_won(self, deal, message_id):
        self.deals.append((deal, message_id))
        return True

    def doubt(self, changes):
        self.doubted += [(change.system, change.entity, change.id) for change in changes]

    def subscription(self, name):
        self.subscriptions.append(name)

    def look(self, names):
        self.looked += names

    async def publish(self, source, message_id, *, signals=()):
        if self.store_is_down:
            raise StoreUnavailable("down")
        self.published.append((source, message_id, signals))
        return Published(new=True)

    async def signal(self, process_id, name, data, dedupe_key):
        self.signals.append((process_id, name, data["id"]))
        return SignalResult.RECORDED

    async def known_by_any(self, kind, values):
        return {value: ["p-1"] for value in values if (kind, value) == ("awaits", "item_A")}


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def webhooks(heard):
    intake = Intake(heard)
    intake.use(heard)
    return Notifications(
        SYSTEMS,
        deal_won=heard.deal_won,
        doubt=heard.doubt,
        intake=intake,
        clock=SystemClock(),
        heard=heard.subscription,
        erp_changed=heard.look,
        package_told=heard.packages.append,
    )


def a_request(body=b"", *, headers=None, query=None):
    return RawRequest(headers=headers or {}, query=query or {}, body=body)


def an_outbound_message(organization):
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organization}</OrganizationId><ActionId>04k5g0000000001AAA</ActionId>"
        "<Notification><Id>04l5g0000000001AAA</Id>"
        '<sObject xmlns:s="urn:sobject.enterprise.soap.sforce.com">'
        "<s:Id>0065g000000264WAAQ</s:Id><s:IsWon>true</s:IsWon></sObject></Notification>"
        "</notifications></e:Body></e:Envelope>"
    ).encode()


def signed(secret, body):
    signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return a_request(
        body, headers={"x-shiphero-hmac-sha256": signature, "x-shiphero-message-id": "m-1"}
    )


def a_shipment(secret):
    body = msgspec.json.encode(
        {
            "webhook_type": "Shipment Update",
            "fulfillment": {
                "shipment_id": 77, "warehouse": "EAST", "partner_order_id": "INV-1",
                "order_number": "INV-1", "package_number": 1, "total_packages": 2,
                "tracking_number": "T1", "shipping_carrier": "UPS", "completed": True,
                "line_items": [{"sku": "A", "quantity": 2}],
            },
        }
    )  # fmt: skip
    return signed(secret, body)


def a_change(secret):
    body = msgspec.json.encode(
        {
            "value": [
                {
                    "subscriptionId": "s1", "clientState": secret,
                    "expirationDateTime": "2026-11-25T00:00:00Z",
                    "resource": "/api/v2.0/companies(1111)/customers(2222)",
                    "changeType": "updated", "lastModifiedDateTime": "2026-11-22T00:00:00Z",
                }
            ]
        }
    )  # fmt: skip
    return a_request(body)


async def test_a_won_deal_is_taken_by_its_id_and_acknowledged(webhooks, heard):
    """The Ack leaves only after the deal is with its process."""
    answer = await webhooks.salesforce(a_request(an_outbound_message(ORGANIZATION)))

    assert heard.deals == [("sf:0065g000000264WAAQ", "04l5g0000000001AAA")]
    assert answer.status == 200
    assert b"<Ack>true</Ack>" in answer.body


async def test_a_shipped_package_becomes_a_signal_to_its_order(webhooks, heard):
    """Told by our reference, once per package, whatever the vendor repeats."""
    answer = await webhooks.shiphero(a_shipment(SECRET))
    await webhooks.shiphero(a_shipment(SECRET))

    [(source, message, [signal])] = heard.published
    assert (source, message) == ("wms", "77/1")
    assert heard.subscriptions == ["shiphero.shipments"] * 2
    assert {package.id for package in heard.packages} == {"77/1"}
    assert (signal.name, signal.dedupe_key, signal.term.value) == (
        "wms.goods.shipped",
        "77/1",
        "INV-1",
    )
    assert list(signal.data["lines"]) == [{"item": "item_A", "quantity": "2"}]
    assert answer.status == 200


async def test_a_changed_customer_makes_the_copies_doubtful(webhooks, heard):
    """A change notification names a record by its system id: every copy of its kind is doubted."""
    secret = SYSTEMS.business_central.webhook_secrets[0]

    await webhooks.business_central(a_change(secret))

    assert heard.doubted == [("business_central", "customer", None)]
    assert heard.subscriptions == ["business_central.customers"]
    assert heard.looked == ["business_central.customers"]


async def test_stock_that_moved_is_told_to_whoever_waits_for_it(webhooks, heard):
    body = msgspec.json.encode(
        {"webhook_type": "Inventory Update", "inventory": [{"sku": "A"}, {"sku": "B"}]}
    )
    await webhooks.shiphero(signed(SECRET, body))
    assert heard.doubted == [("wms", "stock", "item_A"), ("wms", "stock", "item_B")]
    assert heard.signals == [("p-1", "wms.record.changed", "item_A")]


async def test_a_cancellation_of_the_warehouse_is_told_to_its_order(webhooks, heard):
    told = {"webhook_type": "Order Canceled", "partner_order_id": "INV-1", "order_id": 7}
    await webhooks.shiphero(signed(SECRET, msgspec.json.encode(told)))
    [(_, message, [signal])] = heard.published
    assert message == "cancelled/INV-1/7"
    assert (signal.name, signal.term.value) == ("wms.order.cancelled", "INV-1")


async def test_a_secret_of_a_renewal_is_believed_wherever_messages_are_taken(heard):
    class Notes:
        kept = None

        async def note(self, *_):
            return self.kept

        async def set_note(self, _kind, _key, value):
            self.kept = value

    notes = Notes()
    here, there = WarehouseSecrets(["old"], notes), WarehouseSecrets(["old"], notes)
    assert not await there.signed(a_shipment("new"))
    await here.adopt(["new"])
    assert await there.signed(a_shipment("new"))
    assert await there.signed(a_shipment("old"))


async def test_the_subscription_handshake_is_answered_with_its_token(webhooks):
    """Without it the vendor makes no subscription."""
    answer = await webhooks.business_central(a_request(query={"validationToken": "abc"}))

    assert (answer.status, answer.body) == (200, b"abc")


@pytest.mark.parametrize(
    ("vendor", "request_"),
    [
        ("salesforce", a_request(an_outbound_message("00D000000000000AAA"))),
        ("shiphero", a_shipment("not the secret")),
        ("business_central", a_change("not the secret")),
    ],
    ids=["salesforce", "shiphero", "business_central"],
)
async def test_what_is_not_signed_as_agreed_changes_nothing(webhooks, heard, vendor, request_):
    """Anybody can find the address; nobody else knows the secret."""
    with pytest.raises(ProblemError) as caught:
        await getattr(webhooks, vendor)(request_)

    assert caught.value.problem.slug == "webhook-signature-invalid"
    assert heard.deals + heard.doubted + heard.published == []


async def test_what_cannot_be_recorded_is_not_acknowledged(webhooks, heard):
    """The vendor tries again; an acknowledged message would be lost."""
    heard.store_is_down = True

    with pytest.raises(ProblemError) as caught:
        await webhooks.shiphero(a_shipment(SECRET))

    assert caught.value.problem.slug == "store-unavailable"
