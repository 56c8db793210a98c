"""The gateway in front of a service that is not ours: assembled and apart, and over a reload."""

import asyncio
import contextlib
import os
import sys

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.policies.parcels import contract_file
from tests.scenarios.apart import opened_apart
from tests.scenarios.edited import Edited
from tests.scenarios.stage import eventually, opened
from tests.serving import serving

pytestmark = pytest.mark.anyio


class Carrier:
    """A carrier's own program: knows parcels, prints labels as they come, and who asked it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.pieces: list[bytes] = []
        self.going_on = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "websocket":
            await self._talk(receive, send)
        if scope["type"] != "http":
            return
        self.asked.append({name.decode(): value.decode() for name, value in scope["headers"]})
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        if scope["path"] == "/v2/labels":
            await self._labels(receive, send)
        else:
            said = b'{"id": "S-1", "weight": 1.5}'
            await send({"type": "http.response.body", "body": said})

    async def _talk(self, receive, send) -> None:
        """Say back whatever is said."""
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def _labels(self, receive, send) -> None:
        """Take a file as it comes; answer in two, the second when somebody has seen the first."""
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            self.pieces.append(message.get("body", b""))
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        async with asyncio.timeout(20):
            await self.going_on.wait()
        await send({"type": "http.response.body", "body": b"ended"})


def section(folder, address):
    return (
        f'\n[services.parcels]\ncontract = "{contract_file(folder).rpartition("/")[2]}"\n'
        f'url = "{address}/v2"\nscopes = ["orders:read"]\nlimit = "reads"\n'
        'websockets = ["readStatus"]\n'
    )


@pytest.fixture(params=["assembled", "apart"], scope="module")
async def fronted(request, tmp_path_factory):
    """Either deployment, with the carrier behind it."""
    folder = tmp_path_factory.mktemp(request.param)
    carrier = Carrier()
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(carrier))
        said = section(folder, address)
        if request.param == "apart":
            stage = await stack.enter_async_context(opened_apart(folder, workers=0, more=said))
        else:
            stage = await stack.enter_async_context(opened(folder, config=said))
        stage.carrier, stage.said = carrier, said
        stage.log = folder / ("gateway" if request.param == "apart" else "data")
        yield stage


async def test_its_operations_are_called_like_ours(fronted):
    """Same credential, same record, same problems; of the caller the carrier learns nothing."""
    found = await fronted.call("GET", "/parcels/shipments/S-1")
    assert (found.status, found.json["id"]) == (200, "S-1")
    asked = fronted.carrier.asked[-1]
    assert asked["x-correlation-id"] == found.headers["x-correlation-id"]
    assert not [name for name in asked if name.startswith("x-crossdock") or name == "authorization"]

    assert (await fronted.call("GET", "/parcels/shipments/S-1", client=None)).status == 401
    assert (await fronted.call("GET", "/parcels/depots")).slug == "operation-unknown"
    lines = (fronted.log / "access.log").read_bytes().splitlines()
    records = [msgspec.json.decode(line) for line in lines]
    assert [each["status"] for each in records if "readShipment" in each["operation"]] == [200, 401]


async def test_bodies_stream_both_ways(fronted):
    """The service has the first piece before there is a second, and so has the caller."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fronted.port)
    carrier, token = fronted.carrier, await fronted.token("crm")
    writer.write(
        b"POST /parcels/labels HTTP/1.1\r\nHost: g\r\nContent-Type: application/pdf\r\n"
        b"Authorization: Bearer %s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"5\r\nfirst\r\n" % token.encode()
    )

    async def arrived():
        return carrier.pieces == [b"first"]

    await eventually(arrived, "the service has the first piece")
    writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert b"begun" in await reader.readuntil(b"begun\r\n")
        carrier.going_on.set()
        assert b"ended" in await reader.read()
    writer.close()

    assert b"".join(carrier.pieces) == b"firstsecond"


async def test_a_connection_is_upgraded_and_ends_with_the_configuration(fronted):
    """Refused like any call, carried both ways, and told to come again after a reload."""
    address = f"ws://127.0.0.1:{fronted.port}/parcels/status"
    with pytest.raises(InvalidStatus) as refusal:
        await connect(address, proxy=None)
    assert refusal.value.response.status_code == 401

    known = {"authorization": f"Bearer {await fronted.token('crm')}"}
    connection = await connect(address, additional_headers=known, proxy=None)
    await connection.send("hello")
    assert await connection.recv() == "hello"
    edited = Edited(fronted, node=fronted.log.name)
    await edited.reload(edited.good + "\n")
    await connection.wait_closed()
    assert connection.close_code == 1012


async def test_an_operator_adds_and_removes_it_while_the_gateway_runs(fronted):
    edited = Edited(fronted, node=fronted.log.name)
    path = "/parcels/status"
    assert (await fronted.call("GET", path)).status == 200

    await edited.reload(edited.good.replace(fronted.said, ""))
    assert (await fronted.call("GET", path)).slug == "operation-unknown"

    absurd = edited.good.replace('limit = "reads"', 'limit = "raeds"\npublic = ["none"]')
    await edited.reload(absurd, becomes="configuration_refused")
    places = {fault["place"] for fault in edited.told("configuration_fault_found")}
    assert places == {"services.parcels.limit", "services.parcels.public"}

    await edited.reload(edited.good)
    assert (await fronted.call("GET", path)).status == 200


async def test_explain_tells_what_each_policy_says_of_it(fronted):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "explain", "GET", "/parcels/shipments/S-1",
        "--as", "crm", stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ, **fronted.environment,
            "CROSSDOCK_DATA": str(fronted.folder / "explained"),
        },
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate()

    assert process.returncode == 0
    assert "services/parcels/readShipment" in out.decode()
    assert "needs orders:read" in out.decode()
