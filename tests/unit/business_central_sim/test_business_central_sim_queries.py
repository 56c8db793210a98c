"""Reading: the OData options that the server has, and how it refuses the others."""

from decimal import Decimal
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.anyio


async def test_a_filter_on_a_number_finds_the_customer_and_its_financial_detail(erp):
    """Equality on a code, in either case; the expansion brings balance and overdue amount."""
    [found] = await erp.rows("customers?$filter=number eq '20001'&$expand=customerFinancialDetail")

    assert found["number"] == "20001"
    assert found["customerFinancialDetail"]["id"] == found["id"]
    assert set(found["customerFinancialDetail"]) >= {"balance", "overdueAmount"}


FILTERS = [
    ("number eq '10001'", lambda row: row["number"] == "10001"),
    ("number eq '10001' or number eq '10003'", lambda row: row["number"] in {"10001", "10003"}),
    (
        "(number eq '10001') or (number eq '10002' or number eq '10003')",
        lambda row: row["number"] in {"10001", "10002", "10003"},
    ),
    ("unitPrice gt 20", lambda row: row["unitPrice"] > 20),
    ("unitPrice ge 5 and unitPrice le 10.5", lambda row: 5 <= row["unitPrice"] <= 10.5),
    ("blocked eq true", lambda row: row["blocked"]),
    ("blocked ne true and type eq 'Inventory'", lambda row: not row["blocked"]),
    ("contains(displayName,'Candle')", lambda row: "Candle" in row["displayName"]),
    ("contains(displayName,'candle')", lambda row: False),
    ("startswith(displayName,'Glazed')", lambda row: row["displayName"].startswith("Glazed")),
    ("not contains(displayName,'Candle')", lambda row: "Candle" not in row["displayName"]),
    ("displayName eq 'It''s'", lambda row: False),
    ("lastModifiedDateTime gt 2026-01-01T00:00:00Z", lambda row: False),
    ("lastModifiedDateTime ge 2026-01-01T00:00:00Z", lambda row: True),
    ("lastModifiedDateTime lt 2026-01-01T02:00:00%2B01:00", lambda row: True),
    ("number eq '10001' and unitPrice lt 0", lambda row: False),
    ("defaultDimensions/any(d:d/code eq 'X')", lambda row: True),
]


@pytest.mark.parametrize(("condition", "holds"), FILTERS)
async def test_a_filter_answers_what_holds_and_nothing_else(erp, condition, holds):
    """Held against the whole set, filtered here; `contains` minds its case."""
    everything = await erp.rows("items")

    found = await erp.rows(f"items?$filter={condition}")

    assert [row["number"] for row in found] == [r["number"] for r in everything if holds(r)]


REFUSED = [
    ("items?$filter=number eq '1' or displayName eq 'x'", 501, "BadRequest_MethodNotImplemented"),
    (
        "items?$filter=unitPrice gt 1 or (number eq '1' and blocked eq true)",
        501,
        "BadRequest_MethodNotImplemented",
    ),
    ("items?$filter=tolower(displayName) eq 'x'", 501, "BadRequest_MethodNotImplemented"),
    ("items?$search=candle", 501, "BadRequest_MethodNotImplemented"),
    ("items?$apply=aggregate($count as n)", 501, "BadRequest_MethodNotImplemented"),
    ("items?$filter=colour eq 'red'", 400, "BadRequest"),
    ("items?$filter=unitPrice eq 'x'", 400, "BadRequest"),
    ("items?$filter=number eq 10001", 400, "BadRequest"),
    ("items?$filter=lastModifiedDateTime gt yesterday", 400, "BadRequest"),
    ("items?$filter=number eq '1' and", 400, "BadRequest_InvalidRequestUrl"),
    ("items?$filter=number like '1'", 400, "BadRequest_InvalidRequestUrl"),
    ("items?$filter=" + "(" * 60 + "number eq '1'" + ")" * 60, 400, "BadRequest_InvalidRequestUrl"),
    ("items?$select=colour", 400, "BadRequest"),
    ("items?$orderby=colour", 400, "BadRequest"),
    ("items?$expand=colour", 400, "BadRequest"),
    ("items?$top=ten", 400, "BadRequest_InvalidRequestUrl"),
    ("customers?$filter=blocked eq 'Perhaps'", 400, "BadRequest"),
    ("salesOrderLines", 400, "Application_DialogException"),
    ("salesInvoiceLines?$top=1", 400, "Application_DialogException"),
    ("customerPayments", 400, "Application_DialogException"),
    ("unicorns", 404, "BadRequest_ResourceNotFound"),
    ("items(10001)", 400, "Application_InvalidGUID"),
    ("items(00000000-0000-0000-0000-00000000beef)", 404, "Internal_RecordNotFound"),
]


