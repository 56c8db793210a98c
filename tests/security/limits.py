"""Campaign B9: callers that are slow, silent or enormous, while good ones go on.

The gateway is a process of its own. Each bad call must be answered 400, 408, 413, 414 or 431, or
nothing, and its connection closed in time, never a 500, and nothing of it may reach the service.
Good callers keep calling at a steady rate all the while; how long they waited is in the result.
"""

import asyncio
import itertools
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.application import Gateway
from gateway.call import PASS, Call
from gateway.policies.guard import GuardLimits
from tests.crash.processes import Process
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.goodcallers import Told
from tests.security.rawservice import RawService, raw_service
from tests.security.wired import NOTICES, THINGS, Heard, request
from tests.security.wiredefects import Defect, without
from tests.serving import free_port

T = TypeVar("T")
_ALLOWED = frozenset({400, 404, 405, 408, 411, 413, 414, 415, 431})
_KIND = "Content-Type: application/json"
_AT_ONCE = 46
_QUIET = {"smoke": 2.0, "full": 20.0}
_EACH = {"smoke": 1, "full": 25}
_SPREAD = {"smoke": 0.0, "full": 8.0}
"""Bad callers do not agree on when to begin; in a smoke test they do, which takes less time."""
_LIMIT, _LATER = 10.0, 2.0
_BODY_SECONDS = {"smoke": 2.0, "full": GuardLimits().body_seconds}
"""A smoke test does not wait for the whole time a body may take."""
_PIECE = bytes(64 * 1024)


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """A bad caller: what it sends in which rhythm. `pieces` may go on for ever."""

    name: str
    pieces: Callable[[], Iterator[bytes]]
    pause: float = 0.0
    may_be_taken: bool = False
    """Large, and within what the contract allows: it may be answered like any other."""


