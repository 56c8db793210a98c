"""Orders and their lines: made, priced, taxed, changed, refused."""

from decimal import Decimal

import pytest

pytestmark = pytest.mark.anyio


async def test_an_order_with_its_lines_is_one_call_and_one_ledger_row(erp):
    """201, status Draft, a number, an address, the customer's address copied in; one row booked."""
    order = await erp.orders("Inv-536365")

    customer = await erp.customer()
    assert order["status"] == "Draft"
    assert order["number"].startswith("S-ORD")
    assert order["sellToCity"] == order["shipToCity"] == customer["city"]
    assert order["totalAmountExcludingTax"] == 20
    assert erp.booked() == [("salesOrders.create", "Inv-536365", "20.00")]
    assert (await erp.get(f"salesOrders({order['id']})")).json()["number"] == order["number"]


async def test_a_reference_is_a_code_and_becomes_upper_case(erp):
    """`External Document No.` is a Code field: it is stored upper-cased and found in any case."""
    await erp.orders("inv-9")

    [found] = await erp.rows("salesOrders?$filter=externalDocumentNumber eq 'inv-9'")

    assert found["externalDocumentNumber"] == "INV-9"


async def test_the_same_reference_twice_is_two_orders(erp):
    """The vendor has no idempotency: nothing stops a second order."""
    first, second = await erp.orders("PO-7"), await erp.orders("PO-7")

    rows = await erp.rows("salesOrders?$filter=externalDocumentNumber eq 'PO-7'")
    assert {row["id"] for row in rows} == {first["id"], second["id"]}
    assert first["number"] != second["number"]


async def test_no_order_is_refused_for_credit(erp):
    """Far beyond the limit, over the API nobody asks."""
    customer = await erp.customer()
    lines = [{"lineObjectNumber": "10001", "quantity": 100_000, "unitPrice": 999}]

    order = await erp.orders(salesOrderLines=lines)

    assert order["totalAmountExcludingTax"] > customer["creditLimit"] > 0


BLOCKED = [
    ("Ship", "salesOrders", True),
    ("Ship", "salesQuotes", True),
    ("Ship", "salesInvoices", False),
    ("Ship", "salesCreditMemos", False),
    ("Invoice", "salesOrders", True),
    ("Invoice", "salesQuotes", True),
    ("Invoice", "salesInvoices", True),
    ("Invoice", "salesCreditMemos", False),
    ("All", "salesOrders", True),
    ("All", "salesInvoices", True),
    ("All", "salesCreditMemos", True),
]


@pytest.mark.parametrize(("blocked", "name", "refused"), BLOCKED)
async def test_a_blocked_customer_is_refused_with_the_vendors_text(
    erp, problem, blocked, name, refused
):
    """All blocks everything, Invoice all but credit memos, Ship what will be shipped."""
    customer = await erp.customer()
    await erp.patch(f"customers({customer['id']})", {"blocked": blocked})

    answer = await erp.post(name, {"customerNumber": "20001"})

    if refused:
        text = "You cannot create this type of document when Customer 20001 is blocked with type"
        assert problem(answer) == (400, "Application_DialogException", f"{text} {blocked}")
        assert erp.booked() == []
    else:
        assert answer.status_code == 201


