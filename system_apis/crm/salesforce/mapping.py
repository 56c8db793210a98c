"""Between Salesforce's records and the canonical model; pure, held by golden files."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from contracts.canonical.documents import Quote
from contracts.canonical.ids import customer_id, item_id, number_of
from contracts.canonical.money import Money
from contracts.canonical.order import OrderLineRequest
from contracts.ports.crm import (
    AccountLink,
    DocumentReport,
    OrderReport,
    ProductLink,
    ReportResult,
)
from system_apis.crm.salesforce import wire

__all__ = [
    "account_link",
    "deal",
    "invoice_record",
    "order_record",
    "product_link",
    "report_result",
    "shipment_record",
    "shown_report",
    "versions",
    "without_account",
]

_CENT: Final = Decimal("0.01")
PREFIX: Final = "sf:"
_MAY_SUCCEED: Final = wire.NOT_NOW | {wire.WRITTEN_MEANWHILE}


def order_record(report: OrderReport) -> wire.OrderRecord:
    """Map where an order stands to the row a sales rep sees."""
    unset = msgspec.UNSET
    reason = report.hold_reason
    return wire.OrderRecord(
        Reference__c=report.reference,
        Status__c=report.commercial,
        Credit_Status__c=report.credit,
        Fulfilment_Status__c=report.fulfilment,
        Billing_Status__c=report.billing,
        Message__c=report.message[: wire.LONGEST_MESSAGE],
        Order_Id__c=report.order,
        Net_Amount__c=report.net_amount.amount,
        Currency__c=report.net_amount.currency,
        Version__c=report.version,
        Hold_Reason__c=reason[: wire.LONGEST_REASON] if reason else None,
        ERP_Order_No__c=report.erp_number or unset,
        Warehouse_Order_No__c=report.warehouse_number or unset,
        Opportunity__c=report.quote.removeprefix(PREFIX) if report.quote else unset,
        Account__r=wire.AccountKey(ERP_Customer_No__c=number_of(report.customer)),
    )


def without_account(record: wire.OrderRecord) -> wire.OrderRecord:
    """The same row for an account that the CRM does not have (yet)."""
    return msgspec.structs.replace(record, Account__r=msgspec.UNSET)


def shipment_record(report: DocumentReport) -> wire.ShipmentRecord:
    """Map a shipment to the row beside its order."""
    unset = msgspec.UNSET
    return wire.ShipmentRecord(
        Shipment_No__c=report.number,
        Version__c=report.version,
        Shipped_At__c=f"{report.on.isoformat()}T00:00:00Z",
        Quantity__c=unset if report.pieces is None else report.pieces,
        Tracking_No__c=report.tracking or unset,
        ERP_Order__r=wire.OrderKey(Reference__c=report.reference),
    )


def invoice_record(report: DocumentReport) -> wire.InvoiceRecord:
    """Map an invoice to the row beside its order; its status follows from what remains."""
    unset = msgspec.UNSET
    amount, remaining = report.amount, report.remaining
    return wire.InvoiceRecord(
        Invoice_No__c=report.number,
        Version__c=report.version,
        Invoice_Date__c=report.on.isoformat(),
        Status__c=_billed(amount, remaining),
        Total_Amount__c=unset if amount is None else amount.amount,
        Remaining_Amount__c=unset if remaining is None else remaining.amount,
        Currency__c=unset if amount is None else amount.currency,
        ERP_Order__r=wire.OrderKey(Reference__c=report.reference),
    )


def versions(found: Iterable[wire.DocumentVersion]) -> dict[str, int]:
    """Map rows of documents to how new each is, by the document's number."""
    return {
        (row.Shipment_No__c or row.Invoice_No__c or ""): int(row.Version__c or 0) for row in found
    }


def _billed(amount: Money | None, remaining: Money | None) -> str:
    if remaining is None:
        return "open"
    if not remaining.amount:
        return "paid"
    return "partially-paid" if amount is not None and remaining.amount < amount.amount else "open"


def shown_report(found: wire.ShownOrder, local: str) -> OrderReport | None:
    """Map a row back to what was told; None for one that was not written by us."""
    number = found.Account__r.ERP_Customer_No__c if found.Account__r else None
    told = {
        "reference": found.Reference__c,
        "version": int(found.Version__c or 0),
        "order": found.Order_Id__c or "",
        "customer": customer_id(number) if number else "",
        "commercial": found.Status__c,
        "credit": found.Credit_Status__c,
        "fulfilment": found.Fulfilment_Status__c,
        "billing": found.Billing_Status__c,
        "netAmount": {
            "amount": str(_price(found.Net_Amount__c or Decimal(0))),
            "currency": found.Currency__c or local,
        },
        "message": found.Message__c or "",
        "holdReason": found.Hold_Reason__c,
        "quote": PREFIX + found.Opportunity__c if found.Opportunity__c else None,
        "erpNumber": found.ERP_Order_No__c,
        "warehouseNumber": found.Warehouse_Order_No__c,
    }
    try:
        return msgspec.convert(told, OrderReport)
    except msgspec.ValidationError:
        return None


def report_result(reference: str, result: wire.RowResult) -> ReportResult:
    """Map what became of one row; the vendor's text stays behind."""
    if result.success:
        return ReportResult(reference=reference, done=True)
    codes = [error.code for error in result.errors]
    return ReportResult(
        reference=reference,
        done=False,
        retryable=any(code in _MAY_SUCCEED for code in codes),
        detail=", ".join(code.lower().replace("_", "-") for code in codes) or "refused",
    )


def deal(found: wire.Deal, lines: list[wire.DealLine], local: str) -> Quote:
    """Map a deal; `local` is the currency of an org with one only."""
    currency = found.CurrencyIsoCode or local
    number = found.Account.ERP_Customer_No__c if found.Account else None
    return Quote(
        id=PREFIX + found.Id,
        customer=customer_id(number) if number else PREFIX + (found.AccountId or ""),
        currency=currency,
        lines=tuple(
            OrderLineRequest(
                item=item_id(line.ProductCode or ""),
                quantity=_quantity(line.Quantity),
                unit_price=(
                    None
                    if line.UnitPrice is None
                    else Money(amount=_price(line.UnitPrice), currency=currency)
                ),
                description=line.Description[:100] if line.Description else None,
            )
            for line in lines
        ),
        name=found.Name,
        won=found.IsWon,
        po_number=found.PO_Number__c or None,
        requested_delivery_date=(
            date.fromisoformat(found.Requested_Delivery_Date__c)
            if found.Requested_Delivery_Date__c
            else None
        ),
        changed_at=datetime.fromisoformat(found.SystemModstamp),
    )


def account_link(found: wire.Account) -> AccountLink | None:
    """Map a row of the cross-reference; None for an account that is no customer."""
    if not found.ERP_Customer_No__c or not found.Id:
        return None
    return AccountLink(account=PREFIX + found.Id, customer=customer_id(found.ERP_Customer_No__c))


def product_link(found: wire.Product) -> ProductLink | None:
    """Map a row of the cross-reference; None for a product that is no item."""
    if not found.ProductCode:
        return None
    return ProductLink(product=PREFIX + found.Id, item=item_id(found.ProductCode))


def _quantity(number: Decimal) -> Decimal:
    """A quantity without the zeros the vendor writes behind it."""
    whole = number.to_integral_value()
    return whole if whole == number else number


def _price(amount: Decimal) -> Decimal:
    """A price with its minor unit shown, and no digit less than it has."""
    shortest = amount.quantize(_CENT)
    return shortest if shortest == amount else amount
