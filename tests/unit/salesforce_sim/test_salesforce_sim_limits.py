"""Allocation, locked rows, faults in Salesforce's words, and what a killed vendor remembers."""

import msgspec
import pytest

from deploy.sandbox.faults import FaultRule
from deploy.sandbox.salesforce import OrgPolicy
from deploy.sandbox.salesforce.operations import operation_of
from deploy.sandbox.wire import Request
from tests.sandbox_callers import SMALL

pytestmark = pytest.mark.anyio
UPSERT = "composite/sobjects/ERP_Order__c/Reference__c"
CUSTOMER = next(iter(SMALL.customers.values()))


def orders(count):
    return {
        "records": [
            {"attributes": {"type": "ERP_Order__c"}, "Reference__c": f"INV{n}"}
            for n in range(count)
        ]
    }


async def test_every_answer_counts_down_until_the_allocation_is_gone(an_org, clock):
    org = await an_org(policy=OrgPolicy(api_allocation=3, session_seconds=10**6))
    told = [(await org.call("GET", "limits")) for _ in range(3)]
    assert [answer.headers["sforce-limit-info"] for answer in told] == [
        "api-usage=1/3",
        "api-usage=2/3",
        "api-usage=3/3",
    ]
    assert told[1].json()["DailyApiRequests"] == {"Max": 3, "Remaining": 1}
    assert await org.refused("GET", "limits") == (403, "REQUEST_LIMIT_EXCEEDED")
    assert org.context.limits.throttles() == {"salesforce": {"daily_requests": 1}}

    clock.turn(86_401)
    assert (await org.call("GET", "limits")).headers["sforce-limit-info"] == "api-usage=1/3"


async def test_with_the_limits_off_calls_are_counted_and_never_refused(an_org):
    org = await an_org(policy=OrgPolicy(api_allocation=2), limits=False)
    answers = [await org.call("GET", "limits") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].headers["sforce-limit-info"] == "api-usage=2/2"
    assert org.context.limits.throttles() == {}


async def test_signing_in_does_not_count(an_org):
    org = await an_org(policy=OrgPolicy(api_allocation=5))
    for _ in range(10):
        await org.sign_in()
    assert (await org.call("GET", "limits")).headers["sforce-limit-info"] == "api-usage=1/5"


async def test_rows_are_locked_at_the_rate_that_is_set_and_by_the_seed(an_org):
    """A locked record is refused and not written; the same seed locks the same ones."""
    verdicts = []
    for _ in range(2):
        org = await an_org(policy=OrgPolicy(lock_rate=0.25), seed=11)
        results = (await org.call("PATCH", UPSERT, orders(200))).json()
        locked = [at for at, result in enumerate(results) if not result["success"]]
        codes = {results[at]["errors"][0]["statusCode"] for at in locked}
        assert codes == {"UNABLE_TO_LOCK_ROW"}
        assert len(org.ledger()) == 200 - len(locked)
        verdicts.append(locked)
    assert verdicts[0] == verdicts[1]
    assert 25 <= len(verdicts[0]) <= 75


