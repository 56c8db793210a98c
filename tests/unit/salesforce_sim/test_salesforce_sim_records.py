"""One record at a time: ids, field rules, upsert by external id, conditions, duplicates."""

import re

import pytest

from deploy.sandbox.identifiers import salesforce_id
from deploy.sandbox.salesforce.ids import Minter, eighteen, suffix_of
from tests.sandbox_callers import SMALL

pytestmark = pytest.mark.anyio
CUSTOMER = next(iter(SMALL.customers.values()))


@pytest.mark.parametrize("serial", [0, 1, 61, 62, 100_000, 10**12])
def test_the_suffix_of_an_id_encodes_which_letters_are_capitals(serial):
    """Two implementations of the checksum agree, and 15 characters become the same 18."""
    whole = salesforce_id("00k", serial)
    assert whole == whole[:15] + suffix_of(whole[:15])
    assert eighteen(whole[:15]) == whole


def test_the_suffix_is_the_documented_one():
    """The platform's own example: 15 characters and the 18 that its ids page gives for them."""
    assert eighteen("001A0000006Vm9r") == "001A0000006Vm9rIAC"


@pytest.mark.parametrize(
    "malformed",
    ["", "001", "001A0000006Vm9rIAD", "001A0000006Vm9r'", "001A0000006Vm9rIA", "ü" * 15],
)
def test_an_id_of_the_wrong_shape_or_suffix_is_malformed(malformed):
    assert eighteen(malformed) is None


def test_ids_are_never_given_out_twice_even_after_a_restart():
    first = Minter("a00", None)
    taken = [first.mint() for _ in range(100)]
    assert taken == sorted(set(taken))
    assert Minter("a00", max(taken)).mint() > max(taken)
    assert taken == [salesforce_id("a00", 1_000_000 + at) for at in range(100)]


async def test_a_record_is_created_read_changed_and_deleted(org):
    account = await org.create("Account", Name="Nuthatch Ltd", BillingCity="Leeds")
    assert re.fullmatch(r"001[0-9A-Za-z]{15}", account)

    read = await org.record("Account", account)
    assert read["Name"] == "Nuthatch Ltd"
    assert read["ERP_Customer_No__c"] is None
    assert read["CreatedDate"] == read["SystemModstamp"] == "2026-11-22T09:00:00.000+0000"
    assert read["attributes"] == {
        "type": "Account",
        "url": f"/services/data/v67.0/sobjects/Account/{account}",
    }

    org.clock.turn(60)
    changed = await org.call("PATCH", f"sobjects/Account/{account[:15]}", {"Phone": "0113 1"})
    assert (changed.status_code, changed.content) == (204, b"")
    read = await org.record("Account", account)
    assert (read["Phone"], read["Name"]) == ("0113 1", "Nuthatch Ltd")
    assert read["LastModifiedDate"] == "2026-11-22T09:01:00.000+0000"
    assert read["CreatedDate"] == "2026-11-22T09:00:00.000+0000"

    assert (await org.call("DELETE", f"sobjects/Account/{account}")).status_code == 204
    assert await org.refused("GET", f"sobjects/Account/{account}") == (404, "NOT_FOUND")
    gone = await org.refused("PATCH", f"sobjects/Account/{account}", {"Phone": "1"})
    assert gone == (404, "ENTITY_IS_DELETED")
    assert await org.refused("DELETE", f"sobjects/Account/{account}") == (404, "ENTITY_IS_DELETED")


async def test_null_empties_a_field_and_the_fields_asked_for_are_answered(org):
    account = await org.create("Account", Name="Nuthatch", Phone="1")
    await org.call("PATCH", f"sobjects/Account/{account}", {"Phone": None, "Website": ""})
    answer = await org.call("GET", f"sobjects/Account/{account}?fields=Name,phone")
    assert answer.json() == {
        "attributes": answer.json()["attributes"],
        "Name": "Nuthatch",
        "Phone": None,
        "Id": account,
    }


