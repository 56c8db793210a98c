"""Notifications are believed only when they prove where they come from, and only as hints."""

from base64 import b64encode
from decimal import Decimal
from hashlib import sha256
from hmac import new as hmac_new

import msgspec
import pytest

from contracts.canonical.ids import item_id
from deploy.sandbox.salesforce.soap import acknowledged, notifications
from system_apis.crm.salesforce import notifications as salesforce
from system_apis.erp.business_central import notifications as business_central
from system_apis.wms.shiphero import notifications as shiphero

ORG = "00D5g000000LV2wAAG"
DEALS = ("0065g000000264WAAQ", "0065g000000264XAAQ")


def an_outbound_message(sobject="Opportunity", prefix="006", org=ORG):
    from deploy.sandbox.salesforce.schema import build_schema

    records = [
        (f"04l{at:015d}", {"Id": prefix + deal[3:], "Name": "A & <B>", "IsWon": True})
        for at, deal in enumerate(DEALS)
    ]
    return notifications(
        organization_id=org, action_id="04k0", base="http://127.0.0.1/salesforce",
        sobject=build_schema().named(sobject), fields=("Id", "Name", "IsWon"), records=records,
    )  # fmt: skip


def test_an_outbound_message_tells_its_organization_and_which_deals_to_read():
    message = salesforce.parse(an_outbound_message())
    assert message.is_from(ORG)
    assert message.is_from(ORG[:15])
    assert [notice.deal for notice in message.deals] == [f"sf:{deal}" for deal in DEALS]
    assert len({notice.id for notice in message.deals}) == 2


@pytest.mark.parametrize("other", ["00D5g000000LV2xAAG", "", "00D", ORG[:14]])
def test_a_message_of_another_organization_is_not_from_ours(other):
    assert not salesforce.parse(an_outbound_message()).is_from(other)
    assert not salesforce.parse(an_outbound_message(org=other or "00D")).is_from(ORG)


def test_records_that_are_no_deals_are_passed_over():
    assert salesforce.parse(an_outbound_message("Account", "001")).deals == ()


def test_the_acknowledgement_is_one_the_vendor_takes():
    assert acknowledged(200, salesforce.ACKNOWLEDGEMENT)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    b'<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
)
OUTSIDE = b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>'


@pytest.mark.parametrize(
    "body",
    [
        BOMB, OUTSIDE, b"", b"{}", b"<a><b></a>", b"<x/>", b"\xff\xfe", b"<a>" * 50 + b"</a>" * 50,
        b"<?go out?><x/>",
    ],
)  # fmt: skip
def test_what_is_no_outbound_message_is_refused_and_no_entity_is_ever_expanded(body):
    with pytest.raises(ValueError, match=r"."):
        salesforce.parse(body)


def signed(body, secret="s3cret"):
    signature = b64encode(hmac_new(secret.encode(), body, sha256).digest()).decode()
    return {"x-shiphero-hmac-sha256": signature, "x-shiphero-message-id": "m-1"}


PACKAGE = {
    "test": "0",
    "webhook_type": "Shipment Update",
    "fulfillment": {
        "shipment_id": 5512, "shipment_uuid": "U2hpcG1lbnQ6NTUxMg==", "warehouse": "EAST",
        "partner_order_id": "INV-1", "order_number": "INV-1", "tracking_number": "1Z",
        "package_number": 1, "total_packages": 2, "shipping_carrier": "ups", "completed": True,
        "line_items": [{"id": "1", "shiphero_id": 9, "quantity": 3, "sku": "10001",
                        "serial_numbers": []}],
        "packages": [],
    },
}  # fmt: skip


def test_a_signed_message_is_believed_and_a_changed_one_is_not():
    body = msgspec.json.encode(PACKAGE)
    assert shiphero.verified(body, signed(body), ["old", "s3cret"])
    assert not shiphero.verified(body + b" ", signed(body), ["s3cret"])
    assert not shiphero.verified(body, signed(body), ["other"])
    assert not shiphero.verified(body, signed(body), [])
    assert not shiphero.verified(body, {}, ["s3cret"])


