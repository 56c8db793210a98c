"""What every WMS connector must tell of what changed and what left."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.ids import item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address
from contracts.outcomes import CallFailedError
from contracts.ports.changes import Changes
from contracts.ports.wms import CancelRelease, HoldRelease, ReleaseOrder, WarehouseLine
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

ITEMS = [item for item in SMALL.items.values() if min(item.stock.values()) > 50]


@pytest.fixture
async def vendors():
    async with connected() as vendors:
        yield vendors


def a_release(reference="INV-1", *, lines=3, quantity=4):
    return ReleaseOrder(
        reference=reference,
        lines=tuple(
            WarehouseLine(
                number=at, item=item_id(item.number), quantity=Decimal(quantity),
                unit_price=money("1.50", "GBP"), description=item.name,
            )
            for at, item in enumerate(ITEMS[:lines], 1)
        ),
        ship_to=Address(street="1 Quay", city="Leeds", country="GB", name="Goods in"),
        total=money("60.00", "GBP"),
        warehouse="EAST",
    )  # fmt: skip


async def ships(vendors, reference="INV-1", **more):
    """People pick and ship."""
    lines = more.pop("lines", None)
    body = {"orderNumber": reference, **more}
    if lines is not None:
        body["lines"] = [
            {"sku": item.number, "quantity": quantity}
            for item, quantity in zip(ITEMS, lines, strict=False)
            if quantity
        ]
    answer = await vendors.http.send(
        "POST", f"{vendors.base}/_sandbox/warehouse/ship", system="floor",
        headers={"content-type": "application/json"}, timeout=5.0, safe=False,
        body=msgspec.json.encode(body),
    )  # fmt: skip
    assert answer.status == 200, answer.body


async def everything(listing, field, since=None):
    found, cursor = [], None
    while True:
        page = await listing(Changes(since=since, cursor=cursor))
        found += getattr(page, field)
        cursor = page.cursor
        if cursor is None:
            return found


async def test_every_package_is_told_with_its_lines_and_the_reference_of_its_release(vendors):
    await vendors.wms.release(a_release("INV-1-2"))
    await ships(vendors, "INV-1-2", lines=(4, 1), packages=2)

    packages = await everything(vendors.wms.shipments_since, "shipments")

    assert [package.order for package in packages] == ["INV-1-2"] * 2
    assert len({package.id for package in packages}) == 2
    told = {line.item: line.quantity for package in packages for line in package.lines}
    assert told == {item_id(ITEMS[0].number): 4, item_id(ITEMS[1].number): 1}
    assert all(package.warehouse == "EAST" for package in packages)
    assert all(len(package.tracking_numbers) == 1 for package in packages)


async def test_only_what_left_since_is_told_and_its_lines_are_read_once(vendors):
    await vendors.wms.release(a_release())
    await ships(vendors, lines=(1,))
    (first,) = await everything(vendors.wms.shipments_since, "shipments")
    await ships(vendors, lines=(2, 3))
    since = first.shipped_at + timedelta(microseconds=1)
    (second,) = await everything(vendors.wms.shipments_since, "shipments", since)
    assert [line.quantity for line in second.lines] == [2, 3]
    vendors.forget_calls()
    assert await everything(vendors.wms.shipments_since, "shipments") == [first, second]
    assert vendors.calls("wms") == ["shipments"]


async def test_shipments_and_releases_are_told_once_over_all_pages(vendors):
    references = [f"INV-{at:02d}" for at in range(60)]
    for reference in references:
        await vendors.wms.release(a_release(reference, lines=1, quantity=1))
    for reference in references[:40]:
        await ships(vendors, reference)
    packages = await everything(vendors.wms.shipments_since, "shipments")
    assert [package.order for package in packages] == references[:40]
    since = packages[0].shipped_at - timedelta(hours=1)
    orders = await everything(vendors.wms.list_releases, "orders", since)
    assert sorted(order.reference for order in orders) == references
    assert {order.reference for order in orders if order.shipped} == set(references[:40])


async def test_a_release_tells_how_it_stands(vendors):
    await vendors.wms.release(a_release())
    await vendors.wms.release(a_release("INV-2"))
    await vendors.wms.release(a_release("INV-3"))
    await ships(vendors, lines=(1,))
    held = await vendors.wms.hold_release(HoldRelease(reference="INV-1", held=True))
    await vendors.wms.cancel_release(CancelRelease(reference="INV-2", reason="withdrawn"))
    await ships(vendors, "INV-3")
    told = {
        order.reference: (order.state, order.held, order.shipped)
        for order in await everything(vendors.wms.list_releases, "orders")
    }
    assert told == {
        "INV-1": ("held", True, True),
        "INV-2": ("cancelled", False, False),
        "INV-3": ("fulfilled", False, True),
    }
    assert held.shipped
    assert held.changed_at is not None


async def test_what_is_partly_shipped_can_be_held_and_let_go_on(vendors):
    """Finance holds a customer while the warehouse is at it."""
    await vendors.wms.release(a_release())
    await ships(vendors, lines=(2,))
    held = await vendors.wms.hold_release(HoldRelease(reference="INV-1", held=True))
    assert (held.state, held.held, held.shipped) == ("held", True, True)
    answer = await vendors.http.send(
        "POST", f"{vendors.base}/_sandbox/warehouse/ship", system="floor",
        headers={"content-type": "application/json"}, timeout=5.0, safe=False,
        body=b'{"orderNumber":"INV-1"}',
    )  # fmt: skip
    assert answer.status == 409
    freed = await vendors.wms.hold_release(HoldRelease(reference="INV-1", held=False))
    assert (freed.state, freed.held) == ("pending", False)
    await ships(vendors)
    assert (await vendors.wms.find_release("INV-1")).state == "fulfilled"


@pytest.mark.parametrize("cursor", ["", "|", "x|YQ==", "2026-11-22T09:00:00+00:00|%"])
async def test_a_cursor_that_is_none_of_ours_is_refused(vendors, cursor):
    for listing in (vendors.wms.list_releases, vendors.wms.shipments_since):
        with pytest.raises(CallFailedError) as caught:
            await listing(Changes(cursor=cursor))
        assert caught.value.failure.reason == "not-found"