@pytest.mark.parametrize(
    ("rule", "status", "code"),
    [
        ({"kind": "outage"}, 503, "SERVER_UNAVAILABLE"),
        ({"kind": "error_before", "status": 500}, 500, "UNKNOWN_EXCEPTION"),
        ({"kind": "error_before", "status": 401}, 401, "INVALID_SESSION_ID"),
        ({"kind": "error_before", "status": 400}, 400, "UNABLE_TO_LOCK_ROW"),
        ({"kind": "error_before", "code": "QUERY_TIMEOUT"}, 400, "QUERY_TIMEOUT"),
        ({"kind": "throttle"}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"kind": "throttle", "code": "UNABLE_TO_LOCK_ROW"}, 400, "UNABLE_TO_LOCK_ROW"),
    ],
)
async def test_a_fault_before_the_work_speaks_salesforces_words_and_changes_nothing(
    org, rule, status, code
):
    operation = "sobjects.Account.create"
    org.context.faults.arm(
        FaultRule(system="salesforce", operation=operation, count=1, retry_after=7, **rule)
    )
    answer = await org.call("POST", "sobjects/Account", {"Name": "Nuthatch"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)
    assert answer.headers["retry-after"] == "7"
    assert await org.rows("SELECT Id FROM Account WHERE Name = 'Nuthatch'") == []
    assert (await org.call("POST", "sobjects/Account", {"Name": "Nuthatch"})).status_code == 201


async def test_a_fault_after_the_work_hides_that_it_was_done(org):
    for kind in ("error_after", "drop_after"):
        org.context.faults.arm(
            FaultRule(system="salesforce", operation="collections.*", kind=kind, count=1)
        )
    failed = await org.refused("PATCH", UPSERT, orders(2))
    assert failed == (503, "SERVER_UNAVAILABLE")
    with pytest.raises(ConnectionResetError):
        await org.call("PATCH", UPSERT, orders(3))
    results = (await org.call("PATCH", UPSERT, orders(3))).json()
    assert [result["created"] for result in results] == [False, False, False]


async def test_locked_rows_of_a_collection_are_errors_of_its_records(org):
    org.context.faults.arm(
        FaultRule(
            system="salesforce",
            operation="collections.ERP_Order__c.upsert",
            kind="throttle",
            code="UNABLE_TO_LOCK_ROW",
            count=1,
        )
    )
    answer = await org.call("PATCH", UPSERT, orders(3))
    assert answer.status_code == 200
    codes = [result["errors"][0]["statusCode"] for result in answer.json()]
    assert codes == ["UNABLE_TO_LOCK_ROW"] * 3
    assert org.ledger() == []


async def test_a_fault_at_the_token_endpoint_speaks_oauth(org):
    org.context.faults.arm(
        FaultRule(system="salesforce", operation="token", kind="outage", count=1)
    )
    answer = await org.token(grant_type="client_credentials")
    assert answer.status_code == 503
    assert answer.json()["error"] == "server_error"


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("POST", "/services/oauth2/token", b"", "token"),
        ("GET", "/services/data", b"", "versions"),
        ("GET", "/services/data/v67.0/", b"", "resources"),
        ("GET", "/services/data/v67.0/limits", b"", "limits"),
        ("GET", "/services/data/v67.0/query", b"", "query"),
        ("GET", "/services/data/v67.0/query/01g-2000", b"", "query"),
        ("GET", "/services/data/v67.0/queryAll", b"", "queryAll"),
        ("GET", "/services/data/v67.0/sobjects", b"", "sobjects.list"),
        ("POST", "/services/data/v67.0/sobjects/Case", b"", "sobjects.Case.create"),
        ("GET", "/services/data/v67.0/sobjects/Case/1", b"", "sobjects.Case.get"),
        ("PATCH", "/services/data/v67.0/sobjects/Case/1", b"", "sobjects.Case.update"),
        ("DELETE", "/services/data/v67.0/sobjects/Case/1", b"", "sobjects.Case.delete"),
        ("PATCH", "/services/data/v67.0/sobjects/Case/K__c/1", b"", "sobjects.Case.upsert"),
        ("GET", "/services/data/v67.0/sobjects/Case/describe", b"", "sobjects.Case.describe"),
        ("POST", "/services/data/v67.0/composite", b"", "composite"),
        (
            "POST",
            "/services/data/v67.0/composite/sobjects",
            b'{"records":[{"attributes": {"type" : "Case"}}]}',
            "collections.Case.create",
        ),
        ("PATCH", f"/services/data/v67.0/{UPSERT}", b"", "collections.ERP_Order__c.upsert"),
        ("GET", "/elsewhere", b"", "unknown"),
    ],
)
async def test_every_request_has_a_name_for_the_fault_switch(org, method, path, body, name):
    scope = {"method": method, "path": path, "raw_path": path.encode(), "headers": []}
    assert operation_of(Request(scope, body), org.vendor._org.schema) == name


async def test_the_policy_can_be_read_and_changed_and_nonsense_is_refused(org):
    assert (await org.http.get("/_sandbox/policy")).json()["sessionSeconds"] == 7200
    assert (await org.hook("policy", lockRate=0.5)).json()["lockRate"] == 0.5
    for wrong in ({"lockRate": 2}, {"lockRate": "often"}, {"lokRate": 1}, {"duplicateRule": "?"}):
        refused = await org.hook("policy", **wrong)
        assert refused.status_code == 400
    assert (await org.http.get("/_sandbox/policy")).json()["lockRate"] == 0.5


