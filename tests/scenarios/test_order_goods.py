"""From the warehouse's door to the last penny: shipped in parts, posted, billed, paid, closed."""

from datetime import UTC, date, datetime

import pytest

from contracts.canonical.documents import InvoiceLine
from contracts.canonical.ids import item_id
from contracts.canonical.money import money
from contracts.events.taxonomy import RecordChanged
from contracts.outcomes import Rejected
from process_apis.quote_to_order.signals import SHIPMENT_POSTED, WMS_CANCELLED
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio


async def released(world, *lines, key="GOODS"):
    reply = await world.place(an_order(*lines or (("1896-S", 5),)), key=key)
    return await world.reaches(reply.body.id, fulfilment="released")


async def posts(world, count, reference="GOODS"):
    await world.until(
        lambda: world.erp.ledger.count(("shipment", reference)) == count, what="the posting"
    )


async def test_what_leaves_is_posted_in_the_erp_and_told_and_the_rest_stays_open(world):
    """Two of five: the ERP ships two, the CRM shows a shipment, three stay open."""
    order = await released(world)

    await world.ships(order, ("1896-S", 2), tracking_numbers=("XD1",), carrier="DHL")
    await posts(world, 1)
    order = await world.reaches(order.id, fulfilment="partially-shipped")

    assert world.erp.shipped["GOODS"] == {"item_1896-S": 2}
    (shipment,) = order.shipments
    assert (shipment.pieces, shipment.tracking_numbers) == (2, ("XD1",))
    await world.until(lambda: "GOODS" in world.crm.documents, what="the CRM to be told")
    told = world.crm.documents["GOODS"]["S-SHPT107001"]
    assert (told.kind, told.pieces, told.tracking) == ("shipment", 2, "XD1")
    story = await world.story(order.id)
    assert any("3 pieces stay open" in entry.says for entry in story.entries)

    await world.ships(order, ("1896-S", 3))
    await posts(world, 2)
    await world.reaches(order.id, fulfilment="shipped")
    assert world.erp.shipped["GOODS"] == {"item_1896-S": 5}


async def test_a_package_that_is_told_twice_left_once(world):
    """The same package pushed, and found again by looking under another key."""
    order = await released(world)

    await world.ships(order, ("1896-S", 2), package="P-1")
    await world.hears(order.id, SHIPMENT_POSTED, a_posted_shipment(world, order), "posted")
    await world.ships(order, ("1896-S", 2), package="P-1", warehouse="EAST")
    await posts(world, 1)
    order = await world.reaches(order.id, fulfilment="partially-shipped")

    assert order.lines[0].shipped == 2
    assert len(order.shipments) == 1


def a_posted_shipment(world, order):
    from contracts.canonical.documents import Shipment

    return Shipment(
        id="S-SHPT107001",
        order=order.id,
        warehouse="EAST",
        lines=(),
        shipped_at=world.clock.now(),
    )


async def test_a_posting_whose_answer_is_lost_is_not_posted_twice(world):
    order = await released(world)
    world.erp.loses_answers = 1

    await world.ships(order, ("1896-S", 5))
    await world.reaches(order.id, fulfilment="shipped")
    await world.until(
        lambda: world.erp.calls.count("post in doubt") == 1, what="the posting to be repeated"
    )

    assert world.erp.ledger.count(("shipment", "GOODS")) == 1


async def test_an_erp_that_refuses_to_post_is_an_exception_and_tried_again(world):
    """The goods are gone all the same: the rep reads it, and a retry posts everything so far."""
    order = await released(world)
    world.erp.refuses.append(
        Rejected(system="business_central", reason="business-rule", detail="period closed")
    )

    await world.ships(order, ("1896-S", 2))
    order = await excepted(world, order)
    assert (order.exception.category, order.fulfilment) == (
        "erp-business-rule",
        "partially-shipped",
    )
    await world.ships(order, ("1896-S", 3))

    await world.reaches(order.id, fulfilment="shipped")
    await world.until(lambda: not world.erp.refuses, what="the posting")
    await posts(world, 1)
    assert world.erp.shipped["GOODS"] == {"item_1896-S": 5}
    await world.journal_state(order.id, "shipped")
    assert await world.exceptions() == ()


async def excepted(world, order):
    async def stopped():
        found = await world.order(order.id)
        return found if found.exception else None

    return await world.until(stopped, what="the exception")


async def test_more_than_was_ordered_is_somebodys_question_and_not_a_crash(world):
    """What was ordered is posted; the rest is shown to the warehouse, and the order goes on."""
    order = await released(world)

    await world.ships(order, ("1896-S", 7), ("1900-S", 1))
    order = await excepted(world, order)

    assert order.exception.category == "warehouse-rejection"
    assert "2 of 1896-S, 1 of 1900-S" in order.exception.detail
    assert world.erp.shipped["GOODS"] == {"item_1896-S": 5}
    await world.mends(order.id, "retry")
    order = await world.until(
        lambda: _without_exception(world, order), what="the exception to be over"
    )
    assert order.fulfilment == "shipped"