BAD_HEADERS = [
    ({}, "Application_DialogException", 'A "customerNumber" or a "customerId" must be provided.'),
    (
        {"customerNumber": "NOBODY"},
        "Application_DialogException",
        "The sell-to customer cannot be found.",
    ),
    (
        {"customerNumber": "20001", "currencyCode": "XXX"},
        "Application_DialogException",
        'The "currencyCode" does not match to a Currency.',
    ),
    (
        {"customerNumber": "20001", "paymentTermsId": "11111111-1111-1111-1111-111111111111"},
        "Application_DialogException",
        'The "paymentTermsId" does not match to a Payment Terms.',
    ),
    (
        {"customerNumber": "20001", "number": "X"},
        "BadRequest_InvalidOperation",
        "Control 'number' is read-only.",
    ),
    (
        {"customerNumber": "20001", "status": "Open"},
        "BadRequest_InvalidOperation",
        "Control 'status' is read-only.",
    ),
    (
        {"customerNumber": "20001", "totalTaxAmount": 1},
        "BadRequest_InvalidOperation",
        "Control 'totalTaxAmount' is read-only.",
    ),
    (
        {"customerNumber": 20001},
        "BadRequest",
        "Cannot convert the literal '20001' to the expected type 'Edm.String'.",
    ),
    (
        {"customerNumber": "20001", "orderDate": "tomorrow"},
        "BadRequest",
        "Cannot convert the literal 'tomorrow' to the expected type 'Edm.Date'.",
    ),
    (
        {"customerNumber": "20001", "partialShipping": "yes"},
        "BadRequest",
        "Cannot convert the literal 'yes' to the expected type 'Edm.Boolean'.",
    ),
    (
        {"customerNumber": "20001", "externalDocumentNumber": "X" * 36},
        "Application_StringExceededLength",
        "The length of the string is 36, but it must be less than or equal to 35 characters. "
        "Value: " + "X" * 36,
    ),
    (
        {"customerNumber": "20001", "colour": "red"},
        "BadRequest",
        (
            "The property 'colour' does not exist on type 'Microsoft.NAV.salesOrder'. "
            "Make sure to only use property names that are defined by the type."
        ),
    ),
]


@pytest.mark.parametrize(("body", "code", "text"), BAD_HEADERS)
async def test_a_wrong_header_is_refused_and_nothing_is_made(erp, problem, body, code, text):
    """Each in the envelope, with its code and its sentence."""
    assert problem(await erp.post("salesOrders", body)) == (400, code, text)
    assert await erp.rows("salesOrders") == []
    assert erp.booked() == []


ITEM = "8e6c6d56-696b-c7cc-af1f-5bd1532eed36"
BAD_LINES = [
    (
        {"itemId": ITEM, "accountId": ITEM},
        "Application_DialogException",
        'Both "itemId" and "accountId" are specified. Specify only one of them.',
    ),
    (
        {"itemId": "11111111-1111-1111-1111-111111111111"},
        "Application_DialogException",
        "Item does not exist.",
    ),
    (
        {"accountId": "11111111-1111-1111-1111-111111111111"},
        "Application_DialogException",
        "Account does not exist.",
    ),
    (
        {"lineObjectNumber": "NOTHING"},
        "Internal_InvalidTableRelation",
        (
            "The field No. of table Sales Line contains a value (NOTHING) that cannot be found "
            "in the related table (Item)."
        ),
    ),
    (
        {"lineObjectNumber": "10001", "netAmount": 5},
        "BadRequest_InvalidOperation",
        "Control 'netAmount' is read-only.",
    ),
    (
        {"lineObjectNumber": "10001", "quantity": "many"},
        "BadRequest",
        "Cannot convert the literal 'many' to the expected type 'Edm.Decimal'.",
    ),
    (
        {"lineObjectNumber": "10001", "quantity": 1, "shipQuantity": 2},
        "Application_DialogException",
        "You cannot ship more than 1 units.",
    ),
    (
        {"lineObjectNumber": "10001", "lineType": "Wish"},
        "BadRequest",
        "Requested value 'Wish' was not found.",
    ),
]


@pytest.mark.parametrize(("line", "code", "text"), BAD_LINES)
async def test_one_wrong_line_and_there_is_no_order(erp, problem, line, code, text):
    """A deep insert is one transaction: the good line before the bad one leaves nothing."""
    body = {
        "customerNumber": "20001",
        "salesOrderLines": [{"lineObjectNumber": "10001", "quantity": 1}, line],
    }

    assert problem(await erp.post("salesOrders", body)) == (400, code, text)
    assert await erp.rows("salesOrders") == []
    assert erp.booked() == []


