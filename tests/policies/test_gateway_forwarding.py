"""Forwarding to a service over HTTP: a real server behind the gateway, on a socket."""

import asyncio
from copy import copy

import pytest

from gateway.config import ShieldSettings
from gateway.resilience import CircuitSettings
from gateway.upstreams import Forwarder
from tests.policies.http_service import OK, Service

pytestmark = pytest.mark.anyio


@pytest.fixture
async def behind(world, clock):
    service = Service()
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0, limit=1_000_000)
    port = server.sockets[0].getsockname()[1]
    w = await world(upstream=Forwarder(f"http://127.0.0.1:{port}", clock=clock))
    yield w, service, server
    server.close()


async def test_a_call_is_forwarded_with_its_context_and_without_its_secrets(behind):
    w, service, _ = behind
    token = await w.token("partner-acme")
    told = await w.call(
        "POST",
        "/sales/v1/orders",
        json=w.an_order(),
        token=token,
        key="INV-1",
        headers=[("cookie", "a=b"), ("x-crossdock-scopes", "all"), ("accept", "application/json")],
    )

    assert told.status == 200
    assert service.requests[-1].startswith(b"POST /sales/v1/orders HTTP/1.1\r\n")
    assert service.field("x-crossdock-consumer") == "partner-acme"
    assert service.field("x-crossdock-scopes") == "orders:read orders:write"
    assert service.field("x-crossdock-accounts") == "C1,C2"
    assert service.field("x-crossdock-idempotency-key") == "INV-1"
    assert service.field("x-correlation-id") == told.header("x-correlation-id")
    assert int(service.field("x-request-budget-ms")) <= 2_000
    assert service.field("traceparent").startswith("00-")
    assert service.field("accept") == "application/json"
    assert service.field("authorization") is None
    assert service.field("cookie") is None
    assert service.requests[-1].endswith(b'"quantity":2}]}')


async def test_hop_headers_and_trailers_of_an_answer_are_dropped(behind):
    w, service, _ = behind
    service.answers = [
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
            b"Trailer: X-Sum\r\nKeep-Alive: timeout=5\r\nX-Kept: yes\r\n"
            b"X-Crossdock-Consumer: me\r\n"
            b"\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Sum: 1\r\n\r\n"
        )
    ]
    told = await w.call("GET", "/sales/v1/orders", token=await w.token())

    assert (told.status, told.body, told.header("x-kept")) == (200, b"abcdef", "yes")
    names = {name for name, _ in told.headers}
    assert not names & {b"trailer", b"keep-alive", b"transfer-encoding", b"x-crossdock-consumer"}


async def test_redirects_and_codings_pass_through_as_they_are(behind):
    w, service, _ = behind
    service.answers = [
        b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nzzzz",
    ]
    token = await w.token()
    assert (await w.call("GET", "/sales/v1/orders", token=token)).status == 302
    coded = await w.call("GET", "/sales/v1/orders", token=token)
    assert (coded.body, coded.header("content-encoding")) == (b"zzzz", "gzip")


async def test_a_body_streams_through_without_being_held(behind):
    w, service, _ = behind
    told = await w.call("POST", "/sales/v1/notices", body=[b"a" * 40_000, b"b" * 40_000])

    assert told.status == 200
    assert service.requests[-1].count(b"a" * 1_000) + service.requests[-1].count(b"b" * 1_000) >= 60


async def test_a_body_that_streams_past_the_cap_is_cut_off(behind):
    w, _, _ = behind
    told = await w.call(
        "POST",
        "/sales/v1/notices",
        headers=[("transfer-encoding", "chunked")],
        body=[b"a" * 60_000, b"b" * 60_000],
    )

    assert (told.status, told.problem) == (413, "request-too-large")


async def test_a_body_without_a_declared_size_arrives(behind):
    w, service, _ = behind
    told = await w.call(
        "POST",
        "/sales/v1/notices",
        headers=[("transfer-encoding", "chunked"), ("content-type", "text/plain")],
        body=[b"a" * 1_000, b"b" * 1_000],
    )

    assert told.status == 200
    assert b"b" * 1_000 in service.requests[-1]


async def test_a_caller_who_leaves_before_the_body_has_sent_nothing(behind):
    """An announced body that never came is not an empty one."""
    w, service, _ = behind

    async def leave():
        return {"type": "http.disconnect"}

    async def nobody(_message):
        raise AssertionError

    headers = [(b"host", b"g"), (b"content-type", b"text/plain"), (b"content-length", b"100")]
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/sales/v1/notices",
        "raw_path": b"/sales/v1/notices", "query_string": b"", "headers": headers,
    }  # fmt: skip
    await w.gateway(scope, leave, nobody)

    assert service.requests == []
    assert w.records.calls[-1].status == 499


