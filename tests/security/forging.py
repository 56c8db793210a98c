"""Keys and signatures made without the gateway's own libraries: the oracle stands outside.

Everything here uses `cryptography` alone and writes tokens by hand, so that a token can be wrong in
exactly one way.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip


def b64(raw: bytes) -> str:
    """Answer canonical base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    """Answer a positive number as a JWK writes it."""
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def a_key(alg: str) -> PrivateKey:
    """Make a key for an algorithm."""
    match alg[:2]:
        case "RS" | "PS":
            return rsa.generate_private_key(65537, 2048)
        case "ES":
            return ec.generate_private_key(CURVES[alg]())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def sign(alg: str, key: PrivateKey, said: bytes) -> bytes:
    """Sign as RFC 7518 section 3 and RFC 8037 have it."""
    match key:
        case rsa.RSAPrivateKey():
            kind = HASHES[alg[2:]]()
            if alg.startswith("RS"):
                return key.sign(said, padding.PKCS1v15(), kind)
            return key.sign(said, padding.PSS(padding.MGF1(kind), kind.digest_size), kind)
        case ec.EllipticCurvePrivateKey():
            r, s = decode_dss_signature(key.sign(said, ec.ECDSA(HASHES[alg[2:]]())))
            size = (key.curve.key_size + 7) // 8
            return r.to_bytes(size) + s.to_bytes(size)
        case ed25519.Ed25519PrivateKey():
            return key.sign(said)


def jwk(key: PrivateKey, **members: Any) -> dict[str, Any]:
    """Answer the public JWK."""
    match key:
        case rsa.RSAPrivateKey():
            numbers = key.public_key().public_numbers()
            found = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        case ec.EllipticCurvePrivateKey():
            point = key.public_key().public_numbers()
            size = (key.curve.key_size + 7) // 8
            found = {
                "kty": "EC",
                "crv": NAMES.get(key.curve.name, key.curve.name),
                "x": b64(point.x.to_bytes(size)),
                "y": b64(point.y.to_bytes(size)),
            }
        case ed25519.Ed25519PrivateKey():
            raw = key.public_key().public_bytes_raw()
            found = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
    return {**found, **members}


def spellings(key: PrivateKey) -> dict[str, bytes]:
    """Answer the public key in every form that has been taken for an HMAC secret."""
    public = key.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(serialization.Encoding.PEM, form)
    return {
        "PEM": pem,
        "PEM without its last newline": pem.rstrip(),
        "DER": public.public_bytes(serialization.Encoding.DER, form),
        "JWK": json.dumps(jwk(key)).encode(),
        "nothing": b"",
    }


class Minter:
    """An issuer's hand: signs what it is told, right or wrong."""

    def __init__(self, issuer: str, alg: str, kid: str, now: int, key: PrivateKey | None = None):
        self.alg = alg
        self.name = kid.removesuffix("-1")
        self.key = key or a_key(alg)
        self.header: dict[str, Any] = {"alg": alg, "typ": "at+jwt", "kid": kid}
        self.claims: dict[str, Any] = {
            "iss": issuer,
            "aud": "crossdock",
            "sub": "service",
            "client_id": "caller",
            "scope": "orders:read",
            "iat": now,
            "exp": now + 600,
            "jti": "b1",
        }
        self.now = now

    def token(
        self,
        header: Mapping[str, Any] | None = None,
        claims: Mapping[str, Any] | None = None,
        *,
        drop: tuple[str, ...] = (),
        key: PrivateKey | None = None,
        alg: str | None = None,
    ) -> str:
        """Sign with header and claims changed; `alg` is what is done, not what is said."""
        head = {k: v for k, v in {**self.header, **(header or {})}.items() if k not in drop}
        body = {k: v for k, v in {**self.claims, **(claims or {})}.items() if k not in drop}
        return self.raw(json.dumps(head).encode(), json.dumps(body).encode(), key=key, alg=alg)

    def raw(
        self,
        header: bytes,
        payload: bytes,
        *,
        key: PrivateKey | None = None,
        alg: str | None = None,
    ) -> str:
        """Sign exactly these bytes."""
        said = f"{b64(header)}.{b64(payload)}"
        return f"{said}.{b64(sign(alg or self.alg, key or self.key, said.encode()))}"

    def macd(self, alg: str, secret: bytes) -> str:
        """Authenticate with a secret instead (RFC 8725 section 2.1)."""
        said = f"{b64(json.dumps({**self.header, 'alg': alg}).encode())}.{b64(self.body())}"
        digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[alg]
        return f"{said}.{b64(hmac.new(secret, said.encode(), getattr(hashlib, digest)).digest())}"

    def body(self) -> bytes:
        """Answer the claims as they are signed."""
        return json.dumps(self.claims).encode()
