"""`crossdock up` and `crossdock demo`, started and killed as a person would."""

import asyncio
import os
import signal
import sys

import msgspec
import pytest
from pyreqwest.client import ClientBuilder

from deploy import demo
from tests.serving import free_port

pytestmark = pytest.mark.anyio


class Machine:
    """Two free ports and a data directory, and what was started on them."""

    def __init__(self, folder):
        self.folder = folder
        self.port, self.sandbox_port = free_port(), free_port()
        self.environment = {
            **os.environ,
            "CROSSDOCK_PORT": str(self.port),
            "CROSSDOCK_SANDBOX_PORT": str(self.sandbox_port),
            "CROSSDOCK_DATA": str(folder / "data"),
        }
        self.up = None

    async def start(self, *options):
        self.up = await self.run("up", *options)
        said = []
        async with asyncio.timeout(60):
            while line := (await self.up.stdout.readline()).decode():
                said.append(line)
                if "next " in line:
                    break
        assert any("is up at" in line for line in said), [*said, await self.faults()]
        return "".join(said)

    async def faults(self):
        return (await self.up.stderr.read()).decode() if self.up.returncode is not None else ""

    async def run(self, *arguments):
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.cli",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
        )

    async def demo(self):
        """Play the demonstration; answer its figures."""
        played = await self.run("demo", "--json")
        async with asyncio.timeout(90):
            out, err = await played.communicate()
        assert played.returncode == 0, err.decode() + out.decode()
        return msgspec.json.decode(out.splitlines()[-1])

    async def stop(self, how=signal.SIGTERM):
        self.up.send_signal(how)
        async with asyncio.timeout(30):
            return await self.up.wait()

    async def sandbox_lives(self):
        try:
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection("127.0.0.1", self.sandbox_port)
        except OSError:
            return False
        writer.close()
        return True

    async def ledger(self, system):
        url = f"http://127.0.0.1:{self.sandbox_port}/_sandbox/ledger?system={system}"
        async with ClientBuilder().no_proxy().build() as http:
            text = await (await http.get(url).build().send()).text()
        return [msgspec.json.decode(line) for line in text.splitlines()]


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    if machine.up is not None and machine.up.returncode is None:
        await machine.stop(signal.SIGKILL)
    pid_file = tmp_path / "data" / "sandbox.pid"
    if await machine.sandbox_lives():
        os.kill(int(pid_file.read_text()), signal.SIGTERM)


async def test_a_stranger_sees_one_deal_become_one_order_everywhere(machine):
    """Up, demo, and the system killed: the vendors live on, and nothing is done twice."""
    await machine.start()
    figures = await machine.demo()

    assert figures["states"]["commercial"] == "confirmed"
    assert figures["states"]["fulfilment"] == "shipped"
    assert set(figures["ids"]) == {"bc", "sf", "wms"}
    # one order, shipment, invoice and payment there; one order and shipment here
    assert (figures["ledger"]["business_central"], figures["ledger"]["wms"]) == (4, 2)

    assert await machine.stop(signal.SIGKILL) == -signal.SIGKILL
    assert await machine.sandbox_lives(), "a kill of the system is no kill of its vendors"

    said = await machine.start()
    assert "Using the sandbox that answers" in said
    again = await machine.demo()
    assert again["order"] != figures["order"], "each run takes the next open deal"
    posted = await machine.ledger("business_central")
    orders = [row["entity"] for row in posted if row["operation"] == "salesOrders.create"]
    assert len(orders) == len(set(orders)) == 2

    assert await machine.stop() == 0
    assert await machine.sandbox_lives(), "what was found running is left running"


async def test_what_up_has_started_ends_with_it(machine):
    """Ctrl-C leaves nothing behind."""
    await machine.start("--limits", "off")
    async with asyncio.timeout(30):
        while not await machine.sandbox_lives():  # noqa: ASYNC110  # another process starts there
            await asyncio.sleep(0.05)

    assert await machine.stop(signal.SIGINT) == 0
    assert not await machine.sandbox_lives()


async def test_a_port_in_use_is_refused_before_anything_starts(machine):
    """Most often it is Crossdock itself, in another terminal."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", machine.port):
        machine.up = await machine.run("up")
        _, err = await machine.up.communicate()

    assert machine.up.returncode == 1
    assert f"Port {machine.port} is in use" in err.decode()
    assert not await machine.sandbox_lives()


@pytest.mark.parametrize(
    ("fulfilment", "erp_numbers", "posted"),
    [
        ("released", [], False),
        ("shipped", [], False),
        ("shipped", [None], False),
        ("partially-shipped", ["S1"], False),
        ("shipped", ["S1", None], False),
        ("shipped", ["S1", "S2"], True),
    ],
)
def test_an_order_is_billed_once_the_erp_has_posted_all_of_it(fulfilment, erp_numbers, posted):
    """Goods show as shipped some milliseconds before finance has anything to bill."""
    shipments = [{"erpNumber": number} if number else {} for number in erp_numbers]

    assert demo._is_posted({"fulfilment": fulfilment, "shipments": shipments}) is posted
