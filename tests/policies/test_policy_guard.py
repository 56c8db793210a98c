"""guard: sizes, framing and headers that only the gateway may speak."""

import asyncio
import gzip
import zlib

import msgspec
import pytest

from contracts.problems import ProblemError
from gateway.policies.guard import _counted

pytestmark = pytest.mark.anyio
CHECK = "/sales/v1/price-checks"


@pytest.mark.parametrize(
    ("headers", "slug", "status"),
    [
        ([("content-length", "5"), ("transfer-encoding", "chunked")], "ambiguous-request", 400),
        ([("content-length", "5"), ("content-length", "6")], "ambiguous-request", 400),
        ([("content-length", "5, 5")], "ambiguous-request", 400),
        ([("content-length", "+5")], "ambiguous-request", 400),
        ([("content-length", "9" * 30)], "ambiguous-request", 400),
        (
            [("transfer-encoding", "chunked"), ("transfer-encoding", "gzip")],
            "ambiguous-request",
            400,
        ),
        ([("transfer-encoding", "xchunked")], "malformed-request", 400),
        ([("host", "other")], "ambiguous-request", 400),
        ([("authorization", "a"), ("authorization", "b")], "ambiguous-request", 400),
        ([("content-length", "300000")], "request-too-large", 413),
        ([("content-length", "5"), ("content-type", "text/plain")], "unsupported-media-type", 415),
        ([("content-length", "5")], "unsupported-media-type", 415),
        (
            [
                ("content-length", "5"),
                ("content-type", "application/json"),
                ("content-encoding", "br"),
            ],
            "unsupported-media-type",
            415,
        ),
        ([("x-filler", "v" * 40_000)], "headers-too-large", 431),
        ([(f"x-{n}", "v") for n in range(200)], "headers-too-large", 431),
    ],
)
async def test_a_doubtful_head_is_refused_and_the_connection_closed(world, headers, slug, status):
    w = await world()
    told = await w.call("POST", CHECK, headers=[("host", "gateway"), *headers], plain=True)

    assert (told.status, told.problem) == (status, slug)
    assert told.header("connection") == "close"


@pytest.mark.parametrize("coding", ["br", "identity", ""])
@pytest.mark.parametrize("length", [[], [("content-length", "0")]], ids=["none", "0"])
@pytest.mark.parametrize("path", [CHECK, "/oauth/token"])
async def test_an_unknown_coding_is_refused_even_where_there_is_nothing_to_decode(
    world, path, length, coding
):
    w = await world()
    told = await w.call(
        "POST", path, headers=[("content-encoding", coding), *length], token=await w.token()
    )

    assert (told.status, told.problem) == (415, "unsupported-media-type")


async def test_an_empty_body_is_no_coded_stream_and_is_judged_as_empty(world):
    w = await world()
    told = await w.call(
        "POST", CHECK, headers=[("content-encoding", "gzip")], token=await w.token()
    )

    assert (told.status, told.problem) == (400, "invalid-request")


async def test_a_call_without_a_host_is_refused_though_the_server_says_an_empty_one(world):
    """RFC 9112 section 3.2; Granian hands `host: ` on where the caller sent none."""
    w = await world()
    told = await w.call("GET", CHECK, headers=[("host", "")], plain=True)

    assert (told.status, told.problem) == (400, "malformed-request")


async def test_a_long_address_is_refused(world):
    w = await world()
    told = await w.call("GET", "/sales/v1/orders?po=" + "a" * 9_000)

    assert (told.status, told.problem) == (414, "uri-too-long")


@pytest.mark.parametrize(
    "path", ["/sales/v1/orders/a%2Fb", "/sales/v1/orders/..%2e", "/x/../healthz"]
)
async def test_a_path_with_hidden_segments_is_refused(world, path):
    w = await world()
    told = await w.call("GET", path, token=await w.token())

    assert told.status in (400, 404)
    assert w.tier.calls == []


