"""quota: a window admits exactly its number, and whoever waits as told is admitted."""

import math
import random

import pytest

from gateway.config import Plan, Window
from gateway.policies.quota import LocalMeter

pytestmark = pytest.mark.anyio


def limited(world, *windows, **more):
    plan = Plan(reads=tuple(Window(quota=q, seconds=s) for q, s in windows))
    return world.config(plans={"standard": plan}, **more)


async def read(w, token):
    return await w.call("GET", "/sales/v1/orders", token=token)


async def test_a_window_admits_its_quota_and_says_when_it_opens(world):
    w = await world(config=limited(world, (3, 60)))
    token = await w.token()
    told = []
    for _ in range(4):
        told.append(await read(w, token))
        w.clock.advance(10)

    assert [each.status for each in told] == [200, 200, 200, 429]
    assert told[0].header("ratelimit-policy") == '"reads-60s";q=3;w=60'
    assert told[0].header("ratelimit") == '"reads-60s";r=2;t=60'
    assert told[2].header("ratelimit") == '"reads-60s";r=0;t=40'
    assert told[3].problem == "quota-exceeded"
    assert told[3].header("retry-after") == "30"
    w.clock.advance(20)
    assert (await read(w, token)).status == 200


async def test_the_binding_window_is_the_one_named(world):
    w = await world(config=limited(world, (2, 1), (3, 60)))
    token = await w.token()

    assert (await read(w, token)).header("ratelimit") == '"reads-1s";r=1;t=1'
    assert (await read(w, token)).header("ratelimit") == '"reads-1s";r=0;t=1'
    assert (await read(w, token)).header("retry-after") == "1"
    w.clock.advance(1)
    assert (await read(w, token)).header("ratelimit") == '"reads-60s";r=0;t=59'
    refused = await read(w, token)
    assert (refused.status, refused.json()["limit"]) == (429, "reads-60s")
    assert refused.header("retry-after") == "59"


async def test_one_consumer_does_not_spend_anothers_quota(world):
    w = await world(config=limited(world, (1, 60)))
    crm, acme = await w.token("crm"), await w.token("partner-acme")

    assert [(await read(w, crm)).status, (await read(w, crm)).status] == [200, 429]
    assert (await read(w, acme)).status == 200


async def test_another_class_is_not_limited_by_this_one(world):
    w = await world(config=limited(world, (1, 60)))
    token = await w.token()
    await read(w, token)

    assert (await w.order("K", token)).status == 201
    assert (await w.order("K", token)).header("ratelimit") is None


async def test_any_stretch_of_a_window_holds_no_more_than_the_quota(clock):
    """Whatever the arrivals, and at every edge: over-admission 0, and a promise to wait is kept."""
    chance = random.Random(11)
    windows = (Window(quota=5, seconds=10), Window(quota=20, seconds=60))
    meter = LocalMeter(clock)
    admitted = []
    for _ in range(3_000):
        clock.advance(chance.choice((0, 0, 0.001, 0.3, 2.5, 9.999)))
        spent = meter.spend("crm", windows)
        if spent.admitted:
            admitted.append(clock.monotonic())
        else:
            clock.advance(math.ceil(spent.reset_seconds))
            assert meter.spend("crm", windows).admitted
            admitted.append(clock.monotonic())

    for window in windows:
        for index, at in enumerate(admitted[window.quota :]):
            assert at - admitted[index] >= window.seconds - 1e-6
    assert len(admitted) > 1_000


async def test_as_many_calls_as_were_said_to_remain_are_admitted(clock):
    """r=n is a promise for the next n calls, however many windows there are."""
    chance = random.Random(12)
    windows = (Window(quota=2, seconds=1), Window(quota=10, seconds=60), Window(quota=9, seconds=9))
    meter = LocalMeter(clock)
    named = set()
    for _ in range(300):
        clock.advance(chance.choice((0, 0.4, 1, 3, 11)))
        spent = meter.spend("crm", windows)
        if spent.admitted:
            named.add(spent.binding)
            at_once = chance.randint(0, spent.remaining)
            assert all(meter.spend("crm", windows).admitted for _ in range(at_once))

    assert named >= {0, 1}


async def test_a_flood_of_consumers_does_not_fill_the_memory(clock):
    meter = LocalMeter(clock)
    for n in range(25_000):
        meter.spend(f"consumer-{n}", (Window(quota=5, seconds=10),))

    assert len(meter._logs) <= 10_000