async def test_a_killed_vendor_remembers_everything_it_answered(an_org, tmp_path):
    """Records, changed and deleted seed records, ids that are not given out again, indexes."""
    org = await an_org(tmp_path)
    kept = await org.create("ERP_Order__c", Reference__c="INV1", Net_Amount__c=10.5)
    path = f"sobjects/Account/{CUSTOMER.salesforce_account_id}"
    await org.call("PATCH", path, {"Credit_Status__c": "On Hold", "Phone": None})
    gone = await org.create("Account", Name="Gone")
    await org.call("DELETE", f"sobjects/Account/{gone}")

    again = await an_org(tmp_path)  # the first one never closed its files
    assert (await again.record("ERP_Order__c", kept))["Net_Amount__c"] == 10.5
    read = (await again.call("GET", path)).json()
    assert (read["Credit_Status__c"], read["Phone"]) == ("On Hold", None)
    assert (await again.refused("GET", f"sobjects/Account/{gone}"))[0] == 404
    upsert = await again.call("PATCH", "sobjects/ERP_Order__c/Reference__c/INV1", {})
    assert (upsert.status_code, upsert.json()["id"]) == (200, kept)
    assert await again.create("ERP_Order__c", Reference__c="INV2") > kept
    since = "2026-11-22T09:00:00Z"
    soql = f"SELECT Id FROM Account WHERE SystemModstamp >= {since}"
    assert await again.names(soql, "Id") == [CUSTOMER.salesforce_account_id]


async def test_the_ledger_says_what_changed_for_whom_and_by_which_client(org):
    path = f"sobjects/Account/ERP_Customer_No__c/{CUSTOMER.number}"
    options = {"Sforce-Call-Options": "client=crossdock"}
    await org.call("PATCH", path, {"Credit_Available__c": 99.9}, **options)
    await org.call("PATCH", "sobjects/ERP_Order__c/Reference__c/INV1", {
        "Net_Amount__c": 12.3, "Currency__c": "EUR", "Status__c": "Confirmed", "Version__c": 4,
    })  # fmt: skip
    account, order = org.ledger()
    assert (account.operation, account.external_reference) == ("Account.update", CUSTOMER.number)
    assert (str(account.amount), account.detail["client"]) == ("99.90", "crossdock")
    assert (order.operation, order.external_reference) == ("ERP_Order__c.create", "INV1")
    assert (str(order.amount), order.currency) == ("12.30", "EUR")
    assert order.detail == {"Version__c": 4.0, "Status__c": "Confirmed"}


async def test_an_address_beyond_16_kilobytes_is_refused(org):
    soql = f"SELECT Id FROM Account WHERE Name IN ('{'x' * 17_000}')"
    answer = await org.query(soql)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (414, "URI_TOO_LONG")


async def test_answers_are_json_and_the_head_of_one_has_no_body(org):
    path = f"/services/data/v67.0/sobjects/Account/{CUSTOMER.salesforce_account_id}"
    head = await org.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert "etag" in head.headers
    whole = await org.http.get(path)
    assert whole.headers["content-type"] == "application/json;charset=UTF-8"
    assert msgspec.json.decode(whole.content)["ERP_Customer_No__c"] == CUSTOMER.number


async def test_too_many_calls_that_run_for_long_hold_off_the_next_one(an_org, clock):
    """25 calls of 20 s and more at once; the short ones beside them do not count."""
    org = await an_org(policy=OrgPolicy(long_calls=2))
    allocation = org.vendor._allocation
    running = [allocation.begin() for _ in range(2)]
    clock.turn(19.9)
    assert (await org.call("GET", "limits")).status_code == 200
    clock.turn(0.1)
    assert await org.refused("GET", "limits") == (403, "REQUEST_LIMIT_EXCEEDED")
    assert org.context.limits.throttles() == {"salesforce": {"long_calls": 1}}
    allocation.end(running[0])
    assert (await org.call("GET", "limits")).status_code == 200
