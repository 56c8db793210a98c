"""A sweep says what differs, and only that; what it cannot know it does not say."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from contracts.canonical.ids import SystemId
from contracts.canonical.money import money
from contracts.canonical.order import Hold, Order, OrderException, Release
from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Rejected, Unavailable
from contracts.ports.crm import OrderReport, ReportPage, ShownReports
from contracts.ports.erp import DocumentPage, ErpOrder, ErpOrderPage, OrderDocuments
from contracts.ports.reconciliation import (
    DifferenceKind,
    DifferenceQuery,
    Retelling,
    StartSweep,
)
from contracts.ports.wms import ShipmentPage, WarehouseOrder, WarehouseOrderPage
from contracts.problems import ProblemError
from process_apis.reconciliation.api import ReconciliationApi
from process_apis.reconciliation.catalogue import KINDS, RUNBOOK
from process_apis.reconciliation.settings import ReconciliationSettings
from tests.journal_orders import an_open_store

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MORNING = NOON - timedelta(hours=3)


class StandingClock:
    """A clock that goes on when it is told."""

    def __init__(self):
        self.at = NOON

    def now(self):
        return self.at

    def monotonic(self):
        return self.at.timestamp()


def an_order(reference="R-1", **fields):
    told = {
        "id": f"id-{reference}", "reference": reference, "customer": "cust_1",
        "customer_name": "A customer", "currency": "GBP", "lines": (),
        "net_amount": money("10.00", "GBP"), "tax_amount": None, "gross_amount": None,
        "commercial": "confirmed", "credit": "approved", "fulfilment": "released",
        "billing": "not-invoiced", "channel": "api", "placed_at": MORNING,
        "updated_at": NOON - timedelta(hours=1), "revision": 3,
        "known_as": (SystemId(system="bc", id=f"SO-{reference}"),),
        "releases": (Release(reference=reference, warehouse="EAST", number="W-1", state="open"),),
    }  # fmt: skip
    return Order(**told | fields)


def in_the_erp(order, **fields):
    told = {
        "id": f"guid-{order.reference}", "number": f"SO-{order.reference}",
        "reference": order.reference.upper(), "customer": order.customer,
        "net_amount": order.net_amount, "gross_amount": order.net_amount, "found": True,
        "state": "open", "changed_at": order.updated_at,
    }  # fmt: skip
    return ErpOrder(**told | fields)


def in_the_warehouse(order, **fields):
    told = {
        "id": f"w-{order.reference}", "number": "W-1", "reference": order.reference,
        "state": "pending", "found": True, "changed_at": order.updated_at,
    }  # fmt: skip
    return WarehouseOrder(**told | fields)


def in_the_crm(order, **fields):
    told = {
        "reference": order.reference, "version": 1, "order": order.id, "customer": "cust_1",
        "commercial": order.commercial, "credit": order.credit, "fulfilment": order.fulfilment,
        "billing": order.billing, "net_amount": order.net_amount, "message": "It is on its way.",
    }  # fmt: skip
    return OrderReport(**told | fields)


class Books:
    """Journal, ERP, warehouse and CRM, each a dict by reference; `away` ones do not answer."""

    def __init__(self, *orders):
        self.journal, self.erp, self.wms, self.crm = {}, {}, {}, {}
        self.away = set()
        self.unread = set()
        self.between = lambda: None
        self.told = []
        for order in orders:
            self.holds(order)

    def holds(self, order):
        self.journal[order.reference] = order
        self.erp[order.reference] = in_the_erp(order)
        self.wms[order.reference] = in_the_warehouse(order)
        self.crm[order.reference] = in_the_crm(order)

    def answers(self, system):
        if system in self.away:
            away = Unavailable(system=system, may_have_happened=False, because="away")
            raise CallFailedError(away)

    # The journal.

    async def changed(self, since, cursor):
        return [each.id for each in self.journal.values() if each.updated_at >= since], None

    async def of(self, ids):
        return [each for each in self._readable() if each.id in ids]

    async def named(self, references):
        wanted = {each.upper() for each in references}
        return [each for each in self._readable() if each.reference.upper() in wanted]

    async def is_unread(self, reference):
        return reference.upper() in self.unread

    def _readable(self):
        return [each for each in self.journal.values() if each.reference not in self.unread]

    # The systems.

    async def list_orders(self, query):
        self.answers("erp")
        return ErpOrderPage(orders=tuple(self.erp.values()))

    async def documents_since(self, query):
        return DocumentPage(shipments=(), invoices=())

    async def find_order(self, customer, reference):
        self.between()
        return found(self.erp, reference)

    async def order_documents(self, number):
        return OrderDocuments(shipments=(), invoices=())

    async def list_releases(self, query):
        self.answers("wms")
        return WarehouseOrderPage(orders=tuple(self.wms.values()))

    async def shipments_since(self, query):
        return ShipmentPage(shipments=())

    async def find_release(self, reference):
        self.between()
        return found(self.wms, reference)

    async def tell(self, orders, *, actor, note):
        self.told.append(([each.reference for each in orders], actor, note))
        for order in orders:
            self.crm[order.reference] = in_the_crm(order)

    async def list_reports(self, query):
        self.answers("crm")
        return ReportPage(reports=tuple(self.crm.values()))

    async def find_reports(self, body):
        self.between()
        shown = [self.crm[each] for each in body.references if each in self.crm]
        return ShownReports(reports=tuple(shown))


def found(book, reference):
    for name, record in book.items():
        if name.upper() == reference.upper():
            return record
    raise CallFailedError(Rejected(system="x", reason="not-found", detail=""))


class House:
    """Reconciliation over books."""

    def __init__(self, store, *, settings=None):
        self.clock = StandingClock()
        self.books = Books(*(an_order(f"R-{n}") for n in range(1, 6)))
        self._ids = iter(range(100, 1000))
        self.api = ReconciliationApi(
            orders=self.books, erp=self.books, wms=self.books, crm=self.books, store=store,
            settings=settings or ReconciliationSettings(), clock=self.clock,
            mint=lambda: f"sweep-{next(self._ids)}", teller=self.books,
        )  # fmt: skip

    async def sweeps(self, since=MORNING):
        self.swept = await self.api.sweep_now(since, 60)
        page = await self.api.differences(self.swept.id, DifferenceQuery())
        return [(each.kind, each.system, each.reference) for each in page.differences]


@pytest.fixture
async def store(tmp_path):
    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as opened:
        yield opened


@pytest.fixture
def house(store):
    return House(store)


async def test_it_says_that_nothing_is_missing(house):
    """With what it compared, so that somebody may rely on it."""
    assert await house.sweeps() == []

    swept = house.swept
    assert swept.complete is True
    assert swept.compared == {"journal": 5, "crm": 5, "erp": 5, "wms": 5}
    assert swept.says.startswith("Complete: nothing is missing, doubled or different")
    assert "between 2026-11-22 09:00:00 and 2026-11-22 11:59:00 UTC" in swept.says
    assert "5 in the ERP" in swept.says


async def test_what_differs_is_named_once_however_often_it_is_found(house):
    """A second sweep finds it again, under its id, and says that it is not new."""
    del house.books.erp["R-2"]
    house.books.crm["R-3"] = in_the_crm(house.books.journal["R-3"], fulfilment="not-released")

    first = await house.sweeps()
    (gone, other) = (await house.api.differences(house.swept.id, DifferenceQuery())).differences
    house.clock.at += timedelta(minutes=15)
    again = await house.sweeps()
    once_more = (await house.api.differences(house.swept.id, DifferenceQuery())).differences

    assert sorted(first) == [("cancelled-in-erp", "erp", "R-2"), ("status", "crm", "R-3")]
    assert sorted(again) == sorted(first)
    assert {each.id for each in once_more} == {gone.id, other.id}
    assert {each.found_at for each in once_more} == {NOON}
    assert "0 of them new" in house.swept.says
    assert house.swept.complete is False


async def test_what_is_put_right_is_not_reported_any_more(house):
    """It needs no closing by hand."""
    del house.books.crm["R-2"]
    assert await house.sweeps() == [("missing-in-crm", "crm", "R-2")]
    house.books.crm["R-2"] = in_the_crm(house.books.journal["R-2"])

    assert await house.sweeps() == []


async def test_an_order_that_goes_on_is_no_difference(house):
    """It changed a moment ago: the next sweep's."""
    house.books.journal["R-2"] = an_order("R-2", updated_at=NOON - timedelta(seconds=30))
    del house.books.erp["R-2"]

    assert await house.sweeps() == []
    assert house.swept.compared["journal"] == 4