async def test_who_stops_sending_is_told_so_and_the_service_is_not_to_blame(behind):
    w, service, _ = behind
    messages = [{"type": "http.request", "body": b"begun", "more_body": True}]

    async def stalling():
        if not messages:
            await asyncio.sleep(5)
        return messages.pop()

    told = []

    async def tell(message):
        told.append(message)

    headers = [
        (b"host", b"g"), (b"content-type", b"text/plain"), (b"content-length", b"100"),
        (b"x-request-budget-ms", b"100"),
    ]  # fmt: skip
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/sales/v1/notices",
        "raw_path": b"/sales/v1/notices", "query_string": b"", "headers": headers,
    }  # fmt: skip
    await w.gateway(scope, stalling, tell)

    assert told[0]["status"] == 408
    assert w.records.calls[-1].reason == "request-timeout"
    assert service.requests == [] or b"begun" in service.requests[-1]


async def test_connections_are_used_again(behind):
    w, service, _ = behind
    token = await w.token()
    for _ in range(10):
        await w.call("GET", "/sales/v1/orders", token=token)

    assert service.connections == 1


async def test_a_slow_service_costs_the_budget_and_no_more(behind):
    w, service, _ = behind
    service.delay = 5
    told = await w.call(
        "GET",
        "/sales/v1/orders",
        token=await w.token(),
        headers=[("x-request-budget-ms", "80")],
    )

    assert (told.status, told.problem) == (504, "deadline-exceeded")


