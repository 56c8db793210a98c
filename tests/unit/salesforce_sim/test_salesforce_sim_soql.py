"""SOQL: what it finds, how it pages, and what it refuses."""

import pytest

from deploy.sandbox.identifiers import salesforce_id
from deploy.sandbox.salesforce import OrgPolicy
from tests.sandbox_callers import SMALL

pytestmark = pytest.mark.anyio
CUSTOMERS = list(SMALL.customers.values())
ITEMS = list(SMALL.items.values())
DEALS = list(SMALL.deals.values())
FIRST = CUSTOMERS[0]


def accounts(wanted):
    return sorted(c.number for c in CUSTOMERS if wanted(c))


FILTERS = [
    ("BillingCountry = 'GB'", lambda c: c.country == "GB"),
    ("billingcountry = 'gb'", lambda c: c.country == "GB"),
    ("BillingCountry != 'GB'", lambda c: c.country != "GB"),
    ("NOT BillingCountry = 'GB'", lambda c: c.country != "GB"),
    ("BillingState = null", lambda c: not c.state),
    ("BillingState != null", lambda c: bool(c.state)),
    ("BillingState != 'TX'", lambda c: c.state != "TX"),
    ("ERP_Customer_No__c < '20010'", lambda c: c.number < "20010"),
    ("ERP_Customer_No__c <= '20010'", lambda c: c.number <= "20010"),
    ("ERP_Customer_No__c > '20050'", lambda c: c.number > "20050"),
    ("ERP_Customer_No__c >= '20050'", lambda c: c.number >= "20050"),
    ("ERP_Customer_No__c IN ('20003', '20001', 'none')", lambda c: c.number in {"20001", "20003"}),
    ("BillingCountry NOT IN ('GB','DE')", lambda c: c.country not in {"GB", "DE"}),
    ("Name LIKE '%a_d%'", lambda c: any(
        c.name.lower()[at] == "a" and c.name.lower()[at + 2] == "d" for at in range(len(c.name) - 2)
    )),
    ("Name LIKE '50\\%%'", lambda c: c.name.startswith("50%")),
    ("BillingCountry = 'GB' AND CurrencyIsoCode = 'GBP' AND Name LIKE 'a%'",
     lambda c: c.country == "GB" and c.name.lower().startswith("a")),
    ("BillingCountry = 'GB' OR BillingCountry = 'DE'", lambda c: c.country in {"GB", "DE"}),
    ("(BillingCountry = 'GB' OR BillingCountry = 'DE') AND NOT (Name LIKE 'a%' OR Name LIKE 'b%')",
     lambda c: c.country in {"GB", "DE"} and c.name[0].lower() not in "ab"),
    ("SystemModstamp > 2026-01-05T08:00:00Z", lambda c: False),
    ("SystemModstamp >= 2026-01-05T09:00:00+01:00", lambda c: True),
    ("SystemModstamp < 2026-01-05T08:00:00.001Z AND IsDeleted = false", lambda c: True),
    ("CreatedDate < TODAY", lambda c: True),
    ("CreatedDate = LAST_N_DAYS:30", lambda c: False),
    ("CreatedDate >= THIS_YEAR", lambda c: True),
    ("CreatedDate = LAST_MONTH", lambda c: False),
    ("Owner.Username = 'sales@crossdock.example'", lambda c: True),
    ("Account.BillingCountry = 'FR'", lambda c: c.country == "FR"),
    (f"Id = '{FIRST.salesforce_account_id[:15]}'", lambda c: c is FIRST),
    ("Id IN (SELECT AccountId FROM Opportunity WHERE CurrencyIsoCode != 'GBP')",
     lambda c: any(d.customer == c.number and d.currency != "GBP" for d in DEALS)),
    ("Id NOT IN (SELECT AccountId FROM Opportunity)",
     lambda c: all(d.customer != c.number for d in DEALS)),
]  # fmt: skip


@pytest.mark.parametrize(("where", "wanted"), FILTERS, ids=[where for where, _ in FILTERS])
async def test_a_filter_finds_exactly_what_it_says(shared_org, where, wanted):
    found = await shared_org.names(
        f"SELECT ERP_Customer_No__c FROM Account WHERE {where}", "ERP_Customer_No__c"
    )
    assert sorted(found) == accounts(wanted)


