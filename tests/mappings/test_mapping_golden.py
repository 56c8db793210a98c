"""Every mapping, held by golden files: what the vendor writes beside what we make of it.

A file has a `wire` side and a `canonical` side. Whichever is given to the mapping, the other one
must come out, every field of it. Renaming a vendor's field changes `wire.py` and these files only.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.canonical.documents import CreditMemoRequest, ShippedLine
from contracts.canonical.ids import customer_id
from contracts.ports.crm import DocumentReports, OrderReport
from contracts.ports.erp import PlaceErpOrder
from contracts.ports.wms import ReleaseOrder
from system_apis.crm.salesforce import mapping as sf
from system_apis.crm.salesforce import wire as sf_wire
from system_apis.erp.business_central import mapping as bc
from system_apis.erp.business_central import wire as bc_wire
from system_apis.wms.shiphero import mapping as sh
from system_apis.wms.shiphero import wire as sh_wire
from system_apis.wms.shiphero import wire_graphql as sh_graphql

GOLDEN = Path(__file__).parent / "golden"
AS_OF = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
WHO = customer_id("20001")


def read(decoder: Any, wire: Any) -> Any:
    return decoder.decode(msgspec.json.encode(wire))


def bc_customer(wire: Any) -> Any:
    return [bc.customer(one, "GBP") for one in read(bc_wire.customers_decoder, wire).value]


def bc_item(wire: Any) -> Any:
    return [bc.item(one, "GBP") for one in read(bc_wire.items_decoder, wire).value]


def bc_ladders(wire: Any) -> Any:
    return bc.ladders(read(bc_wire.prices_decoder, wire).value, WHO, "GBP", AS_OF)


def bc_quote_ladders(wire: Any) -> Any:
    lines = read(bc_wire.quote_decoder, wire).sales_quote_lines
    return bc.ladders_of_quote(lines, WHO, "EUR", AS_OF)


def bc_credit(wire: Any) -> Any:
    (customer,) = read(bc_wire.customers_decoder, wire["customers"]).value
    (amounts,) = read(bc_wire.open_orders_decoder, wire["openOrderAmounts"]).value
    return bc.credit_position(customer, amounts, "GBP", AS_OF)


def bc_order(wire: Any) -> Any:
    return bc.order(read(bc_wire.order_decoder, wire), "INV-1", "GBP", was_there=False)


def bc_rate(wire: Any) -> Any:
    return [bc.exchange_rate(one, "EUR") for one in read(bc_wire.rates_decoder, wire).value]


def bc_documents(wire: Any) -> Any:
    shipments = read(bc_wire.shipments_decoder, wire["shipments"]).value
    invoices = read(bc_wire.invoices_decoder, wire["invoices"]).value
    completed = bc.order_of_invoices(invoices, "INV-1", "GBP")
    return [*bc.documents(shipments, invoices, "GBP"), completed]


def sf_deal(wire: Any) -> Any:
    (deal,) = read(sf_wire.deals_decoder, wire).records
    return sf.deal(deal, deal.OpportunityLineItems.records, "GBP")


def sf_results(wire: Any) -> Any:
    results = read(sf_wire.results_decoder, wire)
    return [sf.report_result(f"INV-{at}", result) for at, result in enumerate(results)]


def sh_order(wire: Any) -> Any:
    payloads = read(sh_wire.mutated_decoder, wire).data.values()
    return [sh.warehouse_order(one.order, "INV-1", was_there=True) for one in payloads]


def sh_stock(wire: Any) -> Any:
    payloads = read(sh_wire.products_decoder, wire).data.values()
    return sh.stock_positions([one.data for one in payloads if one is not None], AS_OF)


def sh_packages(wire: Any) -> Any:
    (shipment,) = [edge.node for edge in _only(sh_wire.shipments_decoder, wire["shipments"]).edges]
    packed = _only(sh_wire.shipment_lines_decoder, wire["lines"]).line_items
    return sh.packages(shipment, [edge.node for edge in packed.edges])


def _only(decoder: Any, wire: Any) -> Any:
    (payload,) = read(decoder, wire).data.values()
    return payload.data


def sf_shown(wire: Any) -> Any:
    return [sf.shown_report(row, "GBP") for row in read(sf_wire.shown_decoder, wire).records]


def bc_to_ship(wire: Any) -> Any:
    (order,) = read(bc_wire.orders_decoder, wire["orders"]).value
    left = msgspec.convert(wire["left"], list[ShippedLine], strict=False)
    return bc.still_to_ship(order.sales_order_lines, left)


def sf_documents(canonical: Any) -> bytes:
    reports = msgspec.convert(canonical, DocumentReports, strict=False).reports
    made = [
        sf.shipment_record(one) if one.kind == "shipment" else sf.invoice_record(one)
        for one in reports
    ]
    return sf_wire.encode(sf_wire.Upsert(records=made))


def bc_new_order(canonical: Any) -> bytes:
    return bc_wire.encode(bc.new_order(msgspec.convert(canonical, PlaceErpOrder, strict=False)))


def bc_new_credit_memo(canonical: Any) -> bytes:
    memo = msgspec.convert(canonical, CreditMemoRequest, strict=False)
    return bc_wire.encode(bc.new_credit_memo(memo))


def sf_order_record(canonical: Any) -> bytes:
    report = msgspec.convert(canonical, OrderReport, strict=False)
    return sf_wire.encode(sf_wire.Upsert(records=[sf.order_record(report)]))


def sh_new_order(canonical: Any) -> bytes:
    wanted = msgspec.convert(canonical, ReleaseOrder, strict=False)
    places = {"EAST": "V2FyZWhvdXNlOjgwMDEx"}
    return sh_graphql.encode(sh.new_order(wanted, shop_name="Crossdock", warehouse_ids=places))


INBOUND = (bc_customer, bc_item, bc_ladders, bc_quote_ladders, bc_credit, bc_order, bc_rate,
           bc_documents, bc_to_ship, sf_deal, sf_results, sf_shown, sh_order, sh_packages,
           sh_stock)  # fmt: skip
OUTBOUND = (bc_new_order, bc_new_credit_memo, sf_order_record, sf_documents, sh_new_order)


def golden(mapped: Any) -> Any:
    return msgspec.json.decode((GOLDEN / f"{mapped.__name__}.json").read_bytes())


@pytest.mark.parametrize("mapped", INBOUND, ids=lambda mapped: mapped.__name__)
def test_what_the_vendor_writes_becomes_what_we_say(mapped):
    file = golden(mapped)
    assert msgspec.json.decode(msgspec.json.encode(mapped(file["wire"]))) == file["canonical"]


@pytest.mark.parametrize("mapped", OUTBOUND, ids=lambda mapped: mapped.__name__)
def test_what_we_say_becomes_what_the_vendor_reads(mapped):
    file = golden(mapped)
    assert msgspec.json.decode(mapped(file["canonical"])) == file["wire"]


def test_every_golden_file_is_used():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {
        mapped.__name__ for mapped in (*INBOUND, *OUTBOUND)
    }


def test_an_option_the_vendor_adds_to_a_block_blocks_everything():
    """An unknown block is read as the strictest, never as none."""
    wire = golden(bc_customer)["wire"]
    wire["value"][0]["blocked"] = "Privacy"
    assert bc_customer(wire)[0].blocked == "all"


def test_what_is_too_long_for_the_vendor_is_cut_and_not_refused_by_it():
    canonical = golden(bc_new_order)["canonical"]
    canonical["lines"][0]["description"] = "x" * 300
    canonical["shipTo"]["city"] = "y" * 50
    made = msgspec.json.decode(bc_new_order(canonical))
    assert len(made["salesOrderLines"][0]["description"]) == 100
    assert len(made["shipToCity"]) == 30
