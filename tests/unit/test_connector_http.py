"""What becomes of calls that do not end in an answer, told by a peer on a real socket."""

import asyncio
import contextlib
import gzip

import msgspec
import pytest

from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Malformed, Throttled, Unavailable
from runtime.budget import Allowance, BudgetBroker, Window
from runtime.clock import SystemClock
from runtime.guard import Guard
from runtime.http import (
    Channel,
    Exchange,
    HttpClient,
    HttpSettings,
    Token,
    TokenSource,
    decode,
)
from tests.serving import free_port

pytestmark = pytest.mark.anyio


class Peer:
    """Answers each request with the next thing it was told; notes what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def __call__(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode().lower())
                length = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                if isinstance(answer, float):
                    await asyncio.sleep(answer)
                    break
                writer.write(answer)
                await writer.drain()
        writer.close()


def said(body, *headers, status=200, length=None):
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {length or len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def listening(*answers, **settings):
    peer = Peer(*answers)
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    http = HttpClient(HttpSettings(**settings))
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer, http, base
    finally:
        await http.close()
        server.close()


async def send(http, url, *, safe=False, seconds=2.0, method="POST", body=b"{}"):
    return await http.send(
        method, url, system="erp", headers={}, timeout=seconds, safe=safe, body=body
    )


async def failure_of(http, url, **more):
    with pytest.raises(CallFailedError) as caught:
        await send(http, url, **more)
    return caught.value.failure


async def test_nobody_listening_means_that_nothing_happened():
    http = HttpClient()
    failure = await failure_of(http, f"http://127.0.0.1:{free_port()}/orders")
    assert failure == Unavailable(system="erp", may_have_happened=False, because="connect")
    await http.close()


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("answer", [None, said(b'{"id":', length=500)])
async def test_a_connection_lost_after_sending_leaves_an_effect_in_doubt(answer, safe):
    async with listening(answer) as (_, http, base):
        if answer is not None:
            http_answer = asyncio.create_task(failure_of(http, base, safe=safe, seconds=0.3))
            failure = await http_answer
            assert failure.because in {"connection lost", "time-out"}
        else:
            failure = await failure_of(http, base, safe=safe)
            assert failure.because == "connection lost"
        assert failure.may_have_happened is not safe


@pytest.mark.parametrize("safe", [True, False])
async def test_a_peer_that_takes_the_request_and_never_answers_leaves_an_effect_in_doubt(safe):
    async with listening(1.0) as (peer, http, base):
        failure = await failure_of(http, base, safe=safe, seconds=0.2)
        assert len(peer.requests) == 1
    assert failure == Unavailable(system="erp", may_have_happened=not safe, because="time-out")


async def test_a_peer_that_never_accepts_the_connection_has_done_nothing():
    """A listener whose backlog is full: the connection is never made."""
    import socket

    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(6):
            caller = sockets.enter_context(socket.socket())
            caller.setblocking(False)  # socket's own signature
            with contextlib.suppress(BlockingIOError):
                caller.connect(full.getsockname())
        http = HttpClient(HttpSettings(connect_timeout=0.2))
        failure = await failure_of(http, f"http://127.0.0.1:{full.getsockname()[1]}/")
        await http.close()
    assert failure == Unavailable(system="erp", may_have_happened=False, because="connect")


async def test_the_time_out_is_a_total_though_bytes_keep_dripping():
    async def drip(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    http = HttpClient()
    started = asyncio.get_running_loop().time()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    failure = await failure_of(http, url, seconds=0.3)
    assert failure == Unavailable(system="erp", may_have_happened=True, because="time-out")
    assert asyncio.get_running_loop().time() - started < 1.0
    await http.close()
    server.close()


async def test_a_small_body_that_unpacks_into_a_huge_one_is_refused():
    bomb = gzip.compress(b"0" * 5_000_000)
    async with listening(said(bomb, "Content-Encoding: gzip"), largest_body=1_000_000) as (
        _,
        http,
        base,
    ):
        failure = await failure_of(http, base)
    assert failure == Malformed(
        system="erp", may_have_happened=True, detail="body larger than allowed"
    )


async def test_one_callers_cookies_never_travel_with_another_call():
    async with listening(said(b"{}", "Set-Cookie: who=acme; Path=/"), said(b"{}")) as (
        peer, http, base,
    ):  # fmt: skip
        await send(http, base)
        await send(http, base)
    assert "cookie" not in peer.requests[1]


async def test_redirects_are_answers_and_the_environments_proxy_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    async with listening(said(b"", "Location: http://127.0.0.1/x", status=302)) as (_, http, base):
        answer = await send(http, base)
    assert answer.status == 302


@pytest.mark.parametrize("body", [b'{"number": "S-', b'{"number": 7}', b"<html>", b"", b"\xff"])
async def test_what_is_not_as_agreed_is_malformed(body):
    class Order(msgspec.Struct):
        number: str

    async with listening(said(body)) as (_, http, base):
        answer = await send(http, base)
        with pytest.raises(CallFailedError) as caught:
            decode(msgspec.json.Decoder(Order), answer, system="erp", safe=False)
    assert isinstance(caught.value.failure, Malformed)
    assert caught.value.failure.may_have_happened


def a_channel(http, clock, tokens=None, allowance=None):
    def judge(answer, safe):
        return Throttled(system="erp", retry_after=7.0) if answer.status == 429 else None

    broker = BudgetBroker({"erp": allowance or Allowance()}, clock=clock)
    channel = Channel(
        account="erp", http=http, guard=Guard("erp", clock=clock), broker=broker, judge=judge,
        tokens=tokens,
    )  # fmt: skip
    return channel, broker


def get(url):
    return Exchange(method="GET", url=url, headers={}, timeout=2.0, safe=True)


async def test_a_token_is_fetched_once_for_everybody_and_renewed_once_when_refused():
    clock, fetched = SystemClock(), []

    async def fetch():
        fetched.append(1)
        await asyncio.sleep(0.01)
        return Token(value=f"t{len(fetched)}", lifetime=3600)

    answers = [said(b"", status=401), *[said(b"{}")] * 4]
    async with listening(*answers) as (peer, http, base):
        tokens = TokenSource(fetch, clock=clock)
        channel, _ = a_channel(http, clock, tokens)
        await asyncio.gather(*(tokens.token() for _ in range(50)))
        assert len(fetched) == 1
        assert (await channel.send(get(base))).status == 200
        assert len(fetched) == 2
        assert "bearer t1" in peer.requests[0]
        assert "bearer t2" in peer.requests[1]


async def test_a_token_refused_twice_is_a_matter_for_operations_not_a_loop():
    clock, fetched = SystemClock(), []

    async def fetch():
        fetched.append(1)
        return Token(value="t", lifetime=None)

    async with listening(*[said(b"", status=401)] * 5) as (peer, http, base):
        channel, _ = a_channel(http, clock, TokenSource(fetch, clock=clock))
        with pytest.raises(CallFailedError) as caught:
            await channel.send(get(base))
    assert caught.value.failure.because == "credentials refused"
    assert len(peer.requests) == len(fetched) == 2


async def test_a_first_caller_in_a_hurry_does_not_take_the_token_from_the_others():
    clock = SystemClock()
    told = []

    async def fetch():
        from contracts.context import current

        told.append(current().deadline)
        await asyncio.sleep(0.05)
        return Token(value="t", lifetime=100)

    tokens = TokenSource(fetch, clock=clock)
    with calling(CallContext(correlation_id="c", consumer="x", deadline=clock.monotonic())):
        first = asyncio.create_task(tokens.token())
    second = asyncio.create_task(tokens.token())
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second).value == "t"
    assert told == [None]


async def test_a_failed_fetch_fails_those_who_waited_and_the_next_one_tries_again():
    clock = SystemClock()
    ends = [CallFailedError(Unavailable(system="erp", may_have_happened=False, because="x")), None]

    async def fetch():
        end = ends.pop(0)
        await asyncio.sleep(0)
        if end is not None:
            raise end
        return Token(value="t", lifetime=100)

    tokens = TokenSource(fetch, clock=clock)
    results = await asyncio.gather(*(tokens.token() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, CallFailedError) for result in results)
    assert (await tokens.token()).value == "t"


async def test_a_throttle_answer_makes_the_whole_account_pause():
    clock = SystemClock()
    async with listening(said(b"", status=429)) as (_, http, base):
        channel, broker = a_channel(http, clock)
        with pytest.raises(CallFailedError):
            await channel.send(get(base))
    assert 6.0 < broker.standing()[0].paused_seconds <= 7.0


async def test_a_call_that_could_not_even_connect_costs_no_budget():
    clock = SystemClock()
    http = HttpClient()
    channel, broker = a_channel(
        http, clock, allowance=Allowance(windows=(Window(limit=9, seconds=9),))
    )
    with pytest.raises(CallFailedError):
        await channel.send(get(f"http://127.0.0.1:{free_port()}"))
    assert broker.standing()[0].used == 0
    await http.close()
