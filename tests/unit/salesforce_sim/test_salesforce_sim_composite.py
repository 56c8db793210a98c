"""Many writes in one call: collections and composite, with and without all-or-none."""

import pytest

from deploy.sandbox.identifiers import salesforce_id
from tests.sandbox_callers import SMALL

pytestmark = pytest.mark.anyio
ROOT = "/services/data/v67.0"
UPSERT = "composite/sobjects/ERP_Order__c/Reference__c"
CUSTOMER = next(iter(SMALL.customers.values()))


def report(reference, **fields):
    return {"attributes": {"type": "ERP_Order__c"}, "Reference__c": reference, **fields}


def codes(results):
    """One status code a record, None where it was taken."""
    return [None if r["success"] else r["errors"][0]["statusCode"] for r in results]


async def test_two_hundred_orders_are_upserted_in_one_call(org):
    named = {"Account__r": {"ERP_Customer_No__c": CUSTOMER.number}}
    orders = [
        report(f"INV{n}", Net_Amount__c=n + 0.25, Currency__c="EUR", Version__c=1, **named)
        for n in range(200)
    ]
    first = (await org.call("PATCH", UPSERT, {"allOrNone": False, "records": orders})).json()
    assert all(r["success"] and r["created"] and r["errors"] == [] for r in first)
    again = (await org.call("PATCH", UPSERT, {"records": orders})).json()
    assert [r["id"] for r in again] == [r["id"] for r in first]
    assert not any(r["created"] for r in again)

    rows = org.ledger()
    assert len(rows) == 400
    assert [row.external_reference for row in rows] == [f"INV{n}" for n in range(200)] * 2
    assert str(rows[7].amount) == "7.25"
    assert (rows[7].currency, rows[7].detail["Version__c"]) == ("EUR", 1.0)


async def test_201_records_are_too_many(org):
    orders = [report(f"INV{n}") for n in range(201)]
    assert await org.refused("PATCH", UPSERT, {"records": orders}) == (400, "EXCEEDED_ID_LIMIT")
    assert org.ledger() == []


async def test_each_record_has_its_own_verdict_under_status_code(org):
    orders = [
        report("INV1"),
        report("INV2", Wrong__c=1),
        report("INV3", Message__c="x" * 4001),
        report(""),
        report("TWICE"),
        report("TWICE"),
        {"attributes": {"type": "Account"}, "Reference__c": "INV4"},
        {"Reference__c": "INV5"},
        report("INV6", Account__r={"ERP_Customer_No__c": "NOBODY"}),
        report("INV7"),
    ]
    answer = await org.call("PATCH", UPSERT, {"records": orders})
    assert answer.status_code == 200
    assert codes(answer.json()) == [
        None,
        "INVALID_FIELD",
        "STRING_TOO_LONG",
        "MISSING_ARGUMENT",
        "DUPLICATE_VALUE",
        "DUPLICATE_VALUE",
        "INVALID_TYPE",
        "INVALID_TYPE",
        "INVALID_FIELD",
        None,
    ]
    assert "errorCode" not in answer.json()[1]["errors"][0]
    assert await org.names("SELECT Reference__c FROM ERP_Order__c", "Reference__c") == [
        "INV1",
        "INV7",
    ]


async def test_all_or_none_undoes_the_good_ones_and_says_so(org):
    orders = [report("INV1"), report("INV2", Wrong__c=1), report("INV3")]
    answer = await org.call("PATCH", UPSERT, {"allOrNone": True, "records": orders})
    assert answer.status_code == 200
    rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert codes(answer.json()) == [rolled_back, "INVALID_FIELD", rolled_back]
    assert await org.rows("SELECT Id FROM ERP_Order__c") == []
    assert org.ledger() == []


async def test_an_ambiguous_key_in_a_collection_is_that_records_error(org):
    for n in range(2):
        await org.create("Shipment__c", Shipment_No__c=f"S{n}", Tracking_No__c="T")
    row = {"attributes": {"type": "Shipment__c"}, "Tracking_No__c": "T", "Carrier__c": "B"}
    answer = await org.call(
        "PATCH", "composite/sobjects/Shipment__c/Tracking_No__c", {"records": [row]}
    )
    assert codes(answer.json()) == ["DUPLICATE_EXTERNAL_ID"]
    assert await org.names("SELECT Carrier__c FROM Shipment__c", "Carrier__c") == [None, None]