def test_a_package_tells_what_left_and_how_many_more_there_are():
    body = msgspec.json.encode(PACKAGE)
    notice = shiphero.parse(body, signed(body))
    assert isinstance(notice, shiphero.PackageShipped)
    assert (notice.reference, notice.shipment) == ("INV-1", "5512")
    assert (notice.package, notice.packages) == (1, 2)
    assert (notice.message_id, notice.tracking_number) == ("m-1", "1Z")
    assert [(line.item, line.quantity) for line in notice.lines] == [(item_id("10001"), Decimal(3))]


def test_stock_cancellations_and_what_means_nothing_to_us():
    moved = shiphero.parse(
        b'{"webhook_type":"Inventory Update","account_id":1,"inventory":[{"sku":"A"}]}',
        {},
    )
    assert moved == shiphero.StockMoved(message_id="", items=(item_id("A"),))
    gone = shiphero.parse(b'{"webhook_type":"Order Canceled","order_number":"INV-1"}', {})
    assert gone == shiphero.Cancelled(message_id="", reference="INV-1")
    other = shiphero.parse(b'{"webhook_type":"Tote Complete"}', {})
    assert other == shiphero.Ignored(message_id="", kind="Tote Complete")
    with pytest.raises(ValueError, match="not a message"):
        shiphero.parse(b'{"webhook_type":7}', {})


def change(resource, kind="updated", state="s3cret"):
    return {
        "subscriptionId": "sub", "clientState": state, "resource": resource, "changeType": kind,
        "expirationDateTime": "2026-11-25T00:00:00Z",
        "lastModifiedDateTime": "2026-11-22T09:00:00.123Z",
    }  # fmt: skip


def body_of(*changes):
    return msgspec.json.encode({"value": changes})


@pytest.mark.parametrize(
    "prefix", ["api/v2.0/companies(c1)/", "/api/v2.0/companies(c1)/", "v2.0/companies(c1)/"]
)
def test_a_change_names_its_record_however_the_resource_begins(prefix):
    (notice,) = business_central.parse(body_of(change(f"{prefix}customers(g-1)")))
    assert (notice.records, notice.record, notice.change) == ("customers", "g-1", "updated")


@pytest.mark.parametrize(
    ("told", "ours"),
    [("salesOrders", "orders"), ("salesInvoices", "invoices"), ("vendors", None)],
)
def test_what_changed_is_told_in_our_words(told, ours):
    """Of what means nothing to us a change is read all the same: it must be acknowledged."""
    (notice,) = business_central.parse(body_of(change(f"v2.0/companies(c1)/{told}(g-1)")))
    assert (notice.records, notice.record) == (ours, "g-1")


def test_a_thousand_changes_are_one_notice_of_many():
    resource = "api/v2.0/companies(c1)/items?$filter=lastModifiedDateTime%20gt%202026-11-22"
    (notice,) = business_central.parse(body_of(change(resource, "collection")))
    assert (notice.records, notice.record) == ("items", None)


def test_every_notification_of_a_body_must_carry_the_secret():
    good, bad = (
        change("v2.0/companies(c)/items(1)"),
        change("v2.0/companies(c)/items(2)", state="x"),
    )
    assert business_central.verified(body_of(good, good), ["old", "s3cret"])
    assert not business_central.verified(body_of(good, bad), ["s3cret"])
    assert not business_central.verified(body_of(good), [])
    assert not business_central.verified(body_of(), ["s3cret"])
    with pytest.raises(ValueError, match="not a notification"):
        business_central.verified(b"<x/>", ["s3cret"])


def test_the_handshake_is_answered_with_its_token():
    assert business_central.handshake({"validationToken": "abc"}) == b"abc"
    assert business_central.handshake({}) is None