async def test_a_dead_service_opens_its_circuit_and_is_left_alone(behind):
    w, service, server = behind
    token = await w.token()
    await w.call("GET", "/sales/v1/orders", token=token)
    server.close()
    service.answers = [b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nstack"] * 50
    for _ in range(10):
        told = await w.call("GET", "/sales/v1/orders", token=token)
        assert told.status in (502, 503)

    asked = len(service.requests)
    told = await w.call("GET", "/sales/v1/orders", token=token)
    assert (told.status, told.problem) == (503, "upstream-unavailable")
    assert int(told.header("retry-after")) >= 1
    assert len(service.requests) == asked


async def test_a_service_that_answers_problems_is_not_dead(behind):
    w, service, _ = behind
    body = b'{"type":"/problems/upstream-throttled","status":503}'
    service.answers = [
        b"HTTP/1.1 503 Busy\r\nContent-Type: application/problem+json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    ] * 20
    token = await w.token()
    for _ in range(20):
        told = await w.call("GET", "/sales/v1/orders", token=token)
        assert told.problem == "upstream-throttled"

    assert len(service.requests) == 20


HURRIED = [("x-request-budget-ms", "20")]


def circuit(w, name="sales.v1.reads"):
    (found,) = (each for each in w.gateway.served.shield.standing if each.name == name)
    return found


async def test_a_caller_in_a_hurry_closes_no_circuit_to_the_others(behind):
    """Out of a time of its own making it is told 504; of the upstream that says nothing."""
    w, service, _ = behind
    limit = w.gateway.lasting.limits["sales/v1"]
    token = await w.token()
    service.delay = 0.1
    for _ in range(8):
        told = await w.call("GET", "/sales/v1/orders", token=token, headers=HURRIED)
        assert (told.status, told.problem) == (504, "deadline-exceeded")
    assert (circuit(w).state, circuit(w).failures, limit._samples) == ("closed", 0, [])

    other = await w.token("partner-acme")
    assert (await w.call("GET", "/sales/v1/orders", token=other)).status == 200


async def test_callers_in_a_hurry_tell_all_the_same_that_a_service_is_slow(world, clock):
    """Each leaves before it has had the contract's time, and long after it should have answered."""
    slow = CircuitSettings(slow_seconds=1.0, minimum=8)
    service = Service()
    service.delay = 1.0
    async with service.serving() as url:
        w = await world(
            upstream=Forwarder(url, clock=clock),
            config=world.config(gateway={"shield": ShieldSettings(breaker=slow)}),
        )
        token = await w.token()
        for number in range(8):
            assert circuit(w).state == "closed", number
            call = w.call("GET", "/sales/v1/orders", token=token, headers=HURRIED)
            under_way = asyncio.ensure_future(call)
            await asyncio.sleep(0.01)
            w.clock.advance(1.1)
            assert (await under_way).problem == "deadline-exceeded"

    assert circuit(w).state == "open"


async def test_a_service_that_takes_all_of_the_contracts_time_is_held_to_it(world, clock):
    """Whether nobody named a budget, or one longer than the contract's: it had its time."""
    document = world.document()
    document["paths"]["/orders"]["get"]["x-crossdock"]["budgetMs"] = 30
    service = Service()
    service.delay = 0.5
    async with service.serving() as url:
        w = await world(document=document, upstream=Forwarder(url, clock=clock))
        token, limit = await w.token(), w.gateway.lasting.limits["sales/v1"]
        for headers in ([], [("x-request-budget-ms", "9000")]):
            told = await w.call("GET", "/sales/v1/orders", token=token, headers=headers)
            assert told.problem == "deadline-exceeded"

    assert (circuit(w).failures, len(limit._samples)) == (2, 2)


async def test_a_caller_who_is_slow_to_send_opens_no_circuit_for_the_others(behind):
    """The body used up the time before the service was asked; what was left was too little."""
    w, service, _ = behind
    token = await w.token()
    service.delay = 1.0
    slow = copy(w)

    async def sending_slowly(scope, receive, send):
        async def slowly():
            w.clock.advance(1.95)
            return await receive()

        await w.gateway(scope, slowly, send)

    slow.gateway = sending_slowly
    for _ in range(8):
        told = await slow.call("POST", "/sales/v1/price-checks", json=w.an_order(), token=token)
        assert (told.status, told.problem) == (504, "deadline-exceeded")
    assert circuit(w, "sales.v1.checks").failures == 0


FAULTY = [("x-note", "\xff")]


async def test_what_a_caller_did_wrong_is_no_answer_of_the_service(behind):
    """A trial that never left leaves the circuit half open, and a count of failures as it is."""
    w, service, _ = behind
    token = await w.token()

    async def reads(headers=()):
        return (await w.call("GET", "/sales/v1/orders", token=token, headers=list(headers))).status

    service.answers = [b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"] * 6
    for _ in range(4):
        assert await reads() == 502
    assert (await reads(FAULTY), circuit(w).failures) == (400, 4)
    assert (await reads(), circuit(w).state) == (502, "open")

    w.clock.advance(3)
    asked = len(service.requests)
    assert (await reads(FAULTY), circuit(w).state, len(service.requests)) == (
        400,
        "half-open",
        asked,
    )
    assert (await reads(), circuit(w).state) == (502, "open")
    w.clock.advance(9)
    assert (await reads(), circuit(w).state) == (200, "closed")


async def test_a_body_that_is_too_large_on_its_way_is_no_answer_of_the_service(behind):
    w, _, _ = behind
    breaker = w.gateway.served.shield._breakers["sales.v1.webhooks"]
    with breaker.admit() as permit:
        permit.failed()
    chunked = [("transfer-encoding", "chunked")]
    body = [b"a" * 60_000, b"b" * 60_000]
    told = await w.call("POST", "/sales/v1/notices", headers=chunked, body=body)

    assert (told.status, circuit(w, "sales.v1.webhooks").failures) == (413, 1)


async def test_the_way_a_call_came_is_told_to_the_service(behind):
    """`Via` (RFC 9110 section 7.6.3): what came before stays, we are added."""
    w, service, _ = behind
    await w.call("GET", "/sales/v1/orders", token=await w.token(), headers=[("via", "1.0 fred")])

    assert b"Via: 1.0 fred\r\nVia: 1.1 crossdock\r\n" in service.requests[-1]


async def test_bytes_that_are_no_ascii_in_headers_break_nothing(behind):
    """UTF-8 passes byte for byte; what the client cannot say is refused, or left out of answers."""
    w, service, _ = behind
    token = await w.token()
    await w.call("GET", "/sales/v1/orders", token=token, headers=[("x-name", "\xc3\xa9")])
    assert b"X-Name: \xc3\xa9\r\n" in service.requests[-1]

    told = await w.call("GET", "/sales/v1/orders", token=token, headers=[("x-name", "\xff")])
    assert (told.status, told.problem) == (400, "malformed-request")

    service.answers = [OK.replace(b"\r\n\r\n", b"\r\nX-Name: \xff\r\nX-Kept: yes\r\n\r\n")]
    told = await w.call("GET", "/sales/v1/orders", token=token)
    assert (told.status, told.header("x-kept"), told.header("x-name")) == (200, "yes", None)


async def test_a_service_that_switches_protocols_unasked_is_not_followed(behind):
    w, service, _ = behind
    service.answers = [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    ]
    told = await w.call("GET", "/sales/v1/orders", token=await w.token())

    assert told.status in (502, 503)


async def test_a_header_that_reads_the_same_with_hyphens_stays_behind(behind):
    """Where headers become variables, `X_Crossdock_Consumer` is `X-Crossdock-Consumer`."""
    w, service, _ = behind
    forged = [("x_crossdock_consumer", "operator"), ("x_real_ip", "10.0.0.1"), ("x_own", "kept")]
    await w.call("GET", "/sales/v1/orders", token=await w.token(), headers=forged)

    assert service.field("x_crossdock_consumer") is None
    assert service.field("x_real_ip") is None
    assert service.field("x_own") == "kept"
