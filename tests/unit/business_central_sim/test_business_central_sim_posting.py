"""Shipping, invoicing, crediting, paying: what is posted, what is refused, what is owed."""

import pytest

pytestmark = pytest.mark.anyio

SHIP = "Microsoft.NAV.shipAndInvoice"
SUMS = "openOrderAmounts?$filter=customerNumber eq '20001'"


async def ships(erp, order):
    """Post the order's quantities."""
    return await erp.post(f"salesOrders({order['id']})/{SHIP}")


async def sets(erp, line, **quantities):
    """PATCH one line's quantities, one after the other."""
    for name, quantity in quantities.items():
        answer = await erp.patch(f"salesOrderLines({line['id']})", {name: quantity})
        assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_fully_posted_order_vanishes_into_its_shipment_and_invoice(erp, problem):
    """204; GET by id is 404; both posted documents carry the order's number and reference."""
    order = await erp.orders("PO-5")

    assert (await ships(erp, order)).status_code == 204

    assert problem(await erp.get(f"salesOrders({order['id']})"))[0] == 404
    assert await erp.rows("salesOrders?$filter=externalDocumentNumber eq 'PO-5'") == []
    by_number = f"$filter=orderNumber eq '{order['number']}'"
    [shipment] = await erp.rows(f"salesShipments?{by_number}&$expand=salesShipmentLines")
    [invoice] = await erp.rows(f"salesInvoices?{by_number}&$expand=salesInvoiceLines")
    assert shipment["externalDocumentNumber"] == invoice["externalDocumentNumber"] == "PO-5"
    assert [line["quantity"] for line in shipment["salesShipmentLines"]] == [10]
    assert (invoice["status"], invoice["orderId"]) == ("Open", order["id"])
    assert invoice["totalAmountIncludingTax"] == invoice["remainingAmount"] == 24
    assert invoice["dueDate"] > invoice["invoiceDate"]
    assert [row[:2] for row in erp.booked()] == [
        ("salesOrders.create", "PO-5"),
        ("salesShipments.post", "PO-5"),
        ("salesInvoices.post", "PO-5"),
    ]


async def test_to_ship_resets_to_invoice(erp):
    """`shipQuantity` 4 makes `invoiceQuantity` 4; only a second change can set it to 0."""
    [line] = (await erp.orders())["salesOrderLines"]

    after = await sets(erp, line, invoiceQuantity=0, shipQuantity=4)
    assert (after["shipQuantity"], after["invoiceQuantity"]) == (4, 4)

    after = await sets(erp, line, invoiceQuantity=0)
    assert (after["shipQuantity"], after["invoiceQuantity"]) == (4, 0)


async def test_ship_now_and_invoice_later(erp):
    """Nothing to invoice: only a shipment. Nothing to ship: only an invoice, and it is done."""
    order = await erp.orders()
    [line] = order["salesOrderLines"]
    api = "crossdock/pricing/v1.0"

    await sets(erp, line, shipQuantity=10, invoiceQuantity=0)
    assert (await ships(erp, order)).status_code == 204

    kept = (await erp.get(f"salesOrders({order['id']})?$expand=salesOrderLines")).json()
    assert kept["fullyShipped"] is True
    assert kept["salesOrderLines"][0]["shippedQuantity"] == 10
    assert len(await erp.rows("salesShipments")) == 1
    assert await erp.rows("salesInvoices") == []
    [sums] = await erp.rows(SUMS, api)
    assert (sums["outstandingOrdersLCY"], sums["shippedNotInvoicedLCY"]) == (0, 24)

    assert (await ships(erp, order)).status_code == 204
    assert len(await erp.rows("salesShipments")) == 1
    assert len(await erp.rows("salesInvoices")) == 1
    assert await erp.rows("salesOrders") == []
    [sums] = await erp.rows(SUMS, api)
    assert (sums["outstandingOrdersLCY"], sums["shippedNotInvoicedLCY"]) == (0, 0)


