"""Between Salesforce's records and the canonical model; pure, held by golden files."""

from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from contracts.canonical.documents import Quote
from contracts.canonical.ids import customer_id, item_id, number_of
from contracts.canonical.money import Money
from contracts.canonical.order import OrderLineRequest
from contracts.ports.crm import AccountLink, OrderReport, ProductLink, ReportResult
from system_apis.crm.salesforce import wire

__all__ = [
    "account_link",
    "deal",
    "order_record",
    "product_link",
    "report_result",
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
