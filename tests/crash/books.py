"""Orders as journal, ERP, warehouse and CRM hold them, made to agree or to disagree in one point.

Everything a vendor holds is put there through its own API or by the sandbox's people; the journal
gets its rows as an order's process would have left them.
"""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import msgspec
from msgspec import Struct
from sqlalchemy import update

from contracts.canonical.documents import ShippedLine
from contracts.canonical.ids import OrderId, customer_id, item_id
from contracts.canonical.money import money
from contracts.canonical.order import Hold
from contracts.canonical.party import Address
from contracts.ports.changes import Changes
from contracts.ports.crm import OrderReport, Reports
from contracts.ports.erp import CancelErpOrder, ErpOrderLine, PlaceErpOrder, PostShipment
from contracts.ports.wms import CancelRelease, ReleaseOrder, WarehouseLine
from process_apis.quote_to_order.build import QuoteToOrder
from process_apis.quote_to_order.exposure import OpenExposure
from process_apis.quote_to_order.records import (
    ORDER_KIND,
    AgreedLine,
    InvoiceRecord,
    OrderRecord,
    ShipmentRecord,
)
from process_apis.quote_to_order.settings import OrderSettings
from process_apis.quote_to_order.views import order_view
from runtime.journal.codec import encode
from runtime.journal.crash_points import CrashPoints
from runtime.journal.journal import Journal
from runtime.journal.process import Lane, Start
from runtime.store.schema import process
from tests.connected import SMALL

STAGES = ("waiting", "released", "shipped", "invoiced", "cancelled")
KINDS = {
    "missing-in-erp": "new",
    "missing-in-wms": "released",
    "missing-in-crm": "released",
    "doubled-in-erp": "released",
    "doubled-in-wms": "released",
    "amount": "released",
    "currency": "released",
    "quantity": "shipped",
    "status": "released",
    "cancelled-in-erp": "released",
    "cancelled-in-wms": "released",
    "shipped-not-posted": "shipped",
    "invoiced-not-told": "invoiced",
    "unknown-in-erp": "unknown",
    "unknown-in-wms": "unknown",
    "unknown-in-crm": "unknown",
}
"""Every kind of difference, and the stage of the orders it is planted in."""

_STATES = {
    "new": "accepted",
    "waiting": "held",
    "released": "released",
    "shipped": "shipped",
    "invoiced": "closed",
    "cancelled": "cancelled",
}
_ITEMS = [item for item in SMALL.items.values() if not item.blocked and not item.discontinued][:20]
_CUSTOMERS = [
    each for each in SMALL.customers.values() if each.currency == "GBP" and not each.blocked
][:20]
_AT_ONCE = 8
_PIECES = 10_000_000


class Case(Struct, kw_only=True):
    """One order. `where`: which system differs, for kinds that more than one can have."""

    reference: str
    stage: str
    kind: str | None = None
    where: str = "erp"
    customer: str = ""
    record: OrderRecord | None = None
    package: str | None = None


