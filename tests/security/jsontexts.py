"""Texts that are JSON, are not, or are read one way here and another way there (RFC 8259, 7493).

`meaning` is the oracle: a strict reader on the standard library, written for this campaign alone.
"""

import json
import math
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

DEEPEST = 32
_DEEP = 100_000


class DoubtfulError(Exception):
    """Two readers could differ, or nobody can read it."""


def meaning(raw: bytes) -> Any:
    """Read a text strictly: numbers exact, no name twice, no half characters, not too deep."""
    try:
        text = raw.decode("utf-8")
        found = json.loads(
            text, object_pairs_hook=_once, parse_constant=_never, parse_float=_decimal
        )
    except RecursionError:
        raise DoubtfulError("deep") from None
    except ValueError as error:
        raise DoubtfulError(str(error)[:60]) from None
    _sound(found, 1)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DoubtfulError("a name twice")
    return found


def _never(name: str) -> None:
    raise DoubtfulError(name)


def _decimal(text: str) -> Decimal:
    double = float(text)
    try:
        exact = Decimal(text)
        if math.isinf(double) or exact != Decimal(repr(double)):
            raise DoubtfulError("more than a double")
    except ArithmeticError:
        raise DoubtfulError("more than a decimal") from None
    return exact


def _sound(node: Any, depth: int) -> None:
    if isinstance(node, str) and any("\ud800" <= each <= "\udfff" for each in node):
        raise DoubtfulError("half a character")
    if isinstance(node, dict | list):
        if depth > DEEPEST:
            raise DoubtfulError("deep")
        for each in node if isinstance(node, list) else (*node, *node.values()):
            _sound(each, depth + 1)


def texts() -> Iterator[bytes]:
    """Yield texts by hand: structure, numbers, strings, encodings, white space, size."""
    yield from _structures()
    for number in (
        "0", "-0", "1", "-1", "10", "1.5", "-1.5", "1e5", "1E5", "1e+5", "1e-5", "0.1", "0e0",
        "0.0",
        "-0.0", "1e308", "9007199254740991", "9007199254740992", "9007199254740993",
        "-9007199254740993",
        "18446744073709551615", "18446744073709551616", "-9223372036854775809",
        "1" * 100, "1" * 5000,
        "9007199254740993.0", "0.1000000000000000055511151231257827", "0.30000000000000004",
        "1e309",
        "-1e309", "1e400", "1e-400", "5e-324", "1e-99999999999999999999", "1e99999999999999999999",
        "1." + "1" * 5000, "1e" + "1" * 5000, "123456789012345678901234567890",
        "1.7976931348623157e308",
        "01", "-01", "00", "+1", ".5", "-.5", "5.", "5.e1", "1e", "1e+", "1.e5", "0x10", "0b1",
        "0o7",
        "1_000", "1,5", "1 000", "--1", "+-1", "- 1", "1e1.5", "NaN", "-NaN", "Infinity",
        "-Infinity",
        "inf", "nan", "\uff11", "\u0661", "1f", "1L", "1d", "2.", "0.e1", "1eE2", "1ee2", "0e",
        "0e+", "-",
    ):  # fmt: skip
        yield f'{{"amount": {number}}}'.encode()
        yield f"[{number}]".encode()
    for string in (
        rb'"a"', rb'""', rb'"\u0000"', rb'"\n"', rb'"\/"', rb'"/"', rb'"\ud83d\ude00"',
        rb'"\ud800"',
        rb'"\udc00"', rb'"\ud800\ud800"', rb'"\ud83d\u0041"', rb'"\uDBFF\uDFFF"',
        rb'"\uD800\uDBFF"',
        rb'"\u00g0"', rb'"\u00"', rb'"\x41"', rb'"\a"', rb'"\'"', rb'"\0"',
        rb'"\U0001f600"', b'"\x01"',
        b'"\x00"', b'"\t"', b'"\n"', b'"\r\n"', b'"\x7f"', b'"\x1f"', b'"\xff"', b'"\xc0\x80"',
        b'"\xc3"',
        b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xf8\x88\x80\x80\x80"', b'"\xe2\x80\xa8"',
        b'"\xef\xbf\xbf"', b'"\xc3\xa9"', b'"\xf0\x9f\x98\x80"', b"'a'", b"a", b'"a', b'a"',
        b'"\\"',
        b'"a" "b"', b'"a"b', b'"\\u003a"', b'":"', b'"\xc3\x28"', b'"\xe2\x28\xa1"', b'"\x80"',
    ):  # fmt: skip
        yield b'{"note": ' + string + b"}"
        yield b"{" + string + b': "note"}'
    good = b'{"a": [1, "b", null, true, {"c": {}}]}'
    for before in (b" ", b"\n", b"\t\r\n", b"\x0b", b"\x0c", b"\x00", b"\xc2\xa0",
                   b"\xe2\x80\x80", b"\xef\xbb\xbf", b"\xfe\xff", b"\x1e", b")]}'\n",
                   b"//\n", b"/**/", b"#\n", b"while(1);"):  # fmt: skip
        yield before + good
        yield good + before
        yield good.replace(b" ", before)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7", "cp037"):
        yield good.decode().encode(encoding)
    for depth in (5, 30, 31, 32, 33, 64, 500, 900, 990, 995, 1_000, 5_000, _DEEP):
        yield b"[" * depth + b"]" * depth
        yield b'{"a":' * depth + b"1" + b"}" * depth
        yield b"[" * depth
        yield b'{"a":' + b"[" * depth + b"]" * depth + b',"a":1}'
        yield b'[{"a":' * depth + b"1" + b"}]" * depth


