"""Connections upgraded to WebSocket, where a contract allows it: real ones, both ways."""

import asyncio
import contextlib

import msgspec
import pytest
from cryptography import x509
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.config import Client, Plan, Window, hashed
from gateway.resilience import UpgradeSettings
from gateway.server import listener
from gateway.services import Service as Section
from tests.policies.certificates import a_certificate
from tests.policies.parcels import contract_file
from tests.serving import free_port

pytestmark = pytest.mark.anyio
PATH = "/parcels/shipments/S-1"
CLIENTS = {
    "shop": Client(
        secrets=(hashed("shop-dev-secret"),),
        certificates=("uri:spiffe://acme/shop",),
        scopes=("parcels:use",),
        accounts=("C7",),
    )
}


class Radio:
    """A carrier's service that talks: says back what it hears, and does what it is told."""

    def __init__(self) -> None:
        self.asked = []
        self.heard = []
        self.ended = []
        self.deaf = asyncio.Event()
        self.declines = None

    async def __call__(self, connection) -> None:
        self.asked.append(connection.request)
        try:
            while True:
                said = await connection.recv()
                self.heard.append(said)
                match said:
                    case "close":
                        await connection.close(4001, "you said so")
                    case "shout":
                        await connection.send("x" * 5_000)
                    case "be deaf":
                        await self.deaf.wait()
                    case _:
                        await connection.send(said)
        except ConnectionClosed as closed:
            self.ended.append(closed.rcvd and (closed.rcvd.code, closed.rcvd.reason))

    async def decline(self, connection, request):
        """Answer a handshake otherwise, if that is what the story wants."""
        if self.declines is not None:
            status, said = self.declines
            return connection.respond(status, said)
        return None


class Line:
    """The gateway on a socket, between callers and the radio."""

    def __init__(self, w, radio, port) -> None:
        self.w = w
        self.radio = radio
        self.port = port

    @property
    def records(self):
        return [each for each in self.w.records.calls if "parcels" in each.operation]

    async def opened(self, path=PATH, *, token=None, headers=(), **options):
        """Open a connection through the gateway, as the shop unless told otherwise."""
        given = await self.w.token("shop") if token is None else token
        sent = [("authorization", f"Bearer {given}")] if given else []
        return await connect(
            f"ws://127.0.0.1:{self.port}{path}",
            additional_headers=[*sent, *headers],
            proxy=None,
            compression=None,
            open_timeout=5,
            **options,
        )

    async def refused(self, path=PATH, **how):
        """Try to open one; answer status and problem of the refusal."""
        with pytest.raises(InvalidStatus) as refusal:
            await self.opened(path, **how)
        said = refusal.value.response
        assert said.headers["content-type"] == "application/problem+json", said.body
        assert said.headers["x-correlation-id"]
        return said.status_code, msgspec.json.decode(said.body)["type"].removeprefix("/problems/")


@pytest.fixture
async def line(world, tmp_path):
    """Put the gateway between callers and the radio."""
    radio = Radio()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            serve(radio, "127.0.0.1", 0, process_request=radio.decline, compression=None)
        )
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        async def between(*, plans=None, upgrades=None, terms=None, **said):
            section = a_section(tmp_path, address, terms, **said)
            w = await world(config=a_config(world, section, plans=plans, upgrades=upgrades))
            w.address = address
            port = free_port()
            server = listener(w.gateway, host="127.0.0.1", port=port, upgrades=True)
            serving = asyncio.create_task(server.serve())
            stack.push_async_callback(_stopped, server, serving)
            await _listening(port)
            return Line(w, radio, port)

        yield between
        radio.deaf.set()


def a_section(folder, address, terms=None, **said):
    return Section(
        contract=contract_file(folder, **(terms or {})),
        **{"url": address, "scopes": ("parcels:use",), "websockets": ("readShipment",), **said},
    )


def a_config(world, section, *, plans=None, upgrades=None):
    return world.config(
        gateway={"upgrades": upgrades or UpgradeSettings(), "trusted_hops": ("127.0.0.1",)},
        clients=CLIENTS,
        services={"parcels": section},
        plans=plans or {"standard": Plan()},
    )


async def _listening(port):
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)


async def _stopped(server, serving):
    server.stop()
    await serving


async def closed(connection):
    """Wait until it is closed; answer the code and the reason that came."""
    try:
        async with asyncio.timeout(5):
            while True:
                await connection.recv()
    except ConnectionClosed as end:
        return end.rcvd and (end.rcvd.code, end.rcvd.reason)


async def eventually(look):
    async with asyncio.timeout(5):
        while not (found := look()):  # noqa: ASYNC110  what is looked at tells nobody
            await asyncio.sleep(0.01)
    return found


