"""Faults of our own: what cannot be recorded or read becomes an incident, and others go on."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from msgspec import structs
from sqlalchemy import select, update

from runtime.journal.faults import UnreadableProcess
from runtime.journal.incidents import Action, Category
from runtime.journal.process import TIMER, Move, Says
from runtime.journal.worker import Worker
from runtime.store.schema import process as process_table
from runtime.store.schema import signal as signal_table
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    Order,
    RunningClock,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    at_work,
    eventually,
    store_url,
    the_order_process,
)

pytestmark = pytest.mark.anyio

NO_TEXT = "\ud800"
"""Half a character: Python holds it, no store takes it."""


@contextlib.asynccontextmanager
async def in_a_hurry(url, kind, **settings):
    """A journal with a worker whose clock runs far ahead, so that no retry is waited for."""
    async with an_open_store(url) as store:
        clock = RunningClock()
        journal = a_journal(store, [kind], clock=clock)
        await journal.open()
        worker = Worker(journal, **settings)
        await worker.start()

        async def hurry():
            while True:
                await asyncio.sleep(0.02)
                clock.forward(timedelta(seconds=1))
                worker.wake()

        hurrying = asyncio.create_task(hurry())
        try:
            yield journal
        finally:
            hurrying.cancel()
            await worker.drain(timedelta(seconds=1))


async def incident_of(journal, process_id):
    """The open incident of a process, once there is one."""
    found = []

    async def there():
        found[:] = await journal.incidents(process_id=process_id)
        return bool(found)

    await eventually(there, within=2 * SOON)
    return found[0]


def saying(kind, state, text):
    """The process, saying something else in one state."""

    async def step(process, context):
        move = await kind.steps[state](process, context)
        return structs.replace(move, says=(Says(text=text),))

    return structs.replace(kind, steps={**kind.steps, state: step})


async def test_what_the_store_refuses_becomes_an_incident_and_others_go_on(store_url):  # noqa: F811  # the fixture
    """The step's own words cannot be stored: tried five times, each with a look, then a person."""
    vendor = Vendor()
    kind = the_order_process(vendor)
    broken = saying(kind, "ordering", NO_TEXT)

    async def order(process, context):
        chosen = broken if process.key == "poison" else kind
        return await chosen.steps["ordering"](process, context)

    both = structs.replace(kind, steps={**kind.steps, "ordering": order})
    async with in_a_hurry(store_url, both) as journal:
        poison = await journal.accept(an_order("poison"))
        healthy = [await journal.accept(an_order(f"OK{n}")) for n in range(20)]
        for one in healthy:
            await journal.wait_for(one.process_id, {"shipping"}, SOON)

        incident = await incident_of(journal, poison.process_id)

        assert incident.category is Category.CONTRACT_VIOLATION
        assert "cannot be recorded" in incident.says
        process = await journal.get(poison.process_id)
        assert (process.state, process.attempts >= 5) == ("ordering", True)
        assert vendor.done("order").count("poison") == 1
        assert vendor.looked_up.count("poison") >= 4


async def test_an_undefined_move_of_a_timer_becomes_an_incident(store_url):  # noqa: F811  # same
    """The timer of a waiting state leads nowhere: not for ever in silence, but to a person."""
    kind = the_order_process(Vendor(), ships_within=timedelta(milliseconds=50))
    lost = {TIMER: lambda process, signal: Move(event="no such event", data=process.data)}
    kind = structs.replace(kind, on_signal={**kind.on_signal, **lost})
    async with in_a_hurry(store_url, kind) as journal:
        accepted = await journal.accept(an_order())

        incident = await incident_of(journal, accepted.process_id)

        assert incident.category is Category.CONTRACT_VIOLATION
        assert incident.detail == {"failure": "UndefinedMove"}
        assert (await journal.get(accepted.process_id)).state == "shipping"


