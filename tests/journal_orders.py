"""What the journal's tests share: a small order process, its vendor, and a journal to run it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from msgspec import structs

from runtime.journal.crash_points import CrashPoints
from runtime.journal.incidents import Category, Incident
from runtime.journal.journal import Journal
from runtime.journal.process import (
    REMEDY,
    TIMER,
    Again,
    Effect,
    Event,
    Ignore,
    Lane,
    Lifecycle,
    Move,
    ProcessType,
    Says,
    Start,
    Term,
    Wait,
)
from runtime.journal.worker import Worker
from runtime.store.engine import Store
from tests.postgres_server import a_postgresql_database


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path):
    """Both stores: what the journal promises does not depend on which it stands on."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    return a_postgresql_database()


class RunningClock:
    """A clock that runs with the machine's, and can be put forward."""

    def __init__(self):
        self._ahead = timedelta()

    def now(self):
        return datetime.now(UTC) + self._ahead

    def monotonic(self):
        return asyncio.get_running_loop().time()

    def forward(self, by):
        self._ahead += by


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the little order process."""

    quantity: int = 1
    erp_number: str | None = None
    warehouse_number: str | None = None
    price: str = "10.00"


class VendorDown(Exception):  # noqa: N818  # what happened, as in the product
    """The vendor's system does not answer."""


class Vendor:
    """A vendor that keeps a ledger of what was done to it, in order."""

    def __init__(self):
        self.ledger: list[tuple[str, str]] = []
        self.looked_up: list[str] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def create(self, what, reference):
        self.entered.set()
        await self.gate.wait()
        if self.down:
            raise VendorDown
        self.ledger.append((what, reference))
        return f"{what}-{reference}"

    async def find(self, what, reference):
        self.looked_up.append(reference)
        is_there = (what, reference) in self.ledger
        is_gone = (f"cancel {what}", reference) in self.ledger
        return f"{what}-{reference}" if is_there and not is_gone else None

    async def cancel(self, what, reference):
        self.ledger.append((f"cancel {what}", reference))

    def done(self, what):
        return [reference for done, reference in self.ledger if done == what]


ORDER = Lifecycle(
    name="order",
    initial="ordering",
    moves={
        ("ordering", "ordered"): "releasing",
        ("ordering", "refused"): "refused",
        ("ordering", "held"): "held",
        ("ordering", "cancel"): "compensating",
        ("releasing", "released"): "shipping",
        ("releasing", "cancel"): "compensating",
        ("shipping", "shipped"): "completed",
        ("shipping", "overdue"): "overdue",
        ("shipping", "cancel"): "compensating",
        ("overdue", "shipped"): "completed",
        ("held", "amended"): "ordering",
        ("held", "cancel"): "compensating",
        ("refused", "cancel"): "compensating",
        ("compensating", "undone"): "compensating",
        ("compensating", "cancelled"): "cancelled",
    },
    terminal=frozenset({"completed", "cancelled"}),
)


