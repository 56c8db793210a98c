"""Two workers on one store: a lease lapses, another goes on, and the late result is dropped."""

import asyncio
import logging
from datetime import timedelta

import pytest
from msgspec import structs
from sqlalchemy import text

from runtime.journal.process import Lane
from runtime.journal.worker import Worker
from runtime.store.faults import StoreUnavailable
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    Order,
    RunningClock,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    eventually,
    store_url,
    the_order_process,
)
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.anyio


async def test_a_lapsed_lease_is_taken_over_in_doubt(store_url, caplog):  # noqa: F811  # the fixture
    """The first worker hangs in its step with the effect done; the second finds it."""
    stuck_vendor, vendor = Vendor(), Vendor()
    stuck_vendor.gate.clear()
    stuck_vendor.ledger = vendor.ledger
    async with an_open_store(store_url) as store:
        clock = RunningClock()
        first = a_journal(store, [the_order_process(stuck_vendor)], clock=clock)
        second = a_journal(store, [the_order_process(vendor)], node="node-2", clock=clock, seed=8)
        slow, other = Worker(first, lease=timedelta(hours=1)), Worker(second)
        await slow.start()
        accepted = await first.accept(an_order())
        await stuck_vendor.entered.wait()
        await other.start()
        await asyncio.sleep(0.05)
        assert vendor.looked_up == []

        vendor.ledger.append(("order", "INV-1"))  # the effect of the stuck step came through
        clock.forward(timedelta(hours=2))
        other.wake()
        process = await second.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert process.data == Order(erp_number="order-INV-1", warehouse_number="pick-INV-1")
        assert vendor.looked_up == ["INV-1"]
        assert vendor.done("order") == ["INV-1"]

        with caplog.at_level(logging.WARNING, "crossdock.journal"):
            stuck_vendor.ledger = []
            stuck_vendor.gate.set()

            async def dropped():
                return "stale_result_dropped" in caplog.messages

            await eventually(dropped)
        assert await second.get(accepted.process_id) == process
        await slow.drain()
        await other.drain()


async def test_a_heartbeat_keeps_a_long_step_its_lease(store_url):  # noqa: F811  # same
    """A step longer than the lease is not taken over while its worker lives."""
    vendor = Vendor()
    vendor.gate.clear()
    async with an_open_store(store_url) as store:
        kind = the_order_process(vendor)
        first = a_journal(store, [kind])
        second = a_journal(store, [kind], node="node-2", seed=8)
        lease = timedelta(milliseconds=300)
        slow, other = Worker(first, lease=lease), Worker(second, lease=lease)
        await slow.start()
        await other.start()
        accepted = await first.accept(an_order())
        for _ in range(10):
            await asyncio.sleep(0.1)
            other.wake()
        vendor.gate.set()
        await first.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert vendor.looked_up == []
        assert vendor.done("order") == ["INV-1"]
        await slow.drain()
        await other.drain()


async def test_two_workers_share_the_work_and_never_an_order(store_url):  # noqa: F811  # same
    """Nothing is born leased here: both lease in batches, and no step runs twice."""
    vendors = [Vendor(), Vendor()]
    async with an_open_store(store_url) as store:
        clerk = a_journal(store, [the_order_process(vendors[0])])
        for n in range(200):
            await clerk.accept(an_order(f"W{n}"))
        journals = [
            a_journal(store, [the_order_process(v)], node=f"node-{i}", seed=i)
            for i, v in enumerate(vendors)
        ]
        workers = [Worker(j, concurrency={Lane.CAPTURE: 4}) for j in journals]
        for worker in workers:
            await worker.start()

        async def all_picked():
            return sum(len(v.done("pick")) for v in vendors) == 200

        await eventually(all_picked, within=3 * SOON)
        for worker in workers:
            await worker.drain()
        done = [reference for v in vendors for reference in v.done("order")]
        assert sorted(done) == sorted(f"W{n}" for n in range(200))
        assert all(v.done("order") for v in vendors)
        assert not any(v.looked_up for v in vendors)


async def test_draining_gives_leases_back_at_once(store_url):  # noqa: F811  # same
    """A step that will not end is cancelled and doubted; what had not begun has no doubt."""
    vendor = Vendor()
    vendor.gate.clear()
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(vendor)])
        worker = Worker(journal, concurrency={Lane.CAPTURE: 1})
        await worker.start()
        begun = await journal.accept(an_order("begun"))
        await vendor.entered.wait()
        queued = await journal.accept(an_order("queued"))
        await worker.drain(timedelta(milliseconds=50))

        vendor.gate.set()
        successor = Worker(journal, concurrency={Lane.CAPTURE: 4})
        await successor.start()
        for accepted in (begun, queued):
            await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert vendor.looked_up == ["begun"]
        await successor.drain()


async def test_a_caller_who_hangs_up_leaves_no_orphan(store_url):  # noqa: F811  # same
    """The accept commits although nobody waits for its answer; the order is worked on."""
    vendor = Vendor()
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(vendor)])
        worker = Worker(journal, lease=timedelta(hours=1))
        await worker.start()
        callers = [asyncio.create_task(journal.accept(an_order(f"H{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results)

        async def all_picked():
            return len(vendor.done("pick")) == 20

        await eventually(all_picked)
        await worker.drain()


async def test_a_lost_database_costs_time_and_nothing_else(caplog):
    """Every connection is cut, again and again, under load: each effect still happens once."""
    url = a_postgresql_database()
    vendor = Vendor()
    kind = the_order_process(vendor)
    async with an_open_store(url) as store, an_open_store(url) as saboteur:
        journal = a_journal(store, [kind])
        worker = Worker(journal, lease=timedelta(seconds=1))
        await worker.start()
        refused = 0

        async def order(n):
            nonlocal refused
            while True:
                try:
                    return await journal.accept(an_order(f"L{n}"))
                except StoreUnavailable:
                    refused += 1
                    await asyncio.sleep(0.02)

        async def sabotage():
            for _ in range(5):
                await asyncio.sleep(0.03)
                await saboteur.read(lambda c: c.execute(_CUT).all())

        await asyncio.gather(sabotage(), *(order(n) for n in range(400)))

        async def all_picked():
            return len(vendor.done("pick")) >= 400

        await eventually(all_picked, within=2 * SOON)
        assert sorted(vendor.done("order")) == sorted(f"L{n}" for n in range(400))
        assert sorted(vendor.done("pick")) == sorted(f"L{n}" for n in range(400))
        assert refused or "store_unreachable" in caplog.messages
        await worker.drain()


_CUT = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_a_flood_in_one_lane_delays_no_other(store_url):  # noqa: F811  # same
    """Bulk work hangs at its vendor; a captured order goes straight through."""
    hanging, vendor = Vendor(), Vendor()
    hanging.gate.clear()
    kind = the_order_process(vendor)
    slow = the_order_process(hanging)

    async def order(process, context):
        chosen = slow if process.lane is Lane.BULK else kind
        return await chosen.steps["ordering"](process, context)

    both = structs.replace(kind, steps={**kind.steps, "ordering": order})
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [both])
        worker = Worker(journal)
        await worker.start()
        for n in range(100):
            await journal.accept(an_order(f"B{n}", lane=Lane.BULK))
        urgent = await journal.accept(an_order("urgent"))
        process = await journal.wait_for(urgent.process_id, {"shipping"}, timedelta(seconds=2))
        assert process.state == "shipping"
        await worker.drain(timedelta())
