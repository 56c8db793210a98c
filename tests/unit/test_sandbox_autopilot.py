"""The sandbox's people ship, bill and pay by themselves, the same way every time."""

import asyncio
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.documents import ShippedLine
from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address
from contracts.ports.changes import Changes
from contracts.ports.erp import ErpOrderLine, PlaceErpOrder, PostShipment
from contracts.ports.wms import HoldRelease, ReleaseOrder, WarehouseLine
from deploy.sandbox.autopilot import Pace
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

BUYER = next(c for c in SMALL.customers.values() if c.country == "GB" and not c.blocked)
ITEMS = [i for i in SMALL.items.values() if not i.blocked and i.stock.get("EAST", 0) > 100][:2]
AT_ONCE = Pace(ship_after=0, bill_after=0, pay_after=0)


@pytest.fixture
async def vendors():
    async with connected() as vendors:
        mounted = vendors.sandbox.vendors.mounted
        people = (mounted["shiphero"].pickers, mounted["business_central"].finance)
        vendors.sandbox.vendors = msgspec.structs.replace(vendors.sandbox.vendors, people=people)
        yield vendors


async def released(vendors, reference, quantity=5):
    lines = tuple(
        WarehouseLine(
            number=at, item=item_id(item.number), quantity=Decimal(quantity),
            unit_price=money("2.50", "GBP"), description=item.name,
        )
        for at, item in enumerate(ITEMS, 1)
    )  # fmt: skip
    to = Address(street="1 Quay", city="Leeds", country="GB", name="Goods in")
    order = ReleaseOrder(
        reference=reference, lines=lines, ship_to=to, total=money(9, "GBP"), warehouse="EAST"
    )
    return await vendors.wms.release(order)


def turn(vendors, pace=AT_ONCE):
    vendors.sandbox.autopilot._pace = pace
    return vendors.sandbox.autopilot.turn()


async def ask(vendors, method, body=None):
    return await vendors.http.send(
        method, f"{vendors.base}/_sandbox/autopilot", system="desk", timeout=5.0, safe=False,
        headers={"content-type": "application/json"}, body=body,
    )  # fmt: skip


async def test_it_is_off_at_first_and_nobody_acts(vendors):
    told = msgspec.json.decode((await ask(vendors, "GET")).body)
    assert (told["on"], told["done"]) == (False, 0)
    assert (await ask(vendors, "POST", b'{"on":true,"shipAfter":-1}')).status == 400
    assert (await ask(vendors, "POST", b'{"on":true,"haste":1}')).status == 400


async def test_what_is_released_leaves_in_time_and_what_is_held_stays(vendors):
    for reference in ("INV-1", "INV-2"):
        await released(vendors, reference)
    await vendors.wms.hold_release(HoldRelease(reference="INV-2", held=True))
    assert turn(vendors, Pace(ship_after=3600)) == 0
    assert turn(vendors) == 1
    assert (await vendors.wms.find_release("INV-1")).state == "fulfilled"
    assert (await vendors.wms.find_release("INV-2")).state == "held"
    assert turn(vendors) == 0


async def test_some_orders_leave_in_two_shipments_the_same_ones_every_time(vendors):
    references = [f"INV-{number}" for number in range(12)]
    for reference in references:
        await released(vendors, reference)
    pace = msgspec.structs.replace(AT_ONCE, partly=50)
    turn(vendors, pace)
    parts = [
        reference
        for reference in references
        if (await vendors.wms.find_release(reference)).state == "pending"
    ]
    assert parts == [reference for reference in references if pace.ships_in_parts(reference)]
    assert 0 < len(parts) < len(references)
    turn(vendors, pace)
    for reference in references:
        assert (await vendors.wms.find_release(reference)).state == "fulfilled"


async def test_what_is_shipped_is_billed_and_what_is_billed_is_paid(vendors):
    lines = tuple(
        ErpOrderLine(
            item=item_id(item.number), quantity=Decimal(5), unit_price=money("2.50", BUYER.currency)
        )
        for item in ITEMS
    )
    order = PlaceErpOrder(
        reference="INV-1", customer=customer_id(BUYER.number), currency=BUYER.currency,
        lines=lines, order_date=date(2026, 11, 22),
    )  # fmt: skip
    await vendors.erp.place_order(order)
    assert turn(vendors) == 0
    shipped = PostShipment(
        reference="INV-1", customer=order.customer, shipment="1/1", shipped_at=vendors.clock.now(),
        lines=(ShippedLine(item=item_id(ITEMS[0].number), quantity=Decimal(2)),),
    )  # fmt: skip
    await vendors.erp.post_shipment(shipped)
    assert turn(vendors, msgspec.structs.replace(AT_ONCE, pay_after=3600)) == 1
    (invoice,) = (await vendors.erp.documents_since(Changes())).invoices
    assert (invoice.state, invoice.net_amount) == ("open", money("5.00", BUYER.currency))
    assert turn(vendors) == 1
    (invoice,) = (await vendors.erp.documents_since(Changes())).invoices
    assert invoice.state == "paid"
    assert turn(vendors) == 0


async def test_switched_on_it_runs_until_it_is_switched_off(vendors):
    on = await ask(vendors, "POST", b'{"on":true,"shipAfter":0,"billAfter":0,"payAfter":0}')
    assert msgspec.json.decode(on.body)["on"]
    await released(vendors, "INV-1")
    async with asyncio.timeout(10):
        while (await vendors.wms.find_release("INV-1")).state != "fulfilled":  # noqa: ASYNC110  # a vendor sets no event
            await asyncio.sleep(0.1)
    off = await ask(vendors, "POST", b'{"on":false}')
    assert not msgspec.json.decode(off.body)["on"]
    await released(vendors, "INV-2")
    await asyncio.sleep(0.8)
    assert (await vendors.wms.find_release("INV-2")).state == "pending"
