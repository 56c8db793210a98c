"""Verifiers that are wrong as real ones have been; the campaign must turn red on each."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from gateway.keys import VerifyingKey
from gateway.tokens import Claims, TokenRefusedError, Trust, Verifier
from runtime.clock import Clock
from tests.security.forging import b64


def _decoded(part: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(part + "=="))
    except (ValueError, RecursionError):
        raise TokenRefusedError("defect") from None


class Loose(Verifier):
    """Falls back to a looser look at what the right verifier refuses."""

    def __init__(self, trusted: Mapping[str, Trust], *, clock: Clock) -> None:
        super().__init__(trusted, clock=clock)
        self.trusted = trusted

    async def verify(self, token: str) -> Claims:
        try:
            return await super().verify(token)
        except TokenRefusedError:
            parts = token.split(".")
            if len(parts) != 3:
                raise
            header, claims = _decoded(parts[0]), _decoded(parts[1])
            if not isinstance(header, dict) or not isinstance(claims, dict):
                raise
            key = await self.key_of(header, claims)
            if not self.looks_right(token, header, claims, key):
                raise
            return Claims(
                issuer=next(iter(self.trusted)),
                consumer="caller",
                subject="service",
                scopes=frozenset({"orders:read"}),
                expires=float("inf"),
            )

    async def key_of(self, header: dict[str, Any], claims: dict[str, Any]) -> VerifyingKey | None:
        """Answer the issuer's key."""
        trust = (
            self.trusted.get(claims.get("iss", "")) if isinstance(claims.get("iss"), str) else None
        )
        kid = header.get("kid")
        return trust.keys.find(kid) if trust is not None and isinstance(kid, str) else None

    def looks_right(self, token: str, header: Any, claims: Any, key: VerifyingKey | None) -> bool:
        """Tell whether the defect lets it through."""
        raise NotImplementedError


def _signed(token: str, key: Any, alg: Any) -> bool:
    try:
        jws.deserialize_compact(token, key, algorithms=[alg])
    except (JoseError, ValueError, TypeError, AttributeError):
        return False
    return True


class AlgFromHeader(Loose):
    """Does what the header says: HMAC with the public key, or nothing at all."""

    def looks_right(self, token, header, claims, key):
        alg = header.get("alg")
        if isinstance(alg, str) and alg.lower() == "none":
            return True
        if key is None or not isinstance(alg, str) or not alg.startswith("HS"):
            return False
        pem = key.key.public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        said, _, mac = token.rpartition(".")
        digest = getattr(hashlib, f"sha{alg[2:]}", hashlib.sha256)
        return b64(hmac.new(pem, said.encode(), digest).digest()) == mac


class FollowsJwk(Loose):
    """Believes the key that a token brings along."""

    def looks_right(self, token, header, claims, key):
        try:
            brought = import_key(header["jwk"])
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            return False
        return _signed(token, brought, header.get("alg"))


class AnyKey(Loose):
    """Takes any trusted issuer's key for any issuer's token."""

    def looks_right(self, token, header, claims, key):
        return any(
            _signed(token, each.key, header.get("alg"))
            for trust in self.trusted.values()
            for each in getattr(trust.keys, "_keys", {}).values()
        )


class _Signed(Loose):
    """Right about signatures, wrong about what they sign."""

    excused: frozenset[str] = frozenset()

    async def verify(self, token: str) -> Claims:
        try:
            return await Verifier.verify(self, token)
        except TokenRefusedError as error:
            if error.reason not in self.excused:
                raise
        return Claims(
            issuer=next(iter(self.trusted)),
            consumer="caller",
            subject="service",
            scopes=frozenset({"orders:read"}),
            expires=float("inf"),
        )


class SkipsAudience(_Signed):
    """Takes a token meant for another."""

    excused = frozenset({"aud-not-ours"})


class SkipsExpiry(_Signed):
    """Takes a token of any age."""

    excused = frozenset({"expired", "exp-type", "exp-range"})


class SkipsType(_Signed):
    """Takes an ID token for an access token; it is read before its signature."""

    excused = frozenset({"typ-not-allowed"})


class IgnoresCritical(_Signed):
    """Takes headers it does not understand."""

    excused = frozenset({"header-member-not-allowed"})


class DuplicateNames(_Signed):
    """Takes JSON that two readers read differently."""

    excused = frozenset({"segment-not-json"})


class IgnoresConfirmation(_Signed):
    """Takes a token bound to a key as if it were anybody's."""

    excused = frozenset({"cnf-not-supported", "cnf-type"})


class NoSignature(_Signed):
    """Forgets to look whether the signature held."""

    excused = frozenset({"signature"})


class _LaxKeys:
    """Imports whatever the library imports."""

    def __init__(self, keys: Any) -> None:
        self._source = keys
        self._all: dict[str, VerifyingKey] = {}

    def find(self, kid: str | None) -> VerifyingKey | None:
        return self._all.get(kid or "")

    async def fetch(self, kid: str | None) -> VerifyingKey | None:
        document = msgspec.json.decode(await self._source._fetch(self._source._jwks_uri))
        for each in document["keys"]:
            try:
                plain = {k: each[k] for k in ("kty", "crv", "x", "y", "n", "e") if k in each}
                found = VerifyingKey(
                    kid=each["kid"],
                    algorithms=frozenset({"RS256", "ES256", "EdDSA"}),
                    key=import_key(plain),
                )
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                continue
            self._all[each["kid"]] = found
        return self.find(kid)


class WeakKeys(Verifier):
    """Has no import policy."""

    def __init__(self, trusted: Mapping[str, Trust], *, clock: Clock) -> None:
        lax = {
            name: msgspec.structs.replace(trust, keys=_LaxKeys(trust.keys))
            for name, trust in trusted.items()
        }
        super().__init__(lax, clock=clock)


DEFECTS: dict[str, type[Verifier]] = {
    "alg-from-header": AlgFromHeader,
    "any-key": AnyKey,
    "duplicate-names": DuplicateNames,
    "follows-jwk": FollowsJwk,
    "ignores-confirmation": IgnoresConfirmation,
    "ignores-critical": IgnoresCritical,
    "no-signature": NoSignature,
    "skips-audience": SkipsAudience,
    "skips-expiry": SkipsExpiry,
    "skips-type": SkipsType,
    "weak-keys": WeakKeys,
}
"""By name, for `--defect`."""