@pytest.mark.parametrize("where", [where for where, _ in FILTERS])
async def test_an_index_changes_nothing_but_the_time(shared_org, where):
    """Inside an OR no index may be used: the answer must be the same."""
    indexed = await shared_org.names(f"SELECT Id FROM Account WHERE {where} ORDER BY Id", "Id")
    scanned = f"SELECT Id FROM Account WHERE ({where}) OR Name = 'nobody' ORDER BY Id"
    assert await shared_org.names(scanned, "Id") == indexed


async def test_a_deal_comes_with_its_account_and_lines(shared_org, deal):
    soql = (
        "SELECT Id, o.Amount, Account.Name, Account.Owner.Name, "
        "(SELECT Quantity, UnitPrice, PricebookEntry.Product2.ProductCode FROM "
        "OpportunityLineItems ORDER BY Quantity DESC LIMIT 1) FROM Opportunity o "
        f"WHERE o.Id = '{deal.id}'"
    )
    (row,) = await shared_org.rows(soql)
    customer = SMALL.customers[deal.customer]
    most = max(deal.lines, key=lambda line: line.quantity)

    assert row["attributes"]["url"] == f"/services/data/v67.0/sobjects/Opportunity/{deal.id}"
    assert row["Account"]["Name"] == customer.name
    assert row["Account"]["attributes"]["type"] == "Account"
    assert row["Account"]["Owner"]["Name"] == "Sales Desk"
    lines = row["OpportunityLineItems"]
    assert (lines["totalSize"], lines["done"]) == (1, True)
    (line,) = lines["records"]
    assert line["Quantity"] == most.quantity
    total = sum(line.unit_price * line.quantity for line in deal.lines)
    assert row["Amount"] == float(total)
    codes = {x.item for x in deal.lines if x.quantity == most.quantity}
    assert line["PricebookEntry"]["Product2"]["ProductCode"] in codes


async def test_a_parent_or_children_that_are_not_there_are_null(org):
    await org.create("Account", Name="Alone")
    soql = "SELECT Parent.Name, (SELECT Id FROM Contacts) FROM Account WHERE Name = 'Alone'"
    (row,) = await org.rows(soql)
    assert (row["Parent"], row["Contacts"]) == (None, None)


async def test_rows_are_ordered_nulls_first_and_cut(shared_org):
    cities = await shared_org.names(
        "SELECT BillingCity FROM Account ORDER BY BillingCity DESC", "BillingCity"
    )
    assert cities == sorted((c.city for c in CUSTOMERS), key=str.lower, reverse=True)
    states = "SELECT BillingState FROM Account ORDER BY BillingState"
    first = await shared_org.names(f"{states} ASC LIMIT 1", "BillingState")
    last = await shared_org.names(f"{states} DESC NULLS LAST LIMIT 1", "BillingState")
    known = sorted(c.state for c in CUSTOMERS if c.state)
    assert (first, last) == ([None], known[-1:])
    numbers = await shared_org.names(
        "SELECT ERP_Customer_No__c FROM Account ORDER BY BillingCountry DESC, ERP_Customer_No__c "
        "LIMIT 5 OFFSET 3",
        "ERP_Customer_No__c",
    )
    ordered = sorted(CUSTOMERS, key=lambda c: c.number)
    ordered.sort(key=lambda c: c.country, reverse=True)
    assert numbers == [c.number for c in ordered[3:8]]


async def test_count_answers_a_number_and_no_rows(shared_org):
    page = (await shared_org.query("SELECT COUNT() FROM Product2 WHERE IsActive = true")).json()
    active = sum(not item.blocked for item in ITEMS)
    assert page == {"totalSize": active, "done": True, "records": []}


async def test_all_fields_can_be_had_for_few_rows(shared_org):
    (row,) = await shared_org.rows("SELECT FIELDS(ALL) FROM Product2 LIMIT 1")
    assert (row["ProductCode"], row["Family"]) == (ITEMS[0].number, ITEMS[0].category)
    assert {"Id", "SystemModstamp", "IsDeleted", "Description"} <= set(row)
    (row,) = await shared_org.rows("SELECT FIELDS(CUSTOM) FROM Account LIMIT 1")
    assert {"ERP_Customer_No__c", "Credit_Status__c"} <= set(row)
    assert "Name" not in row


