"""Lines of opportunities and quotes: priced from a price book, summed up on their parent."""

from decimal import Decimal

from deploy.sandbox.salesforce.change import Change, money
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.opportunities import expected_revenue
from deploy.sandbox.salesforce.org import Caller, Org
from deploy.sandbox.vault import Record

__all__ = [
    "after_opportunity_line",
    "after_quote_line",
    "before_opportunity_line",
    "before_quote",
    "before_quote_line",
    "integrity",
    "opportunity_line_deleted",
    "price_line",
    "quote_line_deleted",
    "take_entry",
    "take_parents_book",
]


def integrity(field: str, reason: str) -> Refusal:
    """FIELD_INTEGRITY_EXCEPTION as Salesforce words it."""
    return Refusal(
        "FIELD_INTEGRITY_EXCEPTION", f"field integrity exception: {field} ({reason})", (field,)
    )


def take_entry(change: Change, parent: Record) -> Record:
    """The price book entry of a new line: active, of the parent's book and currency.

    Raises:
        Refusal: it is none of these.
    """
    org, record = change.org, change.record
    entry = org.living("PricebookEntry", record.get("PricebookEntryId"))
    if entry is None:
        entry = _entry_of_product(org, record, parent)
    if entry is None:
        raise integrity("unknown", "must specify pricebook entry id")
    if not entry["IsActive"]:
        raise integrity("PricebookEntryId", "pricebook entry is inactive")
    if parent.get("Pricebook2Id") not in {None, entry["Pricebook2Id"]}:
        raise integrity(
            "PricebookEntryId",
            "pricebook entry is in a different pricebook than the one assigned to the parent",
        )
    if entry["CurrencyIsoCode"] != parent["CurrencyIsoCode"]:
        raise integrity(
            "PricebookEntryId", "pricebook entry currency code does not match the parent's"
        )
    record["PricebookEntryId"] = entry["Id"]
    record["Product2Id"] = entry["Product2Id"]
    record["ListPrice"] = entry["UnitPrice"]
    record["CurrencyIsoCode"] = parent["CurrencyIsoCode"]
    return entry


def price_line(change: Change) -> None:
    """Unit price, total and quantity agree: two are given, the third follows.

    A discount lowers the total.

    Raises:
        Refusal: a new line gives neither price or both.
    """
    record, touched = change.record, change.touched
    if change.before is None and ("UnitPrice" in record) == ("TotalPrice" in record):
        reason = "only one may be" if "UnitPrice" in record else "one must be"
        raise integrity("unknown", f"{reason} specified of unit price and total price")
    quantity = Decimal(str(record["Quantity"]))
    rate = 1 - Decimal(str(record.get("Discount", 0.0))) / 100
    if "TotalPrice" in touched and "UnitPrice" not in touched and quantity and rate:
        record["UnitPrice"] = money(Decimal(str(record["TotalPrice"])) / quantity / rate)
    if "UnitPrice" not in record:
        raise integrity("Quantity", "must not be zero when a total price is given")
    subtotal = Decimal(str(record["UnitPrice"])) * quantity
    if "Subtotal" in change.sobject.fields:
        record["Subtotal"] = money(subtotal)
    if "TotalPrice" not in touched or "UnitPrice" in touched:
        record["TotalPrice"] = money(subtotal * rate)


def before_opportunity_line(change: Change) -> None:
    """Price the line; a new one takes product and book from its entry."""
    parent = _parent(change, "Opportunity", "OpportunityId")
    if change.before is None:
        entry = take_entry(change, parent)
        change.record["Name"] = f"{parent['Name']} {entry['Name']}"[:376]
        if "ProductCode" in entry:
            change.record["ProductCode"] = entry["ProductCode"]
    price_line(change)


def after_opportunity_line(change: Change) -> None:
    """Sum up, and give the opportunity the book of its first product."""
    _sum_opportunity(change.org, change.record["OpportunityId"], change.caller)
    take_parents_book(change, "Opportunity", "OpportunityId")


