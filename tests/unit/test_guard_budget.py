"""What a vendor allows is used to the full, and no throttle answer is ever drawn.

Time is the test's own: hours pass in milliseconds, and the vendor counts on the same clock.
"""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from contracts.context import SYSTEM, CallContext, calling
from contracts.outcomes import CallFailedError, Throttled, Unavailable
from deploy.sandbox.limits import CreditBucket, SlidingWindow
from runtime.budget import Allowance, Bucket, BudgetBroker, Window

pytestmark = pytest.mark.anyio


class Alarm:
    def __init__(self, then):
        self.then = then

    def cancel(self):
        self.then = None


class OwnTime:
    """A clock, a timer and a sleep that only move when everybody waits."""

    def __init__(self):
        self.seconds = 0.0
        self._alarms = []
        self._set = 0

    def monotonic(self):
        return self.seconds

    def now(self):
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def timer(self, seconds, then):
        alarm = Alarm(then)
        self._set += 1
        heapq.heappush(self._alarms, (self.seconds + seconds, self._set, alarm))
        return alarm

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self.timer(seconds, lambda: woken.done() or woken.set_result(None))
        await woken

    async def passes(self, until):
        """Let time pass to the given second, everything due on the way happening in order."""
        while True:
            for _ in range(6):
                await asyncio.sleep(0)
            if not self._alarms or self._alarms[0][0] > until:
                break
            at, _, alarm = heapq.heappop(self._alarms)
            self.seconds = max(self.seconds, at)
            if alarm.then is not None:
                alarm.then()
        self.seconds = max(self.seconds, until)


@pytest.fixture
def time():
    return OwnTime()


def broker_of(time, **allowance):
    allowed = Allowance(**{"longest_wait": 1e9, "reserve": 0.0, **allowance})
    return BudgetBroker({"erp": allowed}, clock=time, timer=time.timer)