async def test_parts_are_shipped_and_invoiced_until_nothing_is_left(erp):
    """Four of ten, then the rest by default; two invoices add up to the order."""
    order = await erp.orders()
    [line] = order["salesOrderLines"]

    await sets(erp, line, shipQuantity=4)
    await ships(erp, order)
    [left] = await erp.rows(f"salesOrders({order['id']})/salesOrderLines")
    assert (left["shippedQuantity"], left["invoicedQuantity"]) == (4, 4)
    assert (left["shipQuantity"], left["invoiceQuantity"]) == (6, 6)
    await ships(erp, order)

    invoices = await erp.rows("salesInvoices")
    assert [one["totalAmountExcludingTax"] for one in invoices] == [8, 12]
    assert len(await erp.rows("salesShipments")) == 2
    assert await erp.rows("salesOrders") == []


async def test_more_than_there_is_cannot_be_posted(erp, problem):
    """Over-ship and over-invoice, with the number left; nor can less than shipped be kept."""
    order = await erp.orders()
    [line] = order["salesOrderLines"]
    path = f"salesOrderLines({line['id']})"
    await sets(erp, line, shipQuantity=4, invoiceQuantity=0)
    await ships(erp, order)

    over = problem(await erp.patch(path, {"shipQuantity": 7}))
    assert over[2] == "You cannot ship more than 6 units."
    await sets(erp, line, shipQuantity=0)
    over = problem(await erp.patch(path, {"invoiceQuantity": 5}))
    assert over[2] == "You cannot invoice more than 4 units."
    less = problem(await erp.patch(path, {"quantity": 3}))
    assert less[2].startswith("Quantity must not be less than 4")
    gone = problem(await erp.delete(f"salesOrders({order['id']})"))
    assert gone[2].startswith("Qty. Shipped Not Invoiced must be equal to '0'")


async def test_nothing_to_post_is_said_so(erp, problem):
    """No lines, or only zeros."""
    empty = await erp.orders(salesOrderLines=[])
    zero = await erp.orders()
    await sets(erp, zero["salesOrderLines"][0], shipQuantity=0)

    assert (
        problem(await ships(erp, empty))[2] == "Please add at least one line item to the document."
    )
    assert problem(await ships(erp, zero))[2] == (
        "There is nothing to post because the document does not contain a quantity or amount."
    )


async def test_a_complete_order_is_not_shipped_in_parts(erp, problem):
    """`partialShipping` false: all or nothing."""
    order = await erp.orders(partialShipping=False)
    [line] = order["salesOrderLines"]
    await sets(erp, line, shipQuantity=4)

    assert "cannot be shipped completely" in problem(await ships(erp, order))[2]

    await sets(erp, line, shipQuantity=10)
    assert (await ships(erp, order)).status_code == 204


@pytest.mark.parametrize("blocked", ["Ship", "Invoice", "All"])
async def test_a_customer_blocked_since_cannot_be_shipped_to(erp, problem, blocked):
    """Posting asks again; the text says post."""
    order = await erp.orders()
    customer = await erp.customer()
    await erp.patch(f"customers({customer['id']})", {"blocked": blocked})

    assert problem(await ships(erp, order))[2] == (
        f"You cannot post this type of document when Customer 20001 is blocked with type {blocked}"
    )
    assert await erp.rows("salesShipments") == []


async def test_a_stale_tag_stops_a_posting(erp, problem):
    """Actions mind `If-Match` when it is sent."""
    order = await erp.orders()

    answer = await erp.post(f"salesOrders({order['id']})/{SHIP}", None, **{"If-Match": 'W/"stale"'})

    assert problem(answer)[0] == 409
    assert len(await erp.rows("salesOrders")) == 1


async def test_stock_goes_out_with_the_shipment_and_is_booked_by_item(erp):
    """Inventory falls by what was shipped; the item ledger says where it went."""
    [before] = await erp.rows("items?$filter=number eq '10001'")

    await ships(erp, await erp.orders())

    [after] = await erp.rows("items?$filter=number eq '10001'")
    assert before["inventory"] - after["inventory"] == 10
    [entry] = await erp.rows("itemLedgerEntries?$filter=itemNumber eq '10001'")
    assert (entry["quantity"], entry["entryType"], entry["sourceNumber"]) == (-10, "Sale", "20001")