async def test_what_the_lists_missed_is_looked_up_before_it_is_reported(house):
    """An order that changed only here is in no list of what changed there."""
    listed = house.books.erp.pop("R-2")
    house.books.between = lambda: house.books.erp.setdefault("R-2", listed)

    assert await house.sweeps() == []
    assert house.swept.complete is True


async def test_what_arrives_while_it_is_looked_at_is_no_difference(house):
    """The CRM was told between the list and the look-up."""
    late = house.books.crm.pop("R-2")
    house.books.between = lambda: house.books.crm.setdefault("R-2", late)

    assert await house.sweeps() == []


async def test_of_a_system_that_cannot_be_read_nothing_is_said(house):
    """Neither that it is complete, nor that everything is missing there."""
    house.books.away = {"wms"}
    house.books.wms = {}
    del house.books.erp["R-2"]

    assert await house.sweeps() == [("cancelled-in-erp", "erp", "R-2")]
    assert (house.swept.complete, house.swept.unread) == (None, ("wms",))
    assert "Nothing can be said of WMS" in house.swept.says


async def test_whoever_waits_visibly_is_counted_and_not_reported(house):
    """A hold, an exception, last known data: each is in a queue of its own already."""
    hold = Hold(kind="credit", reason="over the limit", since=MORNING)
    stopped = OrderException(
        id="X", category="time-out", title="t", detail="d", actor="a", remedies=(),
        opened_at=MORNING, runbook="r",
    )  # fmt: skip
    nowhere = {"known_as": (), "releases": (), "fulfilment": "not-released"}
    for order in (
        an_order("H-1", hold=hold, commercial="accepted", credit="held", **nowhere),
        an_order("H-2", exception=stopped, commercial="on-exception", **nowhere),
        an_order("H-3", commercial="provisional", **nowhere),
    ):
        house.books.journal[order.reference] = order
        house.books.crm[order.reference] = in_the_crm(order)

    assert await house.sweeps() == []
    assert "3 of them wait, visibly, for somebody" in house.swept.says


