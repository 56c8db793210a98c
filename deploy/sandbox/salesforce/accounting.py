"""Which changes of the org are side effects worth a ledger row, and what the row says."""

from decimal import Decimal
from functools import partial
from typing import Literal

import msgspec

from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Caller, Org
from deploy.sandbox.vault import Record

__all__ = ["SYSTEM", "account_for"]

SYSTEM = "salesforce"
Verb = Literal["create", "update", "delete"]


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    """How one object's changes are written down.

    With ``only``, an update counts when one of those fields changes.
    """

    reference: str
    amount: str | None = None
    currency: str = "CurrencyIsoCode"
    shown: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


_ACCOUNTS = {
    "ERP_Order__c": _Account(
        reference="Reference__c",
        amount="Net_Amount__c",
        currency="Currency__c",
        shown=(
            "Version__c",
            "Status__c",
            "Credit_Status__c",
            "Fulfilment_Status__c",
            "Billing_Status__c",
            "Hold_Reason__c",
            "ERP_Order_No__c",
            "Warehouse_Order_No__c",
            "Opportunity__c",
        ),
    ),
    "Shipment__c": _Account(
        reference="Shipment_No__c",
        shown=("Version__c", "Status__c", "ERP_Order__c", "Tracking_No__c", "Quantity__c"),
    ),
    "ERP_Invoice__c": _Account(
        reference="Invoice_No__c",
        amount="Total_Amount__c",
        currency="Currency__c",
        shown=("Version__c", "Status__c", "ERP_Order__c", "Remaining_Amount__c"),
    ),
    "Opportunity": _Account(
        reference="PO_Number__c",
        amount="Amount",
        shown=("StageName", "IsWon", "AccountId"),
        only=("StageName",),
    ),
    "Account": _Account(
        reference="ERP_Customer_No__c",
        amount="Credit_Available__c",
        shown=("Name", "Credit_Status__c", "Credit_Available__c"),
    ),
    "Order": _Account(
        reference="PoNumber", amount="TotalAmount", shown=("Status", "OrderReferenceNumber")
    ),
    "Case": _Account(reference="CaseNumber", shown=("Subject", "Status", "AccountId")),
}


def account_for(
    org: Org,
    sobject: SObject,
    *,
    before: Record | None,
    record: Record,
    caller: Caller,
    verb: Verb,
) -> None:
    """Write a change down once its transaction is durable."""
    account = _ACCOUNTS.get(sobject.name)
    if account is None:
        return
    if before is not None and verb == "update" and account.only and _same(before, record, account):
        return
    detail = {name: record[name] for name in account.shown if name in record}
    if caller.client is not None:
        detail["client"] = caller.client
    amount = record.get(account.amount) if account.amount is not None else None
    org.after_commit(
        partial(
            org.ledger.append,
            system=SYSTEM,
            operation=f"{sobject.name}.{verb}",
            external_reference=record.get(account.reference),
            amount=None if amount is None else Decimal(f"{amount:.2f}"),
            currency=None if amount is None else record.get(account.currency),
            entity=record["Id"],
            detail=detail,
        )
    )


def _same(before: Record, record: Record, account: _Account) -> bool:
    return all(before.get(name) == record.get(name) for name in account.only)
