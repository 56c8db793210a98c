"""What every CRM connector must do, held against a real CRM or one that speaks its protocol."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import money
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.crm import OrderReport, ProductEnquiry, Reports, WonSince
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

DEAL = next(deal for deal in SMALL.deals.values() if len(deal.lines) > 1)
BUYER = SMALL.customers[DEAL.customer]


@pytest.fixture
async def vendors():
    async with connected() as vendors:
        yield vendors


def a_report(reference="INV-1", version=1, **more):
    said = {
        "reference": reference, "version": version, "order": "ord_1",
        "customer": customer_id(BUYER.number), "commercial": "confirmed", "credit": "approved",
        "fulfilment": "released", "billing": "not-invoiced", "net_amount": money("12.30", "GBP"),
        "message": "On its way to the warehouse.", "quote": f"sf:{DEAL.id}",
        "erp_number": "S-ORD1",
    }  # fmt: skip
    return OrderReport(**said | more)


async def wins(vendors, deal):
    """A sales rep closes a deal."""
    path = f"/services/data/v67.0/sobjects/Opportunity/{deal.id}"
    answer = await vendors.crm._send("PATCH", path, body=b'{"StageName":"Closed Won"}')
    assert answer.status == 204


async def shown(vendors, reference):
    """What a sales rep sees of an order."""
    path = f"/services/data/v67.0/sobjects/ERP_Order__c/Reference__c/{reference}"
    return msgspec.json.decode((await vendors.crm._send("GET", path)).body)


async def rejected(awaitable):
    with pytest.raises(CallFailedError) as caught:
        await awaitable
    assert isinstance(caught.value.failure, Rejected)
    return caught.value.failure.reason


async def test_a_deal_comes_with_its_lines_in_one_call(vendors):
    await vendors.crm.customer_of(f"sf:{BUYER.salesforce_account_id}")
    vendors.forget_calls()
    quote = await vendors.crm.get_deal(f"sf:{DEAL.id}")
    assert vendors.calls("salesforce") == ["query"]
    assert quote.id == f"sf:{DEAL.id}"
    assert quote.customer == customer_id(DEAL.customer)
    assert (quote.currency, quote.po_number) == (DEAL.currency, DEAL.po_number)
    assert [(line.item, line.quantity, line.unit_price) for line in quote.lines] == [
        (item_id(line.item), Decimal(line.quantity), money(line.unit_price, DEAL.currency))
        for line in DEAL.lines
    ]


@pytest.mark.parametrize("reference", ["sf:006000000000000AAA", "sf:1' OR Name != '", "006", ""])
async def test_what_is_no_deal_is_not_found(vendors, reference):
    assert await rejected(vendors.crm.get_deal(reference)) == "not-found"


async def test_a_won_deal_is_found_by_polling(vendors):
    since = vendors.clock.now()
    assert DEAL.id not in [q.id for q in (await vendors.crm.won_deals(WonSince(since=since))).deals]
    await wins(vendors, DEAL)
    won = (await vendors.crm.won_deals(WonSince(since=since))).deals
    assert [quote.id for quote in won] == [f"sf:{DEAL.id}"]
    assert won[0].won
    later = WonSince(since=since + timedelta(hours=1))
    assert (await vendors.crm.won_deals(later)).deals == ()


async def test_a_cursor_leads_nowhere_but_back_to_the_query(vendors):
    query = WonSince(since=vendors.clock.now(), cursor="/services/data/v67.0/sobjects/User")
    assert await rejected(vendors.crm.won_deals(query)) == "not-found"


async def test_two_hundred_reports_are_one_call_and_each_stands_alone(vendors):
    await vendors.crm.customer_of(f"sf:{BUYER.salesforce_account_id}")
    vendors.forget_calls()
    bad = a_report("BAD", quote="sf:001000000000000AAA")  # an account is no deal
    reports = (*(a_report(f"INV-{at}") for at in range(199)), bad)
    results = (await vendors.crm.report_orders(Reports(reports=reports))).results
    assert vendors.calls("salesforce") == ["collections.ERP_Order__c.upsert"]
    assert [result.reference for result in results] == [report.reference for report in reports]
    assert all(result.done for result in results[:-1])
    assert not results[-1].done
    assert not results[-1].retryable


async def test_the_rep_sees_where_the_order_is_once_however_often_it_is_told(vendors):
    for version in (1, 2, 2):
        report = a_report(version=version, credit="held", hold_reason="Over the limit.")
        await vendors.crm.report_orders(Reports(reports=(report,)))
    row = await shown(vendors, "INV-1")
    assert row["Version__c"] == 2
    assert row["Credit_Status__c"] == "held"
    assert row["Hold_Reason__c"] == "Over the limit."
    assert row["Opportunity__c"] == DEAL.id
    assert row["Account__c"] == BUYER.salesforce_account_id
    assert row["Net_Amount__c"] == pytest.approx(12.30)
    released = a_report(version=3, erp_number=None)
    await vendors.crm.report_orders(Reports(reports=(released,)))
    row = await shown(vendors, "INV-1")
    assert row["Hold_Reason__c"] is None
    assert row["ERP_Order_No__c"] == "S-ORD1"


async def test_an_order_is_shown_even_before_its_customer_is(vendors):
    stranger = a_report(customer=customer_id("NOBODY"), quote=None)
    results = (
        await vendors.crm.report_orders(Reports(reports=(stranger, a_report("INV-2"))))
    ).results
    assert [result.done for result in results] == [True, True]
    assert (await shown(vendors, "INV-1"))["Account__c"] is None


async def test_the_cross_reference_works_both_ways_and_is_remembered(vendors):
    account = f"sf:{BUYER.salesforce_account_id}"
    link = await vendors.crm.customer_of(account)
    assert (link.account, link.customer) == (account, customer_id(BUYER.number))
    vendors.forget_calls()
    assert await vendors.crm.customer_of(customer_id(BUYER.number)) == link
    assert vendors.calls("salesforce") == []
    assert await vendors.crm.customer_of(f"bc:{BUYER.number}") == link
    assert await rejected(vendors.crm.customer_of(customer_id("NOBODY"))) == "customer-unknown"


async def test_products_are_named_as_items_in_one_call(vendors):
    """A caller may name an item by the CRM's own id, long or short; an unknown one is missing."""
    sold = [line.item for line in DEAL.lines][:2]
    path = "/services/data/v67.0/query?q=SELECT+Id,ProductCode+FROM+Product2"
    rows = msgspec.json.decode((await vendors.crm._send("GET", path)).body)["records"]
    ids = {row["ProductCode"]: row["Id"] for row in rows}
    asked = (f"sf:{ids[sold[0]]}", f"sf:{ids[sold[1]][:15]}", "sf:01t000000000000AAA")
    vendors.forget_calls()

    found = await vendors.crm.items_of(ProductEnquiry(products=asked))

    assert {link.product: link.item for link in found.links} == {
        asked[0]: item_id(sold[0]),
        asked[1]: item_id(sold[1]),
    }
    assert vendors.calls("salesforce") == ["query"]