async def test_a_posted_document_refuses_every_edit(erp, problem):
    """Header, lines, deletion, a second post."""
    await ships(erp, await erp.orders())
    [invoice] = await erp.rows("salesInvoices?$expand=salesInvoiceLines")
    path = f"salesInvoices({invoice['id']})"
    line = invoice["salesInvoiceLines"][0]["id"]
    posted = "The invoice has been posted and can no longer be modified."

    assert problem(await erp.patch(path, {"dueDate": "2027-01-01"}))[2] == posted
    assert problem(await erp.patch(f"salesInvoiceLines({line})", {"quantity": 1}))[2] == posted
    assert problem(await erp.delete(path))[2] == posted
    assert problem(await erp.post(f"{path}/Microsoft.NAV.Post"))[2] == (
        "The action can be applied to a draft invoice only."
    )
    [shipment] = await erp.rows("salesShipments")
    refused = await erp.patch(f"salesShipments({shipment['id']})", {"email": "a@b.example"})
    assert problem(refused)[1] == "BadRequest_MethodNotAllowed"
    assert problem(await erp.post("salesShipments", {}))[1] == "BadRequest_MethodNotAllowed"


async def test_what_a_customer_owes_rises_with_the_invoice_and_falls_with_the_payment(erp):
    """Balance in LCY with tax; the invoice is Paid when nothing remains of it."""
    before = (await erp.customer())["customerFinancialDetail"]["balance"]
    await ships(erp, await erp.orders("PO-8"))
    [invoice] = await erp.rows("salesInvoices")
    assert (await erp.customer())["customerFinancialDetail"]["balance"] == before + 24

    part = await erp.http.post("/_sandbox/payments", json={"invoice": "PO-8", "amount": "4.00"})
    assert (part.json()["status"], part.json()["remainingAmount"]) == ("Open", 20)
    rest = await erp.http.post("/_sandbox/payments", json={"invoice": invoice["number"]})

    assert (rest.json()["status"], rest.json()["remainingAmount"]) == ("Paid", 0)
    assert (await erp.customer())["customerFinancialDetail"]["balance"] == before
    assert [row for row in erp.booked() if row[0] == "customerPayments.post"] == [
        ("customerPayments.post", "PO-8", "4.00"),
        ("customerPayments.post", "PO-8", "20.00"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"invoice": "NOTHING"}, 404), ({"invoice": "PO-8", "amount": "9999"}, 400), ({}, 400)],
)
async def test_a_payment_that_fits_no_invoice_is_refused(erp, body, status):
    """Unknown invoice, too much, nothing said."""
    await ships(erp, await erp.orders("PO-8"))

    assert (await erp.http.post("/_sandbox/payments", json=body)).status_code == status


async def test_an_invoice_beyond_its_due_date_is_overdue(erp):
    """From the day after on, in the financial detail and as the customer's balance due."""
    before = (await erp.customer())["balanceDue"]
    await ships(erp, await erp.orders())

    assert (await erp.customer())["balanceDue"] == before
    erp.clock.passes(days=120)
    await erp.signs_in()

    later = await erp.customer()
    assert later["balanceDue"] == before + 24
    assert later["customerFinancialDetail"]["overdueAmount"] == before + 24


async def test_a_credit_memo_against_an_invoice_lowers_what_remains(erp):
    """Draft, posted with a number of its own; Paid, as all of it is used up; stock comes back."""
    await ships(erp, await erp.orders("PO-9"))
    [invoice] = await erp.rows("salesInvoices")
    body = {
        "customerNumber": "20001",
        "externalDocumentNumber": "C-9",
        "invoiceNumber": invoice["number"],
        "salesCreditMemoLines": [{"lineObjectNumber": "10001", "quantity": 3, "unitPrice": 2}],
    }

    memo = (await erp.post("salesCreditMemos", body)).json()
    assert (memo["status"], memo["invoiceId"]) == ("Draft", invoice["id"])
    assert (await erp.post(f"salesCreditMemos({memo['id']})/Microsoft.NAV.post")).status_code == 204

    posted = (await erp.get(f"salesCreditMemos({memo['id']})")).json()
    assert (posted["status"], posted["number"][:5]) == ("Paid", "PS-CR")
    remaining = (await erp.get(f"salesInvoices({invoice['id']})")).json()["remainingAmount"]
    assert remaining == pytest.approx(24 - 7.2)
    assert [row for row in erp.booked() if "CreditMemo" in row[0]] == [
        ("salesCreditMemos.create", "C-9", "6.00"),
        ("salesCreditMemos.post", "C-9", "6.00"),
    ]