def opportunity_line_deleted(org: Org, record: Record, caller: Caller) -> None:
    """Sum up what is left."""
    _sum_opportunity(org, record["OpportunityId"], caller)


def before_quote(change: Change) -> None:
    """A quote takes account, currency and book from its opportunity."""
    record = change.record
    if change.before is None:
        parent = _parent(change, "Opportunity", "OpportunityId")
        record["CurrencyIsoCode"] = parent["CurrencyIsoCode"]
        for field in ("AccountId", "Pricebook2Id"):
            if field in parent:
                record.setdefault(field, parent[field])
    _total_quote(record)


def before_quote_line(change: Change) -> None:
    """Price the line."""
    if change.before is None:
        take_entry(change, _parent(change, "Quote", "QuoteId"))
    price_line(change)


def after_quote_line(change: Change) -> None:
    """Sum up, and give the quote the book of its first line."""
    _sum_quote(change.org, change.record["QuoteId"], change.caller)
    take_parents_book(change, "Quote", "QuoteId")


def quote_line_deleted(org: Org, record: Record, caller: Caller) -> None:
    """Sum up what is left."""
    _sum_quote(org, record["QuoteId"], caller)


def take_parents_book(change: Change, parent: str, field: str) -> None:
    """The first line decides its parent's price book when none is set."""
    org = change.org
    record = org.living(parent, change.record[field])
    entry = org.living("PricebookEntry", change.record.get("PricebookEntryId"))
    if record is not None and entry is not None and "Pricebook2Id" not in record:
        amended = {**record, "Pricebook2Id": entry["Pricebook2Id"]}
        org.put(org.schema.objects[parent], amended, change.caller)


def _parent(change: Change, parent: str, field: str) -> Record:
    record = change.org.living(parent, change.record[field])
    if record is None:
        raise Refusal("ENTITY_IS_DELETED", "entity is deleted", (field,), status=400)
    return record


def _entry_of_product(org: Org, record: Record, parent: Record) -> Record | None:
    """A line may name its product instead: the entry in the parent's book and currency."""
    if "Product2Id" not in record:
        return None
    for entry in org.children("PricebookEntry", "Product2Id", record["Product2Id"]):
        if (
            entry["Pricebook2Id"] == parent.get("Pricebook2Id")
            and entry["CurrencyIsoCode"] == parent["CurrencyIsoCode"]
        ):
            return entry
    return None


def _sum_opportunity(org: Org, opportunity_id: str, caller: Caller) -> None:
    before = org.living("Opportunity", opportunity_id)
    if before is None:
        return
    lines = org.children("OpportunityLineItem", "OpportunityId", opportunity_id)
    record = {**before, "HasOpportunityLineItem": bool(lines)}
    if lines:  # without products the last amount stays
        record["Amount"] = money(sum((Decimal(str(x["TotalPrice"])) for x in lines), Decimal(0)))
        record["TotalOpportunityQuantity"] = sum(line["Quantity"] for line in lines)
        record["ExpectedRevenue"] = expected_revenue(record)
    org.put(org.schema.objects["Opportunity"], record, caller)


def _sum_quote(org: Org, quote_id: str, caller: Caller) -> None:
    before = org.living("Quote", quote_id)
    if before is None:
        return
    lines = org.children("QuoteLineItem", "QuoteId", quote_id)
    record = {
        **before,
        "LineItemCount": len(lines),
        "Subtotal": money(sum((Decimal(str(x["Subtotal"])) for x in lines), Decimal(0))),
        "TotalPrice": money(sum((Decimal(str(x["TotalPrice"])) for x in lines), Decimal(0))),
    }
    _total_quote(record)
    org.put(org.schema.objects["Quote"], record, caller)


def _total_quote(record: Record) -> None:
    parts = ("TotalPrice", "Tax", "ShippingHandling")
    record["GrandTotal"] = money(
        sum((Decimal(str(record.get(part, 0.0))) for part in parts), Decimal(0))
    )