async def _without_exception(world, order):
    found = await world.order(order.id)
    return None if found.exception else found


async def test_goods_nobody_ordered_are_not_posted(world):
    order = await released(world)

    await world.ships(order, ("1908-S", 1))
    order = await excepted(world, order)

    assert "1 of 1908-S" in order.exception.detail
    assert ("shipment", "GOODS") not in world.erp.ledger
    await world.mends(order.id, "retry")
    await world.reaches(order.id, fulfilment="released", exception=None)


async def test_a_bill_is_paid_bit_by_bit_and_the_order_closes_with_the_last(world):
    """Invoice, part payment, the rest: shown in the CRM each time, and closed at the end."""
    order = await released(world)
    await world.ships(order, ("1896-S", 5))
    await posts(world, 1)
    lines = (
        InvoiceLine(
            item=item_id("1896-S"),
            quantity=5,
            unit_price=money(100, "GBP"),
            net_amount=money(500, "GBP"),
        ),
    )
    await world.bills(order, "PS-INV1", 500, gross=600, lines=lines, due_date=date(2026, 12, 22))
    order = await world.reaches(order.id, billing="invoiced")
    assert order.lines[0].invoiced == 5
    await world.crm_shows("GOODS", "600.00 GBP to be paid")

    await world.pays(order, "PS-INV1", 450, remaining=150)
    await world.crm_shows("GOODS", "150.00 GBP to be paid")
    await world.pays(order, "PS-INV1", 150, remaining=0)

    order = await world.reaches(order.id, billing="paid")
    await world.crm_shows("GOODS", "PS-INV1 is paid")
    assert world.crm.documents["GOODS"]["PS-INV1"].amount == money(600, "GBP")
    await world.until(
        lambda: world.crm.documents["GOODS"]["PS-INV1"].remaining == money(0, "GBP"),
        what="the CRM to show it paid",
    )
    said = [entry.says for entry in (await world.story(order.id)).entries]
    assert said[-4:] == [
        "Invoice PS-INV1 over 600.00 GBP was posted, due on 22 December 2026.",
        "450.00 GBP was received for invoice PS-INV1; 150.00 GBP remains to be paid.",
        "150.00 GBP was received for invoice PS-INV1; it is paid in full.",
        "Everything is shipped, invoiced and paid: the order is complete.",
    ]


async def test_an_order_paid_in_advance_closes_when_its_goods_are_posted(world):
    order = await released(world)

    await world.pays(order, "PS-INV1", 500, remaining=0)  # before anybody told of the invoice
    await world.bills(order, "PS-INV1", 500)
    await world.reaches(order.id, billing="paid", fulfilment="released")
    await world.ships(order, ("1896-S", 5))

    await world.journal_state(order.id, "closed")


async def test_the_same_bill_and_the_same_payment_count_once(world):
    """Told again under other keys, older news after newer: nothing is counted twice."""
    order = await released(world)
    noon, later = datetime(2026, 11, 22, 12, tzinfo=UTC), datetime(2026, 11, 22, 13, tzinfo=UTC)

    await world.bills(order, "PS-INV1", 500, key="a", changed_at=noon)
    await world.bills(order, "PS-INV1", 500, key="b", remaining=200, changed_at=later)
    await world.bills(order, "PS-INV1", 500, key="c", changed_at=noon)
    await world.pays(order, "PS-INV1", 300, remaining=200, key="d")

    order = await world.until(lambda: _remaining(world, order, 200), what="what remains")
    assert (len(order.invoices), order.billing) == (1, "invoiced")


async def _remaining(world, order, amount):
    found = await world.order(order.id)
    return found if found.invoices and found.invoices[0].remaining.amount == amount else None


async def test_a_cancelled_invoice_does_not_bill(world):
    order = await released(world)
    await world.bills(order, "PS-INV1", 500)
    await world.reaches(order.id, billing="invoiced")

    await world.bills(order, "PS-INV1", 500, state="cancelled", key="cancelled")

    await world.reaches(order.id, billing="not-invoiced")


async def test_what_the_warehouse_takes_back_by_itself_is_released_anew(world):
    """The warehouse cancels its own order: somebody looks, and a second one has its own name."""
    order = await released(world)

    told = RecordChanged(system="wms", entity="release", id="GOODS")
    await world.hears(order.id, WMS_CANCELLED, told, "cancelled")
    order = await excepted(world, order)
    assert (order.fulfilment, order.exception.category) == ("rejected", "warehouse-rejection")

    await world.mends(order.id, "retry")
    order = await world.reaches(order.id, fulfilment="released", exception=None)
    assert [release.state for release in order.releases] == ["cancelled", "open"]
    assert world.wms.ledger == [("release", "GOODS"), ("release", "GOODS+2")]