async def test_an_order_whose_record_cannot_be_read_is_not_called_unknown(house):
    """It was accepted, and its exception is where people look: what differs nobody can tell."""
    house.books.unread = {"R-2"}

    assert await house.sweeps() == []
    assert (house.swept.compared["journal"], house.swept.complete) == (4, True)
    assert "1 of them wait, visibly, for somebody" in house.swept.says


async def test_an_order_that_stands_still_unseen_is_missing(house):
    """Accepted, no hold, no exception, and not in the ERP."""
    order = an_order("R-9", commercial="accepted", known_as=(), releases=())
    house.books.journal["R-9"] = order
    house.books.crm["R-9"] = in_the_crm(order)

    assert await house.sweeps() == [("missing-in-erp", "erp", "R-9")]


async def test_orders_of_others_are_none_of_ours(store):
    """What is typed into the ERP with a customer's number follows a pattern of its own."""
    house = House(store, settings=ReconciliationSettings(foreign={"erp": ("PO-.*",)}))
    for reference in ("PO-77", "R-77"):
        house.books.erp[reference] = in_the_erp(an_order(reference))

    assert await house.sweeps() == [("unknown-in-erp", "erp", "R-77")]


@pytest.mark.parametrize(
    ("fields", "book", "kind"),
    [
        ({"state": "in-review"}, "erp", "status"),
        ({"net_amount": money("10.01", "GBP")}, "erp", "amount"),
        ({"net_amount": money("10.00", "EUR")}, "erp", "currency"),
        ({"held": True, "state": "held"}, "wms", "status"),
        ({"state": "cancelled"}, "wms", "cancelled-in-wms"),
        ({"net_amount": money("10.01", "GBP")}, "crm", "amount"),
        ({"net_amount": money("10.00", "EUR")}, "crm", "currency"),
        ({"commercial": "cancelled"}, "crm", "status"),
    ],
)
async def test_one_cause_is_one_difference(house, fields, book, kind):
    """Classed by what it is, in the system in which it is."""
    records = getattr(house.books, book)
    records["R-4"] = msgspec.structs.replace(records["R-4"], **fields)

    assert await house.sweeps() == [(kind, book, "R-4")]


async def test_a_hold_that_is_lifted_there_and_not_here_is_a_difference(house):
    """The order would wait for ever."""
    order = an_order("R-4", fulfilment="suspended", releases=(
        Release(reference="R-4", warehouse="EAST", number="W-1", state="suspended"),
    ))  # fmt: skip
    house.books.holds(order)
    house.books.wms["R-4"] = in_the_warehouse(order, state="held", held=True)

    assert await house.sweeps() == [("status", "erp", "R-4")]