CREDIT = "Credit_Available__c"
UNREADABLE = "JSON_PARSER_ERROR"
READ_ONLY = "INVALID_FIELD_FOR_INSERT_UPDATE"
NO_PARENT = "INVALID_CROSS_REFERENCE_KEY"
OFF_LIST = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
STRANGER = salesforce_id("001", 1)
REFUSED = [
    ("Account", {}, "REQUIRED_FIELD_MISSING", ["Name"]),
    ("Account", {"Name": ""}, "REQUIRED_FIELD_MISSING", ["Name"]),
    ("Opportunity", {"Name": "x"}, "REQUIRED_FIELD_MISSING", ["StageName", "CloseDate"]),
    ("Account", {"Name": "x", "Nmae": "y"}, "INVALID_FIELD", []),
    ("Account", {"Name": "x" * 256}, "STRING_TOO_LONG", ["Name"]),
    ("Account", {"Name": "x", "Id": STRANGER}, READ_ONLY, ["Id"]),
    ("Account", {"Name": "x", "CreatedDate": None}, READ_ONLY, ["CreatedDate"]),
    ("Account", {"Name": "x", "ParentId": "42"}, "MALFORMED_ID", ["ParentId"]),
    ("Account", {"Name": "x", "ParentId": salesforce_id("006", 1)}, "MALFORMED_ID", ["ParentId"]),
    ("Account", {"Name": "x", "ParentId": STRANGER}, NO_PARENT, ["ParentId"]),
    ("Account", {"Name": "x", CREDIT: "much"}, UNREADABLE, [CREDIT]),
    ("Account", {"Name": "x", CREDIT: True}, UNREADABLE, [CREDIT]),
    ("Account", {"Name": "x", CREDIT: "NaN"}, UNREADABLE, [CREDIT]),
    ("Account", {"Name": "x", CREDIT: 1e16}, "NUMBER_OUTSIDE_VALID_RANGE", [CREDIT]),
    ("Account", {"Name": 7}, UNREADABLE, ["Name"]),
    ("Account", {"Name": "x", "CurrencyIsoCode": "XXX"}, OFF_LIST, ["CurrencyIsoCode"]),
    ("Contact", {"LastName": "x", "Email": "not one"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
    ("ERP_Invoice__c", {"Invoice_No__c": "1", "Paid_On__c": "31/12"}, UNREADABLE, ["Paid_On__c"]),
    ("Shipment__c", {"Shipment_No__c": "1", "Shipped_At__c": "1"}, UNREADABLE, ["Shipped_At__c"]),
    ("User", {"Username": "x"}, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "code", "fields"), REFUSED)
async def test_a_record_that_breaks_a_rule_is_refused_and_leaves_nothing(
    shared_org, name, body, code, fields
):
    before = (await shared_org.query(f"SELECT COUNT() FROM {name}")).json()["totalSize"]
    answer = await shared_org.call("POST", f"sobjects/{name}", body)
    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"]) == (400, code)
    assert error["fields"] == fields
    assert (await shared_org.query(f"SELECT COUNT() FROM {name}")).json()["totalSize"] == before
    assert shared_org.ledger() == []


async def test_amounts_are_rounded_half_up_to_the_cent_from_what_was_written(org):
    """1.005 is below its half as a binary number; Salesforce reads the decimal."""
    account = await org.create("Account", Name="Cent", Credit_Available__c=1.0)
    for sent, kept in ((b"1.005", 1.01), (b'"2.675"', 2.68), (b"-1.005", -1.01), (b"7", 7.0)):
        body = b'{"Credit_Available__c": ' + sent + b"}"
        path = f"/services/data/v67.0/sobjects/Account/{account}"
        answer = await org.http.patch(path, content=body)
        assert answer.status_code == 204, answer.text
        assert (await org.record("Account", account))["Credit_Available__c"] == kept


async def test_times_are_kept_in_utc_and_dates_as_days(org):
    shipment = await org.create(
        "Shipment__c", Shipment_No__c="S1", Shipped_At__c="2026-11-22T10:30:00.250+01:00"
    )
    read = await org.record("Shipment__c", shipment)
    assert read["Shipped_At__c"] == "2026-11-22T09:30:00.250+0000"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", "sobjects/Account", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "query", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "sobjects/Acount", 400, "INVALID_TYPE"),
        ("GET", "sobjects/Account/42", 404, "NOT_FOUND"),
        ("GET", f"sobjects/Account/{salesforce_id('001', 5)}", 404, "NOT_FOUND"),
        ("GET", f"sobjects/Account/{salesforce_id('006', 500_000)}", 404, "NOT_FOUND"),
        ("GET", "sobjects/Account/Phone/1", 404, "NOT_FOUND"),
        ("GET", "nothing", 404, "NOT_FOUND"),
        ("POST", "sobjects/Account", 400, "JSON_PARSER_ERROR"),
    ],
)
async def test_an_address_or_method_that_is_not_there_is_refused(
    shared_org, method, path, status, code
):
    assert await shared_org.refused(method, path) == (status, code)


