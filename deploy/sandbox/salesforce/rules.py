"""What the org does by itself when a record changes: standard behaviour, one entry an object.

``before`` may amend or refuse the record, ``after`` runs once it is stored, ``deleting`` may keep a
record that is to be deleted (its last argument is the id of the record that the deletion started
from), ``deleted`` runs once it is gone.
"""

from collections.abc import Callable

import msgspec

from deploy.sandbox.salesforce import lines, opportunities, orders
from deploy.sandbox.salesforce.change import Change
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.org import Caller, Org
from deploy.sandbox.vault import Record

__all__ = ["RULES", "Rules"]

Rule = Callable[[Change], None]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one object."""

    before: Rule | None = None
    after: Rule | None = None
    deleting: Callable[[Org, Record, str], None] | None = None
    deleted: Callable[[Org, Record, Caller], None] | None = None


def _name_contact(change: Change) -> None:
    record = change.record
    parts = (record.get("FirstName"), record.get("LastName"))
    record["Name"] = " ".join(part for part in parts if part)


def _close_case(change: Change) -> None:
    record = change.record
    record["IsClosed"] = record.get("Status") == "Closed"
    if not record["IsClosed"]:
        record.pop("ClosedDate", None)
    elif not change.was("IsClosed"):
        record["ClosedDate"] = change.org.stamp_now()


def _price(change: Change) -> None:
    """One price a book, product and currency; a list price first in the standard book."""
    if change.before is not None:
        return
    org, record = change.org, change.record
    product = org.living("Product2", record["Product2Id"])
    if product is None:  # judged as a reference before
        raise Refusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ("Product2Id",))
    record["Name"] = product["Name"]
    if "ProductCode" in product:
        record["ProductCode"] = product["ProductCode"]
    entries = org.children("PricebookEntry", "Product2Id", product["Id"])
    same = [e for e in entries if e["CurrencyIsoCode"] == record["CurrencyIsoCode"]]
    if any(entry["Pricebook2Id"] == record["Pricebook2Id"] for entry in same):
        raise Refusal("DUPLICATE_VALUE", "This price definition already exists in this price book")
    book = org.living("Pricebook2", record["Pricebook2Id"])
    if book is None or book["IsStandard"]:
        return
    if not any(_is_standard(org, entry) for entry in same):
        raise Refusal("STANDARD_PRICE_NOT_DEFINED", "No standard price defined for this product")


def _is_standard(org: Org, entry: Record) -> bool:
    book = org.living("Pricebook2", entry["Pricebook2Id"])
    return book is not None and bool(book["IsStandard"])


def _keep_account(org: Org, record: Record, _started: str) -> None:
    """An account with won deals or orders stays."""
    won = [o for o in org.children("Opportunity", "AccountId", record["Id"]) if o["IsWon"]]
    if won or org.children("Order", "AccountId", record["Id"]):
        what = "opportunities in that account were closed won" if won else "orders belong to it"
        raise Refusal(
            "DELETE_FAILED",
            f"Your attempt to delete {record['Name']} could not be completed because some {what}: "
            f"{', '.join(o['Name'] for o in won[:5])}",
        )


RULES: dict[str, Rules] = {
    "Account": Rules(deleting=_keep_account),
    "Contact": Rules(before=_name_contact),
    "Case": Rules(before=_close_case),
    "PricebookEntry": Rules(before=_price),
    "Opportunity": Rules(before=opportunities.before, after=opportunities.after),
    "OpportunityLineItem": Rules(
        before=lines.before_opportunity_line,
        after=lines.after_opportunity_line,
        deleted=lines.opportunity_line_deleted,
    ),
    "Quote": Rules(before=lines.before_quote),
    "QuoteLineItem": Rules(
        before=lines.before_quote_line,
        after=lines.after_quote_line,
        deleted=lines.quote_line_deleted,
    ),
    "Order": Rules(before=orders.before_order, deleting=orders.keep_activated),
    "OrderItem": Rules(
        before=orders.before_item,
        after=orders.after_item,
        deleting=orders.keep_item,
        deleted=orders.item_deleted,
    ),
}
