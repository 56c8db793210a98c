"""Second attempts: one retry of what failed, one hedge of what is slow, never of what may act."""

import asyncio
import socket
from typing import ClassVar

import pytest
import uvloop
from pyreqwest.exceptions import ConnectError

from contracts.context import CallContext, calling, current
from gateway.repeats import Repeats, Tail, _Race, _Starts
from gateway.resilience import RepeatSettings
from gateway.upstreams import Forwarder
from runtime.clock import SystemClock
from tests.overload.retries import BROKEN, OK

pytestmark = pytest.mark.anyio


class Uneven:
    """A service whose n-th request is answered as its script says: seconds to wait, and what."""

    def __init__(self) -> None:
        self.script: list[tuple[float, bytes | None]] = []
        self.requests: list[bytes] = []
        self.open = 0

    async def handle(self, reader, writer) -> None:
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                body = await reader.readexactly(int(size)) if size else b""
                self.requests.append(head + body)
                seconds, answer = self.script.pop(0) if self.script else (0.001, OK)
                await asyncio.sleep(seconds)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def behind(world):
    service = Uneven()
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    forwarder = Forwarder(f"http://127.0.0.1:{port}", clock=SystemClock())
    w = await world(upstream=forwarder)
    w.clock.seconds = SystemClock().monotonic()
    yield w, service, forwarder.repeats
    server.close()


async def read(w, token):
    w.clock.seconds = SystemClock().monotonic()
    return await w.call("GET", "/sales/v1/orders", token=token)


@pytest.mark.parametrize("failure", [BROKEN, None], ids=["503", "reset"])
async def test_a_read_that_fails_once_is_tried_once_more(behind, failure):
    w, service, repeats = behind
    token = await w.token()
    service.script = [(0, failure)]

    assert (await read(w, token)).status == 200
    assert (len(service.requests), repeats.retried) == (2, 1)
    service.script = [(0, failure)] * 2
    assert (await read(w, token)).status == 503
    assert len(service.requests) == 4


async def test_a_keyed_order_is_sent_again_whole_and_an_unkeyed_check_is_not(behind):
    w, service, _ = behind
    token = await w.token()
    service.script = [(0, None)]
    assert (await w.order("INV-1", token)).status == 200
    assert len(service.requests) == 2
    assert service.requests[0].endswith(b'"quantity":2}]}')
    bodies = [each.partition(b"\r\n\r\n")[2] for each in service.requests]
    assert bodies[0] == bodies[1]

    service.script = [(0, None)]
    told = await w.call("POST", "/sales/v1/price-checks", json=w.an_order(), token=token)
    assert (told.status, len(service.requests)) == (503, 3)


async def test_an_upstream_that_says_when_to_come_again_is_believed(behind):
    w, service, _ = behind
    token = await w.token()
    later = BROKEN.replace(b"Content-Length", b"Retry-After: 7\r\nContent-Length")
    service.script = [(0, later)]
    told = await read(w, token)

    assert (told.status, told.header("retry-after"), len(service.requests)) == (503, "7", 1)


async def test_a_read_slower_than_nearly_all_is_asked_twice_and_the_quicker_answer_taken(behind):
    """The slow one is given up: its connection is closed, and the caller does not wait for it."""
    w, service, repeats = behind
    token = await w.token()
    for _ in range(25):
        await read(w, token)
    asked = len(service.requests)
    service.script = [(1.9, OK.replace(b"{}", b"[]"))]
    told = await read(w, token)

    assert (told.status, told.body) == (200, b"{}")
    assert (len(service.requests) - asked, repeats.hedged) == (2, 1)
    assert w.gateway.in_flight == 0


async def test_of_two_attempts_the_first_may_win_and_a_lost_rival_costs_nothing(behind):
    w, service, repeats = behind
    token = await w.token()
    for _ in range(25):
        await read(w, token)
    service.script = [(0.15, OK.replace(b"{}", b"[]")), (5.0, OK)]
    told = await read(w, token)

    assert told.body == b"[]"
    assert repeats.hedged <= 1
    assert (await read(w, token)).status == 200


async def test_a_caller_who_leaves_is_not_mistaken_for_a_rivals_victory(behind):
    w, service, _ = behind
    token = await w.token()
    for _ in range(25):
        await read(w, token)
    service.script = [(1.0, OK), (1.0, OK)]
    reading = asyncio.create_task(read(w, token))
    await asyncio.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert w.gateway.in_flight == 0
    assert (await read(w, token)).status == 200


async def tripped(w, service, token):
    """Known tails, then a circuit that opened and whose time is over: the next call is a trial."""
    for _ in range(25):
        await read(w, token)
    service.script = [(0, None)] * 20
    while circuit(w) != "open":
        await read(w, token)
    breaker = w.gateway.served.shield._breakers["sales.v1.reads"]
    breaker.postpone(0.0)
    service.requests.clear()


def circuit(w):
    (found,) = (e.state for e in w.gateway.served.shield.standing if e.name == "sales.v1.reads")
    return found


@pytest.mark.parametrize(
    ("answer", "after"), [((0, None), "open"), ((0.3, OK), "closed")], ids=["fails", "is slow"]
)
async def test_a_circuits_trial_is_one_request_however_it_goes(behind, answer, after):
    """Neither tried once more nor hedged: an upstream that comes to is not asked twice at once."""
    w, service, _ = behind
    token = await w.token()
    await tripped(w, service, token)
    service.script = [answer]
    await read(w, token)

    assert (len(service.requests), circuit(w)) == (1, after)


