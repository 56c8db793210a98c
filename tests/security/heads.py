"""Headers that callers send and services answer, and what may become of each."""

import itertools
import random
from collections.abc import Iterator

import msgspec

from contracts.context import IDENTITY_HEADERS
from tests.security.rawservice import OK

CANARY = b"canary-"
HOP = (
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
    "TE", "Trailer", "Upgrade",
)  # fmt: skip
_FORWARDED = (
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
    "X-Forwarded-Prefix", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override",
    "Cookie", "Client-Cert-Chain",
)  # fmt: skip
_MAY_PASS = (
    b"Accept: text/x-%s", b"Accept-Language: %s", b'If-None-Match: "%s"', b"User-Agent: %s",
    b"X-Partner-Reference: %s", b"X-Text: \xc3\xa9\xe2\x82\xac %s", b"X-Tab: a\tb %s", b"X-Empty:",
    b"Prefer: %s",
    b"Range: bytes=0-1", b"Origin: https://%s.example", b"X-Forwarded: %s", b"X-Under_score: %s",
)  # fmt: skip


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Header lines of one call: no canary may pass, but every `kept` line must."""

    name: str
    lines: tuple[bytes, ...]
    kept: tuple[bytes, ...] = ()
    refused: bool = False


def _spelt(name: str) -> Iterator[bytes]:
    yield name.encode()
    yield name.lower().encode()
    yield name.upper().encode()


def requests(  # noqa: C901, PLR0912  a list of cases
    chance: random.Random, combined: int
) -> Iterator[Sent]:
    """Yield what callers send."""
    number = itertools.count()

    def canary() -> bytes:
        return CANARY + b"%07d" % next(number)

    hidden: list[tuple[str, tuple[bytes, ...]]] = []
    for name in (*HOP, *_FORWARDED, *sorted(IDENTITY_HEADERS)):
        hidden += [(name, (spelt + b": " + canary(),)) for spelt in _spelt(name)]
        if "-" in name:
            hidden.append(
                (f"{name} underscored", (name.replace("-", "_").encode() + b": " + canary(),))
            )
        hidden.append(
            (f"{name} empty first", (name.encode() + b":", name.encode() + b": " + canary()))
        )
    for at, connection in enumerate(
        (b"X-Hop", b"x-hop", b"close, X-Hop", b"X-Hop, keep-alive", b",,X-Hop,,", b"X-Hop ,x",
        b"\tX-Hop\t",
         b"keep-alive\r\nConnection: X-Hop", b"X-Other\r\nConnection: X-Hop, y")
    ):  # fmt: skip
        hidden.append((f"named {at}", (b"Connection: " + connection, b"X-Hop: " + canary())))
        hidden.append((f"named before {at}", (b"X-Hop: " + canary(), b"Connection: " + connection)))
    for name, lines in hidden:
        yield Sent(name=name, lines=lines)
    for line in _MAY_PASS:
        whole_line = line % canary() if b"%s" in line else line
        yield Sent(name=f"may pass {line!r}", lines=(whole_line,), kept=(whole_line,))
    for name in ("host", "authorization", "x-correlation-id", "traceparent", "content-type", "via"):
        yield Sent(name=f"names {name}", lines=(b"Connection: " + name.encode(),))
    for byte in (*range(9), *range(10, 32), 127):
        for place in (b"X-A: a%cb", b"X-A: %ca", b"X-A: a%c", b"X%c: a", b"%cX: a"):
            if byte in (10, 13):  # what ends a line is framing: campaign B7
                continue
            yield Sent(name=f"control {byte} in {place!r}", lines=(place % byte,), refused=True)
    for value in (b"\xe9", b"\xff\x80", b"a\xc3(", b"\xed\xa0\x80"):
        yield Sent(name=f"no UTF-8 {value!r}", lines=(b"X-Text: " + value,), refused=True)
    for byte in (*b'(),/:;<=>?@[]{} "\\', 0x80, 0xE9, 0xFF):
        if byte != ord(":"):
            yield Sent(name=f"{byte:#x} in a name", lines=(b"X%cY: a" % byte,), refused=True)
    for _ in range(combined):
        picked = chance.sample(hidden, k=chance.randrange(2, 6))
        lines = [line for _, each in picked for line in each]
        kept = chance.choice(_MAY_PASS[:7]) % canary()
        lines.insert(chance.randrange(len(lines) + 1), kept)
        yield Sent(
            name=f"combined {[name for name, _ in picked]}", lines=tuple(lines), kept=(kept,)
        )


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A service's answer, and what the caller must hear: its status, and the body it may have."""

    name: str
    raw: bytes
    status: int
    body: bytes = b"{}"
    method: str = "GET"
    kept: tuple[bytes, ...] = ()