def cases_of(sound: int, differences: int, chance: random.Random) -> list[Case]:
    """So many sound orders of every stage, and the differences spread over every kind."""
    kinds = [list(KINDS)[n % len(KINDS)] for n in range(differences)]
    made = [
        Case(
            reference=f"{'abX'[n % 3]}-{chance.getrandbits(40):010x}",
            stage=KINDS[kind],
            kind=kind,
            where=("erp", "crm")[n // len(KINDS) % 2],
        )
        for n, kind in enumerate(kinds)
    ]
    made += [
        Case(reference=f"S-{chance.getrandbits(40):010x}", stage=STAGES[n % len(STAGES)])
        for n in range(sound)
    ]
    chance.shuffle(made)
    for case in made:
        case.customer = customer_id(chance.choice(_CUSTOMERS).number)
    return made


class Books:
    """Makes cases true in four books."""

    def __init__(self, vendors, store, clock, chance):
        self._vendors = vendors
        self._store = store
        self._clock = clock
        self._chance = chance
        built = QuoteToOrder(
            pricing=None, erp=vendors.erp, wms=vendors.wms, crm=vendors.crm, store=store,
            settings=OrderSettings(), clock=clock, exposure=OpenExposure(),
        )  # fmt: skip
        self.journal = Journal(
            store=store, types=built.types, clock=clock, random=chance, node="books",
            crash_points=CrashPoints(),
        )  # fmt: skip
        self._http = httpx.AsyncClient(base_url=vendors.base, timeout=30.0)

    async def make(self, cases):
        """Put every case into the books."""
        async with self._http:
            for item in _ITEMS:
                for warehouse in item.stock:
                    count = {"sku": item.number, "warehouse": warehouse, "onHand": _PIECES}
                    await self._desk("/_sandbox/warehouse/count", count)
            await _in_turns(self._in_the_vendors, cases)
            await self._name_packages(cases)
            await _in_turns(self._bill, [each for each in cases if each.stage == "invoiced"])
        await _in_turns(self._in_the_journal, [each for each in cases if each.record is not None])
        await self._tell_the_crm(cases)

    async def _in_the_vendors(self, case):
        case.record = record = self._a_record(case)
        if case.stage in {"released", "shipped", "invoiced"} or case.kind == "unknown-in-erp":
            record = case.record = await self._in_the_erp(case, record)
        if case.stage in {"released", "shipped", "invoiced"} or case.kind == "unknown-in-wms":
            record = case.record = await self._in_the_warehouse(case, record)
        if case.stage in {"shipped", "invoiced"}:
            await self._ship(case, record)
        if case.stage == "unknown" and case.kind != "unknown-in-crm":
            case.record = None

    def _a_record(self, case):
        some = self._chance.sample(_ITEMS, self._chance.randrange(1, 4))
        lines = tuple(
            AgreedLine(
                item_id(item.number), Decimal(self._chance.randrange(2, 9)),
                Decimal(self._chance.randrange(100, 9999)) / 100, "list", item.name[:60],
            )
            for item in some
        )  # fmt: skip
        now = self._clock.now()
        held = case.stage == "waiting"
        return OrderRecord(
            channel="api", customer=case.customer, currency="GBP",
            net=sum((each.quantity * each.unit_price for each in lines), Decimal(0)),
            placed_at=now, since=now, customer_name="A customer", lines=lines,
            credit="held" if held else "approved",
            hold=Hold(kind="credit", reason="over the limit", since=now) if held else None,
            fulfilment="cancelled" if case.stage == "cancelled" else "not-released",
        )  # fmt: skip

    async def _in_the_erp(self, case, record):
        lines = tuple(
            ErpOrderLine(
                item=line.item, quantity=line.quantity, unit_price=money(line.unit_price, "GBP")
            )
            for line in record.lines
        )
        body = PlaceErpOrder(
            reference=case.reference, customer=case.customer, currency="GBP", lines=lines
        )
        if case.kind == "currency" and case.where == "erp":
            lines = tuple(
                msgspec.structs.replace(each, unit_price=money(each.unit_price.amount, "EUR"))
                for each in lines
            )
            body = msgspec.structs.replace(body, currency="EUR", lines=lines)
        placed = await self._vendors.erp.place_order(body)
        if case.kind == "doubled-in-erp":
            await self._vendors.erp.place_order(body)
        if case.kind == "cancelled-in-erp":
            await self._vendors.erp.cancel_order(
                CancelErpOrder(reference=case.reference, customer=case.customer)
            )
        if case.kind == "status" and case.where == "erp":
            path = f"/business_central/_sandbox/orders/{placed.number}"
            await self._desk(path, {"status": "In_x0020_Review"})
        net = placed.net_amount.amount
        if case.kind == "amount" and case.where == "erp":
            net += Decimal("0.01")
        return msgspec.structs.replace(record, erp_number=placed.number, net=net)

    async def _in_the_warehouse(self, case, record):
        released = msgspec.structs.replace(record, wms_number="W-1", fulfilment="released")
        if case.kind == "missing-in-wms":
            return released
        body = ReleaseOrder(
            reference=case.reference,
            lines=tuple(
                WarehouseLine(
                    number=n, item=line.item, quantity=line.quantity,
                    unit_price=money(line.unit_price, "GBP"), description=line.description,
                )
                for n, line in enumerate(record.lines, 1)
            ),
            ship_to=Address(street="1 Quay", city="Leeds", country="GB", name="Goods in"),
            total=money(record.net, "GBP"),
            warehouse="EAST",
        )  # fmt: skip
        created = await self._vendors.wms.release(body)
        if case.kind == "doubled-in-wms":
            await self._vendors.wms.release(body)
        if case.kind == "cancelled-in-wms":
            await self._vendors.wms.cancel_release(
                CancelRelease(reference=case.reference, reason="by hand")
            )
        return msgspec.structs.replace(released, wms_number=created.number)

    async def _ship(self, case, record):
        await self._desk("/_sandbox/warehouse/ship", {"orderNumber": case.reference})
        if case.kind == "shipped-not-posted":
            return
        gone = Counter()
        for line in record.lines:
            gone[line.item] += line.quantity
        lines = tuple(ShippedLine(item=item, quantity=quantity) for item, quantity in gone.items())
        await self._vendors.erp.post_shipment(
            PostShipment(
                reference=case.reference,
                customer=case.customer,
                shipment=case.reference,
                lines=lines,
                shipped_at=self._clock.now(),
            )
        )

    async def _name_packages(self, cases):
        """Learn what the warehouse calls what left."""
        packages, cursor = {}, None
        while True:
            query = Changes(since=datetime(2026, 1, 1, tzinfo=UTC), cursor=cursor)
            page = await self._vendors.wms.shipments_since(query)
            packages |= {each.order: each for each in page.shipments}
            cursor = page.cursor
            if cursor is None:
                break
        for case in cases:
            if case.stage in {"shipped", "invoiced"}:
                case.record = _shipped(case, packages[case.reference])

    async def _bill(self, case):
        """The ERP bills what was shipped; the order leaves its book."""
        answer = await self._desk("/business_central/_sandbox/invoices", {"order": case.reference})
        header = answer.json()
        if case.kind == "invoiced-not-told":
            return
        gross = Decimal(str(header["totalAmountIncludingTax"]))
        known = InvoiceRecord(
            header["number"],
            Decimal(str(header["totalAmountExcludingTax"])),
            gross,
            gross,
            self._clock.now().date(),
        )
        case.record = msgspec.structs.replace(case.record, invoices=(known,), billing="invoiced")

    async def _in_the_journal(self, case):
        if case.stage == "unknown":
            return
        state = _STATES[case.stage]
        if case.kind == "invoiced-not-told":
            state = "shipped"
        accepted = await self.journal.accept(
            Start(
                kind=ORDER_KIND, consumer="shop", operation="orders.place", key=case.reference,
                fingerprint="f", reference=case.reference, data=case.record, lane=Lane.CAPTURE,
            )
        )  # fmt: skip
        known = process.c.id == accepted.process_id
        now = update(process).where(known).values(state=state, data=encode(case.record))
        await self._store.write(lambda c: c.execute(now))

    async def _tell_the_crm(self, cases):
        reports = [_report(each) for each in cases if each.record is not None]
        wanted = [each for each in reports if each is not None]
        for at in range(0, len(wanted), 200):
            answer = await self._vendors.crm.report_orders(
                Reports(reports=tuple(wanted[at : at + 200]))
            )
            assert all(each.done for each in answer.results), answer

    async def _desk(self, path, body):
        answer = await self._http.post(path, json=body)
        return answer.raise_for_status()


def _shipped(case, package):
    record = case.record
    shares = tuple((n, line.quantity) for n, line in enumerate(record.lines, 1))
    if case.kind == "quantity":
        shares = ((1, shares[0][1] - 1), *shares[1:])
    gone = ShipmentRecord(
        package.id, "EAST", case.reference, shares, package.shipped_at,
        posted=case.kind != "shipped-not-posted",
    )  # fmt: skip
    lines = tuple(
        msgspec.structs.replace(line, shipped=quantity)
        for line, (_, quantity) in zip(record.lines, shares, strict=True)
    )
    return msgspec.structs.replace(record, lines=lines, shipments=(gone,), fulfilment="shipped")


def _report(case):
    """What the CRM is told; another thing where that is what was planted."""
    if case.kind == "missing-in-crm":
        return None
    state = "shipped" if case.kind == "invoiced-not-told" else _STATES.get(case.stage, "accepted")
    order = order_view(
        case.record, order=OrderId("O-1"), reference=case.reference, state=state, revision=1,
        updated_at=case.record.since,
    )  # fmt: skip
    report = OrderReport(
        reference=case.reference, version=1, order=order.id, customer=order.customer,
        commercial=order.commercial, credit=order.credit, fulfilment=order.fulfilment,
        billing=order.billing, net_amount=order.net_amount, message="It is on its way.",
    )  # fmt: skip
    if case.where == "crm":
        net = report.net_amount.amount
        wrong = {
            "amount": {"net_amount": money(net + 1, "GBP")},
            "currency": {"net_amount": money(net, "EUR")},
            "status": {"fulfilment": "not-released"},
        }
        return msgspec.structs.replace(report, **wrong.get(case.kind, {}))
    return report


async def _in_turns(do, cases):
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(case):
        async with turns:
            await do(case)

    await asyncio.gather(*(one(case) for case in cases))
