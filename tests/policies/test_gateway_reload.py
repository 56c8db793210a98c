"""A new configuration takes over whole, between two calls, or not at all."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import Plan, ShieldSettings, Window
from gateway.resilience import ShedSettings
from gateway.upstreams import Forwarder
from tests.policies.http_service import OK
from tests.serving import free_port

ROOT = str(Path(__file__).resolve().parents[2])
pytestmark = pytest.mark.anyio


def told(w):
    return [name for name, _ in w.records.events]


async def test_the_next_call_is_answered_under_the_new_configuration(world):
    w = await world()
    token = await w.token()
    assert (await w.call("GET", "/sales/v1/orders", token=token)).header("ratelimit") is None
    plan = Plan(reads=(Window(quota=5, seconds=60),))

    assert await w.gateway.reload(w.building(world.config(plans={"standard": plan})))
    assert (await w.call("GET", "/sales/v1/orders", token=token)).header("ratelimit") is not None
    assert told(w) == ["configuration_taken_over"]


async def test_a_call_under_way_ends_under_the_configuration_it_began_with(world):
    w = await world()
    token = await w.token()
    w.tier.delay = 0.2
    running = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.05)
    old = w.gateway.served

    assert await w.gateway.reload(w.building())
    assert old.in_flight == 1
    assert (await running).status == 201
    assert old.in_flight == w.gateway.served.in_flight == w.gateway.in_flight == 0


async def test_a_call_outlives_any_number_of_reloads_on_the_upstream_it_began_with(world, clock):
    """The first reload keeps the upstream and the second does not: neither may close it yet."""

    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.4)
        writer.write(OK)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    first = Forwarder(there, clock=clock)
    w = await world(upstream=first)
    token = await w.token()
    running = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.1)

    for upstream in (first, Forwarder(there, clock=clock), Forwarder(there, clock=clock)):
        assert await w.gateway.reload(w.building(upstream=upstream))
        await asyncio.sleep(0.06)
    assert (await running).status == 200
    server.close()


async def test_a_repeated_key_finds_the_first_call_across_a_reload(world):
    """The first runs under the old configuration, its repeat comes under the new: one effect."""
    w = await world()
    token = await w.token()
    w.tier.delay = 0.2
    running = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.05)
    await w.gateway.reload(w.building())
    repeat = await w.order("INV-1", token)

    assert (repeat.status, repeat.body) == (201, (await running).body)
    assert w.tier.orders == 1


async def test_a_refused_reload_sends_no_waiting_repeat_away(world):
    """The configuration that could not be provisioned is closed; the flights are not its own."""
    w = await world()
    token = await w.token()
    w.tier.delay = 0.2
    running = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.02)
    repeat = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.02)

    class Broken(type(w.tier)):
        async def startup(self):
            raise OSError("no such address")

    assert not await w.gateway.reload(w.building(upstream=Broken()))
    assert (await running).status == 201
    assert ((await repeat).status, (await w.order("INV-1", token)).status) == (201, 201)
    assert w.tier.orders == 1


async def test_an_old_configuration_that_retires_sends_no_waiting_repeat_away(world):
    """Its last call ends while a key runs under the new one."""
    w = await world()
    token = await w.token()
    w.tier.delay = 0.1
    last = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.02)
    assert await w.gateway.reload(w.building())
    w.tier.delay = 0.4
    running = asyncio.create_task(w.order("INV-2", token))
    await asyncio.sleep(0.02)
    repeat = asyncio.create_task(w.order("INV-2", token))

    assert (await last).status == 201
    assert ((await repeat).status, (await repeat).body) == (201, (await running).body)
    assert w.tier.orders == 2


async def test_nobodys_quota_begins_anew(world):
    plans = {"standard": Plan(reads=(Window(quota=3, seconds=60),))}
    w = await world(config=world.config(plans=plans))
    token = await w.token()
    statuses = []
    for _ in range(3):
        statuses.append((await w.call("GET", "/sales/v1/orders", token=token)).status)
        await w.gateway.reload(w.building(world.config(plans=plans)))
    statuses.append((await w.call("GET", "/sales/v1/orders", token=token)).status)

    assert statuses == [200, 200, 200, 429]


async def test_a_faulty_configuration_is_refused_with_every_fault_and_the_old_one_serves(world):
    w = await world()
    token = await w.token()
    serving = w.gateway.served
    absurd = {
        "plans": {"standard": Plan(reads=(Window(quota=2, seconds=60),))},
        "gateway": {"instances": 4, "shield": ShieldSettings(longest_budget_ms=10)},
    }

    assert not await w.gateway.reload(w.building(world.config(**absurd)))
    faults = [fields for name, fields in w.records.events if name == "configuration_fault_found"]
    assert {"plans.standard.reads"} < {each["place"] for each in faults}
    assert all(each["allowed"] and each["remedy"] for each in faults)
    assert w.records.events[-1] == (
        "configuration_refused",
        {"error": "ConfigError", "faults": len(faults)},
    )
    assert w.gateway.served is serving
    assert (await w.call("GET", "/sales/v1/orders", token=token)).status == 200


async def test_a_refused_configuration_leaves_places_and_limits_as_they_were(world):
    """Building and checking it has no effect on what the running one counts with."""
    w = await world(config=world.config(gateway={"shield": ShieldSettings(concurrency=3)}))
    token = await w.token()
    other = {"shield": ShieldSettings(concurrency=99), "shed": ShedSettings(least=9, first=1)}
    assert not await w.gateway.reload(w.building(world.config(gateway=other)))
    places = {each.places for each in w.gateway.lasting.standing.bulkheads.values()}
    assert (places, w.gateway.lasting.limits["process"].limit) == ({3}, 1_024)

    good = {"shield": ShieldSettings(concurrency=5), "shed": ShedSettings(most=1_024)}
    assert await w.gateway.reload(w.building(world.config(gateway=good)))
    assert {each.places for each in w.gateway.lasting.standing.bulkheads.values()} == {5}
    assert (await w.call("GET", "/sales/v1/orders", token=token)).status == 200


async def test_a_configuration_that_cannot_be_provisioned_gives_back_what_it_had(world):
    """Provisioned fully before the old is dropped: a failure half-way changes nothing."""
    w = await world()
    token = await w.token()
    closed = []

    def build(lasting):
        gateway = w.building()(lasting)

        class Broken:
            name = "broken"

            async def provision(self):
                raise OSError("a file that is not there")

            def check(self, _):
                return []

            async def close(self):
                closed.append(self.name)

        gateway.served.policies.append(Broken())
        return gateway

    assert not await w.gateway.reload(build)
    assert told(w) == ["configuration_refused"]
    assert closed == ["broken"]
    assert (await w.call("GET", "/sales/v1/orders", token=token)).status == 200


async def test_a_hundred_reloads_under_load_lose_no_call(world):
    w = await world()
    token = await w.token()
    w.tier.delay = 0.002
    statuses = []

    async def call_on():
        for _ in range(60):
            answer = await w.call("GET", "/sales/v1/orders", token=token)
            statuses.append(answer.status)

    calling = [asyncio.create_task(call_on()) for _ in range(4)]
    for _ in range(20):
        assert await w.gateway.reload(w.building())
        await asyncio.sleep(0)
    await asyncio.gather(*calling)

    assert set(statuses) == {200}
    assert len(statuses) == 240


async def test_sighup_reloads_a_served_gateway_and_a_bad_one_changes_nothing(tmp_path):
    """The signal, the socket and the log as an operator knows them."""
    program = Path(__file__).with_name("served_gateway.py")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        str(port),
        str(tmp_path),
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": ROOT},
    )

    async def said() -> str:
        async with asyncio.timeout(15):
            return (await process.stdout.readline()).decode().strip()

    try:
        assert await said() == "listening"
        process.send_signal(signal.SIGHUP)
        assert await said() == "reloaded True"
        (tmp_path / "absurd").touch()
        process.send_signal(signal.SIGHUP)
        assert await said() == "reloaded False"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /echo/v1/things HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
    finally:
        process.terminate()
        await process.wait()