async def test_messages_go_both_ways_and_leave_one_record(line):
    """Text stays text and bytes stay bytes; the record is of the connection's whole life."""
    at = await line()
    connection = await at.opened()
    for said in ("hello", b"\x00\xff", "", "ü" * 1_000):
        await connection.send(said)
        assert await connection.recv() == said
    assert at.records == []
    await connection.close(4002, "done")

    [record] = await eventually(lambda: at.records)
    assert (record.operation, record.status, record.consumer, record.method) == (
        "services/parcels/readShipment",
        101,
        "shop",
        "GET",
    )
    assert (record.bytes_in, record.bytes_out, record.reason) == (2_007, 2_007, "closed-by-caller")
    assert at.radio.ended == [(4002, "")]
    assert at.w.gateway.in_flight == at.w.gateway.lasting.tunnels.taken == 0


async def test_the_service_is_told_the_call_and_not_the_caller(line):
    at = await line()
    connection = await at.opened(subprotocols=["v2", "v1"], headers=[("cookie", "a=b")])
    [asked] = at.radio.asked

    assert asked.path == "/shipments/S-1"
    names = {name.lower() for name, _ in asked.headers.raw_items()}
    assert not names & {"authorization", "cookie", "x-crossdock-consumer", "origin"}
    assert {"x-correlation-id", "traceparent", "x-request-budget-ms", "via"} <= names
    assert asked.headers.get_all("sec-websocket-key") != [
        connection.request.headers["sec-websocket-key"]
    ]
    await connection.close()


async def test_a_handshake_passes_the_same_policies_and_is_refused_in_http(line):
    """A refusal is a problem with its status, and no switch of protocols: as for any GET."""
    at = await line(plans={"standard": Plan(services=(Window(quota=2, seconds=60),))})

    assert await at.refused(token="") == (401, "unauthenticated")
    assert await at.refused(token="nonsense") == (401, "unauthenticated")
    assert await at.refused(token=await at.w.token("crm")) == (403, "insufficient-scope")
    assert await at.refused(PATH + "?more=1") == (400, "invalid-request")
    await (await at.opened()).close()
    assert await at.refused() == (429, "quota-exceeded")
    assert len(at.radio.asked) == 1
    statuses = [
        each.status for each in await eventually(lambda: len(at.records) == 6 and at.records)
    ]
    assert sorted(statuses) == [101, 400, 401, 401, 403, 429]


async def test_a_page_cannot_speak_with_a_browsers_certificate(line):
    """What a browser shows by itself proves nothing of who wrote the page it shows it for."""
    at = await line()
    uri = x509.UniformResourceIdentifier("spiffe://acme/shop")
    shown = ("client-cert", a_certificate("shop", uri))
    page = ("origin", "https://elsewhere.example")

    await (await at.opened(token="", headers=[shown])).close()
    assert await at.refused(token="", headers=[shown, page]) == (401, "unauthenticated")
    await (await at.opened(headers=[page])).close()


async def test_what_no_contract_allows_is_not_upgraded(line):
    """Neither another operation of the service, nor one of ours, nor what there is not."""
    at = await line()

    assert await at.refused("/parcels/status") == (400, "invalid-request")
    assert await at.refused("/sales/v1/orders") == (400, "invalid-request")
    assert await at.refused("/healthz") == (400, "invalid-request")
    assert await at.refused("/parcels/depots") == (404, "operation-unknown")
    assert await at.refused("/parcels/labels") == (405, "method-not-allowed")
    assert at.radio.asked == []


async def test_a_contract_may_allow_it_itself(line):
    at = await line(websockets=(), terms={"readStatus": {"upgrade": "websocket"}})
    connection = await at.opened("/parcels/status")
    await connection.send("hello")

    assert await connection.recv() == "hello"
    await connection.close()
    assert await at.refused() == (400, "invalid-request")


async def test_a_service_that_declines_is_heard(line):
    """Its refusal is an answer like any other; its failure is told in our words."""
    at = await line()
    at.radio.declines = (404, "no such parcel")
    with pytest.raises(InvalidStatus) as refusal:
        await at.opened()
    assert (refusal.value.response.status_code, refusal.value.response.body) == (
        404,
        b"no such parcel",
    )

    at.radio.declines = (500, "a stack")
    assert (await at.refused())[1] == "upstream-malformed"


async def test_a_service_that_is_gone_is_a_problem_and_opens_its_circuit(line):
    at = await line(url="http://127.0.0.1:9")
    for _ in range(8):
        assert await at.refused() == (503, "upstream-unavailable")

    standing = at.w.gateway.lasting.standing.breakers["services/parcels", "services"]
    assert standing.state == "open"
    assert at.w.gateway.lasting.tunnels.taken == 0


async def test_either_side_may_close_and_the_other_hears_why(line):
    at = await line()
    connection = await at.opened()
    await connection.send("close")
    assert await closed(connection) == (4001, "you said so")
    [record] = await eventually(lambda: at.records)
    assert record.reason == "closed-by-service"

    vanishing = await at.opened()
    vanishing.transport.abort()
    await eventually(lambda: len(at.records) == 2)
    assert at.radio.ended[-1] == (1001, "")