class Flood:
    """Many workers calling a vendor that counts when a call arrives."""

    def __init__(self, time, broker, vendor, *, workers, lane="bulk", cost=1.0):
        self.time = time
        self.broker = broker
        self.vendor = vendor
        self.random = Random(3)
        self.done = self.throttled = 0
        self.cost = cost
        self.tasks = [asyncio.create_task(self._work(lane)) for _ in range(workers)]

    async def _work(self, lane):
        while True:
            async with self.broker.spend("erp", self.cost, lane):
                await self.time.sleep(self.random.uniform(0.001, 0.1))
                self.throttled += self.vendor() is not None
                self.done += 1
                await self.time.sleep(self.random.uniform(0.001, 0.1))

    async def stops(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_sliding_window_is_used_to_98_percent_and_never_overrun(time):
    vendor = SlidingWindow(limit=600, seconds=30, monotonic=time.monotonic)
    broker = broker_of(time, windows=(Window(limit=600, seconds=30),), concurrency=50)
    flood = Flood(time, broker, vendor.admit, workers=60)
    await time.passes(150)
    await flood.stops()
    assert flood.throttled == 0
    assert flood.done >= 0.98 * 600 * 150 / 30


async def test_business_centrals_own_figures_for_ten_minutes(time):
    vendor = SlidingWindow(limit=6000, seconds=300, monotonic=time.monotonic)
    broker = broker_of(
        time, windows=(Window(limit=6000, seconds=300),), concurrency=5, reserve=0.015
    )
    flood = Flood(time, broker, vendor.admit, workers=20)
    await time.passes(600)
    await flood.stops()
    assert flood.throttled == 0
    assert flood.done >= 0.98 * 6000 * 2


async def test_a_credit_bucket_is_drained_at_its_rate_and_never_overdrawn(time):
    bucket = CreditBucket(capacity=4004, restore_per_second=60, monotonic=time.monotonic)
    broker = broker_of(time, bucket=Bucket(capacity=4004, restore=60))
    flood = Flood(time, broker, lambda: bucket.take(11), workers=40, cost=11)
    await time.passes(300)
    await flood.stops()
    assert flood.throttled == 0
    assert flood.done * 11 >= 0.98 * (4004 + 60 * 300)


async def test_an_urgent_call_goes_at_once_though_a_flood_has_used_the_window(time):
    vendor = SlidingWindow(limit=6000, seconds=300, monotonic=time.monotonic)
    broker = broker_of(
        time, windows=(Window(limit=6000, seconds=300),), concurrency=50, reserve=0.015
    )
    flood = Flood(time, broker, vendor.admit, workers=60)
    await time.passes(60)  # the flood used its whole window in the first half minute
    assert broker.standing()[0].waiting == 60
    started = time.seconds
    urgent = asyncio.create_task(broker.spend("erp", 1, "capture").__aenter__())
    await time.passes(61)
    assert urgent.done()
    assert vendor.admit() is None
    assert time.seconds - started <= 2
    await flood.stops()


async def test_urgent_calls_without_end_go_at_once_beside_a_flood(time):
    """Not only as many as the reserve holds: two orders a second, five calls each, for minutes."""
    vendor = SlidingWindow(limit=6000, seconds=300, monotonic=time.monotonic)
    window = Window(limit=6000, seconds=300, ahead_seconds=1.0)
    broker = broker_of(time, windows=(window,), concurrency=5, reserve=0.015)
    flood = Flood(time, broker, vendor.admit, workers=60)
    waits = []

    async def orders():
        while True:
            asked = time.seconds
            for _ in range(5):
                async with broker.spend("erp", 1, "capture"):
                    await time.sleep(0.05)
                    flood.throttled += vendor.admit() is not None
            waits.append(time.seconds - asked)
            await time.sleep(max(0.0, asked + 0.5 - time.seconds))

    await time.passes(200)
    ordering = asyncio.create_task(orders())
    await time.passes(600)
    ordering.cancel()
    await flood.stops()

    assert len(waits) > 390
    assert max(waits) <= 2
    assert flood.throttled == 0


async def test_a_flood_that_keeps_an_even_pace_still_uses_what_is_allowed(time):
    vendor = SlidingWindow(limit=6000, seconds=300, monotonic=time.monotonic)
    window = Window(limit=6000, seconds=300, ahead_seconds=1.0)
    broker = broker_of(time, windows=(window,), concurrency=5, reserve=0.015)
    flood = Flood(time, broker, vendor.admit, workers=20)
    await time.passes(600)
    await flood.stops()
    assert flood.throttled == 0
    assert flood.done >= 0.98 * 6000 * 2


async def test_higher_lanes_first_and_first_come_first_served_within_a_lane(time):
    broker = broker_of(time, concurrency=1)
    order = []

    async def one(name, lane):
        async with broker.spend("erp", 1, lane):
            order.append(name)
            await time.sleep(1)

    arrivals = [("first", "bulk"), ("b1", "bulk"), ("s1", "sync"), ("c1", "capture"),
                ("b2", "bulk"), ("c2", "capture"), ("s2", "status")]  # fmt: skip
    tasks = []
    for name, lane in arrivals:
        tasks.append(asyncio.create_task(one(name, lane)))
        await asyncio.sleep(0)
    await time.passes(10)
    await asyncio.gather(*tasks)
    assert order == ["first", "c1", "c2", "s2", "s1", "b1", "b2"]


async def test_the_lane_is_the_callers_criticality(time):
    broker = broker_of(time, windows=(Window(limit=10, seconds=10),), reserve=0.5)
    for _ in range(5):
        await broker.spend("erp", 1, "bulk").__aenter__()
    bulk = CallContext(correlation_id="c", consumer="x", criticality="bulk", deadline=1.0)
    capture = CallContext(correlation_id="c", consumer="x", criticality="capture", deadline=1.0)
    with calling(bulk), pytest.raises(CallFailedError):
        await broker.spend("erp").__aenter__()
    with calling(capture):
        await broker.spend("erp").__aenter__()


async def test_who_cannot_be_served_before_the_deadline_is_told_at_once_and_for_how_long(time):
    broker = broker_of(time, windows=(Window(limit=1, seconds=60),))
    async with broker.spend("erp"):
        pass
    await time.passes(20)
    short = CallContext(correlation_id="c", consumer="x", deadline=time.seconds + 5)
    with calling(short), pytest.raises(CallFailedError) as caught:
        await broker.spend("erp").__aenter__()
    assert caught.value.failure == Throttled(system="erp", retry_after=40.0)


async def test_patience_ends_exactly_at_the_deadline_when_a_turn_seemed_in_reach(time):
    broker = broker_of(time, concurrency=1)
    await broker.spend("erp").__aenter__()  # held for ever
    context = CallContext(correlation_id="c", consumer="x", deadline=5.0)
    with calling(context):
        waiting = asyncio.create_task(broker.spend("erp").__aenter__())
    await time.passes(4.9)
    assert not waiting.done()
    await time.passes(5.0)
    assert isinstance(waiting.exception().failure, Throttled)
    assert broker.standing()[0].waiting == 0


async def test_a_pause_the_vendor_asks_for_is_kept_by_everybody(time):
    broker = broker_of(time)
    broker.throttled("erp", 30.0)
    going = asyncio.create_task(broker.spend("erp", 1, "capture").__aenter__())
    await time.passes(29.9)
    assert not going.done()
    await time.passes(30.0)
    assert going.done()


async def test_a_call_that_was_never_sent_costs_nothing(time):
    broker = broker_of(time, windows=(Window(limit=1, seconds=60),))
    for _ in range(5):
        with pytest.raises(CallFailedError):
            async with broker.spend("erp"):
                raise CallFailedError(
                    Unavailable(system="erp", may_have_happened=False, because="circuit open")
                )
    assert broker.standing()[0].used == 0


async def test_a_call_that_failed_after_sending_counts(time):
    broker = broker_of(time, windows=(Window(limit=2, seconds=60),))
    with pytest.raises(CallFailedError):
        async with broker.spend("erp"):
            raise CallFailedError(
                Unavailable(system="erp", may_have_happened=True, because="time-out")
            )
    assert broker.standing()[0].used == 1


async def test_someone_cancelled_while_waiting_loses_nobody_elses_turn(time):
    broker = broker_of(time, concurrency=1)
    held = broker.spend("erp")
    await held.__aenter__()
    waiting = [asyncio.create_task(broker.spend("erp").__aenter__()) for _ in range(3)]
    await time.passes(0)
    waiting[0].cancel()
    await time.passes(0)
    await held.__aexit__(None, None, None)
    waiting[1].cancel()  # in the very moment its turn came
    await time.passes(0)
    assert waiting[2].done()
    assert not waiting[2].cancelled()
    assert broker.standing()[0].running == 1


async def test_salesforces_own_count_of_the_day_is_believed(time):
    broker = broker_of(time, daily=1000, reserve=0.1, longest_wait=5.0)
    broker.observed_usage("erp", 950, 1000)
    with pytest.raises(CallFailedError):
        await broker.spend("erp", 1, "bulk").__aenter__()
    async with broker.spend("erp", 1, "capture"):
        pass
    broker.observed_usage("erp", 100, 1000)
    async with broker.spend("erp", 1, "bulk"):
        pass


async def test_with_the_day_used_up_one_call_a_minute_finds_out_whether_it_has_passed(time):
    broker = broker_of(time, daily=10, longest_wait=1.0)
    broker.observed_usage("erp", 10, 10)
    with pytest.raises(CallFailedError):
        await broker.spend("erp").__aenter__()
    await time.passes(61)
    async with broker.spend("erp"):
        broker.observed_usage("erp", 0, 10)
    async with broker.spend("erp"):
        pass


async def test_the_forecast_says_when_the_window_would_be_used_up(time):
    broker = broker_of(time, windows=(Window(limit=6000, seconds=300),))
    assert broker.standing()[0].exhausted_in_seconds is None
    for _ in range(1000):
        async with broker.spend("erp"):
            await asyncio.sleep(0)
        time.seconds += 0.01
    standing = broker.standing()[0]
    assert standing.used == 1000
    assert standing.exhausted_in_seconds == pytest.approx(50.0, rel=0.05)


async def test_the_forecast_of_a_day_and_of_a_bucket(time):
    """At the latest pace: the day would be over in so long; the bucket restores some meanwhile."""
    broker = broker_of(time, daily=10_000)
    assert broker.standing()[0].exhausted_in_seconds is None
    for _ in range(100):
        async with broker.spend("erp"):
            pass
        time.seconds += 0.1
    assert broker.standing()[0].exhausted_in_seconds == pytest.approx(9_900 / 10, rel=0.05)
    await time.passes(time.seconds + 60)
    assert broker.standing()[0].exhausted_in_seconds is None

    broker = broker_of(time, bucket=Bucket(capacity=4000, restore=50))
    for _ in range(100):
        async with broker.spend("erp", 10):
            pass
        time.seconds += 0.1
    standing = broker.standing()[0]
    assert standing.credits_left == pytest.approx(3500, rel=0.01)
    assert standing.exhausted_in_seconds == pytest.approx(3500 / 50, rel=0.1)


async def test_the_vendors_own_count_of_credits_is_believed_when_ours_cannot_be_right(time):
    broker = broker_of(time, bucket=Bucket(capacity=100, restore=1))
    await broker.spend("erp", 30).__aenter__()  # debited by now, or not yet
    for left in (100.0, 85.0, 70.0):
        broker.observed_credits("erp", left)
        assert broker.standing()[0].credits_left == 70.0
    broker.observed_credits("erp", 40.0)  # somebody else spends of the same account
    assert broker.standing()[0].credits_left == 10.0
    broker.observed_credits("erp", 180.0, capacity=200.0, restore=2.0)
    assert broker.standing()[0].credits_left == 150.0
    await time.passes(10)
    assert broker.standing()[0].credits_left == 170.0


async def test_an_operator_sees_who_waits_in_which_lane(time):
    broker = broker_of(time, concurrency=1)
    await broker.spend("erp").__aenter__()
    waiting = [
        asyncio.create_task(broker.spend("erp", 1, lane).__aenter__())
        for lane in ("capture", "bulk", "bulk")
    ]
    await time.passes(0)
    standing = broker.standing()[0]
    assert standing.waiting_by_lane == {"capture": 1, "status": 0, "sync": 0, "bulk": 2}
    assert not standing.shared
    assert not standing.degraded
    for task in waiting:
        task.cancel()


async def test_an_account_without_an_allowance_is_free(time):
    broker = BudgetBroker({}, clock=time)
    with calling(SYSTEM):
        for _ in range(10_000):
            async with broker.spend("erp", 1e9):
                pass
    assert broker.standing() == ()