def the_order_process(  # noqa: C901  # a whole process on one page
    vendor, *, ships_within=None, version=1, upgrades=None, heeds_doubt=True
):
    """Order in the ERP, release to the warehouse, wait for the shipment; cancel at any time.

    With `heeds_doubt` off it is the planted defect of a step that never looks before it creates.
    """

    async def once(what, process, context):
        if context.in_doubt and heeds_doubt:
            found = await vendor.find(what, process.reference)
            if found is not None:
                return found
        return await vendor.create(what, process.reference)

    async def order(process, context):
        if process.data.quantity > 100:
            return Move(
                event="held",
                data=process.data,
                incident=Incident(category=Category.CREDIT_HOLD, says="Over the credit limit."),
            )
        try:
            number = await once("order", process, context)
        except VendorDown:
            return Again(at=context.retry_at(), in_doubt=True, says=Says(text="The ERP is down."))
        return Move(
            event="ordered",
            data=structs.replace(process.data, erp_number=number),
            says=(Says(text=f"Ordered in the ERP as {number}."),),
            terms=(Term(kind="erp_order", value=number),),
            emits=(Event(topic="order.confirmed", data={"number": number}),),
            effect=Effect(name="order", key=number),
        )

    async def release(process, context):
        try:
            number = await once("pick", process, context)
        except VendorDown:
            return Again(at=context.retry_at(), in_doubt=True)
        return Move(
            event="released",
            data=structs.replace(process.data, warehouse_number=number),
            emits=(Event(topic="order.released", data={"number": number}),),
            effect=Effect(name="pick", key=number),
            due=context.now + ships_within if ships_within else None,
        )

    async def undo(process, context):
        """Undo the last effect: one on record, or in doubt one that never got there."""
        pending = {e.name: e for e in process.effects if e.undone_at is None}
        for what in ("pick", "order"):
            is_there = what in pending
            if context.in_doubt:
                is_there = await vendor.find(what, process.reference) is not None
            if is_there:
                await vendor.cancel(what, process.reference)
            if is_there or what in pending:
                return Move(event="undone", data=process.data, undoes=pending.get(what))
        return Move(event="cancelled", data=process.data)

    async def watch(process, context):
        return Wait()

    def on_cancel(process, signal):
        if not ORDER.allows(process.state, "cancel"):
            return Ignore(says=Says(text="Too late to cancel."))
        return Move(event="cancel", data=process.data, closes_incident=True)

    def on_shipped(process, signal):
        if not ORDER.allows(process.state, "shipped"):
            return None
        return Move(event="shipped", data=process.data)

    def on_timer(process, signal):
        return Move(event="overdue", data=process.data)

    def on_remedy(process, signal):
        if process.state == "held" and signal.data["action"] == "amend_and_retry":
            quantity = signal.data["amendment"]["quantity"]
            return Move(
                event="amended",
                data=structs.replace(process.data, quantity=quantity),
                closes_incident=True,
            )
        if process.state == "held" and signal.data["action"] == "cancel":
            return Move(event="cancel", data=process.data, closes_incident=True)
        return None

    return ProcessType(
        name="order",
        version=version,
        data_type=Order,
        lifecycle=ORDER,
        steps={
            "ordering": order,
            "releasing": release,
            "compensating": undo,
            "refused": watch,
        },
        on_signal={
            "cancel": on_cancel,
            "shipped": on_shipped,
            TIMER: on_timer,
            REMEDY: on_remedy,
        },
        upgrades=upgrades or {},
        step_budget={"ordering": timedelta(seconds=5)},
    )


def an_order(key="INV-1", **changes):
    """A start for the order process."""
    return Start(
        **{
            "kind": "order",
            "consumer": "crm",
            "operation": "orders.create",
            "key": key,
            "fingerprint": "first body",
            "reference": key,
            "data": Order(),
            "lane": Lane.CAPTURE,
            "says": (Says(text="Order received."),),
            "terms": (Term(kind="po", value=f"PO of {key}"),),
        }
        | changes
    )


def a_journal(store, types, *, node="node-1", subscribers=(), clock=None, seed=7, **settings):
    """A journal on an open store."""
    return Journal(
        store=store,
        types=types,
        subscribers=subscribers,
        clock=clock or RunningClock(),
        random=Random(seed),
        node=node,
        crash_points=CrashPoints(),
        **settings,
    )


@contextlib.asynccontextmanager
async def an_open_store(url: str) -> AsyncIterator[Store]:
    """A store for one test."""
    store = Store(url)
    store.open()
    try:
        yield store
    finally:
        store.close()


@contextlib.asynccontextmanager
async def at_work(
    url: str, types: Sequence[ProcessType], *, subscribers=(), clock=None, **worker_settings
) -> AsyncIterator[Journal]:
    """A journal with a worker beside it, for one test."""
    async with an_open_store(url) as store:
        journal = a_journal(store, types, subscribers=subscribers, clock=clock)
        await journal.open()
        worker = Worker(journal, **worker_settings)
        await worker.start()
        try:
            yield journal
        finally:
            await worker.drain(timedelta(seconds=1))


SOON = timedelta(seconds=20)
"""More than anything here takes; a test that waits this long has failed."""


async def eventually(met, *, within=SOON):
    """Look until an awaitable condition holds; fail when it does not in time."""
    async with asyncio.timeout(within.total_seconds()):
        while not await met():  # noqa: ASYNC110  # it watches a database, which sets no event
            await asyncio.sleep(0.01)