async def test_a_body_without_a_declared_size_is_stopped_at_the_cap(world):
    """Chunks are counted: a caller cannot fill the memory by not saying how much comes."""
    w = await world()
    chunks = [b'{"customer": "'] + [b"x" * 65_536] * 50
    told = await w.call(
        "POST",
        CHECK,
        body=chunks,
        headers=[("transfer-encoding", "chunked")],
        token=await w.token(),
    )

    assert (told.status, told.problem) == (413, "request-too-large")
    assert told.header("connection") == "close"


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_compressed_body_is_read(world, coding, encode):
    w = await world()
    body = encode(msgspec.json.encode(w.an_order()))
    told = await w.call(
        "POST", CHECK, body=body, headers=[("content-encoding", coding)], token=await w.token()
    )

    assert told.status == 200
    seen = w.tier.calls[-1]
    assert msgspec.json.decode(seen.body) == w.an_order()
    assert b"content-encoding" not in seen.headers
    assert int(seen.headers[b"content-length"]) == len(seen.body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(b" " * 50_000_000), 413),
        (gzip.compress(gzip.compress(b"{}")), 400),
        (gzip.compress(b"{}")[:-4], 400),
        (gzip.compress(b"{}") + b"more", 400),
        (b"not gzip", 400),
    ],
    ids=["bomb", "nested", "cut", "trailing", "plain"],
)
async def test_a_bomb_or_a_broken_stream_is_stopped(world, body, status):
    w = await world()
    told = await w.call(
        "POST", CHECK, body=body, headers=[("content-encoding", "gzip")], token=await w.token()
    )

    assert told.status == status
    assert w.tier.calls == []


async def test_a_body_where_the_contract_has_none_is_refused(world):
    w = await world()
    told = await w.call("GET", "/sales/v1/orders", body=b"{}", token=await w.token())

    assert (told.status, told.problem) == (400, "invalid-request")


async def test_identity_and_hop_headers_from_outside_never_reach_a_tier(world):
    w = await world()
    forged = [
        ("x-crossdock-consumer", "operator"),
        ("x-crossdock-accounts", "C9"),
        ("x-crossdock-scopes", "operations:write"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("connection", "close, x-secret-hop"),
        ("x-secret-hop", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "x"),
        ("cookie", "a=b"),
        ("x-kept", "yes"),
    ]
    token = await w.token("partner-acme")
    told = await w.call("GET", "/sales/v1/orders", headers=forged, token=token)

    assert told.status == 200
    seen = w.tier.calls[-1]
    assert set(seen.headers) == {b"host", b"x-kept"}
    assert seen.context.consumer == "partner-acme"
    assert seen.context.accounts == ("C1", "C2")


async def test_a_body_that_breaks_off_runs_nothing(world):
    """The caller left, or framed its chunks wrongly; either way this is no whole request."""
    w = await world()
    token = await w.token()
    before = len(w.tier.calls)
    sent = [
        {"type": "http.request", "body": b'{"c', "more_body": True},
        {"type": "http.disconnect"},
    ]
    told = []

    async def receive():
        return sent.pop(0)

    async def send(message):
        told.append(message)

    await w.gateway(
        {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": CHECK,
            "query_string": b"",
            "headers": [
                (b"host", b"x"),
                (b"authorization", b"Bearer " + token.encode()),
                (b"content-type", b"application/json"),
                (b"content-length", b"500"),
            ],
        },
        receive,
        send,
    )

    assert told[0]["status"] == 400
    assert len(w.tier.calls) == before
    assert w.gateway.in_flight == 0


async def test_a_body_that_streams_drop_by_drop_is_cut_off_as_a_whole():
    """The time is for all of it: a byte now and then does not buy more."""

    async def drip():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    receive = _counted(drip, 1_000_000, 0.1)

    async def everything():
        for _ in range(1_000):
            await receive()

    with pytest.raises(ProblemError) as told:
        await everything()
    assert told.value.problem.slug == "request-timeout"


async def test_after_a_whole_body_a_service_may_take_longer_than_the_body_might():
    """Who waits for the caller to leave is not cut off by the time for the body."""
    messages = [{"type": "http.request", "body": b"x", "more_body": False}]

    async def whole():
        if messages:
            return messages.pop()
        await asyncio.sleep(0.1)
        return {"type": "http.disconnect"}

    receive = _counted(whole, 1_000_000, 0.02)
    await receive()

    assert (await receive())["type"] == "http.disconnect"
