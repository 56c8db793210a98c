"""What every CRM connector must show of shipments and invoices, and read back of orders."""

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.ids import customer_id
from contracts.canonical.money import money
from contracts.outcomes import CallFailedError
from contracts.ports.changes import Changes
from contracts.ports.crm import DocumentReport, DocumentReports, OrderReport, Reports
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

DEAL = next(deal for deal in SMALL.deals.values() if len(deal.lines) > 1)
BUYER = SMALL.customers[DEAL.customer]
DAY = date(2026, 11, 22)


@pytest.fixture
async def vendors():
    async with connected() as vendors:
        yield vendors


def an_order(reference="INV-1", version=1, **more):
    said = {
        "reference": reference, "version": version, "order": "ord_1",
        "customer": customer_id(BUYER.number), "commercial": "confirmed", "credit": "approved",
        "fulfilment": "released", "billing": "not-invoiced", "net_amount": money("12.30", "GBP"),
        "message": "On its way to the warehouse.", "quote": f"sf:{DEAL.id}",
        "erp_number": "S-ORD1",
    }  # fmt: skip
    return OrderReport(**said | more)


def an_invoice(number="PS-INV1", version=1, remaining="12.00", **more):
    said = {
        "reference": "INV-1", "version": version, "order": "ord_1", "kind": "invoice",
        "number": number, "on": DAY, "amount": money("12.00", "GBP"),
        "remaining": money(remaining, "GBP"),
    }  # fmt: skip
    return DocumentReport(**said | more)


def a_shipment(number="PS-SHPT1", version=1, **more):
    said = {
        "reference": "INV-1", "version": version, "order": "ord_1", "kind": "shipment",
        "number": number, "on": DAY, "pieces": Decimal(7), "tracking": "XD1GB",
    }  # fmt: skip
    return DocumentReport(**said | more)


async def row(vendors, path):
    found = await vendors.crm._send("GET", f"/services/data/v67.0/sobjects/{path}")
    return msgspec.json.decode(found.body)


async def told(vendors, *reports):
    results = (await vendors.crm.report_documents(DocumentReports(reports=reports))).results
    assert [result.reference for result in results] == [report.reference for report in reports]
    return results


async def test_a_rep_sees_shipments_and_invoices_beside_the_order(vendors):
    await vendors.crm.report_orders(Reports(reports=(an_order(),)))
    assert all(result.done for result in await told(vendors, a_shipment(), an_invoice()))
    order = await row(vendors, "ERP_Order__c/Reference__c/INV-1")
    shipment = await row(vendors, "Shipment__c/Shipment_No__c/PS-SHPT1")
    invoice = await row(vendors, "ERP_Invoice__c/Invoice_No__c/PS-INV1")
    assert shipment["ERP_Order__c"] == invoice["ERP_Order__c"] == order["Id"]
    assert (shipment["Quantity__c"], shipment["Tracking_No__c"]) == (7, "XD1GB")
    assert (invoice["Total_Amount__c"], invoice["Remaining_Amount__c"]) == (12.0, 12.0)
    assert invoice["Status__c"] == "open"


async def test_the_newest_version_is_shown_whatever_order_they_come_in(vendors):
    await vendors.crm.report_orders(Reports(reports=(an_order(),)))
    paid = an_invoice(version=3, remaining="0.00")
    part = an_invoice(version=2, remaining="5.00")
    assert all(one.done for one in await told(vendors, an_invoice(), paid, part))
    for late in (part, an_invoice(), paid):
        (result,) = await told(vendors, late)
        assert result.done
    invoice = await row(vendors, "ERP_Invoice__c/Invoice_No__c/PS-INV1")
    assert (invoice["Version__c"], invoice["Status__c"]) == (3, "paid")
    assert invoice["Remaining_Amount__c"] == 0


async def test_a_document_before_its_order_waits_and_the_others_are_told(vendors):
    await vendors.crm.report_orders(Reports(reports=(an_order(),)))
    early = an_invoice("PS-INV2", reference="INV-2")
    late, fine = await told(vendors, early, an_invoice())
    assert (late.done, late.retryable, fine.done) == (False, True, True)
    await vendors.crm.report_orders(Reports(reports=(an_order("INV-2"),)))
    (again,) = await told(vendors, early)
    assert again.done


async def test_two_hundred_documents_of_a_kind_are_two_calls(vendors):
    await vendors.crm.report_orders(Reports(reports=(an_order(),)))
    vendors.forget_calls()
    await told(vendors, *(an_invoice(f"PS-INV{at}") for at in range(200)))
    assert vendors.calls("salesforce") == ["query", "collections.ERP_Invoice__c.upsert"]


async def test_what_was_told_of_orders_is_read_back(vendors):
    reports = (an_order(), an_order("INV-2", version=4, hold_reason="Over.", credit="held"))
    before = vendors.clock.now() - timedelta(seconds=5)
    await vendors.crm.report_orders(Reports(reports=reports))
    page = await vendors.crm.list_reports(Changes(since=before))
    assert set(page.reports) == set(reports)
    later = vendors.clock.now() + timedelta(hours=1)
    assert (await vendors.crm.list_reports(Changes(since=later))).reports == ()


async def test_reports_are_read_back_over_all_pages(vendors):
    for start in (0, 200, 400):
        reports = tuple(an_order(f"INV-{at}") for at in range(start, start + 200))
        await vendors.crm.report_orders(Reports(reports=reports))
    found, cursor = [], None
    while True:
        page = await vendors.crm.list_reports(Changes(cursor=cursor))
        found += [report.reference for report in page.reports]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(f"INV-{at}" for at in range(600))


async def test_a_cursor_leads_nowhere_else(vendors):
    with pytest.raises(CallFailedError) as caught:
        await vendors.crm.list_reports(Changes(cursor="/services/data/v67.0/sobjects/User"))
    assert caught.value.failure.reason == "not-found"
