"""Nothing that falls due is found late because something else was looked for."""

import asyncio
from datetime import timedelta

import pytest

from runtime.journal.process import Again, Lane, Lifecycle, Move, ProcessType, Start, Term
from runtime.journal.worker import Worker
from tests.journal_orders import (
    SOON,
    Order,
    RunningClock,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    at_work,
    the_order_process,
)

pytestmark = pytest.mark.anyio

TWO_TRIES = Lifecycle(
    name="two-tries",
    initial="trying",
    moves={("trying", "done"): "over"},
    terminal=frozenset({"over"}),
)


def twice(pause):
    """A process whose first run asks for another one a little later."""

    async def step(process, context):
        if context.attempt == 1:
            return Again(at=context.now + pause, in_doubt=False)
        return Move(event="done", data=process.data)

    return ProcessType(
        name="twice", version=1, data_type=Order, lifecycle=TWO_TRIES, steps={"trying": step}
    )


def started(key, lane):
    return Start(
        kind="twice", consumer="crm", operation="try", key=key, fingerprint="f", reference=key,
        data=Order(), lane=lane,
    )  # fmt: skip


async def test_a_retry_that_is_asked_for_while_the_store_looks_is_not_forgotten(tmp_path):
    """Many processes ask for a retry at once; every one gets it in time, not a minute later."""
    pause = timedelta(milliseconds=20)
    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as store:
        journal = a_journal(store, [twice(pause)], clock=RunningClock())
        worker = Worker(journal)
        await worker.start()
        for turn in range(15):
            accepted = await asyncio.gather(
                *(journal.accept(started(f"{turn}-{n}", Lane.CAPTURE)) for n in range(8))
            )
            ends = [await journal.wait_for(one.process_id, {"over"}, SOON) for one in accepted]
            assert {end.state for end in ends} == {"over"}, turn
        await worker.drain(timedelta(seconds=1))


async def test_a_timer_of_one_lane_survives_a_look_into_another(tmp_path):
    """While a bulk process waits two tenths of a second, orders come and go in their own lane."""
    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as store:
        journal = a_journal(store, [twice(timedelta(milliseconds=200))], clock=RunningClock())
        worker = Worker(journal)
        await worker.start()
        waiting = await journal.accept(started("slow", Lane.BULK))
        for n in range(5):
            await journal.accept(started(f"quick-{n}", Lane.CAPTURE))
            worker.notice(journal.clock.now(), Lane.CAPTURE)
            await asyncio.sleep(0.02)

        end = await journal.wait_for(waiting.process_id, {"over"}, SOON)

        assert end.state == "over"
        await worker.drain(timedelta(seconds=1))


async def test_a_signal_whose_sender_goes_away_is_acted_on_at_once(tmp_path):
    """The client hangs up while the signal is made durable: it counts, and not a minute later."""
    vendor = Vendor()
    async with at_work(f"sqlite:///{tmp_path}/journal.db", [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        await asyncio.sleep(0.1)  # the worker has gone to sleep

        await given_up(journal.signal(accepted.process_id, "shipped", {}, "S-1"))

        process = await journal.wait_for(accepted.process_id, {"completed"}, SOON)
        assert process.state == "completed"


async def test_a_process_whose_caller_goes_away_begins_when_it_is_due(tmp_path):
    """Accepted is accepted, also where nobody waits for the answer any more."""
    vendor = Vendor()
    async with at_work(f"sqlite:///{tmp_path}/journal.db", [the_order_process(vendor)]) as journal:
        await asyncio.sleep(0.1)  # the worker has gone to sleep
        due = journal.clock.now() + timedelta(milliseconds=200)

        await given_up(journal.accept(an_order("LEFT", due=due)))

        (known,) = await journal.find(Term(kind="reference", value="LEFT"))
        process = await journal.wait_for(known.id, {"shipping"}, SOON)
        assert process.state == "shipping"


async def given_up(asked):
    """Ask, and go away before the answer; what was asked is written all the same."""
    task = asyncio.create_task(asked)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await asyncio.sleep(0.1)


async def test_room_that_was_kept_for_nobody_is_used_at_once(tmp_path):
    """An order found no room, as it was promised to two others that came to nothing."""
    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as store:
        journal = a_journal(store, [twice(timedelta(0))], clock=RunningClock())
        worker = Worker(journal, concurrency={Lane.CAPTURE: 1})
        await worker.start()
        assert [worker.promise(Lane.CAPTURE) for _ in range(3)] == [True, True, False]
        waiting = await journal.accept(started("waiting", Lane.CAPTURE))
        await asyncio.sleep(0.05)
        for _ in range(2):
            worker.keep_promise(None, Lane.CAPTURE)
        end = await journal.wait_for(waiting.process_id, {"over"}, SOON)
        await worker.drain(timedelta(seconds=1))
    assert end.state == "over"