@pytest.fixture
def unconnectable():
    """An address that neither takes a connection nor says so: its queue is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        waiting.append(socket.socket())
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(listener.getsockname())
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for each in (*waiting, listener):
        each.close()


async def test_a_connection_that_is_not_made_is_no_end_of_the_callers_time(world, unconnectable):
    """Nothing was sent: a read is tried once more, a check is not; neither is told of its budget.

    Only where the budget ends first was it the caller's time.
    """
    forwarder = Forwarder(unconnectable, clock=SystemClock(), connect_seconds=0.05)
    w = await world(upstream=forwarder)
    token = await w.token()
    told = await read(w, token)
    assert (told.status, told.problem, forwarder.repeats.retried) == (
        503,
        "upstream-unavailable",
        1,
    )

    w.clock.seconds = SystemClock().monotonic()
    told = await w.call("POST", "/sales/v1/price-checks", json=w.an_order(), token=token)
    assert (told.status, told.problem, forwarder.repeats.retried) == (
        503,
        "upstream-unavailable",
        1,
    )

    w.clock.seconds = SystemClock().monotonic()
    hurried = [("x-request-budget-ms", "20")]
    told = await w.call("GET", "/sales/v1/orders", token=token, headers=hurried)
    assert (told.status, told.problem, forwarder.repeats.retried) == (504, "deadline-exceeded", 1)


class Answered:
    """What an attempt opened, as far as a race looks at it."""

    status = 200
    headers: ClassVar[dict[str, str]] = {}

    async def __aexit__(self, *_):
        return None


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_rival_runs_as_its_own_caller_whoever_set_the_timer(new_loop):
    """Alice's call sets the timer that starts Bob's rival; the rival is Bob's all the same."""
    seen = []

    async def calls(repeats, name, seconds):
        times = iter((seconds, 0.001))

        async def attempt():
            seen.append((name, current().consumer))
            await asyncio.sleep(next(times))
            return Answered(), Answered()

        context = CallContext(correlation_id=name, consumer=name, traceparent="")
        with calling(context):
            await repeats.run(attempt, operation="op", safe=True, keyed=False)

    async def story():
        repeats = Repeats(RepeatSettings())
        for _ in range(25):
            repeats._tail("op").took(0.005)
        alice = asyncio.create_task(calls(repeats, "alice", 0.001))
        await asyncio.sleep(0.002)
        await asyncio.gather(alice, calls(repeats, "bob", 0.5))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(story())
    assert seen == [("alice", "alice"), ("bob", "bob"), ("bob", "bob")]


async def test_a_cancellation_that_the_client_made_an_error_of_is_taken_back():
    """The rival wins and cancels the wait, which ends as a broken connection in that moment."""
    rivals = []

    async def attempt():
        rivals.append(Answered())
        if len(rivals) == 2:
            await asyncio.sleep(0.01)
            return rivals[1], rivals[1]
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            raise ConnectError("reset", {"causes": None}) from None

    assert (await raced(attempt, after=0.005))[1] is rivals[1]
    assert asyncio.current_task().cancelling() == 0


async def raced(attempt, *, after):
    """One race whose rival starts after so many seconds."""
    loop = asyncio.get_running_loop()
    race = _Race(attempt, lambda: True, loop)
    _Starts().at(loop.time() + after, race)
    return await race.run()


async def test_two_attempts_that_end_in_the_same_moment_cancel_nobody():
    """The rival's end may be told after the caller has gone on with the first answer."""

    for lead in (-0.002, -0.001, 0.0, 0.001, 0.002):
        for _ in range(40):
            seconds = iter((0.01, 0.005 + lead))

            async def attempt(seconds=seconds):
                await asyncio.sleep(next(seconds))
                return Answered(), Answered()

            await raced(attempt, after=0.005)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_each_rival_starts_when_it_is_due_whatever_was_expected_before(new_loop):
    """One timer serves all: neither a race that is over nor one due later holds up another."""
    began = []

    class Slow:
        def __init__(self, name, *, over=False):
            self.name, self.over = name, over

        def start(self):
            if not self.over:
                began.append((self.name, asyncio.get_running_loop().time()))

    async def race():
        loop, starts = asyncio.get_running_loop(), _Starts()
        at = loop.time()
        starts.at(at + 0.09, Slow("last"))
        starts.at(at + 0.01, Slow("over", over=True))
        starts.at(at + 0.03, Slow("first"))
        await asyncio.sleep(0.2)
        assert [name for name, _ in began] == ["first", "last"]
        assert all(at + due <= when for due, (_, when) in zip((0.03, 0.09), began, strict=True))
        starts.at(loop.time(), Slow("at once"))
        starts.at(loop.time(), Slow("too"))
        await asyncio.sleep(0.02)
        assert [name for name, _ in began[2:]] == ["at once", "too"]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(race())


async def test_hedges_are_a_twentieth_of_the_calls_at_most(world):
    repeats = Repeats(RepeatSettings())

    async def opened():
        return None

    for _ in range(1_000):
        repeats._hedges.earn()
        repeats._allowed()
    assert repeats.hedged <= 1_000 * 0.05 + 5


def test_a_tail_is_known_after_twenty_calls():
    tail = Tail()
    for number in range(1, 20):
        tail.took(number)
    assert tail.p95 is None
    tail.took(20)
    assert tail.p95 == 20
