"""Campaign B10: bodies that are small on the wire and enormous when decoded, in both directions.

Callers send them to the gateway; services, vendors and issuers answer them. Each must be refused or
stopped at the cap of whoever reads it, and the process must not grow by more than a few caps. What
is only forwarded must be forwarded as it is, for nobody asked us to decode it.
"""

import contextlib
import functools
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from contracts.outcomes import CallFailedError
from contracts.problems import problem
from gateway.call import PASS, Call, Refuse
from gateway.fetching import Fetcher, FetchFailedError
from runtime.http import HttpClient, HttpSettings
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.coded import CODINGS, deflated, gzipped
from tests.security.rawservice import OK, RawService, raw_service
from tests.security.wired import (
    MOST_BODY,
    NOTICES,
    ORDERS,
    THINGS,
    Wired,
    a_token,
    request,
    said,
    wired,
)
from tests.security.wiredefects import Defect, without

MIB = 1 << 20
_DECODED = {"smoke": 96 * MIB, "full": 1024 * MIB}
_GROWTH = 48 * MIB
"""Bytes the process may grow by: far more than any cap here, far less than any bomb."""
_CLIENT_CAP = 4 * MIB
_JSON = "Content-Type: application/json"

Found = dict[str, list[str]]


class Growth:
    """How much the process's memory has peaked since the block began."""

    def __enter__(self) -> Self:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
        self._before = _peak()
        self.bytes = 0
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = _peak() - self._before


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no peak is told here")


