"""What every WMS connector must do, held against a warehouse or what speaks its protocol."""

import asyncio
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from graphql import build_schema, parse, validate

from contracts.canonical.ids import item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.wms import (
    CancelRelease,
    HoldRelease,
    ReleaseOrder,
    StockEnquiry,
    WarehouseLine,
)
from system_apis.wms.shiphero import wire
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

ITEMS = [item for item in SMALL.items.values() if min(item.stock.values()) > 50]


@pytest.fixture
async def vendors():
    async with connected() as vendors:
        yield vendors


def a_release(reference="INV-1", *, lines=20, quantity=Decimal(2), **more):
    return ReleaseOrder(
        reference=reference,
        lines=tuple(
            WarehouseLine(
                number=at, item=item_id(item.number), quantity=quantity,
                unit_price=money("1.50", "GBP"), description=item.name,
            )
            for at, item in enumerate(ITEMS[:lines], 1)
        ),
        ship_to=Address(street="1 Quay", city="Leeds", country="GB", name="Goods in"),
        total=money("60.00", "GBP"),
        **more,
    )  # fmt: skip


async def rejected(awaitable):
    with pytest.raises(CallFailedError) as caught:
        await awaitable
    assert isinstance(caught.value.failure, Rejected)
    return caught.value.failure.reason


def documents():
    named = [value for name, value in vars(wire).items() if name.isupper()]
    wanted = [text for text in named if isinstance(text, str) and "{" in text and "(" in text]
    return [*wanted, wire.WAREHOUSES, *(wire.stock_document(items) for items in (1, 7, 50))]


def test_every_document_is_valid_in_the_vendors_schema():
    """graphql-core validates each against the published part of the schema."""
    from importlib.resources import files

    sdl = files("deploy.sandbox.shiphero").joinpath("schema.graphql").read_text("utf-8")
    schema = build_schema(sdl)
    assert len(documents()) >= 8
    for document in documents():
        assert validate(schema, parse(document)) == [], document


async def test_stock_is_told_for_every_place_and_unknown_items_are_missing(vendors):
    wanted = [*(item_id(item.number) for item in ITEMS[:10]), item_id("NOPE")]
    positions = (await vendors.wms.stock(StockEnquiry(items=tuple(wanted)))).positions
    assert [position.item for position in positions] == wanted[:10]
    for item, position in zip(ITEMS, positions, strict=False):
        told = {place.warehouse: place.on_hand for place in position.places}
        assert told == {code: Decimal(pieces) for code, pieces in item.stock.items()}


async def test_stock_of_a_hundred_items_takes_two_calls(vendors):
    items = tuple(item_id(number) for number in list(SMALL.items)[:100])
    await vendors.wms.stock(StockEnquiry(items=items[:1]))
    vendors.forget_calls()
    assert len((await vendors.wms.stock(StockEnquiry(items=items))).positions) == 100
    assert vendors.calls("wms") == ["inventory"] * 2


async def test_a_release_is_one_call_and_one_order_and_takes_the_stock(vendors):
    first = StockEnquiry(items=(item_id(ITEMS[0].number),))
    before = sum(p.available for p in (await vendors.wms.stock(first)).positions[0].places)
    vendors.forget_calls()
    released = await vendors.wms.release(a_release(po_number="PO-7", ship_by=date(2026, 12, 1)))
    assert vendors.calls("wms") == ["order_create"]
    assert (released.reference, released.found, released.state) == ("INV-1", False, "pending")
    (row,) = vendors.ledger("wms", "order_create")
    assert (row.external_reference, row.amount) == ("INV-1", Decimal("60.00"))
    after = sum(p.available for p in (await vendors.wms.stock(first)).positions[0].places)
    assert after == before - 2


async def test_a_release_may_name_its_warehouse(vendors):
    released = await vendors.wms.release(a_release(warehouse="WEST"))
    assert released.state == "pending"
    enquiry = StockEnquiry(items=(item_id(ITEMS[0].number),))
    (position,) = (await vendors.wms.stock(enquiry)).positions
    west = next(place for place in position.places if place.warehouse == "WEST")
    assert west.on_hand - west.available == 2


async def test_in_doubt_a_release_is_found_and_not_created_again(vendors):
    first = await vendors.wms.release(a_release())
    again = await vendors.wms.release(a_release(in_doubt=True))
    assert again == msgspec.structs.replace(first, found=True)
    assert len(vendors.ledger("wms", "order_create")) == 1


async def test_the_same_release_fifty_times_at_once_is_created_once(vendors):
    released = await asyncio.gather(*(vendors.wms.release(a_release()) for _ in range(50)))
    assert len({order.id for order in released}) == 1
    assert len(vendors.ledger("wms", "order_create")) == 1


async def test_refusals_have_reasons_and_leave_nothing_behind(vendors):
    unknown = msgspec.structs.replace(a_release().lines[0], item=item_id("NOPE"))
    order = msgspec.structs.replace(a_release(), lines=(unknown,))
    assert await rejected(vendors.wms.release(order)) == "item-unknown"
    assert (
        await rejected(vendors.wms.release(a_release(quantity=Decimal("1.5")))) == "business-rule"
    )
    assert vendors.ledger("wms") == []


async def test_a_release_is_found_by_its_reference_or_is_not(vendors):
    released = await vendors.wms.release(a_release())
    assert (await vendors.wms.find_release("INV-1")).id == released.id
    assert await rejected(vendors.wms.find_release("INV-2")) == "not-found"


async def test_a_hold_stops_the_picking_and_letting_go_resumes_it(vendors):
    await vendors.wms.release(a_release())
    assert (
        await vendors.wms.hold_release(HoldRelease(reference="INV-1", held=True))
    ).state == "held"
    again = await vendors.wms.hold_release(HoldRelease(reference="INV-1", held=True))
    assert again.state == "held"
    let_go = await vendors.wms.hold_release(HoldRelease(reference="INV-1", held=False))
    assert let_go.state == "pending"
    missing = HoldRelease(reference="INV-2", held=True)
    assert await rejected(vendors.wms.hold_release(missing)) == "not-found"


async def test_a_release_is_taken_back_once(vendors):
    await vendors.wms.release(a_release())
    cancel = CancelRelease(reference="INV-1", reason="withdrawn")
    assert (await vendors.wms.cancel_release(cancel)).was_there
    assert not (await vendors.wms.cancel_release(cancel)).was_there
    assert (await vendors.wms.find_release("INV-1")).state == "cancelled"
    nothing = CancelRelease(reference="INV-2", reason="withdrawn")
    assert not (await vendors.wms.cancel_release(nothing)).was_there