def answers() -> Iterator[Told]:
    """Yield what services answer."""
    number = itertools.count(10**6)
    for name in (*HOP[1:], *sorted(IDENTITY_HEADERS), "X-Crossdock-Anything"):
        value = CANARY + b"%d" % next(number)
        line = name.encode() + b": " + value + b"\r\n"
        yield Told(
            name=f"answer {name}", raw=OK.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n"), status=200
        )
    hop = b"Connection: X-Hop\r\nX-Hop: canary-hop\r\n\r\n"
    yield Told(name="answer named", raw=OK.replace(b"\r\n\r\n", b"\r\n" + hop), status=200)
    for line in (
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2", b'ETag: "x"', b"X-Empty: ",
        b"Date: Sun, 22 Nov 2026 09:00:00 GMT",
        b"Link: </x>; rel=next\r\nLink: </y>; rel=prev", b"Cache-Control: no-store",
        b"WWW-Authenticate: Basic",
    ):  # fmt: skip
        yield Told(
            name=f"answer may pass {line!r}",
            raw=OK.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n"), status=200,
            kept=tuple(line.split(b"\r\n")),
        )  # fmt: skip
    for value in (b"\xe9\xff", b"\xc3\xa9"):
        text = (
            b"X-Text: " + value + b"\r\nX-Kept: yes\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
        )
        yield Told(
            name=f"answer with {value!r}", raw=OK.replace(b"\r\n\r\n", b"\r\n" + text), status=200,
            kept=(b"X-Kept: yes", b"Set-Cookie: a=1", b"Set-Cookie: b=2"),
        )  # fmt: skip
    no_content = b"HTTP/1.1 204 No Content\r\n%s\r\n"
    unmodified = b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n%s\r\n'
    for line in (b"", b"Content-Length: 0\r\n", b"Content-Type: text/plain\r\n"):
        yield Told(name=f"204 {line!r}", raw=no_content % line, status=204, body=b"")
        yield Told(name=f"304 {line!r}", raw=unmodified % line, status=304, body=b"")
    yield Told(
        name="304 with a length", raw=unmodified % b"Content-Length: 50\r\n", status=304, body=b""
    )
    yield Told(name="HEAD", raw=OK, status=200, body=b"", method="HEAD")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n2\r\n{}\r\n0\r\n%s\r\n"
    yield Told(name="HEAD chunked", raw=chunked % (b"", b""), status=200, body=b"", method="HEAD")
    yield Told(name="chunked", raw=chunked % (b"", b""), status=200)
    trailers = (
        b"Trailer: X-Sum\r\n",
        b"X-Sum: canary-trailer\r\nX-Crossdock-Consumer: canary-t\r\n",
    )
    yield Told(name="trailers", raw=chunked % trailers, status=200)
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </canary-early>\r\n\r\n" + OK
    yield Told(name="early hints", raw=early, status=200)
    yield Told(name="continue", raw=b"HTTP/1.1 100 Continue\r\n\r\n" + OK, status=200)
    switched = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: canary-up\r\nConnection: Upgrade\r\n\r\n"
    )
    for name, broken in {
        "switching unasked": switched, "two lengths": OK.replace(b"2\r\n",
        b"2\r\nContent-Length: 3\r\n", 1),
        "length that is none": OK.replace(b": 2\r\n",
        b": x\r\n"), "no status": b"canary-raw\r\n\r\n",
        "length beyond": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        "null in a header": OK.replace(b"\r\n\r\n", b"\r\nX: canary-\x00\r\n\r\n"),
        "nothing": b"", "a status of 99": OK.replace(b"200", b"99", 1),
        "a failure page": b"HTTP/1.1 500 Oops\r\nServer: canary-server\r\nContent-Length: 12"
        b"\r\n\r\ncanary-stack",
    }.items():  # fmt: skip
        raw = broken.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        yield Told(name=name, raw=raw, status=502, body=b"*")
