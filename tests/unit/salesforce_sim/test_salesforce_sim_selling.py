"""What the org does by itself: stages, sums, price books, quotes, order activation, cases."""

from decimal import Decimal

import pytest

from deploy.sandbox.salesforce.seed import STANDARD_BOOK
from tests.sandbox_callers import SMALL

pytestmark = pytest.mark.anyio
CUSTOMER = next(c for c in SMALL.customers.values() if c.currency == "GBP")
ITEMS = [item for item in SMALL.items.values() if not item.blocked]


async def entry_of(org, item, currency="GBP"):
    soql = (
        f"SELECT Id FROM PricebookEntry WHERE ProductCode = '{item.number}' "
        f"AND CurrencyIsoCode = '{currency}'"
    )
    ((record_id),) = await org.names(soql, "Id")
    return record_id


async def an_opportunity(org, **fields):
    return await org.create(
        "Opportunity",
        **{
            "Name": "Spring range",
            "StageName": "Prospecting",
            "CloseDate": "2026-12-31",
            "AccountId": CUSTOMER.salesforce_account_id,
            **fields,
        },
    )


async def a_draft(org, **fields):
    return await org.create(
        "Order",
        **{
            "AccountId": CUSTOMER.salesforce_account_id,
            "EffectiveDate": "2026-11-22",
            "Status": "Draft",
            "Pricebook2Id": STANDARD_BOOK,
            **fields,
        },
    )


async def test_the_world_is_in_the_crm(org):
    """Customers are accounts, items are products with a standard price, deals are open."""
    assert len(await org.rows("SELECT Id FROM Account")) == len(SMALL.customers)
    soql = (
        "SELECT UnitPrice, Product2.Name FROM PricebookEntry WHERE Pricebook2.IsStandard = true "
        f"AND CurrencyIsoCode = 'GBP' AND Product2.ProductCode = '{ITEMS[3].number}'"
    )
    (price,) = await org.rows(soql)
    assert price["UnitPrice"] == float(ITEMS[3].unit_price)
    assert price["Product2"]["Name"] == ITEMS[3].name
    deals = await org.rows(
        "SELECT Id, IsClosed, Amount, (SELECT Quantity, UnitPrice, TotalPrice, ProductCode FROM "
        "OpportunityLineItems) FROM Opportunity"
    )
    assert {row["Id"] for row in deals} == set(SMALL.deals)
    for row in deals:
        assert row["IsClosed"] is False
        lines = row["OpportunityLineItems"]["records"]
        told = sorted(
            (x["ProductCode"], x["Quantity"], Decimal(str(x["UnitPrice"]))) for x in lines
        )
        world = SMALL.deals[row["Id"]].lines
        assert told == sorted((x.item, x.quantity, x.unit_price) for x in world)
        assert row["Amount"] == pytest.approx(sum(x["TotalPrice"] for x in lines))


@pytest.mark.parametrize(
    ("stage", "closed", "won", "probability"),
    [
        ("Closed Won", True, True, 100.0),
        ("Closed Lost", True, False, 0.0),
        ("Negotiation/Review", False, False, 90.0),
    ],
)
async def test_a_stage_says_whether_a_deal_is_closed_and_won(org, stage, closed, won, probability):
    deal = await an_opportunity(org, Amount=200)
    org.clock.turn(5)
    await org.call("PATCH", f"sobjects/Opportunity/{deal}", {"StageName": stage})
    read = await org.record("Opportunity", deal)
    assert (read["IsClosed"], read["IsWon"], read["Probability"]) == (closed, won, probability)
    assert read["ExpectedRevenue"] == 2 * probability
    assert read["SystemModstamp"] == read["LastStageChangeDate"] == "2026-11-22T09:00:05.000+0000"


async def test_is_won_follows_from_the_stage_and_cannot_be_set(org):
    deal = await an_opportunity(org)
    path = f"sobjects/Opportunity/{deal}"
    assert (await org.refused("PATCH", path, {"IsWon": True}))[
        1
    ] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    unknown = await org.refused("PATCH", path, {"StageName": "Nearly"})
    assert unknown[1] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


