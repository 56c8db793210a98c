"""What people do in the systems is found by looking, when no message tells of it."""

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.documents import ShippedLine
from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address
from contracts.outcomes import CallFailedError
from contracts.ports.erp import ErpOrderLine, PlaceErpOrder, PostShipment
from contracts.ports.wms import CancelRelease, ReleaseOrder, WarehouseLine
from process_apis.propagation.build import Propagation
from process_apis.propagation.settings import PropagationSettings
from tests.connected import SMALL, connected
from tests.propagation_feeds import MemoryInbox

pytestmark = pytest.mark.anyio

BUYER = next(c for c in SMALL.customers.values() if c.country == "GB" and not c.blocked)
WHO = customer_id(BUYER.number)
ITEMS = [i for i in SMALL.items.values() if not i.blocked and i.stock.get("EAST", 0) > 50][:3]


class Watching:
    """The systems, an inbox, and the watches between them."""

    def __init__(self, vendors, inbox=None, **settings):
        self.vendors = vendors
        self.inbox = inbox or MemoryInbox(
            ("INV-1", "INV-2"), ((WHO, ["p-INV-1", "p-INV-2"]), ("item_X", ()))
        )
        self.renewed = []
        made = Propagation(
            erp=vendors.erp, wms=vendors.wms, store=None, clock=vendors.clock,
            settings=PropagationSettings(**settings),
            renewals={"business_central": self._renew, "shiphero": self._renew},
        )  # fmt: skip
        made.intake._orders = self.inbox
        self.intake, self.watchdog = made.intake, made.watchdog
        made._orders = self.inbox
        self.erp, self.wms = made.over(self.inbox)

    async def _renew(self):
        self.renewed.append(self.vendors.clock.now())

    async def look(self):
        await self.erp.look()
        await self.wms.look()
        return self.inbox

    def names(self):
        return [signal.name for _, signal in self.inbox.signals]


@pytest.fixture
async def watching():
    async with connected() as vendors:
        made = Watching(vendors)
        await made.look()  # from here on
        yield made


async def placed(vendors, reference="INV-1"):
    lines = tuple(
        ErpOrderLine(
            item=item_id(item.number), quantity=Decimal(4), unit_price=money("2.50", BUYER.currency)
        )
        for item in ITEMS
    )
    order = PlaceErpOrder(
        reference=reference, customer=WHO, currency=BUYER.currency, lines=lines,
        order_date=date(2026, 11, 22),
    )  # fmt: skip
    return await vendors.erp.place_order(order)


async def released(vendors, reference="INV-1"):
    lines = tuple(
        WarehouseLine(
            number=at, item=item_id(item.number), quantity=Decimal(4),
            unit_price=money("2.50", "GBP"), description=item.name,
        )
        for at, item in enumerate(ITEMS, 1)
    )  # fmt: skip
    to = Address(street="1 Quay", city="Leeds", country="GB", name="Goods in")
    return await vendors.wms.release(
        ReleaseOrder(
            reference=reference, lines=lines, ship_to=to, total=money("30.00", "GBP"),
            warehouse="EAST",
        )
    )  # fmt: skip


async def does(vendors, path, **body):
    """What somebody does in a system, at the desk that the sandbox has for it."""
    answer = await vendors.http.send(
        "POST", f"{vendors.base}/{path}", system="desk",
        headers={"content-type": "application/json"}, timeout=5.0, safe=False,
        body=msgspec.json.encode(body),
    )  # fmt: skip
    assert answer.status < 300, answer.body
    return msgspec.json.decode(answer.body)


async def test_a_missed_shipment_is_found_once_and_lines_are_not_read_twice(watching):
    vendors = watching.vendors
    await released(vendors)
    pieces = [{"sku": ITEMS[0].number, "quantity": 3}]
    await does(vendors, "_sandbox/warehouse/ship", orderNumber="INV-1", lines=pieces)
    inbox = await watching.look()
    await watching.look()
    (told,) = inbox.told("wms.goods.shipped", "p-INV-1")
    assert list(told["lines"]) == [{"item": item_id(ITEMS[0].number), "quantity": "3"}]


