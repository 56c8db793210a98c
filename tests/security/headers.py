"""Campaign B8: headers that must not pass, in either direction, and those that must.

Every header that must stay behind carries a canary; none may be found in what the service was sent
or the caller was told. What may pass arrives byte for byte. Identity comes from the gateway alone,
once, whatever the caller says. HEAD, 204, 304, trailers and upgrades as RFC 9110 and 9112 have it.
"""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

from gateway.application import Gateway
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.heads import CANARY, HOP, Sent, Told, answers, requests
from tests.security.rawservice import OK, Taken
from tests.security.wired import CLIENT, ORDERS, Heard, Wired, a_token, said, wired
from tests.security.wiredefects import Defect, headers_both_ways, without

_AT_ONCE = 40
_COMBINED = {"smoke": 60, "full": 4_000}


def _passed(  # noqa: C901  a list of rules
    one: Sent, taken: Taken, token: str
) -> Iterator[str]:
    """Yield what is wrong with what the service was sent."""
    for line in one.lines:
        value = line.partition(b": ")[2]
        if CANARY in value and line not in one.kept and value.strip() in taken.raw:
            yield f"passed on {line[:60]!r}"
    for line in one.kept:
        name, _, value = line.partition(b":")
        if value.strip(b" \t") not in taken.values(name.lower()):
            yield f"lost {line!r}: {taken.values(name.lower())}"
    for name, value in (
        (b"x-crossdock-consumer", CLIENT), (b"x-crossdock-subject", CLIENT),
        (b"x-crossdock-scopes", "orders:read"), (b"x-crossdock-accounts", "cust_1"),
    ):  # fmt: skip
        if taken.values(name) != [value.encode()]:
            yield f"{name!r} is {taken.values(name)}"
    if len(taken.values(b"host")) != 1 or taken.values(b"host")[0].startswith(b"gateway"):
        yield f"host is {taken.values(b'host')}"
    if not any(b"1.1 crossdock" in each for each in taken.values(b"via")):
        yield f"via is {taken.values(b'via')}"  # RFC 9110 section 7.6.3: MUST
    if token.encode() in taken.raw:
        yield "the caller's token was handed on"
    for name in HOP:
        if taken.values(name.lower().encode()):
            yield f"{name} reached the service"


async def _asked(
    target: Wired, token: str, chance: random.Random, size: Size
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"requests": [], "refused": [], "failed": []}
    at_once = asyncio.Semaphore(_AT_ONCE)
    everything = list(requests(chance, _COMBINED[size]))
    reached: dict[bytes, list[Taken]] = {}

    def answer(taken: Taken) -> bytes:
        reached.setdefault(b",".join(taken.values(b"x-correlation-id")), []).append(taken)
        return OK

    target.service.answer = answer

    async def one(number: int, each: Sent) -> None:
        mark = b"t-%d" % number
        lines = [b"GET " + ORDERS.encode() + b" HTTP/1.1", b"Host: gateway"]
        lines += [
            b"Authorization: Bearer " + token.encode(),
            b"X-Correlation-Id: " + mark,
            *each.lines,
        ]
        async with at_once:
            heard = await said(target.port, b"\r\n".join([*lines, b"", b""]), silence=0.02)
        taken = reached.pop(mark, [])
        if each.refused:
            if taken or not 400 <= heard.status < 500:
                found["refused"].append(f"{each.name}: {heard.status}")
        elif heard.status == 400 and b"ambiguous" in heard.raw:
            pass  # a header that may come once came twice
        elif len(taken) != 1 or heard.status != 200:
            found["requests"].append(
                f"{each.name}: {heard.status}, {len(taken)} reached the service"
            )
        else:
            found["requests"] += [
                f"{each.name}: {wrong}" for wrong in _passed(each, taken[0], token)
            ]

    await asyncio.gather(*(one(number, each) for number, each in enumerate(everything)))
    found["failed"] = target.failures()
    return found


def _heard(  # noqa: C901  a list of rules
    one: Told, heard: Heard
) -> Iterator[str]:
    """Yield what is wrong with what the caller was told."""
    head, _, body = heard.raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1:]
    names = [line.partition(b":")[0].lower() for line in lines]
    allowed = (502, 503) if one.status == 502 else (one.status,)
    if heard.status not in allowed or len(heard.statuses) != 1:
        yield f"status {heard.statuses}"
    if CANARY in heard.raw:
        yield f"told {heard.raw[heard.raw.index(CANARY) :][:30]!r}"
    if b"transfer-encoding" in names:
        body = body.replace(b"2\r\n{}\r\n0\r\n\r\n", b"{}")
    if one.body not in (b"*", body):
        yield f"body {body[:40]!r}"
    if one.status == 204 and (b"content-length" in names or b"transfer-encoding" in names):
        yield "204 with a length"  # RFC 9110 section 8.6, RFC 9112 section 6.1: MUST NOT
    for name in (b"date", b"content-length", b"content-type", b"server", b"x-correlation-id"):
        if names.count(name) > 1:
            yield f"{name!r} {names.count(name)} times"
    if b"date" not in names:
        yield "no date"
    parts = [line.partition(b":") for line in lines]
    spoken = {(name.lower(), value.strip()) for name, _, value in parts}
    for line in one.kept:
        name, _, value = line.partition(b": ")
        if (name.lower(), value.strip()) not in spoken:
            yield f"lost {line!r}"


async def _answered(target: Wired, token: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"answers": [], "upgrades": []}
    for each in answers():
        raw = each.raw
        target.service.answer = lambda _, raw=raw: raw
        head = (
            f"{each.method} {ORDERS} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n"
        )
        heard = await said(target.port, head.encode() + b"Connection: close\r\n\r\n", wait=4)
        found["answers"] += [f"{each.name}: {wrong}" for wrong in _heard(each, heard)]
    target.service.answer = lambda _: OK
    for protocol in ("websocket", "h2c", "TLS/1.0", "HTTP/2.0, websocket", "connect-udp"):
        lines = (
            f"GET {ORDERS} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n"
            f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n"
            "HTTP2-Settings: AAMAAABk\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        was = len(target.service.taken)
        heard = await said(target.port, lines.encode(), silence=0.05)
        taken = target.service.taken[was:]
        if (
            101 in heard.statuses
            or b" 101 " in heard.raw
            or any(t.values(b"upgrade") for t in taken)
        ):
            found["upgrades"].append(f"{protocol}: {heard.statuses}")
    return found


def _trusting_guard(gateway: Gateway) -> Gateway:
    return without(gateway, "guard", headers_both_ways)


DEFECTS = {
    "everything-passes": Defect(plant=_trusting_guard),
}


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects."""
    watch = Stopwatch()
    async with wired(folder / "sound") as target:
        token = await a_token(target.port)
        found = await _asked(target, token, random.Random(seed), size)
        asked = len(target.service.taken)
        found |= await _answered(target, token)
    sent = len(list(requests(random.Random(seed), _COMBINED[size])))
    caught = {}
    for name, defect in DEFECTS.items():
        async with wired(folder / name, defect) as wrong:
            token = await a_token(wrong.port)
            caught[name] = any((await _asked(wrong, token, random.Random(seed), "smoke")).values())
    result = Result(
        campaign="B8",
        what="headers that must stay behind and those that must pass, in both directions",
        size=size,
        seed=seed,
        trials=sent + len(list(answers())),
        accepted=asked,
        faults={"requests": sent, "answers": len(list(answers()))},
        evidence={"requests taken by the service": asked},
        violations=found,
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