def _drip(raw: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: (raw[at : at + 1] for at in range(len(raw)))


def _once(raw: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([raw])


def _flood(head: bytes, total: int, *, chunked: bool = False) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(total // len(_PIECE)):
            yield b"%x\r\n%s\r\n" % (len(_PIECE), _PIECE) if chunked else _PIECE

    return pieces


def _post(*lines: str, path: str = THINGS) -> bytes:
    return request("POST", path, _KIND, *lines, close=False)


def _json(raw: bytes) -> Callable[[], Iterator[bytes]]:
    return _once(request("POST", THINGS, _KIND, body=raw))


def slow() -> Iterator[Bad]:
    """Yield those that take their time."""
    yield Bad(name="silent", pieces=lambda: iter(()))
    yield Bad(
        name="silent after an answer",
        pieces=_once(request("GET", THINGS, close=False)),
        may_be_taken=True,
    )
    yield Bad(name="dripping head", pieces=_drip(request("GET", THINGS) * 20), pause=0.3)
    more = b"".join(b"X-%d: a\r\n" % n for n in range(10_000))
    yield Bad(
        name="a header at a time",
        pieces=lambda: (
            each + b"\r\n" for each in (b"GET / HTTP/1.1\r\nHost: a\r\n" + more).split(b"\r\n")
        ),
        pause=0.2,
    )
    yield Bad(name="half a head", pieces=_once(b"GET /wired/v1/things HTTP/1.1\r\nHo"))
    for path in (THINGS, NOTICES):
        yield Bad(name=f"no body for {path}", pieces=_once(_post("Content-Length: 100", path=path)))
        head = _post("Content-Length: 200000", path=path)
        yield Bad(name=f"dripping body for {path}", pieces=_drip_after(head, b" "), pause=0.3)
        head = _post("Transfer-Encoding: chunked", path=path)
        yield Bad(
            name=f"dripping chunks for {path}", pieces=_drip_after(head, b"1\r\n \r\n"), pause=0.3
        )
        yield Bad(name=f"half a chunk for {path}", pieces=_once(head + b"ffff\r\nabc"))


def _drip_after(head: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        while True:
            yield piece

    return pieces


def enormous() -> Iterator[Bad]:
    """Yield those that send more than anybody reads."""
    many = [f"X-{number}: v" for number in range(10_000)]
    yield Bad(name="10,000 headers", pieces=_once(request("GET", THINGS, *many)))
    same = ["X-Same: v"] * 10_000
    yield Bad(name="10,000 times one header", pieces=_once(request("GET", THINGS, *same)))
    for size in (70_000, 1_000_000, 20_000_000):
        yield Bad(
            name=f"a header of {size}", pieces=_once(request("GET", THINGS, "X: " + "v" * size))
        )
        yield Bad(
            name=f"a header name of {size}",
            pieces=_once(request("GET", THINGS, "X" * size + ": v")),
        )
        yield Bad(
            name=f"a URL of {size}", pieces=_once(request("GET", THINGS + "?a=" + "v" * size))
        )
        yield Bad(name=f"a path of {size}", pieces=_once(request("GET", "/" + "v" * size)))
    yield Bad(
        name="10,000 parameters",
        pieces=_once(request("GET", THINGS + "?" + "&".join(["a=1"] * 2_000))),
    )
    yield Bad(name="a method of 100,000", pieces=_once(request("G" * 100_000, THINGS)))
    size = 100_000_000
    for path in (THINGS, NOTICES):
        yield Bad(
            name=f"100 MB for {path}",
            pieces=_flood(_post(f"Content-Length: {size}", path=path), size),
        )
        yield Bad(
            name=f"100 MB of chunks for {path}",
            pieces=_flood(_post("Transfer-Encoding: chunked", path=path), size, chunked=True),
        )
    yield Bad(name="an endless line", pieces=_flood(b"GET /", size))
    yield Bad(name="deep arrays", pieces=_json(b"[" * 130_000 + b"]" * 130_000))
    yield Bad(name="deep objects", pieces=_json(b'{"a":' * 43_000 + b"1" + b"}" * 43_000))
    yield Bad(name="a giant number", pieces=_json(b'{"a":' + b"9" * 260_000 + b"}"))
    yield Bad(name="a giant fraction", pieces=_json(b'{"a":0.' + b"9" * 260_000 + b"}"))
    yield Bad(name="a giant exponent", pieces=_json(b'{"a":1e' + b"9" * 260_000 + b"}"))
    for name, raw in {
        "a giant array": b"[" + b"0," * 130_000 + b"0]",
        "an array of empty arrays": b"[" + b"[]," * 80_000 + b"[]]",
        "an object of many names": b"{" + b",".join(b'"%d":1' % n for n in range(24_000)) + b"}",
        "one name many times": b"{" + b",".join([b'"a":1'] * 40_000) + b"}",
        "a giant string": b'{"a":"' + b"v" * 260_000 + b'"}',
        "escapes alone": b'{"a":"' + b"\\u0061" * 43_000 + b'"}',
        "colons alone": b'{"a":"' + b":" * 260_000 + b'"}',
    }.items():
        yield Bad(name=name, pieces=_json(raw), may_be_taken=True)


async def _meets(port: int, bad: Bad, limit: float, after: float) -> Heard:
    """Be one bad caller, some seconds from now; hear until it is closed, or has had its time."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(after)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began, heard, closed = loop.time(), b"", False

    async def send() -> None:
        try:
            for piece in bad.pieces():
                writer.write(piece)
                await writer.drain()
                if bad.pause:
                    await asyncio.sleep(bad.pause)
        except ConnectionError:
            pass

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(limit * 1.5):
            while chunk := await reader.read(1 << 16):
                heard += chunk
            closed = True
    except TimeoutError:
        pass
    except ConnectionError:
        closed = True
    seconds = loop.time() - began
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.transport.abort()
    return Heard(raw=heard, closed=closed, seconds=seconds)


@asynccontextmanager
async def apart(
    folder: Path, service: RawService, *, body_seconds: float, defect: str | None = None
) -> AsyncIterator[int]:
    """Run the gateway as a process of its own; answer its port."""
    from pyreqwest.client import ClientBuilder

    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  once, before anything runs
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.security.wired",
        str(port),
        str(service.port),
        str(folder),
    ]
    process = Process(
        [*command, "--body-seconds", str(body_seconds), *(["--defect", defect] if defect else [])],
        dict(os.environ), folder / "gateway.log", f"http://127.0.0.1:{port}/healthz",
    )  # fmt: skip
    process.start()
    try:
        async with ClientBuilder().build() as client:
            await process.ready(client)
        yield port
    finally:
        process.kill()


async def _attacked(
    port: int, service: RawService, bads: list[Bad], limit: float, starts: Iterable[float]
) -> tuple[dict[str, list[str]], float]:
    found: dict[str, list[str]] = {"answers": [], "left open": [], "passed": []}
    was, longest = len(service.taken), 0.0
    allowed = 0
    meetings = (_meets(port, bad, limit, after) for bad, after in zip(bads, starts, strict=False))
    for bad, heard in zip(bads, await asyncio.gather(*meetings), strict=True):
        longest = max(longest, heard.seconds)
        allowed += bad.may_be_taken
        for status in heard.statuses:
            if status not in _ALLOWED and not (bad.may_be_taken and status == 200):
                found["answers"].append(f"{bad.name}: {heard.statuses}")
        if not heard.closed or heard.seconds > limit:
            found["left open"].append(f"{bad.name}: {heard.seconds:.1f} s, {heard.statuses}")
    reached = [each for each in service.taken[was:] if len(each.body) > 0 or each.method == "POST"]
    if len(reached) > allowed:
        found["passed"].append(f"{len(reached)} reached the service, {allowed} may")
    return found, longest


def _no_clock(gateway: Gateway) -> Any:
    """A guard that waits for a body as long as it takes."""

    async def ask(call: Call) -> Any:
        call.fields = dict(call.scope["headers"])
        call.forwarded = [each for each in call.scope["headers"] if each[0] == b"content-type"]
        if call.body is None and call.method == "POST":
            body, more = b"", True
            while more:
                message = await call.receive()
                body += message.get("body", b"")
                more = message.get("more_body", False) and message["type"] == "http.request"
            call.body = body
        return PASS

    return without(gateway, "guard", ask)


DEFECTS = {"no-clock": Defect(plant=_no_clock)}


async def _good_callers(port: int, meanwhile: Callable[[], Awaitable[T]]) -> tuple[Told, T]:
    """Let good callers call from a process of their own until the other thing is done."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.security.goodcallers", str(port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    done = await meanwhile()
    told, _ = await process.communicate(b"enough")
    return msgspec.json.decode(told, type=Told), done


async def _all(
    port: int,
    service: RawService,
    bads: list[Bad],
    violations: dict[str, list[str]],
    starts: Iterator[float],
) -> list[float]:
    longest = []
    for first in range(0, len(bads), _AT_ONCE):
        some = bads[first : first + _AT_ONCE]
        found, seconds = await _attacked(port, service, some, _LIMIT, starts)
        longest.append(seconds)
        for name, cases in found.items():
            violations.setdefault(name, []).extend(cases)
    return longest


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects."""
    watch, chance = Stopwatch(), random.Random(seed)
    violations: dict[str, list[str]] = {}
    async with raw_service() as service:
        async with apart(folder / "sound", service, body_seconds=_BODY_SECONDS[size]) as port:
            quiet, _ = await _good_callers(port, lambda: asyncio.sleep(_QUIET[size]))
            bads = [*slow(), *enormous()] * _EACH[size]
            chance.shuffle(bads)
            starts = (_SPREAD[size] * chance.random() for _ in itertools.count())
            during, longest = await _good_callers(
                port, lambda: _all(port, service, bads, violations, starts)
            )
            violations["good callers refused"] = [*quiet.failed, *during.failed]
            ratio = round(during.p99 / quiet.p99, 2)
            if size == "full":  # judged where nothing else runs
                late = [str(ratio)] if ratio > _LATER else []
                violations["good callers' p99 at most doubled"] = late
        caught = {}
        for name in DEFECTS:
            async with apart(folder / name, service, body_seconds=2.0, defect=name) as port:
                found, _ = await _attacked(port, service, list(slow()), 4.0, itertools.repeat(0.0))
                caught[name] = any(found.values())
    result = Result(
        campaign="B9",
        what="slow, silent and enormous callers while good ones go on",
        size=size,
        seed=seed,
        trials=len(bads),
        accepted=during.calls,
        faults={"kinds": len(bads) // _EACH[size], "callers": len(bads)},
        evidence={"good calls before": quiet.calls, "good calls meanwhile": during.calls},
        violations=violations,
        measures={
            "good p50 before, ms": quiet.p50,
            "good p50 meanwhile, ms": during.p50,
            "good p99 before, ms": quiet.p99,
            "good p99 meanwhile, ms": during.p99,
            "good p99, ratio": ratio,
            "longest connection, s": round(max(longest), 2),
        },
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