async def test_a_body_that_is_no_json_is_refused(org):
    path = "/services/data/v67.0/sobjects/Account"
    broken = await org.http.post(
        path, content=b'{"Name": ', headers={"content-type": "application/json"}
    )
    assert (broken.status_code, broken.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    xml = await org.http.post(path, content=b"<a/>", headers={"content-type": "text/xml"})
    assert (xml.status_code, xml.json()[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_another_version_of_the_api_is_not_there(shared_org):
    answer = await shared_org.http.get("/services/data/v12.0/limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")


async def test_upsert_creates_once_and_then_updates(org):
    path = "sobjects/ERP_Order__c/Reference__c/INV%2F1%20%C3%A9"
    created = await org.call("PATCH", path, {"Status__c": "Accepted"})
    assert created.status_code == 201
    assert created.json()["created"] is True
    updated = await org.call("PATCH", path, {"Status__c": "Confirmed"})
    assert updated.status_code == 200
    assert updated.json() == {
        "id": created.json()["id"],
        "success": True,
        "errors": [],
        "created": False,
    }
    read = (await org.call("GET", path)).json()
    assert (read["Reference__c"], read["Status__c"]) == ("INV/1 é", "Confirmed")
    assert [row.operation for row in org.ledger()] == ["ERP_Order__c.create", "ERP_Order__c.update"]
    assert {row.external_reference for row in org.ledger()} == {"INV/1 é"}


async def test_update_only_never_creates(org):
    path = "sobjects/ERP_Order__c/Reference__c/INV1"
    assert await org.refused("PATCH", f"{path}?updateOnly=true", {}) == (404, "NOT_FOUND")
    assert (await org.call("PATCH", path, {})).status_code == 201
    assert (await org.call("PATCH", f"{path}?updateOnly=true", {})).status_code == 200


async def test_the_external_id_of_an_upsert_must_not_be_in_its_body(org):
    path = "sobjects/ERP_Order__c/Reference__c/INV1"
    assert await org.refused("PATCH", path, {"reference__C": "INV1"}) == (400, "INVALID_FIELD")


async def test_an_upsert_that_matches_several_writes_nothing_and_lists_them(org):
    """A tracking number may stand on several shipments: 300 with their addresses."""
    shipments = [
        await org.create(
            "Shipment__c", Shipment_No__c=f"S{n}", Tracking_No__c="TRACK", Carrier__c="A"
        )
        for n in range(3)
    ]
    path = "sobjects/Shipment__c/Tracking_No__c/track"
    answer = await org.call("PATCH", path, {"Carrier__c": "B"})
    assert answer.status_code == 300
    assert answer.json() == [f"/services/data/v67.0/sobjects/Shipment__c/{s}" for s in shipments]
    assert await org.names("SELECT Carrier__c FROM Shipment__c", "Carrier__c") == ["A"] * 3
    assert (await org.call("GET", path)).status_code == 300


async def test_a_unique_external_id_is_refused_twice_and_names_the_first(org):
    """ERP_Customer_No__c takes no notice of case, Reference__c does."""
    first = await org.create("Account", Name="One", ERP_Customer_No__c="c9")
    answer = await org.call("POST", "sobjects/Account", {"Name": "Two", "ERP_Customer_No__c": "C9"})
    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"]) == (400, "DUPLICATE_VALUE")
    assert first[:15] in error["message"]

    await org.create("ERP_Order__c", Reference__c="inv1")
    await org.create("ERP_Order__c", Reference__c="INV1")
    again = await org.refused("POST", "sobjects/ERP_Order__c", {"Reference__c": "INV1"})
    assert again == (400, "DUPLICATE_VALUE")


async def test_a_deleted_record_gives_its_external_id_back(org):
    first = await org.create("ERP_Order__c", Reference__c="INV1")
    await org.call("DELETE", f"sobjects/ERP_Order__c/{first}")
    second = await org.call("PATCH", "sobjects/ERP_Order__c/Reference__c/INV1", {})
    assert second.status_code == 201
    assert second.json()["id"] != first


async def test_a_parent_may_be_named_by_its_external_id(org):
    named = {"Account__r": {"ERP_Customer_No__c": CUSTOMER.number}}
    order = await org.create("ERP_Order__c", Reference__c="INV1", **named)
    read = await org.record("ERP_Order__c", order)
    assert read["Account__c"] == CUSTOMER.salesforce_account_id

    unknown = {"Reference__c": "INV2", "Account__r": {"ERP_Customer_No__c": "NOBODY"}}
    answer = await org.call("POST", "sobjects/ERP_Order__c", unknown)
    (error,) = answer.json()
    assert error["errorCode"] == "INVALID_FIELD"
    assert error["message"].startswith("Foreign key external ID: nobody not found for field")


DOUBLE = {
    "Name": f"{CUSTOMER.name.upper()}.",
    "BillingPostalCode": CUSTOMER.postcode,
    "BillingCity": CUSTOMER.city,
}


async def test_an_account_that_looks_like_another_is_refused_under_the_misspelt_key(org):
    answer = await org.call("POST", "sobjects/Account", DOUBLE)
    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"]) == (400, "DUPLICATES_DETECTED")
    result = error["duplicateResut"]
    assert (result["allowSave"], result["duplicateRuleEntityType"]) == (True, "Account")
    (match,) = result["matchResults"]
    assert (match["size"], match["success"]) == (1, True)
    assert match["matchRecords"][0]["record"]["Id"] == CUSTOMER.salesforce_account_id
    assert "Name" not in match["matchRecords"][0]["record"]


async def test_an_alert_gives_way_to_allow_save_and_a_block_does_not(org):
    header = {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=true"}
    assert (await org.call("POST", "sobjects/Account", DOUBLE, **header)).status_code == 201

    await org.hook("policy", duplicateRule="block")
    answer = await org.call("POST", "sobjects/Account", DOUBLE, **header)
    (error,) = answer.json()
    assert error["errorCode"] == "DUPLICATES_DETECTED"
    result = error["duplicateResut"]
    assert result["allowSave"] is False
    assert result["matchResults"][0]["matchRecords"][0]["record"]["Name"] == CUSTOMER.name

    await org.hook("policy", duplicateRule="off")
    assert (await org.call("POST", "sobjects/Account", DOUBLE)).status_code == 201


async def test_an_account_carries_a_tag_and_a_stale_write_is_412(org):
    path = f"sobjects/Account/{CUSTOMER.salesforce_account_id}"
    tag = (await org.call("GET", path)).headers["etag"]
    assert tag.endswith('--gzip"')
    assert (await org.call("GET", path, **{"If-None-Match": tag})).status_code == 304

    changed = await org.call("PATCH", path, {"Phone": "1"}, **{"If-Match": f'"other", {tag}'})
    assert changed.status_code == 204
    stale = await org.refused("PATCH", path, {"Phone": "2"}, **{"If-Match": tag})
    assert stale == (412, "PRECONDITION_FAILED")
    assert (await org.call("GET", path)).json()["Phone"] == "1"
    assert (await org.call("GET", path, **{"If-None-Match": tag})).status_code == 200

    upsert = f"sobjects/Account/ERP_Customer_No__c/{CUSTOMER.number}"
    assert (await org.refused("PATCH", upsert, {"Phone": "3"}, **{"If-Match": tag}))[0] == 412


async def test_only_accounts_have_tags_and_every_record_a_date(org, deal):
    """On an opportunity If-Match is not looked at; If-Unmodified-Since is, to the second."""
    path = f"sobjects/Opportunity/{deal.id}"
    answer = await org.call("GET", path)
    assert "etag" not in answer.headers
    modified = answer.headers["last-modified"]
    assert modified == "Mon, 05 Jan 2026 08:00:00 GMT"
    unseen = {"If-Match": '"x"', "If-Unmodified-Since": modified}
    assert (await org.call("PATCH", path, {"NextStep": "a"}, **unseen)).status_code == 204
    late = await org.refused("PATCH", path, {"NextStep": "b"}, **{"If-Unmodified-Since": modified})
    assert late == (412, "PRECONDITION_FAILED")
    assert (await org.call("GET", path)).json()["NextStep"] == "a"


@pytest.mark.parametrize(
    "header", [{"If-Match": "bare"}, {"If-Unmodified-Since": "yesterday"}, {"If-Match": '"'}]
)
async def test_a_condition_that_cannot_be_read_is_400(org, header):
    path = f"sobjects/Account/{CUSTOMER.salesforce_account_id}"
    assert (await org.refused("PATCH", path, {"Phone": "1"}, **header))[0] == 400
    assert (await org.call("GET", path)).json()["Phone"] == CUSTOMER.phone


async def test_the_org_describes_its_objects(shared_org):
    listed = (await shared_org.call("GET", "sobjects")).json()["sobjects"]
    prefixes = {one["name"]: one["keyPrefix"] for one in listed}
    expected = {
        "Account": "001",
        "Contact": "003",
        "Opportunity": "006",
        "Order": "801",
        "OrderItem": "802",
        "Product2": "01t",
        "PricebookEntry": "01u",
        "Pricebook2": "01s",
        "Case": "500",
        "Quote": "0Q0",
        "Organization": "00D",
        "User": "005",
    }
    assert expected.items() <= prefixes.items()
    described = (await shared_org.call("GET", "sobjects/ERP_Order__c/describe")).json()
    fields = {field["name"]: field for field in described["fields"]}
    key = fields["Reference__c"]
    assert (key["externalId"], key["unique"], key["length"]) == (True, True, 35)
    assert fields["Account__c"]["relationshipName"] == "Account__r"
    assert {"Shipments__r", "ERP_Invoices__r"} == {
        link["relationshipName"] for link in described["childRelationships"]
    }