async def test_lines_make_the_amount_and_the_amount_is_not_the_callers_then(org):
    deal = await an_opportunity(org, Amount=5)
    entry = await entry_of(org, ITEMS[0])
    first = await org.create(
        "OpportunityLineItem",
        OpportunityId=deal,
        PricebookEntryId=entry,
        Quantity=3,
        UnitPrice=1.35,
    )
    await org.create(
        "OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=4, TotalPrice=10
    )
    read = await org.record("Opportunity", deal)
    assert (read["Amount"], read["TotalOpportunityQuantity"]) == (14.05, 7.0)
    assert (read["HasOpportunityLineItem"], read["Pricebook2Id"]) == (True, STANDARD_BOOK)

    await org.call("PATCH", f"sobjects/Opportunity/{deal}", {"Amount": 1, "NextStep": "call"})
    read = await org.record("Opportunity", deal)
    assert (read["Amount"], read["NextStep"]) == (14.05, "call")

    await org.call("PATCH", f"sobjects/OpportunityLineItem/{first}", {"Quantity": 10})
    assert (await org.record("Opportunity", deal))["Amount"] == 23.5
    await org.call("DELETE", f"sobjects/OpportunityLineItem/{first}")
    assert (await org.record("Opportunity", deal))["Amount"] == 10.0


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"Quantity": 1}, "one must be"),
        ({"Quantity": 1, "UnitPrice": 1, "TotalPrice": 1}, "only one may be"),
        ({"Quantity": 1, "UnitPrice": 1, "PricebookEntryId": None}, "pricebook entry id"),
        ({"Quantity": 0, "TotalPrice": 5}, "must not be zero"),
    ],
)
async def test_a_line_needs_an_entry_and_exactly_one_price(org, fields, hint):
    deal = await an_opportunity(org)
    entry = await entry_of(org, ITEMS[0])
    line = {"OpportunityId": deal, "PricebookEntryId": entry, **fields}
    answer = await org.call("POST", "sobjects/OpportunityLineItem", line)
    (error,) = answer.json()
    assert error["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    assert hint in error["message"]


async def test_a_line_must_fit_the_deals_book_and_currency(org):
    deal = await an_opportunity(org, CurrencyIsoCode="SEK")
    entry = await entry_of(org, ITEMS[0])
    line = {"OpportunityId": deal, "PricebookEntryId": entry, "Quantity": 1, "UnitPrice": 1}
    wrong_currency = await org.refused("POST", "sobjects/OpportunityLineItem", line)
    assert wrong_currency == (400, "FIELD_INTEGRITY_EXCEPTION")

    book = await org.create("Pricebook2", Name="Dealers", IsActive=True)
    deal = await an_opportunity(org, Pricebook2Id=book)
    line["OpportunityId"] = deal
    wrong_book = await org.refused("POST", "sobjects/OpportunityLineItem", line)
    assert wrong_book == (400, "FIELD_INTEGRITY_EXCEPTION")


async def test_a_price_needs_a_standard_price_first_and_is_unique(org):
    product = await org.create("Product2", Name="Lamp", ProductCode="LAMP", IsActive=True)
    book = await org.create("Pricebook2", Name="Dealers", IsActive=True)
    price = {"Product2Id": product, "Pricebook2Id": book, "UnitPrice": 9.5, "IsActive": True}
    missing = await org.refused("POST", "sobjects/PricebookEntry", price)
    assert missing == (400, "STANDARD_PRICE_NOT_DEFINED")
    await org.create("PricebookEntry", **{**price, "Pricebook2Id": STANDARD_BOOK})
    entry = await org.create("PricebookEntry", **price)
    assert (await org.record("PricebookEntry", entry))["ProductCode"] == "LAMP"
    again = await org.refused("POST", "sobjects/PricebookEntry", price)
    assert again == (400, "DUPLICATE_VALUE")


async def test_a_quote_takes_after_its_deal_and_sums_its_lines(org):
    deal = await an_opportunity(org, Pricebook2Id=STANDARD_BOOK)
    quote = await org.create("Quote", Name="Q", OpportunityId=deal, Tax=2, ShippingHandling=1.5)
    entry = await entry_of(org, ITEMS[0])
    await org.create(
        "QuoteLineItem", QuoteId=quote, PricebookEntryId=entry, Quantity=2, UnitPrice=10, Discount=5
    )
    read = await org.record("Quote", quote)
    assert read["AccountId"] == CUSTOMER.salesforce_account_id
    assert (read["Subtotal"], read["TotalPrice"], read["GrandTotal"]) == (20.0, 19.0, 22.5)
    assert (read["LineItemCount"], read["QuoteNumber"]) == (1, "00000001")


async def test_an_order_is_drafted_filled_activated_and_then_closed(org):
    entry = await entry_of(org, ITEMS[0])
    order = await a_draft(org, PoNumber="PO-9")
    path = f"sobjects/Order/{order}"
    empty = await org.refused("PATCH", path, {"Status": "Activated"})
    assert empty == (400, "FAILED_ACTIVATION")

    item = await org.create(
        "OrderItem", OrderId=order, PricebookEntryId=entry, Quantity=3, UnitPrice=2.5
    )
    assert (await org.call("PATCH", path, {"Status": "Activated"})).status_code == 204
    read = await org.record("Order", order)
    assert (read["StatusCode"], read["TotalAmount"]) == ("Activated", 7.5)
    assert read["ActivatedDate"] is not None
    assert read["OrderNumber"] == "00000001"

    another = {"OrderId": order, "PricebookEntryId": entry, "Quantity": 1, "UnitPrice": 1}
    for method, target, body, code in (
        ("PATCH", path, {"EffectiveDate": "2026-12-01"}, "FIELD_INTEGRITY_EXCEPTION"),
        ("PATCH", f"sobjects/OrderItem/{item}", {"Quantity": 4}, "FIELD_INTEGRITY_EXCEPTION"),
        ("POST", "sobjects/OrderItem", another, "FIELD_INTEGRITY_EXCEPTION"),
        ("DELETE", f"sobjects/OrderItem/{item}", None, "DELETE_FAILED"),
        ("DELETE", path, None, "DELETE_FAILED"),
    ):
        assert await org.refused(method, target, body) == (400, code)
    assert (await org.call("PATCH", path, {"OrderReferenceNumber": "R1"})).status_code == 204
    assert (
        await org.call("PATCH", f"sobjects/OrderItem/{item}", {"Description": "d"})
    ).status_code == 204
    assert (await org.record("Order", order))["TotalAmount"] == 7.5


async def test_an_order_cannot_be_born_activated_nor_activated_without_an_account(org):
    body = {"EffectiveDate": "2026-11-22", "Status": "Activated"}
    assert await org.refused("POST", "sobjects/Order", body) == (400, "FAILED_ACTIVATION")
    order = await a_draft(org, AccountId=None)
    entry = await entry_of(org, ITEMS[0])
    await org.create("OrderItem", OrderId=order, PricebookEntryId=entry, Quantity=1, UnitPrice=1)
    refused = await org.refused("PATCH", f"sobjects/Order/{order}", {"Status": "Activated"})
    assert refused == (400, "FAILED_ACTIVATION")


async def test_a_draft_loses_items_and_is_deleted_with_the_rest(org):
    order = await a_draft(org)
    entry = await entry_of(org, ITEMS[0])
    line = {"OrderId": order, "PricebookEntryId": entry, "Quantity": 1, "UnitPrice": 4}
    first, second = [await org.create("OrderItem", **line) for _ in range(2)]
    assert (await org.call("DELETE", f"sobjects/OrderItem/{first}")).status_code == 204
    assert (await org.record("Order", order))["TotalAmount"] == 4.0
    assert (await org.call("DELETE", f"sobjects/Order/{order}")).status_code == 204
    assert (await org.refused("GET", f"sobjects/OrderItem/{second}"))[0] == 404


async def test_an_account_with_a_won_deal_stays_and_another_takes_its_deals_along(org, deal):
    account = SMALL.customers[deal.customer].salesforce_account_id
    await org.call("PATCH", f"sobjects/Opportunity/{deal.id}", {"StageName": "Closed Won"})
    assert await org.refused("DELETE", f"sobjects/Account/{account}") == (400, "DELETE_FAILED")

    account = await org.create("Account", Name="Nuthatch")
    open_deal = await an_opportunity(org, AccountId=account)
    assert (await org.call("DELETE", f"sobjects/Account/{account}")).status_code == 204
    assert (await org.refused("GET", f"sobjects/Opportunity/{open_deal}"))[0] == 404


async def test_a_case_is_new_until_it_is_closed(org):
    case = await org.create("Case", Subject="Where is my order?", Origin="Email")
    read = await org.record("Case", case)
    assert (read["Status"], read["Priority"], read["IsClosed"]) == ("New", "Medium", False)
    assert (read["CaseNumber"], read["ClosedDate"]) == ("00000001", None)
    await org.call("PATCH", f"sobjects/Case/{case}", {"Status": "Closed"})
    read = await org.record("Case", case)
    assert (read["IsClosed"], read["ClosedDate"]) == (True, "2026-11-22T09:00:00.000+0000")
