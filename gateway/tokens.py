"""Access tokens, read strictly (RFC 9068, RFC 8725): one spelling, one algorithm, one issuer.

The header may hold only members that change nothing (`alg`, `typ`, `kid`, and a certificate
thumbprint, which is ignored). Keys or addresses of keys inside a token are refused, not followed.
"""

import base64
import binascii
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning

from contracts.problems import ProblemError
from gateway.documents import parse
from gateway.keys import KeySource, VerifyingKey
from runtime.clock import Clock

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
LONGEST: Final = 8_192
_LONGEST_SUBJECT: Final = 256
_LATEST: Final = 2.0**53
"""No moment lies beyond what a JSON reader keeps exactly (RFC 8259 section 6)."""
_CLIENT_ID: Final = re.compile(r"[!-~]{1,256}")
"""Visible ASCII (RFC 6749 appendix A.1, without the space): it is written to logs and metrics."""
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class _Signatures(jws.JWSRegistry):
    """Takes signatures as long as the longest key that is taken makes them (8,192 bits)."""

    max_signature_length = 1_366


# EdDSA is the older name of Ed25519 (RFC 9864) and what most issuers still say.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


class TokenRefusedError(Exception):
    """A token that is not accepted. `reason` is for the log; callers get one constant body."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of one issuer, and nothing else."""

    issuer: str
    audience: str
    algorithms: frozenset[str]
    keys: Any
    types: frozenset[str] = frozenset({"at+jwt", "application/at+jwt"})
    leeway_seconds: float = 30.0
    scope_claim: str = "scope"
    consumer_claim: str = "client_id"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified token says."""

    issuer: str
    consumer: str
    subject: str
    scopes: frozenset[str]
    expires: float
    token_id: str | None = None
    bound_to: str | None = None
    """The thumbprint of the certificate that must come with it (RFC 8705 section 3)."""


class _Read(msgspec.Struct, frozen=True):
    header: dict[str, Any]
    claims: dict[str, Any]


def _segment(text: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise TokenRefusedError("segment-not-base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise TokenRefusedError("segment-not-canonical")
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    """Read one JSON object; a name that comes twice is refused (RFC 7515 section 4)."""
    try:
        found = parse(raw)
    except ProblemError:
        raise TokenRefusedError("segment-not-json") from None
    if not isinstance(found, dict):
        raise TokenRefusedError("segment-not-an-object")
    return found


def _read(token: str) -> _Read:
    """Split and decode, without believing anything yet."""
    if len(token) > LONGEST:
        raise TokenRefusedError("too-long")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise TokenRefusedError("not-compact")
    header = _object(_segment(parts[1]))
    if not header.keys() <= _HEADER_MEMBERS:
        raise TokenRefusedError("header-member-not-allowed")
    if not all(isinstance(each, str) for each in header.values()):
        raise TokenRefusedError("header-member-type")
    _segment(parts[3])
    return _Read(header, _object(_segment(parts[2])))


class Verifier:
    """Verifies tokens of the issuers it trusts."""

    def __init__(self, trusted: Mapping[str, Trust], *, clock: Clock) -> None:
        self._trusted = trusted
        self._clock = clock

    def begin(self, token: str) -> tuple[_Read, Trust, VerifyingKey | None]:
        """Read a token and find its issuer and key as far as they are at hand."""
        read = _read(token)
        issuer = read.claims.get("iss")
        trust = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trust is None:
            raise TokenRefusedError("issuer-not-trusted")
        if read.header.get("alg") not in trust.algorithms:
            raise TokenRefusedError("alg-not-allowed")
        if str(read.header.get("typ", "")).lower() not in trust.types:
            raise TokenRefusedError("typ-not-allowed")
        source: KeySource = trust.keys
        return read, trust, source.find(read.header.get("kid"))

    async def verify(self, token: str) -> Claims:
        """Answer what the token says, or raise `TokenRefusedError`."""
        read, trust, key = self.begin(token)
        if key is None:
            source: KeySource = trust.keys
            key = await source.fetch(read.header.get("kid"))
        if key is None:
            raise TokenRefusedError("key-unknown")
        algorithm = read.header["alg"]
        if algorithm not in key.algorithms:
            raise TokenRefusedError("alg-not-of-key")
        try:
            jws.deserialize_compact(token, key.key, registry=_Signatures(algorithms=[algorithm]))
        except (JoseError, ValueError, TypeError):
            raise TokenRefusedError("signature") from None
        return _claims(read.claims, trust, self._clock.now().timestamp())


def _moment(claims: dict[str, Any], name: str, *, required: bool) -> float | None:
    value = claims.get(name)
    if value is None and not required and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefusedError(f"{name}-type")
    if not 0 <= value <= _LATEST:
        raise TokenRefusedError(f"{name}-range")
    return float(value)


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_SUBJECT:
        raise TokenRefusedError(f"{name}-type")
    return value


def _bound(claims: dict[str, Any]) -> str | None:
    """Answer the certificate a token is bound to; a proof we cannot ask for is no bearer's.

    RFC 9449 section 7.1: a token bound to a key is not accepted as if it were not.
    """
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    if not isinstance(confirmation, dict) or confirmation.keys() != {"x5t#S256"}:
        raise TokenRefusedError("cnf-not-supported")
    thumbprint = confirmation["x5t#S256"]
    if not isinstance(thumbprint, str) or not _THUMBPRINT.fullmatch(thumbprint):
        raise TokenRefusedError("cnf-type")
    return thumbprint


def _claims(claims: dict[str, Any], trust: Trust, now: float) -> Claims:
    """Check the claims of a token whose signature holds (RFC 9068 section 4)."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or trust.audience not in audiences:
        raise TokenRefusedError("aud-not-ours")
    expires = _moment(claims, "exp", required=True)
    issued = _moment(claims, "iat", required=True)
    not_before = _moment(claims, "nbf", required=False)
    for moment in (issued, not_before):
        if moment is not None and moment > now + trust.leeway_seconds:
            raise TokenRefusedError("not-yet-valid")
    scope = claims.get(trust.scope_claim, "")
    if isinstance(scope, list) and all(isinstance(each, str) for each in scope):
        scopes = frozenset(scope)
    elif isinstance(scope, str):
        scopes = frozenset(scope.split())
    else:
        raise TokenRefusedError("scope-type")
    consumer = _text(claims, trust.consumer_claim)
    if not _CLIENT_ID.fullmatch(consumer):
        raise TokenRefusedError(f"{trust.consumer_claim}-characters")
    found = Claims(
        issuer=trust.issuer,
        consumer=consumer,
        subject=_text(claims, "sub"),
        scopes=scopes,
        expires=(expires or 0.0) + trust.leeway_seconds,
        token_id=_text(claims, "jti") if "jti" in claims else None,
        bound_to=_bound(claims),
    )
    if found.expires <= now:
        raise TokenRefusedError("expired")
    return found
