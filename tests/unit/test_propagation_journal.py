"""What systems say reaches the orders of a real journal: once, in order, and early ones too."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from random import Random

import msgspec
import pytest

from process_apis.propagation.addressing import StoredOrders
from process_apis.propagation.held import held_type
from process_apis.propagation.intake import Intake, Taken
from runtime.journal.process import Lifecycle, Move, Process, ProcessType, Start, Term
from runtime.journal.worker import Worker
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    RunningClock,
    a_journal,
    an_open_store,
    eventually,
    store_url,
)
from tests.propagation_feeds import (
    a_customer,
    a_package,
    an_invoice,
    disordered,
    history,
    tell,
    truth,
)

pytestmark = pytest.mark.anyio

NAMES = (
    "wms.goods.shipped", "wms.order.cancelled", "wms.record.changed", "erp.hold.changed",
    "erp.shipment.posted", "erp.invoice.posted", "erp.invoice.paid",
)  # fmt: skip


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What an order has been told."""

    signals: tuple[tuple[str, dict], ...] = ()


def hear(process: Process[Told], signal):
    heard = (*process.data.signals, (signal.name, signal.data))
    return Move(event="heard", data=Told(signals=heard))


LISTENING = ProcessType(
    name="listening",
    version=1,
    data_type=Told,
    lifecycle=Lifecycle(
        name="listening",
        initial="open",
        moves={("open", "heard"): "open", ("open", "closed"): "closed"},
        terminal=frozenset({"closed"}),
    ),
    steps={},
    on_signal={
        **dict.fromkeys(NAMES, hear),
        "close": lambda process, signal: Move(event="closed", data=process.data),
    },
)


def an_order(reference, *, customer="cust_20001", terms=()):
    return Start(
        kind="listening", consumer="crm", operation="order", key=reference, fingerprint="",
        reference=reference, data=Told(),
        terms=(Term(kind="customer", value=customer), *terms),
    )  # fmt: skip


class Propagating:
    """A journal with listening orders, and the intake in front of it."""

    def __init__(self, store, clock, held_for=timedelta(hours=1)):
        self.intake = Intake(StoredOrders(store))
        types = (LISTENING, held_type(self.intake.offer, held_for=held_for))
        self.journal = a_journal(store, types, clock=clock)
        self.intake.use(self.journal)
        self.worker = Worker(self.journal)
        self.ids = {}

    async def begin(self):
        await self.journal.open()
        await self.worker.start()

    async def order(self, reference, **more):
        accepted = await self.journal.accept(an_order(reference, **more))
        self.ids[reference] = accepted.process_id

    async def heard(self, reference):
        return (await self.journal.get(self.ids[reference])).data.signals

    async def hears(self, reference, count):
        async def enough():
            return len(await self.heard(reference)) >= count

        await eventually(enough)
        return await self.heard(reference)


@pytest.fixture
async def propagating(store_url):  # noqa: F811  # the fixture
    async with an_open_store(store_url) as store:
        made = Propagating(store, RunningClock())
        await made.begin()
        yield made
        await made.worker.drain(timedelta(seconds=1))


async def test_a_feed_in_disorder_is_told_once_each_by_two_programs(propagating):
    """Pushes come to one program while another looks: nothing is told twice."""
    random = Random(11)
    said = history(random, orders=2)
    for number in range(2):
        await propagating.order(f"INV-{number}", customer=f"cust_2000{number}")
    other = Intake(propagating.intake._orders)
    other.use(propagating.journal)
    for one in disordered(random, said):
        await tell(random.choice([propagating.intake, other]), one)
    packages, bills, _ = truth(said)

    async def told():
        signals = [s for number in range(2) for s in await propagating.heard(f"INV-{number}")]
        return signals if len({d["id"] for n, d in signals if "goods" in n}) == len(packages) else 0

    await eventually(told)
    signals = await told()
    told_of = Counter(data["id"] for name, data in signals if name == "wms.goods.shipped")
    assert told_of == Counter(packages)
    posted = Counter(data["number"] for name, data in signals if name == "erp.invoice.posted")
    assert posted == Counter(set(bills))