@pytest.mark.parametrize(
    "text", ["O'Neil \\ Sons", "100% \\% _x", "tab\there", '"quoted"', "back\\\\slash%"]
)
async def test_a_string_that_is_escaped_is_found_again(org, text):
    await org.create("Account", Name=text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\t", "\\t")
    assert await org.names(f"SELECT Name FROM Account WHERE Name = '{escaped}'") == [text]
    literal = escaped.replace("%", "\\%").replace("_", "\\_")
    assert await org.names(f"SELECT Name FROM Account WHERE Name LIKE '{literal}'") == [text]


MALFORMED = [
    ("SELECT", "MALFORMED_QUERY"),
    ("SELECT Id FROM", "MALFORMED_QUERY"),
    ("SELECT Id Account", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY"),
    ('SELECT Id FROM Account WHERE Name = "a"', "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name == 'a'", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE SystemModstamp > 2026-13-01T00:00:00Z", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account LIMIT -1", "MALFORMED_QUERY"),
    ("SELECT COUNT(Id), Name FROM Account GROUP BY Name", "MALFORMED_QUERY"),
    ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account; DELETE", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
    ("SELECT Nmae FROM Account", "INVALID_FIELD"),
    ("SELECT Id, Id FROM Account", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE Nmae = 'x'", "INVALID_FIELD"),
    ("SELECT Id FROM Account ORDER BY Nmae", "INVALID_FIELD"),
    ("SELECT Owwner.Name FROM Account", "INVALID_FIELD"),
    ("SELECT Account.Nmae FROM Opportunity", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE IsWon = 'true'", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE Amount > '5'", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE Name = 5", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE SystemModstamp > '2026-11-22T00:00:00Z'", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE SystemModstamp > 2026-11-22", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE Description = 'x'", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE Amount LIKE '5%'", "INVALID_QUERY_FILTER_OPERATOR"),
    ("SELECT Id FROM Opportunity WHERE AccountId = '42'", "INVALID_QUERY_FILTER_OPERATOR"),
    ("SELECT Id FROM Opportunity WHERE IsWon > true", "INVALID_QUERY_FILTER_OPERATOR"),
    ("SELECT Id FROM Opportunities", "INVALID_TYPE"),
    ("SELECT Id, (SELECT Id FROM Lines) FROM Opportunity", "INVALID_TYPE"),
]


@pytest.mark.parametrize(("soql", "code"), MALFORMED, ids=[soql for soql, _ in MALFORMED])
async def test_a_query_that_cannot_be_understood_is_refused(shared_org, soql, code):
    answer = await shared_org.query(soql)
    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"]) == (400, code)


async def test_a_refusal_points_at_the_place(shared_org):
    (error,) = (await shared_org.query("SELECT Id, Nmae FROM Account")).json()
    assert "ERROR at Row:1:Column:12" in error["message"]
    assert "No such column 'Nmae' on entity 'Account'" in error["message"]
    before, caret = error["message"].split("\n")[1:3]
    assert before[caret.index("^") :].startswith("Nmae")


async def test_a_long_answer_comes_in_pages_that_show_the_moment_of_the_query(org):
    rows = [
        {"attributes": {"type": "ERP_Order__c"}, "Reference__c": f"R{n:04}"} for n in range(200)
    ]
    for start in range(0, 600, 200):
        batch = [{**row, "Reference__c": f"R{start + n:04}"} for n, row in enumerate(rows)]
        await org.call("POST", "composite/sobjects", {"records": batch})
    soql = "SELECT Reference__c, Status__c FROM ERP_Order__c ORDER BY Reference__c"
    options = {"Sforce-Query-Options": "batchSize=250"}
    page = (await org.query(soql, **options)).json()
    sizes, seen = [len(page["records"])], list(page["records"])
    assert (page["totalSize"], page["done"]) == (600, False)
    await org.call("PATCH", "sobjects/ERP_Order__c/Reference__c/R0599", {"Status__c": "Later"})
    while not page["done"]:
        assert page["nextRecordsUrl"].startswith("/services/data/v67.0/query/01g")
        page = (await org.http.get(page["nextRecordsUrl"])).json()
        sizes.append(len(page["records"]))
        seen.extend(page["records"])
    assert sizes == [250, 250, 100]
    assert [row["Reference__c"] for row in seen] == [f"R{n:04}" for n in range(600)]
    assert seen[-1]["Status__c"] is None


@pytest.mark.parametrize(("asked", "given"), [("1", 200), ("200", 200), ("400", 400), ("x", 450)])
async def test_a_page_holds_200_to_2000_rows(org, asked, given):
    for start in (0, 200, 400):
        batch = [
            {"attributes": {"type": "Case"}, "Subject": str(n)}
            for n in range(start, min(start + 200, 450))
        ]
        await org.call("POST", "composite/sobjects", {"records": batch})
    options = {"Sforce-Query-Options": f"batchSize={asked}"}
    page = (await org.query("SELECT Id FROM Case", **options)).json()
    assert len(page["records"]) == given


async def test_a_cursor_dies_of_age_and_of_too_many(an_org, clock):
    org = await an_org(policy=OrgPolicy(query_cursors=2, session_seconds=10**7))
    for at in range(2):
        batch = [{"attributes": {"type": "Case"}, "Subject": f"{at}-{n}"} for n in range(150)]
        await org.call("POST", "composite/sobjects", {"records": batch})
    options = {"Sforce-Query-Options": "batchSize=200"}
    pages = [(await org.query("SELECT Id FROM Case", **options)).json() for _ in range(3)]
    codes = [(await org.http.get(page["nextRecordsUrl"])).status_code for page in pages]
    assert codes == [400, 200, 200]

    clock.turn(172_801)
    dead = await org.http.get(pages[2]["nextRecordsUrl"])
    assert (dead.status_code, dead.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    assert (await org.refused("GET", "query/01gnone-2000"))[1] == "INVALID_QUERY_LOCATOR"


async def test_query_all_sees_the_recycle_bin(org):
    account = await org.create("Account", Name="Gone")
    await org.call("DELETE", f"sobjects/Account/{account}")
    soql = "SELECT Id, IsDeleted FROM Account WHERE Name = 'Gone'"
    assert await org.rows(soql) == []
    (row,) = (await org.query(soql, "queryAll")).json()["records"]
    assert (row["Id"], row["IsDeleted"]) == (account, True)


async def test_polling_by_modification_time_finds_every_change_in_order(org, clock):
    """Stamps have whole seconds, so a poller must overlap: two changes share one here."""
    ids = [deal.id for deal in DEALS[:4]]
    for at, deal in enumerate(ids):
        clock.turn((10, 10, 0, 10)[at])
        await org.call("PATCH", f"sobjects/Opportunity/{deal}", {"StageName": "Closed Won"})
    since = "2026-11-22T09:00:20Z"
    poll = (
        "SELECT Id FROM Opportunity WHERE IsWon = true AND SystemModstamp {} {} "
        "ORDER BY SystemModstamp"
    )
    assert await org.names(poll.format(">=", since), "Id") == ids[1:]
    assert await org.names(poll.format(">", since), "Id") == ids[3:]
    await org.call("PATCH", f"sobjects/Opportunity/{ids[0]}", {"NextStep": "ship"})
    assert set(await org.names(poll.format(">", since), "Id")) == {ids[0], ids[3]}


async def test_a_query_by_key_costs_no_scan(org):
    """Counted, not timed: of 60 accounts the filter is asked of one."""
    from deploy.sandbox.salesforce.soql.filtering import candidates
    from deploy.sandbox.salesforce.soql.parser import parse

    simulated = org.vendor._org
    account = simulated.schema.objects["Account"]
    opportunity = simulated.schema.objects["Opportunity"]
    deal = DEALS[0]
    await org.call("PATCH", f"sobjects/Opportunity/{deal.id}", {"StageName": "Closed Won"})

    def asked(sobject, where):
        query = parse(f"SELECT Id FROM X WHERE {where}", org.clock.now())
        return len(list(candidates(simulated, sobject, query.where)))

    stranger = salesforce_id("001", 1)
    assert asked(account, "ERP_Customer_No__c = '20007' AND Name LIKE '%a%'") == 1
    assert asked(account, "ERP_Customer_No__c IN ('20007', '20008', 'x')") == 2
    assert asked(account, f"Id IN ('{FIRST.salesforce_account_id}', '{stranger}')") == 1
    assert asked(opportunity, "IsWon = true AND SystemModstamp > 2025-01-01T00:00:00Z") == 1
    assert asked(opportunity, "IsWon = false AND SystemModstamp > 2026-11-01T00:00:00Z") == 1
    assert asked(opportunity, "IsWon = false AND SystemModstamp > 2026-12-01T00:00:00Z") == 0
    mine = SMALL.customers[deal.customer].salesforce_account_id
    same = sum(other.customer == deal.customer for other in DEALS)
    assert asked(opportunity, f"AccountId = '{mine}' AND Amount > 0") == same