async def test_records_of_several_objects_are_created_changed_read_and_deleted(org):
    new = [
        {"attributes": {"type": "Account"}, "Name": "Nuthatch"},
        {"attributes": {"type": "Contact"}, "FirstName": "Ann", "LastName": "Wren"},
        {"attributes": {"type": "Contact"}},
    ]
    created = (await org.call("POST", "composite/sobjects", {"records": new})).json()
    assert codes(created) == [None, None, "REQUIRED_FIELD_MISSING"]
    account, contact = created[0]["id"], created[1]["id"]

    changes = [
        {"attributes": {"type": "Account"}, "id": account, "Phone": "1"},
        {"attributes": {"type": "Contact"}, "Id": contact, "LastName": "Robin"},
        {"attributes": {"type": "Contact"}, "id": account, "LastName": "x"},
        {"attributes": {"type": "Contact"}, "LastName": "x"},
        {"attributes": {"type": "Contact"}, "id": salesforce_id("003", 1), "LastName": "x"},
    ]
    changed = (await org.call("PATCH", "composite/sobjects", {"records": changes})).json()
    assert codes(changed) == [
        None,
        None,
        "MALFORMED_ID",
        "MISSING_ARGUMENT",
        "INVALID_CROSS_REFERENCE_KEY",
    ]
    read = await org.call(
        "GET", f"composite/sobjects/Contact?ids={contact},{salesforce_id('003', 1)}&fields=Id,Name"
    )
    assert [row and row["Name"] for row in read.json()] == ["Ann Robin", None]
    body = {"ids": [account], "fields": ["Phone"]}
    read = await org.call("POST", "composite/sobjects/Account", body)
    assert read.json()[0]["Phone"] == "1"

    ids = f"{account},{contact},{account},42"
    gone = (await org.call("DELETE", f"composite/sobjects?ids={ids}")).json()
    assert codes(gone) == [None, None, "ENTITY_IS_DELETED", "MALFORMED_ID"]


async def test_a_collection_holds_at_most_ten_runs_of_one_object(org):
    kinds = ["Account", "Contact"] * 6
    records = [{"attributes": {"type": kind}, "Name": "x", "LastName": "x"} for kind in kinds]
    refused = await org.refused("POST", "composite/sobjects", {"records": records})
    assert refused == (400, "INVALID_BATCH_REQUEST")


def part(reference, method, path, body=None, **headers):
    made = {"referenceId": reference, "method": method, "url": f"{ROOT}/{path}"}
    if body is not None:
        made["body"] = body
    if headers:
        made["httpHeaders"] = headers
    return made


async def composite(org, *parts, all_or_none=False):
    body = {"allOrNone": all_or_none, "compositeRequest": list(parts)}
    answer = await org.call("POST", "composite", body)
    assert answer.status_code == 200, answer.text
    return {r["referenceId"]: r for r in answer.json()["compositeResponse"]}


async def test_later_parts_refer_to_the_answers_of_earlier_ones(org):
    answers = await composite(
        org,
        part("account", "POST", "sobjects/Account", {"Name": "Nuthatch"}),
        part("contact", "POST", "sobjects/Contact",
             {"LastName": "Wren", "AccountId": "@{account.id}"}),
        part("read", "GET", "sobjects/Account/@{account.id}?fields=Name"),
        part("found", "GET", "query?q=SELECT+Name+FROM+Contact+WHERE+AccountId='@{account.id}'"),
        part("note", "PATCH", "sobjects/Account/@{account.id}",
             {"Description": "@{read.Name} of @{found.records[0].Name}"}),
    )  # fmt: skip
    assert [a["httpStatusCode"] for a in answers.values()] == [201, 201, 200, 200, 204]
    account = answers["account"]["body"]["id"]
    assert answers["account"]["httpHeaders"]["Location"] == f"{ROOT}/sobjects/Account/{account}"
    assert (await org.record("Account", account))["Description"] == "Nuthatch of Wren"


