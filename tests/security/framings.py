"""Requests framed wrongly, or in two ways at once: what must become of each by RFC 9112.

`refuse`: 4xx or a closed connection, and nothing of it reaches a service. `close`: may be taken
once (RFC 9112 section 6.3 lets a server go by Transfer-Encoding), then the connection must end.
`once`: a reader may take it (RFC 9112 section 2.2 allows a bare LF, 7.1.1 extensions), but never
for two. `MARK` stands in the request's own path and in that of the smuggled one, new for every try.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

Verdict = Literal["refuse", "close", "once"]
MARK = b"@MARK@"
_THINGS = b"/wired/v1/tried/" + MARK
_SMUGGLED = b"GET /wired/v1/smuggled/" + MARK + b" HTTP/1.1\r\nHost: gateway\r\n\r\n"
_JSON = b"Content-Type: application/json\r\n"


class Framing(msgspec.Struct, frozen=True, kw_only=True):
    """One request in bytes, and what may become of it."""

    name: str
    raw: bytes
    verdict: Verdict

    @property
    def is_cut(self) -> bool:
        """Whether the body never ends: who sends it must hang up."""
        return self.name.startswith("last chunk")


def _post(*lines: bytes, body: bytes, path: bytes = _THINGS) -> bytes:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: gateway\r\n" + _JSON
    return head + b"".join(each + b"\r\n" for each in lines) + b"\r\n" + body


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def _lengths() -> Iterator[tuple[str, bytes, Verdict]]:
    body = b'{"a":1}' + _SMUGGLED
    for name, value in {
        "plus": b"+7", "minus": b"-7", "minus nothing": b"-0", "hex": b"0x7", "point": b"7.0",
        "exponent": b"7e0", "underscore": b"0_7", "letters": b"seven", "empty": b"",
        "list apart": b"7, 8", "list with nothing": b"7,", "list from nothing": b",7",
        "semicolon": b"7;a", "space inside": b"7 8", "quoted": b'"7"', "beyond": b"9" * 30,
        "wraps at 64 bits": b"18446744073709551623", "wraps at 32 bits signed": b"-4294967289",
        "arabic": "\u0667".encode(), "null": b"7\x00", "vertical tab": b"\x0b7",
        "form feed": b"7\x0c",
        "no-break space": b"\xa07",
    }.items():  # fmt: skip
        yield f"length {name}", _post(b"Content-Length: " + value, body=body), "refuse"
    for name, value in {
        "zeros before": b"007",
        "spaces round": b"   7  ",
        "tabs": b"\t7\t",
    }.items():
        yield f"length {name}", _post(b"Content-Length: " + value, body=b'{"a":1}'), "once"
    same = [b"Content-Length: 7", b"Content-Length: 7"]
    yield "two lengths alike", _post(*same, body=b'{"a":1}'), "once"
    for first, last in ((b"7", b"0"), (b"0", b"7"), (b"7", b"8"), (b"7", b"x"), (b"7", b"")):
        lines = (b"Content-Length: " + first, b"Content-Length: " + last)
        yield f"lengths {first!r} and {last!r}", _post(*lines, body=body), "refuse"
        apart = (lines[0], b"X-Between: 1", lines[1].replace(b"C", b"c").replace(b"L", b"l"))
        yield f"lengths {first!r} and {last!r} apart", _post(*apart, body=body), "refuse"
    for name, line in {
        "space before the colon": b"Content-Length : 7",
        "tab before the colon": b"Content-Length\t: 7",
        "folded": b"Content-Length:\r\n 7", "folded before": b"X-A: b\r\n Content-Length: 7",
        "null in the name": b"Content\x00-Length: 7", "CR before": b"\rContent-Length: 7",
        "high byte in the name": b"Content-Length\xa0: 7", "no name": b": 7",
        "no colon": b"Content-Length 7",
        "leading space": b" Content-Length: 7", "bracket": b"Content-Length(: 7",
    }.items():  # fmt: skip
        yield f"length, {name}", _post(line, body=body), "refuse"
    underscored = _post(b"Content_Length: 40", body=b"")
    yield "underscore for hyphen", underscored, "refuse"


def _codings() -> Iterator[tuple[str, bytes, Verdict]]:
    small, both = b'{"a":1}', _chunked(b'{"a":1}') + _SMUGGLED
    for value in (
        b"identity", b"gzip", b"chunked, gzip", b"gzip, chunked", b"chunked, chunked", b"xchunked",
        b"chunkedx", b"x chunked", b'"chunked"', b"chunked;q=1", b"chunked; a=b", b"chun ked",
        b"cow", b"deflate, chunked", b"", b"\x0bchunked", b"chunked\x00", b"chunked\x0c",
        b"\xa0chunked", b"identity, chunked", b"chunked, identity", b"chunked,,",
        b"nothing;chunked",
        b"'chunked'", b"{chunked}", b"chunked\xff",
    ):  # fmt: skip
        yield f"coding {value!r}", _post(b"Transfer-Encoding: " + value, body=both), "refuse"
        with_length = _post(
            b"Transfer-Encoding: " + value, b"Content-Length: 7", body=small + _SMUGGLED
        )
        yield f"coding {value!r} and a length", with_length, "close"
    for value in (b"CHUNKED", b"Chunked", b" chunked ", b"\tchunked"):
        yield (
            f"coding {value!r}",
            _post(b"Transfer-Encoding: " + value, body=_chunked(small)),
            "once",
        )
    for name, line in {
        "space before the colon": b"Transfer-Encoding : chunked",
        "tab before the colon": b"Transfer-Encoding\t: chunked",
        "folded": b"Transfer-Encoding:\r\n chunked",
        "folded after": b"Transfer-Encoding: chunked\r\n , identity",
        "null in the name": b"Transfer-\x00Encoding: chunked",
        "vertical tab in the name": b"Transfer-Encoding\x0b: chunked",
        "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "twice alike": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "twice, first unknown": b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        "hidden by CR": b"X: y\rTransfer-Encoding: chunked",
        "hidden by null": b"X: y\x00\r\nTransfer-Encoding: chunked",
    }.items():
        yield f"coding, {name}", _post(line, body=both), "refuse"
        yield (
            f"coding, {name}, and a length",
            _post(line, b"Content-Length: 7", body=small + _SMUGGLED),
            "refuse",
        )
    chunked, length = b"Transfer-Encoding: chunked", b"Content-Length: "
    zero = b"0\r\n\r\n" + _SMUGGLED
    for name, lines in {
        "length first": (length + b"%d" % len(zero), chunked),
        "coding first": (chunked, length + b"%d" % len(zero)),
        "length within": (length + b"5", chunked),
        "length of nothing": (length + b"0", chunked),
        "length wrong": (length + b"x", chunked),
        "two lengths": (length + b"5", chunked, length + b"6"),
    }.items():
        yield f"both, {name}", _post(*lines, body=zero), "close"
        yield f"both, {name}, whole", _post(*lines, body=_chunked(small) + _SMUGGLED), "close"
    old = _post(chunked, body=both).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield "chunked in HTTP/1.0", old, "refuse"


def _chunks() -> Iterator[tuple[str, bytes, Verdict]]:
    def sized(
        size: bytes, after: bytes = b"\r\n", end: bytes = b"\r\n", then: bytes = _SMUGGLED
    ) -> bytes:
        body = size + after + b'{"a":1}' + end + b"0\r\n\r\n" + then
        return _post(b"Transfer-Encoding: chunked", body=body)

    for name, size in {
        "signed": b"+7", "negative": b"-7", "0x": b"0x7", "hash": b"#7", "letter": b"g",
        "empty": b"",
        "space before": b" 7", "underscore": b"0_7", "beyond 64 bits": b"10000000000000007",
        "far beyond": b"f" * 40, "point": b"7.0", "comma": b"7,0", "null": b"7\x00",
        "quote": b'"7"',
        "high byte": b"7\xff", "vertical tab": b"\x0b7",
    }.items():  # fmt: skip
        yield f"chunk size {name}", sized(size), "refuse"
    for name, after in {
        "bare LF": b"\n", "bare CR": b"\r", "CR CR LF": b"\r\r\n", "CR x": b"\rx",
    }.items():  # fmt: skip
        yield f"chunk size ended by {name}", sized(b"7", after=after), "refuse"
    for name, end in {
        "nothing": b"", "bare LF": b"\n", "bare CR": b"\r", "two letters": b"xx", "LF CR": b"\n\r",
        "longer than said": b"tail\r\n",
    }.items():  # fmt: skip
        yield f"chunk ended by {name}", sized(b"7", end=end), "refuse"
    for name, extension in {
        "name": b"7;a", "name and value": b"7;a=b", "quoted": b'7;a="b;c"', "space": b"7 ;a=b",
        "empty": b"7;", "zeros": b"0" * 10 + b"7", "trailing space": b"7 ", "trailing tab": b"7\t",
        "null in an extension": b"7;\x00",
    }.items():  # fmt: skip
        yield f"chunk size with {name}", sized(extension, then=b""), "once"
    for name, extension in {
        "bare LF within": b"7;\nxx", "bare CR within": b"7;\rxx", "LF in quotes": b'7;a="\nxx"',
    }.items():  # fmt: skip
        yield f"chunk extension, {name}", sized(extension), "refuse"
    huge = b"7;a=" + b"x" * 70_000
    yield "chunk extension of 70 kB", sized(huge), "refuse"
    for name, tail in {
        "cut": b"0\r\n", "none": b"", "bare LF": b"0\n\n", "size of text": b"zero\r\n\r\n",
    }.items():  # fmt: skip
        body = b'7\r\n{"a":1}\r\n' + tail
        yield f"last chunk {name}", _post(b"Transfer-Encoding: chunked", body=body), "refuse"
    for name, trailer in {
        "length": b"Content-Length: 50", "coding": b"Transfer-Encoding: chunked",
        "host": b"Host: evil",
        "identity": b"X-Crossdock-Consumer: crm", "authorization": b"Authorization: Bearer x",
        "plain": b"X-Sum: 1",
    }.items():  # fmt: skip
        body = b'7\r\n{"a":1}\r\n0\r\n' + trailer + b"\r\n\r\n"
        yield f"trailer {name}", _post(b"Transfer-Encoding: chunked", body=body), "once"
    for name, trailer in {
        "folded": b"X: y\r\n z", "no colon": b"nothing", "bare CR": b"X: y\rz", "null": b"X: \x00",
    }.items():  # fmt: skip
        body = b'7\r\n{"a":1}\r\n0\r\n' + trailer + b"\r\n\r\n" + _SMUGGLED
        yield f"trailer {name}", _post(b"Transfer-Encoding: chunked", body=body), "close"


def _lines() -> Iterator[tuple[str, bytes, Verdict]]:
    target = _THINGS + b" HTTP/1.1"
    host = b"\r\nHost: gateway"
    for name, raw in {
        "bare CR ends": b"GET " + target + b"\rHost: gateway\r\r",
        "bare CR in a value": b"GET " + target + host + b"\r\nX: a\rb\r\n\r\n",
        "bare CR before a header": b"GET " + target + b"\r\n\rHost: gateway\r\n\r\n",
        "CR CR LF": b"GET " + target + b"\r\r\nHost: gateway\r\n\r\n",
        "smuggled by CR": b"GET " + target + host + b"\r\nX: y\r\r" + _SMUGGLED,
        "folded": b"GET " + target + host + b"\r\nX: a\r\n b\r\n\r\n",
        "folded by tab": b"GET " + target + host + b"\r\nX: a\r\n\tb\r\n\r\n",
        "folded first": b"GET " + target + b"\r\n Host: gateway\r\n\r\n",
        "folded empty": b"GET " + target + host + b"\r\nX:\r\n \r\n\r\n",
        "null in a value": b"GET " + target + host + b"\r\nX: a\x00b\r\n\r\n",
        "null in the target": b"GET " + _THINGS + b"\x00 HTTP/1.1" + host + b"\r\n\r\n",
        "null in a name": b"GET " + target + host + b"\r\nX\x00: a\r\n\r\n",
        "control in a value": b"GET " + target + host + b"\r\nX: a\x01b\r\n\r\n",
        "delete in a value": b"GET " + target + host + b"\r\nX: a\x7fb\r\n\r\n",
        "space in a name": b"GET " + target + host + b"\r\nX Y: a\r\n\r\n",
        "colonless header": b"GET " + target + host + b"\r\nX\r\n\r\n",
        "empty name": b"GET " + target + host + b"\r\n: a\r\n\r\n",
        "no host": b"GET " + target + b"\r\n\r\n",
        "empty host": b"GET " + target + b"\r\nHost:\r\n\r\n",
        "two hosts": b"GET " + target + host + b"\r\nHost: other\r\n\r\n",
        "two hosts alike": b"GET " + target + host + host + b"\r\n\r\n",
        "space in the target": b"GET " + _THINGS + b" x HTTP/1.1" + host + b"\r\n\r\n",
        "no version": b"GET " + _THINGS + host + b"\r\n\r\n",
        "version 0.9": b"GET " + _THINGS + b" HTTP/0.9" + host + b"\r\n\r\n",
        "version 1.2": b"GET " + _THINGS + b" HTTP/1.2" + host + b"\r\n\r\n",
        "version 1.10": b"GET " + _THINGS + b" HTTP/1.10" + host + b"\r\n\r\n",
        "version 2.0": b"GET " + _THINGS + b" HTTP/2.0" + host + b"\r\n\r\n",
        "version in lower case": b"GET " + _THINGS + b" http/1.1" + host + b"\r\n\r\n",
        "two spaces": b"GET  " + _THINGS + b"  HTTP/1.1" + host + b"\r\n\r\n",
        "tab between": b"GET\t" + _THINGS + b"\tHTTP/1.1" + host + b"\r\n\r\n",
        "space first": b" GET " + target + host + b"\r\n\r\n",
        "method with brackets": b"G(T " + target + host + b"\r\n\r\n",
        "no method": target + host + b"\r\n\r\n",
        "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        "CONNECT": b"CONNECT gateway:80 HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "TRACE": b"TRACE " + target + host + b"\r\n\r\n",
        "asterisk": b"GET * HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "target without slash": b"GET wired/v1/things HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "newline in the target": b"GET " + _THINGS + b"\n HTTP/1.1" + host + b"\r\n\r\n",
        "high byte in the target": b"GET " + _THINGS + b"\xff HTTP/1.1" + host + b"\r\n\r\n",
        "a body where there is none": b"GET " + target + host + b"\r\nContent-Length: %d\r\n\r\n%s"
        % (len(_SMUGGLED), _SMUGGLED),
        "a chunked body where there is none": b"GET " + target + host
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunked(_SMUGGLED),
    }.items():  # fmt: skip
        yield name, raw, "refuse"
    for name, raw in {
        "bare LF ends": (b"GET " + target + host + b"\r\n\r\n").replace(b"\r\n", b"\n"),
        "bare LF ends one": b"GET " + target + host + b"\nX: y\r\n\r\n",
        "bare LF ends the head": b"GET " + target + host + b"\r\n\n",
        "bare LF in a value": b"GET " + target + host + b"\r\nX: a\nY: b\r\n\r\n",
        "empty lines before": b"\r\n\r\nGET " + target + host + b"\r\n\r\n",
        "an LF before": b"\nGET " + target + host + b"\r\n\r\n",
        "absolute target": b"GET http://other" + target + host + b"\r\n\r\n",
        "fragment": b"GET " + _THINGS + b"#x HTTP/1.1" + host + b"\r\n\r\n",
        "line separator": b"GET " + target + "\r\nHost: gateway\u2028X: a\r\n\r\n".encode(),
        "obs-text": b"GET " + target + host + b"\r\nX: \xff\xfe\r\n\r\n",
        "expectation": _post(b"Expect: 100-continue", b"Content-Length: 7", body=b'{"a":1}'),
        "unknown expectation": _post(b"Expect: 200-maybe", b"Content-Length: 7", body=b'{"a":1}'),
        "upgrade with a body": _post(
            b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 7", body=b'{"a":1}'
        ),
        "HTTP/1.0 kept alive": b"GET " + _THINGS
        + b" HTTP/1.0\r\nHost: gateway\r\nConnection: keep-alive\r\n\r\n",
        "a chunk a byte": _post(
            b"Transfer-Encoding: chunked",
            body=b"".join(b"1\r\n%c\r\n" % each for each in b'{"a":1}') + b"0\r\n\r\n",
        ),
    }.items():  # fmt: skip
        yield name, raw, "once"


def framings() -> list[Framing]:
    """Every framing; each holds a smuggled request where one would be found."""
    return [
        Framing(name=name, raw=raw, verdict=verdict)
        for source in (_lengths, _codings, _chunks, _lines)
        for name, raw, verdict in source()
    ]