async def test_a_cancelled_order_that_lives_on_elsewhere_is_a_difference(house):
    """Nobody would ever take it back."""
    taken_back = Release(reference="R-4", warehouse="EAST", number="W-1", state="cancelled")
    fields = {"commercial": "cancelled", "fulfilment": "cancelled", "releases": (taken_back,)}
    house.books.holds(an_order("R-4", **fields))

    assert sorted(await house.sweeps()) == [("status", "erp", "R-4"), ("status", "wms", "R-4")]
    del house.books.erp["R-4"]
    house.books.wms["R-4"] = in_the_warehouse(house.books.journal["R-4"], state="cancelled")
    assert await house.sweeps() == []


async def test_differences_are_paged_and_picked_by_kind(house):
    """Nobody is shown more at a time than asked for."""
    for reference in ("R-1", "R-2", "R-3"):
        del house.books.crm[reference]
    del house.books.erp["R-4"]
    await house.sweeps()

    seen, cursor = [], None
    while True:
        query = DifferenceQuery(kind="missing-in-crm", limit=2, cursor=cursor)
        page = await house.api.differences(house.swept.id, query)
        seen += [each.reference for each in page.differences]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == ["R-1", "R-2", "R-3"]
    with pytest.raises(ProblemError, match="not-found"):
        await house.api.differences("sweep-0", DifferenceQuery())


async def retold(house, *references, note="the CRM was restored"):
    call = CallContext(correlation_id="story", consumer="operator", subject="Mary")
    with calling(call):
        body = Retelling(note=note, references=references)
        return await house.api.retell(house.swept.id, body)


async def test_the_crm_is_told_again_what_it_does_not_show(house):
    """Missing, or shown otherwise: how the order stands here is told, and the next sweep agrees."""
    del house.books.crm["R-2"]
    house.books.crm["R-3"] = in_the_crm(house.books.journal["R-3"], fulfilment="not-released")
    del house.books.erp["R-4"]
    await house.sweeps()

    said = await retold(house)

    assert (said.orders, said.not_told) == (2, {})
    ((references, actor, note),) = house.books.told
    assert (sorted(references), actor, note) == (["R-2", "R-3"], "Mary", "the CRM was restored")
    assert await house.sweeps() == [("cancelled-in-erp", "erp", "R-4")]


async def test_of_what_the_crm_cannot_be_told_the_reason_is_said(house):
    """A row of nobody's order, an order that cannot be read, one about which nothing was found."""
    strange = in_the_crm(an_order("R-9"))
    house.books.crm["R-9"] = strange
    del house.books.crm["R-1"], house.books.crm["R-2"]
    await house.sweeps()
    house.books.unread = {"R-2"}

    said = await retold(house, "r-9", "R-2", "R-5")

    assert said.orders == 0
    assert said.not_told == {
        "R-9": "It is no order of ours: remove the row in the CRM.",
        "R-2": "Its record cannot be read; see its exception.",
        "R-5": "This sweep found nothing about it that the CRM is to be told.",
    }
    with pytest.raises(ProblemError) as refused:
        await house.api.retell("nobody", Retelling(note="?"))
    assert refused.value.problem.slug == "not-found"


async def test_a_sweep_is_begun_shown_while_it_runs_and_its_death_is_seen(house):
    """A sweep whose process died is not shown as running for ever."""
    reply = await house.api.sweep(StartSweep(since=MORNING))
    assert (reply.status, reply.body.state) == (202, "running")
    await asyncio.sleep(0)
    await house.api.close()
    house.clock.at += timedelta(seconds=91)

    shown = await house.api.sweep_of(reply.body.id)

    assert shown.state == "failed"
    assert (await house.api.sweeps()).sweeps == (shown,)
    with pytest.raises(ProblemError, match="not-found"):
        await house.api.sweep_of("sweep-0")


def test_every_kind_is_explained_and_has_its_place_in_the_runbook():
    """Whoever reads a difference knows who acts, and where it is written what to do."""
    page = (Path(__file__).resolve().parents[2] / RUNBOOK).read_text(encoding="utf-8")
    kinds = set(get_args(DifferenceKind))

    assert set(KINDS) == kinds
    assert {line[3:] for line in page.splitlines() if line.startswith("## ")} == kinds
    assert all(kind.actor and kind.says.endswith(".") for kind in KINDS.values())