async def test_a_reference_to_what_failed_halts_that_part_only(org):
    answers = await composite(
        org,
        part("bad", "POST", "sobjects/Account", {}),
        part("child", "POST", "sobjects/Contact", {"LastName": "x", "AccountId": "@{bad.id}"}),
        part("other", "POST", "sobjects/Contact", {"LastName": "y"}),
        part("nowhere", "GET", "sobjects/Account/@{never.id}"),
    )
    assert [a["httpStatusCode"] for a in answers.values()] == [400, 400, 201, 400]
    assert answers["bad"]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert answers["child"]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert answers["nowhere"]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert await org.names("SELECT Name FROM Contact") == ["y"]


async def test_all_or_none_halts_and_undoes_every_other_part(org, deal):
    """The won deal, its notification and its ledger row are undone with the rest."""
    answers = await composite(
        org,
        part("won", "PATCH", f"sobjects/Opportunity/{deal.id}", {"StageName": "Closed Won"}),
        part("bad", "POST", "sobjects/Account", {}),
        part("never", "POST", "sobjects/Contact", {"LastName": "x"}),
        all_or_none=True,
    )
    assert [a["httpStatusCode"] for a in answers.values()] == [400, 400, 400]
    assert [a["body"][0]["errorCode"] for a in answers.values()] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
    ]
    assert (await org.record("Opportunity", deal.id))["IsWon"] is False
    assert org.ledger() == []
    assert org.vendor._org.outbox.pending() == []
    assert await org.rows("SELECT Id FROM Contact") == []


async def test_a_collection_rolled_back_inside_all_or_none_undoes_the_rest(org):
    records = [report("INV1"), report("INV2", Wrong__c=1)]
    answers = await composite(
        org,
        part("first", "POST", "sobjects/Account", {"Name": "Nuthatch"}),
        part("orders", "PATCH", UPSERT, {"allOrNone": True, "records": records}),
        all_or_none=True,
    )
    assert answers["first"]["httpStatusCode"] == 400
    assert answers["orders"]["httpStatusCode"] == 200
    assert await org.rows("SELECT Id FROM Account WHERE Name = 'Nuthatch'") == []
    assert await org.rows("SELECT Id FROM ERP_Order__c") == []


async def test_a_composite_counts_as_one_call_and_takes_conditions(org):
    path = f"sobjects/Account/{CUSTOMER.salesforce_account_id}"
    before = (await org.call("GET", "limits")).headers["sforce-limit-info"]
    answers = await composite(
        org,
        part("one", "GET", path),
        part("two", "PATCH", path, {"Phone": "1"}, **{"If-Match": '"stale"'}),
        part("three", "PATCH", path, {"Phone": "2"}, **{"If-Match": "*"}),
    )
    assert [a["httpStatusCode"] for a in answers.values()] == [200, 412, 204]
    after = (await org.call("GET", "limits")).headers["sforce-limit-info"]
    used = [int(text.removeprefix("api-usage=").split("/")[0]) for text in (before, after)]
    assert used[1] - used[0] == 2


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([part(f"r{n}", "GET", "limits") for n in range(26)], "LIMIT_EXCEEDED"),
        ([part(f"r{n}", "GET", "query?q=x") for n in range(6)], "LIMIT_EXCEEDED"),
        ([part("r", "GET", "limits"), part("r", "GET", "limits")], "INVALID_INPUT"),
        ([part("1r", "GET", "limits")], "INVALID_INPUT"),
        ([part("r", "TRACE", "limits")], "INVALID_INPUT"),
        ([part("r", "GET", "limits", Authorization="x")], "INVALID_INPUT"),
        ([part("r", "GET", "limits", **{"Content-Type": "x"})], "INVALID_INPUT"),
        ([], "JSON_PARSER_ERROR"),
    ],
)
async def test_a_composite_that_is_wrong_as_a_whole_is_refused(org, parts, code):
    refused = await org.refused("POST", "composite", {"compositeRequest": parts})
    assert refused == (400, code)


async def test_a_part_goes_anywhere_in_this_version_but_into_another_composite(org):
    elsewhere = {"referenceId": "b", "method": "GET", "url": "/services/data/v12.0/limits"}
    answers = await composite(
        org, part("a", "POST", "composite", {"compositeRequest": []}), elsewhere
    )
    assert [a["httpStatusCode"] for a in answers.values()] == [400, 404]
