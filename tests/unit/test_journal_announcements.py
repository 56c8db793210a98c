"""What one program writes, another one hears of: polling is only what remains when it cannot."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from sqlalchemy import text

from runtime.journal.propagation import Delivered, Subscriber
from runtime.journal.waking import CHANNEL, MOST_IDS
from runtime.journal.worker import Worker
from runtime.store.engine import Store
from tests.journal_orders import (
    SOON,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    eventually,
    the_order_process,
)
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.anyio

NEVER = timedelta(hours=1)
"""A pause between looks that no test outlasts: what is seen was heard of."""


@contextlib.asynccontextmanager
async def a_gateway_and_a_worker(vendor, *, poll=NEVER, subscribers=()):
    """Two programs on one database: the first takes orders in, the second carries them out."""
    url = a_postgresql_database()
    kind = the_order_process(vendor)
    async with an_open_store(url) as one, an_open_store(url) as other:
        gateway = a_journal(one, [kind], node="gateway", poll=poll, subscribers=subscribers)
        carrier = a_journal(
            other, [kind], node="worker", seed=8, poll=poll, subscribers=subscribers
        )
        await gateway.open()
        await carrier.open()
        worker = Worker(carrier)
        await worker.start()
        await hearing(one, other)
        await asyncio.sleep(0.1)  # everybody has looked, and sleeps
        try:
            yield gateway, carrier
        finally:
            await worker.drain(timedelta(seconds=1))


async def hearing(*stores: Store):
    async def all_hear():
        return all(store.is_hearing for store in stores)

    await eventually(all_hear)


async def test_what_a_gateway_accepts_a_worker_elsewhere_hears_of():
    """Accepted without a worker, carried out by another program, and the gateway hears how."""
    async with a_gateway_and_a_worker(Vendor()) as (gateway, _):
        accepted = await gateway.accept(an_order())
        process = await gateway.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert process.state == "shipping"


async def test_a_signal_recorded_at_a_gateway_is_heard_of():
    """The webhook comes in at one program, the order is carried by another."""
    async with a_gateway_and_a_worker(Vendor()) as (gateway, _):
        accepted = await gateway.accept(an_order())
        await gateway.wait_for(accepted.process_id, {"shipping"}, SOON)
        await gateway.signal(accepted.process_id, "shipped", {}, "S-1")
        process = await gateway.wait_for(accepted.process_id, {"completed"}, SOON)
        assert process.state == "completed"


async def test_events_accepted_at_a_gateway_are_delivered_elsewhere():
    """Nobody at the gateway delivers; the worker's program does, at once."""
    told = []

    async def deliver(deliveries):
        told.extend(d.topic for d in deliveries)
        return [Delivered()] * len(deliveries)

    subscriber = Subscriber(name="crm", topics=("order.*",), deliver=deliver)
    async with a_gateway_and_a_worker(Vendor(), subscribers=(subscriber,)) as (gateway, _):
        await gateway.accept(an_order())

        async def both():
            return told == ["order.confirmed", "order.released"]

        await eventually(both)


async def test_announcements_are_few_however_much_is_written():
    """Hundreds of orders in a moment: every waiter is woken, by a handful of announcements."""
    async with a_gateway_and_a_worker(Vendor()) as (gateway, carrier):
        heard = []
        listener = carrier.store._listener
        pass_on, listener._heard = listener._heard, heard.append
        accepted = await asyncio.gather(*(gateway.accept(an_order(f"F{n}")) for n in range(300)))
        await asyncio.sleep(0.3)
        from_gateway = [h for h in heard if '"by":"gateway' in h]
        assert 1 <= len(from_gateway) < 20
        listener._heard = pass_on
        pass_on(from_gateway[0])
        ends = await asyncio.gather(
            *(gateway.wait_for(one.process_id, {"shipping"}, 3 * SOON) for one in accepted)
        )
        assert {end.state for end in ends} == {"shipping"}


async def test_too_many_changes_to_name_wake_every_waiter():
    """An announcement has room for so many ids; beyond that everybody looks."""
    async with a_gateway_and_a_worker(Vendor()) as (gateway, carrier):
        accepted = await gateway.accept(an_order())
        process = await gateway.wait_for(accepted.process_id, {"shipping"}, SOON)
        waiting = asyncio.create_task(gateway.wait_for(process.id, lambda p: p.lane == 3, SOON))
        await asyncio.sleep(0.1)
        lane = text("UPDATE process SET lane = 3")
        await carrier.store.write(lambda c: c.execute(lane) and None)
        for n in range(MOST_IDS + 1):
            carrier.waking.tell_changed(f"another-{n}")
        assert (await waiting).lane == 3


async def test_a_lost_connection_is_made_again():
    """The listening connection is cut: it comes back, and what was missed is looked for."""
    async with a_gateway_and_a_worker(Vendor()) as (gateway, carrier):
        cut = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
            f" current_database() AND query LIKE 'LISTEN \"{CHANNEL}%'"
        )
        assert len(await gateway.store.read(lambda c: c.execute(cut).all())) == 2

        async def deaf():
            return not gateway.store.is_hearing and not carrier.store.is_hearing

        await eventually(deaf)
        accepted = await gateway.accept(an_order())
        await hearing(gateway.store, carrier.store)
        process = await gateway.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert process.state == "shipping"


async def test_who_cannot_hear_looks():
    """Nobody listens at all: work and outcomes are found by looking, a moment later."""
    vendor = Vendor()
    url = a_postgresql_database()
    async with an_open_store(url) as one, an_open_store(url) as other:
        poll = timedelta(milliseconds=50)
        gateway = a_journal(one, [the_order_process(vendor)], node="gateway", poll=poll)
        carrier = a_journal(other, [the_order_process(vendor)], seed=8, poll=poll)
        worker = Worker(carrier)
        await worker.start()
        await asyncio.sleep(0.1)
        assert not other.is_hearing
        accepted = await gateway.accept(an_order())
        process = await gateway.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert process.state == "shipping"
        await worker.drain()


async def test_what_a_draining_worker_gives_back_is_taken_up_at_once():
    """A release: its queue goes to the other worker without waiting for anybody's next look."""
    vendor = Vendor()
    async with a_gateway_and_a_worker(vendor) as (gateway, _):
        slow = Vendor()
        slow.gate.clear()
        leaving = a_journal(
            gateway.store, [the_order_process(slow)], node="leaving", seed=9, poll=NEVER
        )
        worker = Worker(leaving, concurrency={0: 2})
        await worker.start()
        accepted = [await leaving.accept(an_order(f"L{n}")) for n in range(4)]
        await slow.entered.wait()
        await worker.drain(timedelta())
        for one in accepted:
            process = await gateway.wait_for(one.process_id, {"shipping"}, SOON)
            assert process.state == "shipping"