async def test_a_message_that_is_too_large_closes_the_connection(line):
    """In either direction; none is carried in part."""
    at = await line(upgrades=UpgradeSettings(largest_message_bytes=2_000))
    connection = await at.opened()
    await connection.send("x" * 2_000)
    assert len(await connection.recv()) == 2_000
    await connection.send("x" * 2_001)
    assert (await closed(connection))[0] == 1009
    assert at.radio.heard == ["x" * 2_000]

    connection = await at.opened()
    await connection.send("shout")
    assert (await closed(connection))[0] == 1011
    await eventually(lambda: len(at.records) == 2)
    assert {each.reason for each in at.records} == {"message-too-large"}


async def test_who_does_not_read_slows_down_who_sends(line):
    """The gateway holds a message or two, whatever is sent: the rest waits at the sender."""
    at = await line()
    connection = await at.opened()
    await connection.send("be deaf")
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 1_000:
            async with asyncio.timeout(1):
                await connection.send(b"x" * 100_000)
            sent += 1
    assert sent < 500
    at.radio.deaf.set()
    received = 0
    async with asyncio.timeout(20):
        while received < sent:
            assert len(await connection.recv()) == 100_000
            received += 1
    connection.transport.abort()


async def test_it_ends_when_the_token_does(line):
    at = await line()
    connection = await at.opened()
    at.w.clock.advance(1_000)

    assert await closed(connection) == (1008, "The access token has expired")
    [record] = await eventually(lambda: at.records)
    assert (record.reason, record.duration_ms) == ("token-expired", 1_000_000)
    assert at.radio.ended[-1][0] == 1001


async def test_it_ends_when_nothing_has_been_said_for_long(line):
    at = await line(upgrades=UpgradeSettings(idle_seconds=30))
    connection = await at.opened()
    at.w.clock.advance(31)

    assert (await closed(connection))[0] == 1001
    [record] = await eventually(lambda: at.records)
    assert record.reason == "idle"


async def test_a_drain_tells_everybody_to_go_away_and_takes_nobody_new(line):
    at = await line()
    connections = [await at.opened() for _ in range(3)]
    token = await at.w.token("shop")
    draining = asyncio.create_task(at.w.gateway.drain(5))

    assert [(await closed(each))[0] for each in connections] == [1001] * 3
    assert await at.refused(token=token) == (503, "draining")
    at.w.clock.advance(1)
    assert await draining
    assert sorted(at.radio.ended) == [(1001, "the gateway is going away")] * 3


async def test_there_is_a_place_for_so_many_and_it_is_given_back(line):
    at = await line(upgrades=UpgradeSettings(connections=2))
    first, second = await at.opened(), await at.opened()
    assert await at.refused() == (503, "overloaded")
    assert b"crossdock_gateway_upgraded 2.0" in (await at.w.call("GET", "/metrics")).body

    await first.close()
    await eventually(lambda: at.w.gateway.lasting.tunnels.taken == 1)
    third = await at.opened()
    await third.send("hello")
    assert await third.recv() == "hello"
    await asyncio.gather(second.close(), third.close())


async def test_an_open_connection_takes_no_place_of_a_call(line):
    at = await line()
    connection = await at.opened()

    lasting = at.w.gateway.lasting
    assert {each.taken for each in lasting.standing.bulkheads.values()} == {0}
    assert lasting.limits["process"].taken == 0
    await connection.close()


async def test_a_call_without_upgrade_is_an_ordinary_get(line):
    at = await line()
    at.radio.declines = (200, "as JSON")
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    token = await at.w.token("shop")
    writer.write(
        f"GET {PATH} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {token}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()

    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 502", b"HTTP/1.1 503"))
    assert at.records[0].reason != "upgraded"


async def test_a_new_configuration_has_everybody_come_again_under_it(line, world, tmp_path):
    """An old connection would go on under scopes and limits that are no more."""
    at = await line()
    connection = await at.opened()
    section = a_section(tmp_path, at.w.address, scopes=("parcels:use", "orders:write"))

    assert await at.w.gateway.reload(at.w.building(a_config(world, section)))
    assert await closed(connection) == (1012, "the configuration has changed")
    assert await at.refused() == (403, "insufficient-scope")


async def test_a_reload_cannot_begin_to_offer_upgrades(line, world, tmp_path):
    """The listener is told at its start; a configuration it could not keep is refused whole."""
    at = await line(websockets=())
    section = a_section(tmp_path, at.w.address)

    assert not await at.w.gateway.reload(at.w.building(a_config(world, section)))
    [fault] = [said for name, said in at.w.records.events if name == "configuration_fault_found"]
    assert fault["place"] == "services"
    assert "Start the gateway anew" in fault["remedy"]
