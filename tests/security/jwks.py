"""Keys that an issuer publishes and nobody should import: each signs a token that is right.

Beside the bad key stands a good one, so that what is refused is refused for the key.
"""

import base64
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.security.forging import PrivateKey, a_key, b64, jwk, number

Published = tuple[str, dict[str, Any], PrivateKey, str]
"""What is wrong, the JWK, the private key that belongs to it, the algorithm it signs with."""


def wrong() -> Iterator[Published]:
    """Yield one bad key after another."""
    rs, es, ed = a_key("RS256"), a_key("ES256"), a_key("EdDSA")
    assert isinstance(rs, rsa.RSAPrivateKey)
    yield from _rsa(rs)
    yield from _elliptic(es, ed)
    for key, alg in ((rs, "RS256"), (es, "ES256"), (ed, "EdDSA")):
        yield from _members(key, alg)


def _rsa(key: rsa.RSAPrivateKey) -> Iterator[Published]:
    weak = rsa.generate_private_key(65537, 1024)
    three = rsa.generate_private_key(3, 2048)
    good = jwk(key)
    yield "RSA of 1024 bits", jwk(weak), weak, "RS256"
    yield "RSA with exponent 3", jwk(three), three, "RS256"
    for name, members in {
        "modulus with a zero before it": {"n": b64(b"\0" + _raw(good["n"]))},
        "modulus padded": {"n": good["n"] + "="},
        "modulus a number": {"n": 7},
        "modulus a list": {"n": [good["n"]]},
        "modulus null": {"n": None},
        "modulus empty": {"n": ""},
        "exponent one": {"e": "AQ"},
        "exponent even": {"e": number(65536)},
        "exponent huge": {"e": number(2**64 + 1)},
        "exponent with a zero before it": {"e": "AAEAAQ"},
        "exponent missing": {"e": None},
        "alg HS256": {"alg": "HS256"},
        "alg ES256": {"alg": "ES256"},
        "alg none": {"alg": "none"},
        "alg RSA-OAEP": {"alg": "RSA-OAEP"},
        "alg PS256 only": {"alg": "PS256"},
        "alg a list": {"alg": ["RS256"]},
        "kty EC": {"kty": "EC"},
        "kty rsa": {"kty": "rsa"},
        "kty oct, with a secret": {"kty": "oct", "k": good["n"]},
    }.items():
        yield f"RSA, {name}", {**good, **members}, key, "RS256"


def _elliptic(es: PrivateKey, ed: PrivateKey) -> Iterator[Published]:
    assert isinstance(es, ec.EllipticCurvePrivateKey)
    assert isinstance(ed, ed25519.Ed25519PrivateKey)
    bitcoin = ec.generate_private_key(ec.SECP256K1())
    other = jwk(a_key("ES256"))
    good, edwards = jwk(es), jwk(ed)
    yield "secp256k1 as itself", jwk(bitcoin), bitcoin, "ES256"
    yield "secp256k1 said to be P-256", jwk(bitcoin, crv="P-256"), bitcoin, "ES256"
    for name, members in {
        "not on its curve": {"x": other["x"]},
        "the point at infinity": {"x": b64(bytes(32)), "y": b64(bytes(32))},
        "a short coordinate": {"y": b64(_raw(good["y"])[:-1])},
        "a long coordinate": {"y": b64(b"\0" + _raw(good["y"]))},
        "a coordinate missing": {"y": None},
        "said to be P-384": {"crv": "P-384"},
        "said to be Ed25519": {"crv": "Ed25519"},
        "curve in lower case": {"crv": "p-256"},
        "curve missing": {"crv": None},
        "kty OKP": {"kty": "OKP"},
        "alg ES384": {"alg": "ES384"},
        "alg ECDH-ES": {"alg": "ECDH-ES"},
        "alg RS256": {"alg": "RS256"},
    }.items():
        yield f"EC, {name}", {**good, **members}, es, "ES256"
    for name, members in {
        "said to be X25519": {"crv": "X25519"},
        "said to be Ed448": {"crv": "Ed448"},
        "kty EC": {"kty": "EC"},
        "short": {"x": b64(_raw(edwards["x"])[:-1])},
        "of zeros": {"x": b64(bytes(32))},
        "alg ES256": {"alg": "ES256"},
    }.items():
        yield f"OKP, {name}", {**edwards, **members}, ed, "EdDSA"


def _members(key: PrivateKey, alg: str) -> Iterator[Published]:
    """Yield what makes any key unfit, whatever its kind."""
    good = jwk(key)
    for name, members in {
        "for encryption": {"use": "enc"},
        "use empty": {"use": ""},
        "use a list": {"use": ["sig"]},
        "key_ops to sign": {"key_ops": ["sign"]},
        "key_ops to sign and verify": {"key_ops": ["sign", "verify"]},
        "key_ops empty": {"key_ops": []},
        "key_ops a string": {"key_ops": "verify"},
        "private": {"d": "AQAB"},
        "symmetric beside it": {"k": "AQAB"},
    }.items():
        yield f"{alg}, {name}", {**good, **members}, key, alg


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