async def test_a_blocked_item_cannot_be_sold(erp, problem):
    """In the words of a failed field test."""
    [item] = await erp.rows("items?$filter=number eq '10001'")
    await erp.patch(f"items({item['id']})", {"blocked": True})

    body = {"customerNumber": "20001", "salesOrderLines": [{"itemId": item["id"], "quantity": 1}]}

    status, code, text = problem(await erp.post("salesOrders", body))
    assert (status, code) == (400, "Application_FieldValidationException")
    assert text == "Blocked must be equal to 'No'  in Item: No.=10001. Current value is 'Yes'."


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(erp, problem, body):
    """Malformed, of another type, too deep: 400 and nothing made."""
    answer = await erp.http.post(erp.url("salesOrders"), content=body)

    assert problem(answer)[:2] == (400, "BadRequest")


async def test_a_price_is_taken_when_sent_and_found_when_not(erp):
    """Without `unitPrice` the price lists decide, with quantity breaks; with it, it is kept."""
    [card] = await erp.rows("items?$filter=number eq '10001'")
    lines = [
        {"lineObjectNumber": "10001", "quantity": 1},
        {"lineObjectNumber": "10001", "quantity": 12},
        {"lineObjectNumber": "10001", "quantity": 144},
        {"lineObjectNumber": "10001", "quantity": 144, "unitPrice": 7.77},
    ]

    order = await erp.orders(salesOrderLines=lines)

    prices = [line["unitPrice"] for line in order["salesOrderLines"]]
    assert prices[0] == card["unitPrice"]
    assert prices[0] > prices[1] > prices[2] > prices[3] == 7.77


async def test_a_price_in_another_currency_is_converted(erp, small_world):
    """LCY prices become the document's currency at the company's rate, to the cent."""
    order = await erp.orders(
        currencyCode="eur", salesOrderLines=[{"lineObjectNumber": "10001", "quantity": 1}]
    )

    [line] = order["salesOrderLines"]
    rate = small_world.currencies["EUR"].gbp_per_unit
    expected = (small_world.items["10001"].unit_price / rate).quantize(Decimal("0.01"))
    assert (order["currencyCode"], Decimal(str(line["unitPrice"]))) == ("EUR", expected)


async def test_tax_follows_the_customers_area_and_adds_up_to_the_cent(erp, small_world):
    """Per rate the tax of the lines is the rounded tax of their sum; reverse charge has none."""
    lines = [{"lineObjectNumber": "10001", "quantity": 1, "unitPrice": 0.33}] * 7

    order = await erp.orders(salesOrderLines=lines)
    reverse = next(c.number for c in small_world.customers.values() if c.tax_area == "EU-RC")
    abroad = await erp.orders(customerNumber=reverse, salesOrderLines=lines)

    assert order["totalAmountExcludingTax"] == 2.31
    assert order["totalTaxAmount"] == 0.46
    assert order["totalAmountIncludingTax"] == 2.77
    assert sum(round(100 * line["totalTaxAmount"]) for line in order["salesOrderLines"]) == 46
    assert abroad["totalTaxAmount"] == 0


async def test_discounts_of_lines_and_of_the_document_add_up(erp):
    """A percentage and an amount on lines, and an invoice discount spread without a lost cent."""
    lines = [
        {"lineObjectNumber": "10001", "quantity": 3, "unitPrice": 10, "discountPercent": 10},
        {"lineObjectNumber": "10001", "quantity": 1, "unitPrice": 10, "discountAmount": 1},
        {"lineObjectNumber": "10001", "quantity": 1, "unitPrice": 10},
    ]

    order = await erp.orders(discountAmount=1, salesOrderLines=lines)

    rows = order["salesOrderLines"]
    assert [row["discountAmount"] for row in rows] == [3, 1, 0]
    assert [row["amountExcludingTax"] for row in rows] == [27, 9, 10]
    assert sum(Decimal(str(row["invoiceDiscountAllocation"])) for row in rows) == 1
    assert order["totalAmountExcludingTax"] == 45
    assert sum(Decimal(str(row["netAmount"])) for row in rows) == 45


