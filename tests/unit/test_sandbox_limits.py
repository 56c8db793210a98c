"""Vendor limits are exact: neither one call more than promised, nor one less."""

import asyncio

import pytest

from deploy.sandbox.limits import Concurrency, CreditBucket, SlidingWindow
from tests.sandbox_callers import TurnedClock

pytestmark = pytest.mark.anyio


def test_a_sliding_window_admits_its_limit_in_any_span():
    clock = TurnedClock()
    window = SlidingWindow(limit=3, seconds=10.0, monotonic=clock.monotonic)
    assert window.admit() is None
    clock.turn(4.0)
    assert window.admit() is None
    assert window.admit() is None
    assert window.admit() == pytest.approx(6.0)
    clock.turn(5.75)
    assert window.admit() == pytest.approx(0.25)
    clock.turn(0.25)
    assert window.admit() is None
    assert window.admit() == pytest.approx(4.0)
    assert window.used() == 3


def test_a_credit_bucket_restores_by_the_second_and_never_overflows():
    clock = TurnedClock()
    bucket = CreditBucket(capacity=4004, restore_per_second=60, monotonic=clock.monotonic)
    assert bucket.take(4000) is None
    assert bucket.take(64) == pytest.approx(1.0)
    assert bucket.remaining() == pytest.approx(4.0), "a refused call costs nothing"
    clock.turn(1.0)
    assert bucket.take(64) is None
    clock.turn(3600.0)
    assert bucket.remaining() == 4004
    assert bucket.take(4005) == float("inf")


async def test_concurrency_queues_in_order_and_refuses_when_the_queue_is_full():
    gate = Concurrency(running=2, queued=2)
    assert await gate.enter() is None
    assert await gate.enter() is None
    order: list[int] = []

    async def wait(number: int) -> None:
        assert await gate.enter() is None
        order.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    assert gate.queued == 2
    assert await gate.enter() == "full"
    gate.leave()
    await waiting[0]
    assert (order, gate.running) == ([1], 2)
    gate.leave()
    await waiting[1]
    gate.leave()
    gate.leave()
    assert (gate.running, gate.queued) == (0, 0)


async def test_a_caller_who_gives_up_leaves_no_hole_in_the_queue():
    gate = Concurrency(running=1, queued=5)
    assert await gate.enter() is None
    assert await gate.enter(max_wait=0.01) == "late"
    gone = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert gate.queued == 0
    gate.leave()
    assert await gate.enter() is None
    assert gate.running == 1
