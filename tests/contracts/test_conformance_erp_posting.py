"""What every ERP connector must do with shipments, invoices and changes of them."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from contracts.canonical.documents import ShippedLine
from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import money
from contracts.outcomes import CallFailedError, Conflict, Rejected
from contracts.ports.changes import Changes
from contracts.ports.erp import ErpOrderLine, PlaceErpOrder, PostShipment
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

BUYER = next(c for c in SMALL.customers.values() if c.country == "GB" and not c.blocked)
ITEMS = [i for i in SMALL.items.values() if not i.blocked][:6]
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture
async def vendors():
    async with connected() as vendors:
        yield vendors


def an_order(reference="INV-1", *, quantities=(10, 10, 10)):
    return PlaceErpOrder(
        reference=reference,
        customer=customer_id(BUYER.number),
        currency=BUYER.currency,
        lines=tuple(
            ErpOrderLine(
                item=item_id(item.number),
                quantity=Decimal(quantity),
                unit_price=money("2.00", BUYER.currency),
            )
            for item, quantity in zip(ITEMS, quantities, strict=False)
        ),
        order_date=date(2026, 11, 22),
    )


def left(*quantities, reference="INV-1", **more):
    """What has left of each item since the order began."""
    lines = tuple(
        ShippedLine(item=item_id(item.number), quantity=Decimal(quantity))
        for item, quantity in zip(ITEMS, quantities, strict=False)
        if quantity
    )
    told = {"shipment": "60000001/1", "shipped_at": NOW, "lines": lines}
    return PostShipment(reference=reference, customer=customer_id(BUYER.number), **told | more)


async def refused(awaitable):
    with pytest.raises(CallFailedError) as caught:
        await awaitable
    return caught.value.failure


async def desk(vendors, path, **body):
    """What somebody does inside the ERP."""
    import msgspec

    answer = await vendors.http.send(
        "POST", f"{vendors.base}/business_central/_sandbox/{path}", system="desk",
        headers={"content-type": "application/json"}, timeout=5.0, safe=False,
        body=msgspec.json.encode(body),
    )  # fmt: skip
    assert answer.status < 300, answer.body
    return msgspec.json.decode(answer.body)


def posted(vendors):
    return [row.detail for row in vendors.ledger("business_central", "salesShipments.post")]


def shipped(vendors):
    """Pieces of each item in all posted shipments."""
    found = {}
    for detail in posted(vendors):
        for line in detail["lines"]:
            found[line["item"]] = found.get(line["item"], 0) + line["quantity"]
    return [found.get(item.number, 0) for item in ITEMS[:3]]


async def test_a_partial_shipment_is_posted_and_bills_nothing(vendors):
    placed = await vendors.erp.place_order(an_order())

    done = await vendors.erp.post_shipment(left(4, 0, 10))

    assert (done.order_number, done.complete) == (placed.number, False)
    assert shipped(vendors) == [4, 0, 10]
    assert vendors.ledger("business_central", "salesInvoices.post") == []
    (shipment,) = (await vendors.erp.order_documents(placed.number)).shipments
    assert (shipment.id, shipment.reference) == (done.number, "INV-1")


async def test_what_has_left_is_told_as_a_sum_and_only_the_rest_is_posted(vendors):
    await vendors.erp.place_order(an_order())
    first = await vendors.erp.post_shipment(left(4, 0, 10))
    second = await vendors.erp.post_shipment(left(10, 3, 10))
    last = await vendors.erp.post_shipment(left(10, 10, 10))
    assert len({first.number, second.number, last.number}) == 3
    assert (first.complete, second.complete, last.complete) == (False, False, True)
    assert shipped(vendors) == [10, 10, 10]


async def test_posting_again_finds_nothing_to_post(vendors):
    await vendors.erp.place_order(an_order())
    first = await vendors.erp.post_shipment(left(4, 0, 10))
    again = await vendors.erp.post_shipment(left(4, 0, 10))
    older = await vendors.erp.post_shipment(left(2))
    assert (again.number, older.number) == (None, None)
    doubted = await vendors.erp.post_shipment(left(4, 0, 10, in_doubt=True))
    assert doubted.number == first.number
    assert shipped(vendors) == [4, 0, 10]


async def test_the_same_shipment_many_times_at_once_is_posted_once(vendors):
    await vendors.erp.place_order(an_order())
    done = await asyncio.gather(*(vendors.erp.post_shipment(left(4, 1)) for _ in range(10)))
    assert len([one for one in done if one.number]) == 1
    assert shipped(vendors) == [4, 1, 0]


@pytest.mark.parametrize("kind", ["error_after", "drop_after"])
@pytest.mark.parametrize("operation", ["batch", "salesOrders.shipAndInvoice"])
async def test_an_end_in_the_dark_is_settled_by_what_the_erp_has_shipped(vendors, kind, operation):
    await vendors.erp.place_order(an_order())
    vendors.fault("business_central", kind, operation, status=503)
    await refused(vendors.erp.post_shipment(left(4, 0, 10)))
    done = await vendors.erp.post_shipment(left(4, 0, 10, in_doubt=True))
    assert done.number is not None
    assert shipped(vendors) == [4, 0, 10]


async def test_somebody_who_posts_meanwhile_makes_it_a_conflict_and_ships_nothing_twice(vendors):
    """The vendor would otherwise ship and bill all that is left."""
    placed = await vendors.erp.place_order(an_order())
    write = vendors.erp._company.write

    async def interrupted(method, path, **more):
        if path.endswith("shipAndInvoice"):
            order = f"salesOrders({placed.id})"
            await write("PATCH", order, body=b'{"email":"a@b.example"}', headers={"if-match": "*"})
        return await write(method, path, **more)

    vendors.erp._company.write = interrupted
    assert isinstance(await refused(vendors.erp.post_shipment(left(4))), Conflict)
    assert posted(vendors) == []
    vendors.erp._company.write = write
    assert (await vendors.erp.post_shipment(left(4))).number is not None
    assert shipped(vendors) == [4, 0, 0]


async def test_more_than_was_ordered_is_posted_as_far_as_was_ordered(vendors):
    await vendors.erp.place_order(an_order())
    done = await vendors.erp.post_shipment(left(12, 10, 10))
    assert done.complete
    assert shipped(vendors) == [10, 10, 10]


async def test_an_item_on_two_lines_fills_the_first_one_first(vendors):
    order = an_order()
    twice = PlaceErpOrder(
        reference="INV-2", customer=order.customer, currency=order.currency,
        lines=(order.lines[0], order.lines[0]), order_date=order.order_date,
    )  # fmt: skip
    await vendors.erp.place_order(twice)
    await vendors.erp.post_shipment(left(13, reference="INV-2"))
    last = await vendors.erp.post_shipment(left(20, reference="INV-2"))
    assert last.complete
    assert shipped(vendors) == [20, 0, 0]


async def test_a_hundred_lines_and_more_are_posted(vendors):
    order = an_order()
    many = PlaceErpOrder(
        reference="INV-3", customer=order.customer, currency=order.currency,
        lines=order.lines * 40, order_date=order.order_date,
    )  # fmt: skip
    await vendors.erp.place_order(many)
    vendors.forget_calls()
    done = await vendors.erp.post_shipment(left(400, 399, 400, reference="INV-3"))
    assert not done.complete
    assert shipped(vendors) == [400, 399, 400]
    assert vendors.calls("business_central").count("batch") == 3


async def test_an_order_that_is_not_there_or_is_gone(vendors):
    missing = await refused(vendors.erp.post_shipment(left(1)))
    assert isinstance(missing, Rejected)
    assert missing.reason == "not-found"
    placed = await vendors.erp.place_order(an_order())
    await vendors.erp._company.write(
        "POST", f"salesOrders({placed.id})/Microsoft.NAV.shipAndInvoice"
    )
    gone = await vendors.erp.post_shipment(left(10, 10, 10))
    assert (gone.number, gone.order_number, gone.complete) == (None, placed.number, True)


async def test_a_customer_whom_finance_blocks_gets_nothing_posted(vendors):
    await vendors.erp.place_order(an_order())
    await desk(vendors, f"customers/{BUYER.number}", blocked="Ship")
    assert (await refused(vendors.erp.post_shipment(left(4)))).reason == "customer-blocked"
    await desk(vendors, f"customers/{BUYER.number}", blocked="")
    assert (await vendors.erp.post_shipment(left(4))).number is not None


async def all_documents(erp, since=None):
    shipments, invoices, cursor = [], [], None
    while True:
        page = await erp.documents_since(Changes(since=since, cursor=cursor))
        shipments += page.shipments
        invoices += page.invoices
        cursor = page.cursor
        if cursor is None:
            return shipments, invoices


async def test_documents_are_listed_once_over_all_pages_and_name_our_reference():
    async with connected(page_size=3) as vendors:
        for at in range(8):
            await vendors.erp.place_order(an_order(f"INV-{at}"))
            await vendors.erp.post_shipment(left(4, reference=f"INV-{at}"))
            await desk(vendors, "invoices", order=f"INV-{at}")
        shipments, invoices = await all_documents(vendors.erp)
        wanted = [f"INV-{at}" for at in range(8)]
        assert [one.reference for one in shipments] == wanted
        assert [one.reference for one in invoices] == wanted
        assert all(one.net_amount == money("8.00", BUYER.currency) for one in invoices)


async def test_a_payment_shows_as_an_invoice_that_changed(vendors):
    await vendors.erp.place_order(an_order())
    await vendors.erp.post_shipment(left(10))
    invoice = await desk(vendors, "invoices", order="INV-1")
    _, (before,) = await all_documents(vendors.erp)
    assert (before.number, before.remaining, before.state) == (
        invoice["number"], before.gross_amount, "open",
    )  # fmt: skip
    since = before.changed_at

    await desk(vendors, "payments", invoice=before.number, amount="5.00")
    shipments, (partly,) = await all_documents(vendors.erp, since)
    assert shipments == []
    assert partly.remaining.amount == before.remaining.amount - 5
    await desk(vendors, "payments", invoice=before.number)
    _, (paid,) = await all_documents(vendors.erp, partly.changed_at)
    assert (paid.remaining.amount, paid.state) == (Decimal(0), "paid")


@pytest.mark.parametrize("cursor", ["", " ", "items?$top=1 ", "../x?y salesInvoices?z"])
async def test_a_cursor_of_documents_leads_nowhere_else(vendors, cursor):
    failure = await refused(vendors.erp.documents_since(Changes(cursor=cursor)))
    assert failure.reason == "not-found"


async def test_the_order_book_tells_what_changed_and_what_is_in_review(vendors):
    placed = await vendors.erp.place_order(an_order())
    await vendors.erp.place_order(an_order("INV-2"))
    assert (await vendors.erp.list_orders_in_review(Changes())).orders == ()
    await desk(vendors, f"orders/{placed.number}", status="In_x0020_Review")

    (held,) = (await vendors.erp.list_orders_in_review(Changes())).orders
    assert (held.reference, held.state) == ("INV-1", "in-review")
    both = (await vendors.erp.list_orders(Changes())).orders
    assert {order.reference: order.state for order in both} == {
        "INV-1": "in-review",
        "INV-2": "draft",
    }
    later = held.changed_at + timedelta(milliseconds=1)
    assert (await vendors.erp.list_orders(Changes(since=later))).orders == ()