@pytest.mark.parametrize(("path", "status", "code"), REFUSED)
async def test_what_the_server_does_not_do_it_says(erp, problem, path, status, code):
    """501 for what it lacks, 400 for what it cannot read, 404 for what is not there."""
    assert problem(await erp.get(path))[:2] == (status, code)


async def test_pages_follow_the_next_link_to_every_row_exactly_once(erp):
    """`Prefer: odata.maxpagesize`, then the link verbatim, until there is none."""
    path, seen, pages = erp.url("items?$select=number&$orderby=number desc"), [], 0
    while path:
        page = (await erp.http.get(path, headers={"Prefer": "odata.maxpagesize=7"})).json()
        seen += [row["number"] for row in page["value"]]
        pages += 1
        link = page.get("@odata.nextLink", "")
        parts = urlsplit(link)
        path = f"{parts.path.removeprefix('/business_central')}?{parts.query}" if link else ""

    assert seen == sorted(seen, reverse=True)
    assert (len(seen), len(set(seen)), pages) == (40, 40, 6)


async def test_a_row_deleted_between_two_pages_hides_no_other(erp):
    """The next link continues behind the last row seen, wherever that is by then."""
    ids = [row["id"] for row in await erp.rows("items?$select=id")]
    first = await erp.get("items?$select=id", prefer="odata.maxpagesize=10")
    assert (await erp.delete(f"items({ids[3]})")).status_code == 204

    query = urlsplit(first.json()["@odata.nextLink"]).query
    second = await erp.get(f"items?{query}", prefer="odata.maxpagesize=10")

    assert [row["id"] for row in second.json()["value"]] == ids[10:20]


async def test_a_page_above_the_servers_largest_is_refused(erp, problem):
    """20,000 entities, then 413."""
    assert (await erp.get("items", prefer="odata.maxpagesize=20000")).status_code == 200

    assert problem(await erp.get("items", prefer="odata.maxpagesize=20001"))[0] == 413


async def test_top_skip_count_select_and_order_work_together(erp):
    """The count is of everything that matches; the rows are those asked for, with their tags."""
    everything = await erp.rows("items?$orderby=unitPrice desc,number")

    answer = (
        await erp.get(
            "items?$orderby=unitPrice desc,number&$top=3&$skip=2&$count=true&$select=number"
        )
    ).json()

    assert answer["@odata.count"] == 40
    assert [row["number"] for row in answer["value"]] == [r["number"] for r in everything[2:5]]
    assert all(set(row) == {"@odata.etag", "number"} for row in answer["value"])
    assert (await erp.get("items/$count?$filter=blocked eq false")).text.isdigit()


async def test_expansions_nest_and_take_options_of_their_own(erp):
    """Lines with their location, chosen and filtered inside the expansion."""
    [east] = await erp.rows("locations?$filter=code eq 'EAST'")
    lines = [
        {"lineObjectNumber": "10001", "quantity": 1, "locationId": east["id"]},
        {"lineObjectNumber": "10002", "quantity": 2},
    ]
    order = await erp.orders(salesOrderLines=lines)

    answer = await erp.get(
        f"salesOrders({order['id']})?$select=number&$expand=salesOrderLines"
        "($select=quantity;$filter=quantity lt 2;$expand=location($select=code))"
    )

    [line] = answer.json()["salesOrderLines"]
    assert (line["quantity"], line["location"]["code"]) == (1, "EAST")


async def test_lines_are_reached_through_their_document_or_by_their_own_id(erp):
    """Four ways to a line, and a document's id in a filter is one of them."""
    order = await erp.orders()
    [line] = order["salesOrderLines"]

    through = await erp.rows(f"salesOrders({order['id']})/salesOrderLines")
    filtered = await erp.rows(f"salesOrderLines?$filter=documentId eq {order['id']}")
    alone = (await erp.get(f"salesOrderLines({line['id']})")).json()
    nested = (await erp.get(f"salesOrders({order['id']})/salesOrderLines({line['id']})")).json()

    assert [through[0]["id"], filtered[0]["id"], alone["id"], nested["id"]] == [line["id"]] * 4