async def test_bills_and_payments_are_found_as_they_come(watching):
    vendors = watching.vendors
    await placed(vendors)
    shipped = PostShipment(
        reference="INV-1", customer=WHO, shipment="60000001/1",
        lines=(ShippedLine(item=item_id(ITEMS[0].number), quantity=Decimal(4)),),
        shipped_at=vendors.clock.now(),
    )  # fmt: skip
    await vendors.erp.post_shipment(shipped)
    await watching.look()
    bill = await does(vendors, "business_central/_sandbox/invoices", order="INV-1")
    await watching.look()
    await does(vendors, "business_central/_sandbox/payments", invoice=bill["number"], amount="4.00")
    await watching.look()
    await does(vendors, "business_central/_sandbox/payments", invoice=bill["number"])
    inbox = await watching.look()
    await watching.look()

    assert watching.names() == [
        "erp.shipment.posted", "erp.invoice.posted", "erp.invoice.paid", "erp.invoice.paid",
    ]  # fmt: skip
    (invoice,) = inbox.told("erp.invoice.posted")
    assert (invoice["number"], invoice["reference"]) == (bill["number"], "INV-1")
    first, second = inbox.told("erp.invoice.paid")
    assert first["amount"]["amount"] == "4.00"
    assert second["remaining"]["amount"] == "0.00"


async def test_a_block_and_a_review_hold_and_let_go(watching):
    vendors = watching.vendors
    order = await placed(vendors)
    await does(vendors, f"business_central/_sandbox/customers/{BUYER.number}", blocked="Ship")
    await does(
        vendors, f"business_central/_sandbox/orders/{order.number}", status="In_x0020_Review"
    )
    inbox = await watching.look()
    await watching.look()
    held = inbox.told("erp.hold.changed", "p-INV-1")
    assert [(hold["kind"], hold["held"]) for hold in held] == [
        ("customer-blocked", True),
        ("order-in-review", True),
    ]
    assert len(inbox.told("erp.hold.changed", "p-INV-2")) == 1
    await does(vendors, f"business_central/_sandbox/customers/{BUYER.number}", blocked="")
    await does(vendors, f"business_central/_sandbox/orders/{order.number}", status="Open")
    await watching.look()
    await watching.look()
    freed = inbox.told("erp.hold.changed", "p-INV-1")[2:]
    assert [(hold["kind"], hold["held"]) for hold in freed] == [
        ("customer-blocked", False),
        ("order-in-review", False),
    ]
    assert freed[1]["asOf"] > held[1]["asOf"]


async def test_a_watch_that_starts_anew_goes_on_where_it_stood(watching):
    """Another program takes over: what happened meanwhile is found, nothing is told again."""
    vendors = watching.vendors
    await released(vendors)
    await does(vendors, "_sandbox/warehouse/ship", orderNumber="INV-1")
    await watching.look()
    await released(vendors, "INV-2")
    await vendors.wms.cancel_release(CancelRelease(reference="INV-2", reason="mistake"))
    after = Watching(vendors, watching.inbox)
    await after.look()
    assert after.names() == ["wms.goods.shipped", "wms.order.cancelled"]


async def test_stock_that_came_in_is_found_for_whoever_waits(watching):
    vendors, sku = watching.vendors, ITEMS[0].number
    for place in ("EAST", "WEST", "EU"):
        await does(vendors, "_sandbox/warehouse/count", sku=sku, warehouse=place, onHand=0)
    watching.inbox.customers[item_id(sku)] = ("p-INV-1",)
    await watching.look()
    assert watching.names() == []
    await does(vendors, "_sandbox/warehouse/count", sku=sku, warehouse="EAST", onHand=7)
    await watching.look()
    await watching.look()
    (moved,) = watching.inbox.told("wms.record.changed", "p-INV-1")
    assert moved["id"] == item_id(sku)


async def test_a_system_that_does_not_answer_is_asked_again_from_the_same_place(watching):
    vendors = watching.vendors
    await released(vendors)
    await does(vendors, "_sandbox/warehouse/ship", orderNumber="INV-1")
    vendors.fault("wms", "error_before", "shipments", status=503, count=2)
    with pytest.raises(CallFailedError):
        await watching.look()
    vendors.sandbox.context.faults.clear()
    await watching.look()
    assert watching.names() == ["wms.goods.shipped"]


async def test_a_subscription_that_falls_silent_is_found_out_and_made_anew():
    async with connected() as vendors:
        watching = Watching(vendors, push_grace=timedelta(0), renew_every=timedelta(minutes=5))
        await watching.look()
        await released(vendors)
        await does(vendors, "_sandbox/warehouse/ship", orderNumber="INV-1")
        await watching.look()
        await watching.watchdog.check()
        await watching.watchdog.check()
        standing = {one.name: one for one in watching.watchdog.standings()}
        silent = standing["shiphero.shipments"]
        assert (silent.missed, silent.suspect_since is not None) == (1, True)
        assert len(watching.renewed) == 1
        assert standing["business_central.customers"].missed == 0
        watching.watchdog.heard("shiphero.shipments")
        heard = {one.name: one for one in watching.watchdog.standings()}["shiphero.shipments"]
        assert heard.suspect_since is None
        assert heard.last_push is not None
