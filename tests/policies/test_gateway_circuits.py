"""Gateways tell each other of dead upstreams; each stays the authority on its own."""

import asyncio
import contextlib

import pytest

from gateway.circuits import Circuits
from gateway.config import ShieldSettings
from gateway.resilience import CircuitSettings
from gateway.shared import SharedState
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from tests.overload.breakers import SETTINGS, Node, Silence, Upstream, nodes
from tests.overload.cluster import redis_server
from tests.serving import free_port

pytestmark = pytest.mark.anyio
SLOW_CIRCUIT = CircuitSettings(failures=2, open_seconds=30.0, jitter=0.0)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    server, url = redis_server(tmp_path_factory.mktemp("circuits"))
    yield url
    with contextlib.suppress(Exception):
        server.shutdown(nosave=True)


async def fails(node, upstream, times=5):
    upstream.well = False
    return [await node.call("erp", upstream) for _ in range(times)]


async def until(claim):
    async with asyncio.timeout(5):
        while not claim():  # noqa: ASYNC110  the other side of a real Redis has no event for us
            await asyncio.sleep(0.02)


async def test_a_dead_upstream_is_known_to_the_other_gateways_without_a_call(world, redis_url):
    """Two failures at the first gateway; the second refuses and says when to come again."""
    config = world.config(
        gateway={
            "redis": redis_url,
            "instances": 2,
            "shield": ShieldSettings(breaker=SLOW_CIRCUIT),
        }
    )
    dead = Forwarder(f"http://127.0.0.1:{free_port()}", clock=SystemClock())
    one, other = await world(config=config, upstream=dead), await world(config=config)
    other = await world(config=config, upstream=Forwarder("http://127.0.0.1:1", clock=other.clock))
    token = await one.token()
    for _ in range(3):
        told = await one.call("GET", "/sales/v1/orders", token=token)
    assert (told.status, told.problem, told.header("retry-after")) == (
        503,
        "upstream-unavailable",
        "30",
    )
    shield = next(each for each in other.gateway.served.policies if each.name == "shield")
    await until(lambda: any(each.state == "open" for each in shield.standing))
    assert [each.name for each in shield.standing if each.state == "open"] == ["sales/v1/reads"]
    assert (
        "circuit_changed",
        {"circuit": "sales/v1/reads", "was": "closed", "became": "open"},
    ) in (other.records.events)

    assert await shield.order("sales/v1/reads", "reset")
    ours = next(each for each in one.gateway.served.policies if each.name == "shield")
    await until(lambda: all(each.state == "closed" for each in ours.standing))
    assert not await shield.order("nothing/v1/reads", "held")


async def test_tripped_by_hand_at_one_gateway_it_is_held_at_all(redis_url):
    async with nodes(redis_url, 3, Node, 1) as made:
        await made[0].shared["crm"].order("held")
        await until(lambda: all(node.shared["crm"].breaker.standing().held for node in made))
        await asyncio.sleep(SETTINGS.open_seconds * 1.2)
        assert [await node.permit("crm") for node in made] == [None] * 3
        await made[2].shared["crm"].order("reset")
        await until(lambda: all(node.shared["crm"].breaker.state == "closed" for node in made))


async def test_one_gateway_with_a_broken_path_does_not_close_it_to_the_others(redis_url):
    """Its first opening is believed; refuted by another's trial, its next is its own affair."""
    async with nodes(redis_url, 2, Node, 1) as (broken, sound):
        dead, well = Upstream(), Upstream()
        await fails(broken, dead)
        await until(lambda: sound.shared["erp"].breaker.state == "open")
        await asyncio.sleep(SETTINGS.open_seconds * 1.2)
        assert await sound.call("erp", well) == "answered"
        await until(lambda: broken.shared["erp"].breaker.state == "closed")
        await fails(broken, dead)
        assert broken.shared["erp"].breaker.state == "open"
        await asyncio.sleep(0.3)
        assert sound.shared["erp"].breaker.state == "closed"


async def test_with_redis_gone_each_gateway_decides_alone():
    state = SharedState(f"redis://127.0.0.1:{free_port()}/0", records=Silence())
    await state.open()
    node = Node(Circuits(state), ("erp",), 1)
    upstream = Upstream()
    try:
        assert await fails(node, upstream) == ["failed"] * 5
        assert await node.call("erp", upstream) == "refused"
        await asyncio.sleep(SETTINGS.open_seconds * 1.2)
        upstream.well = True
        said = await asyncio.gather(*(node.call("erp", upstream) for _ in range(20)))
        assert sorted(said) == ["answered"] + ["refused"] * 19
    finally:
        await node.circuits.close()
        await state.close()


async def test_a_holder_who_comes_back_after_its_lease_moves_nothing(redis_url):
    async with nodes(redis_url, 2, Node, 9) as (slow, quick):
        upstream = Upstream()
        await slow.shared["erp"].order("reset")
        await asyncio.sleep(0.25)
        await fails(slow, upstream)
        await until(lambda: quick.shared["erp"].breaker.state == "open")
        await asyncio.sleep(SETTINGS.open_seconds * 1.2)
        late = await slow.shared["erp"].trial(0.05)
        assert late is not None
        await asyncio.sleep(0.3)
        held = await quick.permit("erp")
        assert held is not None  # the lease is over: another may try
        generation = quick.shared["erp"].generation
        late.failed()
        await asyncio.sleep(0.3)
        await quick.circuits.look()
        assert quick.shared["erp"].generation == generation
        held.succeeded()
        await until(lambda: slow.shared["erp"].breaker.state == "closed")