async def test_a_credit_memo_for_no_invoice_is_refused(erp, problem):
    """The invoice must be there and posted."""
    body = {"customerNumber": "20001", "invoiceNumber": "PS-INV1"}

    assert problem(await erp.post("salesCreditMemos", body))[2] == (
        'The "invoiceId" does not match to an Invoice.'
    )


async def test_a_cancelled_invoice_has_a_corrective_credit_memo(erp, problem):
    """Canceled and Corrective; the balance is as before; a second time is refused."""
    before = (await erp.customer())["customerFinancialDetail"]["balance"]
    await ships(erp, await erp.orders())
    [invoice] = await erp.rows("salesInvoices")
    action = f"salesInvoices({invoice['id']})/Microsoft.NAV.cancel"

    assert (await erp.post(action)).status_code == 204

    [memo] = await erp.rows("salesCreditMemos")
    assert (memo["status"], memo["invoiceNumber"]) == ("Corrective", invoice["number"])
    assert (await erp.get(f"salesInvoices({invoice['id']})")).json()["status"] == "Canceled"
    assert (await erp.customer())["customerFinancialDetail"]["balance"] == before
    assert problem(await erp.post(action))[2] == (
        "The invoice cannot be canceled because it has already been canceled."
    )


async def test_a_paid_invoice_cannot_be_cancelled(erp, problem):
    """It says that nothing was created."""
    await ships(erp, await erp.orders())
    [invoice] = await erp.rows("salesInvoices")
    await erp.http.post("/_sandbox/payments", json={"invoice": invoice["number"]})

    answer = await erp.post(f"salesInvoices({invoice['id']})/Microsoft.NAV.cancel")

    assert "fully or partially paid" in problem(answer)[2]
    assert await erp.rows("salesCreditMemos") == []


async def test_a_draft_invoice_is_posted_on_its_own(erp):
    """Draft number, then posted number, same id; it ships what it sells."""
    [item] = await erp.rows("items?$filter=number eq '10001'")
    body = {
        "customerNumber": "20001",
        "salesInvoiceLines": [{"itemId": item["id"], "quantity": 2, "unitPrice": 5}],
    }
    draft = (await erp.post("salesInvoices", body)).json()

    assert (await erp.post(f"salesInvoices({draft['id']})/Microsoft.NAV.post")).status_code == 204

    posted = (await erp.get(f"salesInvoices({draft['id']})")).json()
    assert (draft["status"], posted["status"]) == ("Draft", "Open")
    assert (draft["number"][:5], posted["number"][:6]) == ("S-INV", "PS-INV")
    [after] = await erp.rows("items?$filter=number eq '10001'")
    assert item["inventory"] - after["inventory"] == 2


async def test_payments_wait_in_a_journal_that_the_api_cannot_post(erp, problem):
    """Lines can be written; there is no posting action; the invoice stays open."""
    await ships(erp, await erp.orders())
    [invoice] = await erp.rows("salesInvoices")
    [journal] = await erp.rows("customerPaymentJournals")
    path = f"customerPaymentJournals({journal['id']})"

    line = await erp.post(
        f"{path}/customerPayments",
        {"customerNumber": "20001", "amount": -24, "appliesToInvoiceId": invoice["id"]},
    )

    assert line.status_code == 201
    assert line.json()["appliesToInvoiceNumber"] == invoice["number"]
    assert len(await erp.rows(f"{path}/customerPayments")) == 1
    assert problem(await erp.post(f"{path}/Microsoft.NAV.post"))[0] == 404
    assert (await erp.get(f"salesInvoices({invoice['id']})")).json()["status"] == "Open"


async def test_a_discounted_order_in_parts_is_invoiced_to_the_cent(erp):
    """The invoice discount follows the quantities; the invoices add up to the order."""
    lines = [{"lineObjectNumber": "10001", "quantity": 3, "unitPrice": 3.33}]
    order = await erp.orders(discountAmount=1, salesOrderLines=lines)
    [line] = order["salesOrderLines"]

    for _ in range(2):
        await sets(erp, line, shipQuantity=1)
        await ships(erp, order)
    await ships(erp, order)

    totals = [one["totalAmountExcludingTax"] for one in await erp.rows("salesInvoices")]
    assert round(sum(totals), 2) == order["totalAmountExcludingTax"] == 8.99