async def test_a_changed_quantity_is_priced_anew(erp):
    """From one piece to a gross: the break's price replaces the old one, totals follow."""
    order = await erp.orders(salesOrderLines=[{"lineObjectNumber": "10001", "quantity": 1}])
    [line] = order["salesOrderLines"]

    changed = await erp.patch(f"salesOrderLines({line['id']})", {"quantity": 144})

    assert changed.json()["unitPrice"] < line["unitPrice"]
    after = (await erp.get(f"salesOrders({order['id']})")).json()
    assert after["totalAmountExcludingTax"] == changed.json()["amountExcludingTax"]
    assert after["@odata.etag"] != order["@odata.etag"]


async def test_lines_are_added_and_taken_away_one_by_one(erp):
    """POST under the order or with its id in the body; a number is never used twice."""
    order = await erp.orders()
    path = f"salesOrders({order['id']})/salesOrderLines"

    second = (await erp.post(path, {"lineObjectNumber": "10002", "quantity": 1})).json()
    body = {"documentId": order["id"], "lineType": "Comment", "description": "Handle with care"}
    third = (await erp.post("salesOrderLines", body)).json()
    gone = await erp.delete(f"salesOrderLines({third['id']})")
    fourth = (await erp.post(path, {"lineObjectNumber": "10002", "quantity": 1})).json()

    assert [second["sequence"], third["sequence"], fourth["sequence"]] == [20000, 30000, 40000]
    assert (gone.status_code, third["lineType"], third["amountExcludingTax"]) == (204, "Comment", 0)
    assert [row["id"] for row in await erp.rows(path)] == [
        order["salesOrderLines"][0]["id"],
        second["id"],
        fourth["id"],
    ]


FIXED = [
    (
        {"sequence": 5},
        "The value for sequence cannot be modified. Delete and insert the line again.",
    ),
    ({"lineObjectNumber": "10002"}, 'The value for "lineObjectNumber" cannot be modified.'),
    ({"documentId": ITEM}, 'The value for "documentId" cannot be modified.'),
]


@pytest.mark.parametrize(("body", "text"), FIXED)
async def test_what_makes_a_line_what_it_is_cannot_be_changed(erp, problem, body, text):
    """Sequence, item and document."""
    [line] = (await erp.orders())["salesOrderLines"]

    assert problem(await erp.patch(f"salesOrderLines({line['id']})", body))[2] == text


async def test_a_change_needs_the_current_tag(erp, problem):
    """Missing: 400. Stale: 409. Star and current: 200 with a new tag."""
    order = await erp.orders()
    path, body = f"salesOrders({order['id']})", {"requestedDeliveryDate": "2026-12-24"}

    missing = await erp.patch(path, body, tag=None)
    current = await erp.patch(path, body, tag=order["@odata.etag"])
    stale = await erp.patch(path, body, tag=order["@odata.etag"])
    star = await erp.patch(path, body, tag="*")

    assert problem(missing)[:2] == (400, "BadRequest_InvalidToken")
    assert problem(missing)[2].startswith("Could not validate the client concurrency token")
    assert current.json()["requestedDeliveryDate"] == "2026-12-24"
    assert current.json()["@odata.etag"] != order["@odata.etag"]
    assert problem(stale) == (
        409,
        "Request_EntityChanged",
        "Another user has already changed the record.",
    )
    assert star.status_code == 200


async def test_a_deletion_minds_a_tag_only_when_one_is_sent(erp, problem):
    """Stale: 409 and the order stays. None: 204 and it is gone, with a ledger row."""
    order = await erp.orders()
    path = f"salesOrders({order['id']})"

    assert problem(await erp.delete(path, **{"If-Match": 'W/"old"'}))[0] == 409
    assert (await erp.delete(path)).status_code == 204
    assert problem(await erp.get(path))[:2] == (404, "Internal_RecordNotFound")
    assert [row[0] for row in erp.booked()] == ["salesOrders.create", "salesOrders.delete"]


