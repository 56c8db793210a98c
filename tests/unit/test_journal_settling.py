"""After a crash: what the dead program asked for may still be under way in the other system."""

import asyncio
from datetime import timedelta

import pytest
from msgspec import structs

from runtime.journal.worker import Worker
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    RunningClock,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    eventually,
    store_url,
    the_order_process,
)

pytestmark = pytest.mark.anyio

SETTLE = timedelta(minutes=10)


def settling(vendor):
    return structs.replace(the_order_process(vendor), settle_after_takeover={"ordering": SETTLE})


async def test_a_call_in_doubt_is_given_time_before_it_is_looked_up(store_url):  # noqa: F811  # the fixture
    """The vendor is slower than the crash: looked up at once, the order would be made twice."""
    dead, vendor = Vendor(), Vendor()
    dead.gate.clear()
    async with an_open_store(store_url) as store:
        clock = RunningClock()
        first = a_journal(store, [settling(dead)], clock=clock)
        second = a_journal(store, [settling(vendor)], node="node-2", clock=clock, seed=8)
        slow, other = Worker(first, lease=timedelta(minutes=1)), Worker(second)
        await slow.start()
        accepted = await first.accept(an_order())
        await dead.entered.wait()
        clock.forward(timedelta(minutes=2))
        await other.start()

        async def parked():
            process = await second.get(accepted.process_id)
            return process.revision > 1

        await eventually(parked)
        assert (vendor.looked_up, vendor.ledger) == ([], [])
        process = await second.get(accepted.process_id)
        assert process.step_at is not None
        waits = process.step_at - process.created_at
        assert timedelta(minutes=10) < waits < timedelta(minutes=13)

        vendor.ledger.append(("order", "INV-1"))  # only now is the dead worker's call through
        clock.forward(SETTLE)
        other.wake()
        await second.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert vendor.looked_up == ["INV-1"]
        assert vendor.done("order") == ["INV-1"]
        dead.gate.set()
        await slow.drain()
        await other.drain()


async def test_nobody_can_hurry_a_step_that_settles(store_url):  # noqa: F811  # same
    """A cancellation counts at once; the step that would undo in doubt waits all the same."""
    dead, vendor = Vendor(), Vendor()
    dead.gate.clear()
    async with an_open_store(store_url) as store:
        clock = RunningClock()
        first = a_journal(store, [settling(dead)], clock=clock)
        second = a_journal(store, [settling(vendor)], node="node-2", clock=clock, seed=8)
        slow, other = Worker(first, lease=timedelta(minutes=1)), Worker(second)
        await slow.start()
        accepted = await first.accept(an_order())
        await dead.entered.wait()
        clock.forward(timedelta(minutes=2))
        await other.start()
        await second.signal(accepted.process_id, "cancel", {}, "C-1")
        await second.wait_for(accepted.process_id, {"compensating"}, SOON)
        await asyncio.sleep(0.1)
        assert vendor.looked_up == []

        vendor.ledger.append(("order", "INV-1"))
        clock.forward(SETTLE)
        other.wake()
        process = await second.wait_for(accepted.process_id, {"cancelled"}, SOON)
        assert process.state == "cancelled"
        assert vendor.done("cancel order") == ["INV-1"]
        dead.gate.set()
        await slow.drain()
        await other.drain()


async def test_a_step_cut_off_by_a_drain_settles_too(store_url):  # noqa: F811  # same
    """A release in mid-call: the successor gives the call the same time."""
    vendor = Vendor()
    vendor.gate.clear()
    async with an_open_store(store_url) as store:
        clock = RunningClock()
        journal = a_journal(store, [settling(vendor)], clock=clock)
        worker = Worker(journal)
        await worker.start()
        accepted = await journal.accept(an_order())
        await vendor.entered.wait()
        await worker.drain(timedelta(milliseconds=20))
        vendor.gate.set()
        successor = Worker(journal)
        await successor.start()
        await asyncio.sleep(0.1)
        assert vendor.looked_up == []

        clock.forward(SETTLE)
        successor.wake()
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert vendor.looked_up == ["INV-1"]
        await successor.drain()


async def test_a_restart_on_a_store_of_its_own_gives_it_time_too(tmp_path):
    """On SQLite the dead program's leases lapse at once: the time counts from the restart."""
    vendor = Vendor()
    vendor.gate.clear()
    clock = RunningClock()
    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as store:
        journal = a_journal(store, [settling(vendor)], clock=clock)
        dying = Worker(journal)
        await dying.start()
        accepted = await journal.accept(an_order())
        await vendor.entered.wait()
        for task in (*dying._loops, *dying._tasks.values()):
            task.cancel()  # dead: it neither gives up its lease nor renews it
        dying._held.clear()
        await asyncio.sleep(0.05)

        clock.forward(timedelta(hours=1))
        after = a_journal(store, [settling(vendor)], clock=clock, seed=9)
        await after.open()
        vendor.gate.set()
        worker = Worker(after)
        await worker.start()
        await asyncio.sleep(0.1)
        assert vendor.looked_up == []
        clock.forward(SETTLE)
        worker.wake()
        await after.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert vendor.looked_up == ["INV-1"]
        await worker.drain()