async def test_what_comes_before_its_order_is_kept_and_told_when_it_comes(propagating):
    assert await propagating.intake.package(a_package()) is Taken.HELD
    await propagating.order("INV-1")
    ((name, data),) = await propagating.hears("INV-1", 1)
    assert (name, data["id"]) == ("wms.goods.shipped", a_package().id)
    assert await propagating.intake.package(a_package()) is Taken.KNOWN


async def test_what_is_held_survives_its_holder_and_is_told_once(store_url):  # noqa: F811  # the fixture
    clock = RunningClock()
    async with an_open_store(store_url) as store:
        first = Propagating(store, clock)
        await first.begin()
        assert await first.intake.package(a_package()) is Taken.HELD
        await first.worker.drain(timedelta(seconds=1))
    async with an_open_store(store_url) as store:
        second = Propagating(store, clock)
        await second.begin()
        await second.order("INV-1")
        assert await second.intake.package(a_package()) in {Taken.NEW, Taken.KNOWN}
        clock.forward(timedelta(minutes=10))
        assert len(await second.hears("INV-1", 1)) == 1
        await second.worker.drain(timedelta(seconds=1))


async def test_what_nobody_ever_wanted_is_set_aside_and_said(store_url, caplog):  # noqa: F811  # the fixture
    async with an_open_store(store_url) as store:
        made = Propagating(store, RunningClock(), held_for=timedelta(0))
        await made.begin()
        assert await made.intake.package(a_package(reference="NOBODYS")) is Taken.HELD

        async def over():
            page = await made.journal.list()
            return [one.state for one in page.snapshots] == ["set_aside"]

        await eventually(over)
        await made.worker.drain(timedelta(seconds=1))
    assert "event_set_aside" in [record.message for record in caplog.records]


async def test_a_hold_reaches_every_open_order_of_a_customer_and_no_other(propagating):
    for number in range(120):  # more than a look-up of people's would show
        await propagating.order(f"INV-{number}")
    await propagating.order("OTHER", customer="cust_20002")
    await propagating.order("OVER")
    await propagating.journal.signal(propagating.ids["OVER"], "close", {}, "close")

    async def over():
        return (await propagating.journal.get(propagating.ids["OVER"])).done

    await eventually(over)
    assert await propagating.intake.customer(a_customer("all", 1)) is Taken.NEW
    await propagating.order("LATE")  # it was under way while the hold was told
    assert await propagating.intake.customer(a_customer("all", 1)) is Taken.NEW
    assert len(await propagating.hears("LATE", 1)) == 1
    for number in (0, 57, 119):
        ((_, data),) = await propagating.hears(f"INV-{number}", 1)
        assert (data["held"], data["customer"]) == (True, "cust_20001")
    assert await propagating.heard("OTHER") == ()
    assert await propagating.heard("OVER") == ()


async def test_stock_reaches_the_orders_that_wait_for_the_item(propagating):
    await propagating.order("INV-1", terms=(Term(kind="awaits", value="item_A"),))
    await propagating.order("INV-2", terms=(Term(kind="awaits", value="item_B"),))
    assert await propagating.intake.stock(["item_A", "item_C"], "m-1") is Taken.NEW
    assert await propagating.intake.stock(["item_A"], "m-1") is Taken.KNOWN
    assert await propagating.intake.stock(["item_C"], "m-2") is Taken.NOTHING
    ((name, data),) = await propagating.hears("INV-1", 1)
    assert (name, data["id"]) == ("wms.record.changed", "item_A")
    assert await propagating.intake._orders.values("awaits") == ("item_A", "item_B")


async def test_an_invoice_and_its_payment_arrive_in_that_order(propagating):
    await propagating.order("INV-1")
    await propagating.intake.invoice(an_invoice("25.00", 3))
    heard = await propagating.hears("INV-1", 2)
    assert [name for name, _ in heard] == ["erp.invoice.posted", "erp.invoice.paid"]
    assert Decimal(heard[1][1]["remaining"]["amount"]) == 25
