"""Tokens that are wrong in one way each, made for one issuer at a time.

`signatures` depends on the algorithm and is made for each; `contents` and `transports` do not.
What a name says is what is wrong with it.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.security.forging import (
    ALGORITHMS,
    Minter,
    a_key,
    b64,
    jwk,
    sign,
    spellings,
)

Vector = tuple[str, str]
"""What is wrong, and the token."""
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def signatures(minter: Minter, stranger: Minter) -> Iterator[Vector]:
    """Yield what is wrong with algorithm, key or signature."""
    good = minter.token()
    head, body, signature = good.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    for alg in ("none", "None", "NONE", "nOnE", "none ", ""):
        unsigned = b64(json.dumps({**minter.header, "alg": alg}).encode())
        yield f"alg {alg!r} unsigned", f"{unsigned}.{body}."
        yield f"alg {alg!r} with a signature", f"{unsigned}.{body}.{signature}"
    for alg in ("HS256", "HS384", "HS512"):
        for form, secret in spellings(minter.key).items():
            yield f"{alg} with the public key as {form}", minter.macd(alg, secret)
    for alg in (*ALGORITHMS, "ES256K", "HS256", "RSA1_5", "dir"):
        if alg != minter.alg:
            yield f"alg said to be {alg}", minter.token({"alg": alg})
    for alg in _others(minter):
        if isinstance(minter.key, rsa.RSAPrivateKey):
            yield f"signed as {alg}", minter.token(alg=alg)
        yield f"signed as {alg} and saying so", minter.token({"alg": alg}, alg=alg)
    mine = a_key(minter.alg)
    yield "another key of the same kind", minter.token(key=mine)
    yield "another key, its jwk embedded", minter.token({"jwk": jwk(mine)}, key=mine)
    yield "the key of another issuer", minter.token(key=stranger.key, alg=stranger.alg)
    yield (
        "the key of another issuer and its kid",
        minter.token(
            {"kid": stranger.header["kid"], "alg": stranger.alg}, key=stranger.key, alg=stranger.alg
        ),
    )
    yield "in the name of another issuer", stranger.token(claims={"iss": minter.claims["iss"]})
    for name, forged in _bent(raw, minter).items():
        yield f"signature {name}", f"{head}.{body}.{b64(forged)}"
    changed = b64(json.dumps({**minter.claims, "scope": "operations:write"}).encode())
    yield "claims changed", f"{head}.{changed}.{signature}"
    spaced = b64(json.dumps(minter.header, indent=1).encode())
    yield "header written otherwise", f"{spaced}.{body}.{signature}"
    yield (
        "claims of one and signature of another",
        f"{head}.{b64(minter.body() + b' ')}.{signature}",
    )


def _others(minter: Minter) -> list[str]:
    """Answer what the same key could also do."""
    if isinstance(minter.key, rsa.RSAPrivateKey):
        return [each for each in ALGORITHMS[:6] if each != minter.alg]
    if isinstance(minter.key, ec.EllipticCurvePrivateKey):
        return []
    return [each for each in ("EdDSA", "Ed25519") if each != minter.alg]


def _bent(raw: bytes, minter: Minter) -> dict[str, bytes]:
    bent = {
        "empty": b"",
        "of zeros": bytes(len(raw)),
        "of ones": b"\xff" * len(raw),
        "cut by one": raw[:-1],
        "cut in half": raw[: len(raw) // 2],
        "longer by one": raw + b"\0",
        "with a zero before it": b"\0" + raw,
        "twice": raw + raw,
        "reversed": raw[::-1],
        "first bit turned": bytes([raw[0] ^ 0x80]) + raw[1:],
        "last bit turned": raw[:-1] + bytes([raw[-1] ^ 1]),
        "of another token": sign(minter.alg, minter.key, b"x.y"),
    }
    half = len(raw) // 2
    r, s = int.from_bytes(raw[:half]), int.from_bytes(raw[half:])
    match minter.key:
        case ec.EllipticCurvePrivateKey():
            order = minter.key.curve.group_order
            pair = {"zero and s": (0, s), "r and zero": (r, 0), "order and order": (order, order),
                    "one and one": (1, 1), "s and r": (s, r)}  # fmt: skip
            bent |= {
                f"{name} (ECDSA)": a.to_bytes(half) + b.to_bytes(half)
                for name, (a, b) in pair.items()
            }
            bent["in DER"] = encode_dss_signature(r, s)
        case rsa.RSAPrivateKey():
            modulus = minter.key.public_key().public_numbers().n
            more = int.from_bytes(raw) + modulus
            if more.bit_length() <= len(raw) * 8:
                bent["plus the modulus"] = more.to_bytes(len(raw))
            bent["the modulus"] = modulus.to_bytes(len(raw))
            bent["one"] = (1).to_bytes(len(raw))
        case ed25519.Ed25519PrivateKey():
            scalar = int.from_bytes(raw[32:], "little") + _ED25519_ORDER
            bent["plus the order"] = raw[:32] + scalar.to_bytes(32, "little")
            bent["of the small point"] = (1).to_bytes(32, "little") + bytes(32)
    return bent


WRONG_CLAIMS: dict[str, Any] = {
    "iss": ["https://evil.example", "", None, 7, ["https://evil.example"], {}],
    "aud": ["billing", "cross", "Crossdock", "crossdock ", "", None, 0, True, [], {}, [[]],
            ["billing"], {"crossdock": 1}, [["crossdock"]], "crossdock,billing"],
    "exp": ["soon", None, True, [], {}, "9999999999", -1, 10**30, 10**400],
    "iat": ["now", None, True, [], -5],
    "nbf": ["later", None, True, []],
    "sub": [None, 7, "", [], {}, "s" * 257],
    "client_id": [None, 7, "", [], {}, "c" * 257, "a b", "a\nb", "é", "a\u0000b"],
    "scope": [7, True, {}, ["orders:read", 7], [[]]],
    "jti": [None, 7, "", []],
    "cnf": [None, "x", {}, {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, {"jwk": {}},
            {"x5t#S256": 7}, {"x5t#S256": "short"}, {"kid": "k"},
            {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}],
}  # fmt: skip
WRONG_HEADERS: dict[str, Any] = {
    "typ": ["JWT", "", None, 7, [], "id_token", "logout+jwt", "secevent+jwt", "dpop+jwt",
            "application/jwt", "at+jwt ", "at jwt"],
    "kid": [None, 7, [], {}, "", "nobody", "../../../dev/null", "/dev/null", "' OR 1=1 --",
            "kid; ls", "\u0000", "k" * 7000, "http://evil.example/k"],
    "alg": [None, 7, [], ["RS256"], {}, "RS256 ", "rs256", "RS257"],
    "crit": [[], ["exp"], ["b64"], "exp", None, ["alg"], ["http://example.invalid/x"]],
    "b64": [False, True, None],
    "zip": ["DEF", "GZIP"],
    "enc": ["A256GCM"],
    "cty": ["JWT", "application/jwt"],
    "jku": ["https://evil.example/jwks.json", "file:///etc/passwd"],
    "x5u": ["https://evil.example/c.pem"],
    "x5c": [["MIIB"], "MIIB", []],
    "jwk": [{}, None, {"kty": "oct", "k": ""}],
    "epk": [{}],
    "p2c": [2**31],
    "exp": [1],
    "x": ["y"],
}  # fmt: skip
MISSING = ("alg", "typ", "kid", "iss", "aud", "exp", "iat", "sub", "client_id")


def contents(minter: Minter) -> Iterator[Vector]:
    """Yield tokens that are signed rightly and say something that must not be believed."""
    for name in MISSING:
        yield f"{name} missing", minter.token(drop=(name,))
    for name, values in WRONG_CLAIMS.items():
        for value in values:
            yield f"claim {name} {_short(value)}", minter.token(claims={name: value})
    for name, values in WRONG_HEADERS.items():
        for value in values:
            yield f"header {name} {_short(value)}", minter.token({name: value})
    for name, moment in (("iat", 3600), ("nbf", 3600)):
        yield f"{name} in the future", minter.token(claims={name: minter.now + moment})
    head, body = json.dumps(minter.header).encode(), minter.body()
    for name, payload in _payloads(body).items():
        yield f"payload {name}", minter.raw(head, payload)
    for name, header in _headers(head, minter).items():
        yield f"header {name}", minter.raw(header, body)


def _payloads(body: bytes) -> dict[str, bytes]:
    inside = body[1:-1]
    return {
        "empty": b"",
        "null": b"null",
        "a string": b'"token"',
        "a number": b"7",
        "a list": b"[" + body + b"]",
        "two documents": body + body,
        "trailing garbage": body + b"x",
        "cut": body[:-1],
        "after a byte order mark": b"\xef\xbb\xbf" + body,
        "in UTF-16": body.decode().encode("utf-16"),
        "not UTF-8": b'{"a":"\xff",' + inside + b"}",
        "a lone surrogate": b'{"a":"\\ud800",' + inside + b"}",
        "a comment": b"{/**/" + inside + b"}",
        "a trailing comma": b"{" + inside + b",}",
        "single quotes": body.replace(b'"', b"'"),
        "NaN": b'{"a":NaN,' + inside + b"}",
        "a number too large": b'{"a":1e999,' + inside + b"}",
        "nested deep": b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"," + inside + b"}",
        "aud twice": b'{"aud":"billing",' + inside + b"}",
        "aud twice, ours first": b"{" + inside + b',"aud":"billing"}',
        "exp twice": b"{" + inside + b',"exp":9999999999}',
        "scope twice": b"{" + inside + b',"scope":"operations:write"}',
        "an escaped name twice": b"{" + inside + b',"\\u0061ud":"billing"}',
    }


def _headers(head: bytes, minter: Minter) -> dict[str, bytes]:
    inside = head[1:-1]
    return {
        "empty": b"",
        "null": b"null",
        "a list": b"[" + head + b"]",
        "alg twice": b'{"alg":"none",' + inside + b"}",
        "alg twice, ours first": b"{" + inside + b',"alg":"none"}',
        "kid twice": b"{" + inside + b',"kid":"nobody"}',
        "typ twice": b'{"typ":"JWT",' + inside + b"}",
        "after a byte order mark": b"\xef\xbb\xbf" + head,
        "in UTF-16": head.decode().encode("utf-16"),
        "trailing garbage": head + b"x",
        "ALG in capitals": json.dumps({"ALG": minter.alg, "typ": "at+jwt"}).encode(),
        "nested deep": b'{"x":' + b"[" * 1500 + b"]" * 1500 + b"," + inside + b"}",
    }


def spelt(minter: Minter) -> Iterator[Vector]:
    """Yield a good token written in ways that are not compact serialisation."""
    good = minter.token()
    head, body, signature = good.split(".")
    inner = b64(json.dumps({**minter.header, "cty": "JWT"}).encode())
    flattened = {"protected": head, "payload": body, "signature": signature}
    general = {"payload": body, "signatures": [{"protected": head, "signature": signature}]}
    yield "padding", good + "="
    yield "padding in the header", good.replace(".", "=.", 1)
    yield "padding twice", good + "=="
    yield "standard base64", f"{head}.{body}+/.{signature}"
    yield "stray bits in the signature", good[:-1] + _next_letter(good[-1])
    yield "a space inside", good.replace(".", ". ", 1)
    yield "a tab inside", good.replace(".", "\t.", 1)
    yield "two parts", f"{head}.{body}"
    yield "one part", head
    yield "four parts", good + "." + signature
    yield "five parts, as a JWE", good + ".x.y"
    yield "an empty header", f".{body}.{signature}"
    yield "an empty payload", f"{head}..{signature}"
    yield "an empty signature", f"{head}.{body}."
    yield "dots", ".."
    yield "a dot more", good + "."
    yield "a dot before", "." + good
    yield "parts in another order", f"{body}.{head}.{signature}"
    yield "JSON, flattened", json.dumps(flattened)
    yield "JSON, general", json.dumps(general)
    yield "JSON in base64url", b64(json.dumps(flattened).encode())
    yield "nested", minter.raw(json.dumps(minter.header).encode(), good.encode())
    yield "nested, and saying so", f"{inner}.{b64(good.encode())}.{signature}"
    yield "twice, with a comma", f"{good},{good}"
    yield "twice, with a comma and a space", f"{good}, {good}"
    yield "in quotes", f'"{good}"'
    yield "percent-encoded", good.replace(".", "%2E")
    yield "a full stop of another script", good.replace(".", "\uff0e".encode().decode("latin-1"))
    yield "in capitals", good.upper()
    yield "detached", f"{head}..{signature}"
    yield "longer than any token", minter.token(claims={"x": "y" * 9000})
    yield "a megabyte", "A" * 30_000 + "." + body + "." + signature
    yield "not ASCII", good[:-1] + "é"
    yield "the word null", "null"
    yield "the word undefined", "undefined"


def _next_letter(letter: str) -> str:
    """Answer a base64url letter with the same high bits: the same bytes in a lax decoder."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(letter)
    return alphabet[at + 1 if at % 4 != 3 else at - 1]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