async def test_every_entity_carries_a_tag_and_a_guid(erp):
    """`@odata.etag` is weak and differs from record to record."""
    for name in ("customers", "items", "locations", "currencies", "paymentTerms", "taxAreas"):
        rows = await erp.rows(name)
        tags = {row["@odata.etag"] for row in rows}
        assert len(tags) == len(rows) == len({row["id"] for row in rows})
        assert all(tag.startswith('W/"') and tag.endswith('"') for tag in tags)


async def test_exchange_rates_are_read_by_currency_and_not_written(erp, small_world):
    """So many of the local currency for a hundred of another; a page without insert refuses."""
    rows = await erp.rows(
        "currencyExchangeRates?$filter=currencyCode eq 'EUR'&$orderby=startingDate desc&$top=1"
    )
    refused = await erp.post("currencyExchangeRates", {"currencyCode": "EUR"})

    [rate] = rows
    worth = Decimal(str(rate["relationalExchangeRateAmount"])) / int(rate["exchangeRateAmount"])
    assert worth == small_world.currencies["EUR"].gbp_per_unit
    assert await erp.rows("currencyExchangeRates?$filter=currencyCode eq 'GBP'") == []
    assert refused.status_code == 400


async def test_changes_can_be_read_by_time_of_modification(erp):
    """What the next incremental read must find: the changed ones, oldest first."""
    mark = erp.clock.now().isoformat().replace("+00:00", "Z")
    for number in ("20003", "20002"):
        erp.clock.passes(seconds=1)
        customer = await erp.customer(number)
        await erp.patch(f"customers({customer['id']})", {"creditLimit": 4321})

    changed = await erp.rows(
        f"customers?$filter=lastModifiedDateTime gt {mark}&$orderby=lastModifiedDateTime"
    )

    assert [row["number"] for row in changed] == ["20003", "20002"]


async def test_the_metadata_names_every_set_and_reads_as_xml(erp):
    """EDMX with the entity container; no entity set is missing from it."""
    from xml.etree import ElementTree as ET

    answer = await erp.http.get(f"{erp.root}/v2.0/$metadata")

    tree = ET.fromstring(answer.text)
    names = {node.get("Name") for node in tree.iter() if node.tag.endswith("}EntitySet")}
    assert {"customers", "items", "salesOrders", "salesOrderLines", "salesShipments"} <= names


async def test_the_price_page_resolves_what_a_line_would_cost(erp):
    """Every break that netPrices shows is what the same quantity on a quote line is priced at."""
    numbers = [row["number"] for row in await erp.rows("items?$filter=blocked eq false&$top=12")]
    either = " or ".join(f"itemNumber eq '{number}'" for number in numbers)
    api = "crossdock/pricing/v1.0"
    for customer in ("20001", "20009", "20011"):
        path = f"netPrices?$filter=customerNumber eq '{customer}' and ({either})"
        rows = await erp.rows(path, api)
        assert {row["itemNumber"] for row in rows} == set(numbers)
        lines = [
            {"lineObjectNumber": row["itemNumber"], "quantity": max(row["minimumQuantity"], 0.5)}
            for row in rows
        ]
        quote = await erp.post(
            "salesQuotes?$expand=salesQuoteLines",
            {"customerNumber": customer, "salesQuoteLines": lines},
        )
        priced = quote.json()["salesQuoteLines"]
        assert [line["unitPrice"] for line in priced] == [row["unitPrice"] for row in rows]
        assert {row["currencyCode"] for row in rows} == {quote.json()["currencyCode"]}


async def test_the_custom_pages_want_a_customer_and_are_missing_without_the_extension(
    erp, make_erp, problem
):
    """400 without a customer in the filter; 404 in a tenant that lacks our pages."""
    from deploy.sandbox.business_central import Tenant

    api = "crossdock/pricing/v1.0"
    assert problem(await erp.get("netPrices", api))[0] == 400
    assert await erp.rows("openOrderAmounts?$filter=customerNumber eq 'NOBODY'", api) == []

    bare = await make_erp(tenant=Tenant(custom_pages=False)).opens()

    refused = await bare.get("netPrices?$filter=customerNumber eq '20001'", api)
    assert problem(refused)[:2] == (404, "BadRequest_ResourceNotFound")


async def test_some_versions_fail_on_a_filter_over_blocked(make_erp, problem):
    """A tenant can be set to be such a version."""
    from deploy.sandbox.business_central import Tenant

    old = await make_erp(tenant=Tenant(filters_blocked=False)).opens()

    assert problem(await old.get("customers?$filter=blocked eq 'All'"))[0] == 400
    assert (await old.get("items?$filter=blocked eq true")).status_code == 200