async def test_a_signal_that_cannot_be_applied_is_kept_until_it_can_be(store_url):  # noqa: F811  # same
    """A bug in a signal's function: an incident at once; mended, `retry` applies what was kept."""
    kind = the_order_process(Vendor())
    bugs = [ValueError("a bug")]

    def on_shipped(process, signal):
        if bugs:
            raise bugs[0]
        return kind.on_signal["shipped"](process, signal)

    buggy = structs.replace(kind, on_signal={**kind.on_signal, "shipped": on_shipped})
    async with at_work(store_url, [buggy]) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        await journal.signal(accepted.process_id, "shipped", {}, "S-1")

        incident = await incident_of(journal, accepted.process_id)
        assert incident.category is Category.CONTRACT_VIOLATION
        assert incident.detail == {"failure": "ValueError", "signal": "shipped"}
        assert (await journal.get(accepted.process_id)).state == "shipping"

        bugs.clear()
        await journal.remedy(incident.id, Action.RETRY, "operator")
        process = await journal.wait_for(accepted.process_id, {"completed"}, SOON)
        assert process.state == "completed"
        assert await journal.incidents() == ()


async def test_a_record_that_cannot_be_read_blocks_only_itself(store_url):  # noqa: F811  # same
    """Its data is of no known shape: set aside with an incident; the rest of its lane goes on."""
    vendor = Vendor()
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(vendor)])
        accepted = [await journal.accept(an_order(f"P{n}")) for n in range(10)]
        poison = accepted[4].process_id
        await store.write(spoiling(process_table, process_table.c.id == poison))
        worker = Worker(journal)
        await worker.start()

        for one in accepted:
            if one.process_id != poison:
                await journal.wait_for(one.process_id, {"shipping"}, SOON)
        incident = await incident_of(journal, poison)

        assert incident.category is Category.CONTRACT_VIOLATION
        assert incident.reference == "P4"
        with pytest.raises(UnreadableProcess):
            await journal.get(poison)
        assert (await journal.timeline(poison))[-1].event == "incident"
        assert "P4" not in vendor.done("order")

        await journal.remedy(incident.id, Action.RETRY, "operator")

        async def answered():
            return len(await journal.timeline(poison)) == 3

        await eventually(answered)
        assert [i.id for i in await journal.incidents()] == [incident.id]

        good = await store.read(
            lambda c: c.execute(select(process_table).where(process_table.c.key == "P5")).one()
        )
        mended = update(process_table).where(process_table.c.id == poison).values(data=good.data)
        await store.write(lambda c: c.execute(mended) and None)
        await journal.remedy(incident.id, Action.RETRY, "operator")
        process = await journal.wait_for(poison, {"shipping"}, SOON)
        assert process.data == Order(erp_number="order-P4", warehouse_number="pick-P4")
        assert await journal.incidents() == ()
        await worker.drain()


async def test_a_signal_that_cannot_be_read_blocks_only_its_process(store_url):  # noqa: F811  # same
    """Nobody else's lease waits for it, whether it is found while leasing or while committing."""
    vendor = Vendor()
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(vendor)])
        accepted = [await journal.accept(an_order(f"S{n}")) for n in range(6)]
        poison = accepted[2].process_id
        await journal.signal(poison, "cancel", {}, "C-1")
        await store.write(spoiling(signal_table, signal_table.c.process_id == poison))
        worker = Worker(journal)
        await worker.start()

        for one in accepted:
            if one.process_id != poison:
                await journal.wait_for(one.process_id, {"shipping"}, SOON)
        incident = await incident_of(journal, poison)
        assert incident.category is Category.CONTRACT_VIOLATION

        vendor.gate.clear()
        vendor.entered.clear()
        met = await journal.accept(an_order("met in mid-step"))
        await vendor.entered.wait()
        await journal.signal(met.process_id, "cancel", {}, "C-2")
        await store.write(spoiling(signal_table, signal_table.c.process_id == met.process_id))
        vendor.gate.set()
        incident = await incident_of(journal, met.process_id)
        assert "cannot be recorded" in incident.says
        await worker.drain()


def spoiling(table, which):
    """Overwrite documents with what is no JSON."""
    return lambda c: c.execute(update(table).where(which).values(data=b"\xff{")) and None