async def test_a_header_cannot_be_patched_with_lines_in_it(erp, problem):
    """Deep insert yes, deep update no."""
    order = await erp.orders()

    answer = await erp.patch(f"salesOrders({order['id']})", {"salesOrderLines": []})

    assert problem(answer)[0] == 400


async def test_another_currency_recreates_the_lines_with_its_prices(erp):
    """The vendor prices the lines anew; what had been agreed by hand is lost."""
    order = await erp.orders()

    changed = await erp.patch(f"salesOrders({order['id']})", {"currencyCode": "EUR"})

    [line] = await erp.rows(f"salesOrders({order['id']})/salesOrderLines")
    assert changed.json()["currencyCode"] == "EUR"
    assert line["unitPrice"] != order["salesOrderLines"][0]["unitPrice"]


async def test_an_order_under_approval_cannot_be_changed(erp, problem):
    """A person sets it in review inside the real system; the API then refuses changes."""
    order = await erp.orders()
    await erp.http.post(f"/_sandbox/orders/{order['number']}", json={"status": "In_x0020_Review"})

    answer = await erp.patch(f"salesOrders({order['id']})", {"discountAmount": 1})

    assert problem(answer)[:2] == (400, "Application_DialogException")
    assert (await erp.get(f"salesOrders({order['id']})")).json()["status"] == "In_x0020_Review"


async def test_no_content_is_answered_when_the_caller_asks_for_none(erp):
    """`Prefer: return=minimal`: 204 with the address of what was made."""
    answer = await erp.post("salesOrders", {"customerNumber": "20001"}, Prefer="return=minimal")

    assert (answer.status_code, answer.content) == (204, b"")
    assert "/salesOrders(" in answer.headers["location"]


async def test_what_a_customer_has_on_order_is_kept_without_adding_up(erp):
    """Open order amounts with tax, in LCY, after create, change and delete."""
    api, path = "crossdock/pricing/v1.0", "openOrderAmounts?$filter=customerNumber eq '20001'"

    async def outstanding():
        return (await erp.rows(path, api))[0]["outstandingOrdersLCY"]

    first, second = await erp.orders(), await erp.orders()
    assert await outstanding() == first["totalAmountIncludingTax"] * 2 == 48
    await erp.patch(f"salesOrderLines({second['salesOrderLines'][0]['id']})", {"quantity": 5})
    assert await outstanding() == 36
    await erp.delete(f"salesOrders({first['id']})")
    assert await outstanding() == 12


async def test_a_quote_becomes_an_order_and_is_gone(erp, problem):
    """204, the quote's prices kept, a new number, found by the reference."""
    body = {
        "customerNumber": "20001",
        "externalDocumentNumber": "Q-1",
        "salesQuoteLines": [{"lineObjectNumber": "10001", "quantity": 12, "unitPrice": 3.21}],
    }
    quote = (await erp.post("salesQuotes", body)).json()

    made = await erp.post(f"salesQuotes({quote['id']})/Microsoft.NAV.MakeOrder")

    assert (made.status_code, made.content) == (204, b"")
    assert problem(await erp.get(f"salesQuotes({quote['id']})"))[0] == 404
    [order] = await erp.rows(
        "salesOrders?$filter=externalDocumentNumber eq 'Q-1'&$expand=salesOrderLines"
    )
    assert order["salesOrderLines"][0]["unitPrice"] == 3.21
    assert order["totalAmountExcludingTax"] == quote["totalAmountExcludingTax"]
    assert erp.booked() == [
        ("salesQuotes.create", "Q-1", "38.52"),
        ("salesQuotes.makeOrder", "Q-1", "38.52"),
    ]


async def test_an_action_that_is_none_is_not_found(erp, problem):
    """Orders cannot be released or posted by another name."""
    order = await erp.orders()

    for name in ("release", "post", "makeOrder"):
        answer = await erp.post(f"salesOrders({order['id']})/Microsoft.NAV.{name}")
        assert problem(answer)[0] == 404