def _structures() -> Iterator[bytes]:
    yield from (
        b"", b" ", b"{}", b"[]", b"null", b"true", b"1", b'"a"', b"{", b"}", b"[", b"]", b"[1,]",
        b"[,1]",
        b"[1,,2]", b"[1 2]", b"[1", b"1]", b"[[]", b"[]]", b"[}", b"{]", b'{"a"}', b'{"a":}',
        b'{"a":1,}',
        b'{,"a":1}', b'{"a":1 "b":2}', b'{"a":1,,"b":2}', b'{"a" 1}', b'{"a"::1}', b"{a:1}",
        b"{1:1}",
        b"{'a':1}", b'{"a":1}}', b'{"a":1}{"b":2}', b'{"a":1} x', b'{"a":1},', b'{"a":1}\n{"b":2}',
        b"{null:1}", b"{[]:1}", b"[True]", b"[TRUE]", b"[nul]", b"[nulll]", b"[tru]", b"[None]",
        b"[undefined]",
        b'{"a":1//x\n}', b'{"a":/*x*/1}', b'{"a":1,"b":2 /*', b"[1,2]//", b"<a/>", b"a=1&b=2",
        b"\x80\x81",
        b'{"a":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1,"b":{"c":1,"c":2}}', b'[{"a":1,"a":2}]',
        b'{"a":1,"\\u0061":2}', b'{"\\u0061":1,"a":2}', b'{"a":1,"A":2}', b'{"":1,"":2}', b'{"":1}',
        b'{"\xc3\xa9":1,"\\u00e9":2}', b'{"e\xcc\x81":1,"\xc3\xa9":2}',
        b'{"a":{"x":1},"a":{"y":2}}',
        b'{"a":":","a":1}', b'{"a":"::","b":1,"b":2}', b'{"a:":1,"a:":2}', b'{"a":"\\u003a","a":1}',
        b'{"a":1,"a":"\\u003a"}', b'{"a":[{"b":1,"b":2}],"c":":"}',
        b'{"amount":"1.00","amount":"9.00"}',
        b'{"lines":[{"quantity":"1","quantity":"1000"}]}', b'{"__proto__":{"a":1}}', b'{"a\x00":1}',
        b'{"constructor":{"prototype":{}}}', b'{"a":1,"a ":2}', b'{"a":1,"a\\u0000":2}',
    )  # fmt: skip


_ORDER = (
    b'{"customer":"bc:10000","currency":"GBP","lines":[{"item":"bc:1000","quantity":"2"},{"item":'
    b'"bc:1001","unitPrice":{"amount":"1.50","currency":"GBP"}}],"note":"a \\u00e9 \xc3\xa9"}'
)
_BASES = (
    _ORDER,
    b'[{"id":"a","value":12.5,"more":[1,-2,3e4,true,false,null]},{"id":"b:c","value":-0.25}]',
)
_PIECES = (
    b'"', b",", b":", b"{", b"}", b"[", b"]", b"\\", b"0", b"-", b"1e5", b".", b" ", b"\n",
    b"\x00", b"\xff",
    b"null", b"NaN", b"\\ud800", b'"a":1,', b'"currency":"USD",', b'"amount":"9.00",',
    b"\xef\xbb\xbf", b"//",
)  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """A sound text with one to three places changed."""
    raw = bytearray(chance.choice(_BASES))
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(raw))
        match chance.randrange(5):
            case 0:
                del raw[at : at + chance.randrange(1, 4)]
            case 1:
                raw[at:at] = chance.choice(_PIECES)
            case 2:
                raw[at] = chance.randrange(256)
            case 3:
                end = at + chance.randrange(1, 30)
                raw[at:at] = raw[at:end]
            case _:
                other = chance.randrange(len(raw))
                raw[at], raw[other] = raw[other], raw[at]
    return bytes(raw)