@functools.cache
def bombs(decoded: int) -> dict[str, tuple[str, bytes]]:
    """Content-Encoding and body, by name."""
    inner = gzipped(decoded)
    made = {name: (name, make(decoded)) for name, make in CODINGS.items()}
    return made | {
        "x-gzip": ("x-gzip", inner),
        "deflate without its wrapper": ("deflate", deflated(decoded, bits=-15)),
        "gzip of gzip": ("gzip", gzip.compress(inner)),
        "gzip of gzip, said so": ("gzip, gzip", gzip.compress(inner)),
        "gzip of brotli, said so": ("br, gzip", gzip.compress(CODINGS["br"](decoded))),
        "gzip of gzip of gzip": ("gzip", gzip.compress(gzip.compress(inner))),
        "many small gzips": ("gzip", gzip.compress(bytes(100_000)) * 200),
        "said twice": ("gzip\r\nContent-Encoding: gzip", inner),
        "a gzip that never ends": ("gzip", inner[: len(inner) // 2]),
        "a name it is not": ("deflate", inner),
        "unknown coding": ("compress", inner),
        "identity, said so": ("identity", inner),
    }


async def _inward(target: Wired, decoded: int) -> tuple[Found, int, int]:
    """Callers send bombs: whole where the contract says JSON, streamed where it does not."""
    found: Found = {"inward": [], "memory": []}
    tried = worst = 0
    for name, (coding, body) in bombs(decoded).items():
        for framed in ("length", "chunked"):
            head = request("POST", THINGS, _JSON, f"Content-Encoding: {coding}")
            line = (
                b"Content-Length: %d" % len(body)
                if framed == "length"
                else b"Transfer-Encoding: chunked"
            )
            raw = body if framed == "length" else b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            was = len(target.service.taken)
            with Growth() as growth:
                heard = await said(target.port, head[:-2] + line + b"\r\n\r\n" + raw, wait=20)
            tried, worst = tried + 1, max(worst, growth.bytes)
            if heard.status not in (400, 413, 415) or len(target.service.taken) != was:
                found["inward"].append(f"{name}, {framed}: {heard.statuses}")
            if growth.bytes > _GROWTH:
                found["memory"].append(f"{name}, {framed}: {growth.bytes // MIB} MiB")
    for name, (coding, body) in bombs(decoded).items():
        if "\r\n" in coding or len(body) > MOST_BODY:
            continue
        with Growth() as growth:
            head = request("POST", NOTICES, f"Content-Encoding: {coding}", body=body)
            heard = await said(target.port, head, wait=20)
        tried, worst = tried + 1, max(worst, growth.bytes)
        if heard.status == 200 and target.service.taken[-1].body != body:
            found["inward"].append(f"{name} was not streamed on as it is")
        if heard.status >= 500 or growth.bytes > _GROWTH:
            found["memory"].append(f"{name} streamed: {heard.statuses}, {growth.bytes // MIB} MiB")
    return found, tried, worst


def _answering(service: RawService, coding: str, body: bytes) -> bytes:
    raw = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: "
        + coding.encode()
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )
    service.answer = lambda _: raw
    return body


async def _outward(target: Wired, decoded: int) -> tuple[Found, int, int]:
    """Services answer bombs: they go by as they are, and are decoded by nobody on the way."""
    found: Found = {"outward": [], "memory": []}
    tried = worst = 0
    token = await a_token(target.port)
    for name, (coding, body) in bombs(decoded).items():
        _answering(target.service, coding, body)
        for path in (THINGS, ORDERS):
            with Growth() as growth:
                heard = await said(
                    target.port, request("GET", path, f"Authorization: Bearer {token}"), wait=20
                )
            tried, worst = tried + 1, max(worst, growth.bytes)
            if heard.status == 200 and not heard.raw.endswith(body[-100:]):
                found["outward"].append(f"{name} was changed on its way")
            if growth.bytes > _GROWTH or heard.status >= 500:
                found["memory"].append(
                    f"{name} of {path}: {heard.statuses}, {growth.bytes // MIB} MiB"
                )
    target.service.answer = lambda _: OK
    return found, tried, worst


Read = Callable[[str], Awaitable[int]]


async def _read(readers: dict[str, tuple[Read, int]], decoded: int) -> tuple[Found, int, int]:
    """Vendors and issuers answer bombs: whoever reads them stops at its cap."""
    found: Found = {"read": [], "memory": []}
    tried = worst = 0
    async with raw_service() as service:
        for reader, (read, cap) in readers.items():
            for name, (coding, body) in bombs(decoded).items():
                _answering(service, coding, body)
                with Growth() as growth:
                    size = await read(f"http://127.0.0.1:{service.port}/")
                tried, worst = tried + 1, max(worst, growth.bytes)
                if size > cap:
                    found["read"].append(f"{reader} took {size} bytes of {name}")
                if growth.bytes > _GROWTH:
                    found["memory"].append(f"{reader}, {name}: {growth.bytes // MIB} MiB")
    return found, tried, worst


def connectors(client: HttpClient) -> Read:
    """What connectors read vendors with; 0 when it was refused."""

    async def read(url: str) -> int:
        try:
            answer = await client.send("GET", url, system="bomb", headers={}, timeout=30, safe=True)
        except CallFailedError:
            return 0
        return len(answer.body)

    return read


def issuers(fetcher: Fetcher) -> Read:
    """What the gateway reads issuers with; 0 when it was refused."""

    async def read(url: str) -> int:
        with contextlib.suppress(FetchFailedError, Exception):
            return len(await fetcher(url))
        return 0

    return read


def _decodes_first(gateway: Any) -> Any:
    """A guard that decodes a body to its end and measures it then."""

    async def ask(call: Call) -> Any:
        if call.body is not None:
            return PASS  # the guard's second step
        call.fields = dict(call.scope["headers"])
        call.forwarded = [each for each in call.scope["headers"] if each[0] != b"host"]
        raw, more = b"", True
        while more:
            message = await call.receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            call.body = gzip.decompress(raw)
        except (OSError, EOFError):
            return Refuse(problem=problem("malformed-request"))

        async def replayed() -> Any:
            return {"type": "http.request", "body": call.body, "more_body": False}

        call.receive = replayed
        return Refuse(problem=problem("request-too-large")) if len(call.body) > MOST_BODY else PASS

    return without(gateway, "guard", ask)


async def _defects(folder: Path, decoded: int) -> dict[str, bool]:
    async with wired(folder / "decodes-first", Defect(plant=_decodes_first)) as wrong:
        first, _, _ = await _inward(wrong, decoded)
    trusting = HttpClient(HttpSettings(largest_body=1 << 40))
    try:
        vendor, _, _ = await _read({"trusting": (connectors(trusting), _CLIENT_CAP)}, decoded)
    finally:
        await trusting.close()
    return {
        "decodes-first": any(first.values()),
        "client-without-a-cap": any(vendor.values()),
    }


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects; nothing here is left to chance."""
    watch = Stopwatch()
    decoded = _DECODED[size]
    found: Found = {}
    tried, worst = 0, 0
    client, fetcher = HttpClient(HttpSettings(largest_body=_CLIENT_CAP)), Fetcher()
    readers = {
        "connectors": (connectors(client), _CLIENT_CAP), "issuers": (issuers(fetcher), MIB // 2),
    }  # fmt: skip
    async with wired(folder / "sound") as target:
        await said(target.port, request("GET", THINGS))
        for part in (_inward(target, decoded), _outward(target, decoded), _read(readers, decoded)):
            said_of, count, grown = await part
            tried, worst = tried + count, max(worst, grown)
            for name, cases in said_of.items():
                found.setdefault(name, []).extend(cases)
        found["failed"] = target.failures()
        taken = len(target.service.taken)
    await client.close()
    await fetcher.close()
    caught = await _defects(folder, _DECODED["smoke"])
    result = Result(
        campaign="B10",
        what="bodies that are enormous when decoded, sent and answered",
        size=size,
        seed=seed,
        trials=tried,
        accepted=taken,
        faults={"bombs": len(bombs(MIB)), "MiB decoded each": decoded // MIB},
        evidence={"bodies sent or answered": tried},
        violations=found,
        measures={"largest growth, MiB": round(worst / MIB, 1)},
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
