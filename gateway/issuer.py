"""The built-in issuer: client credentials in, RFC 9068 access tokens out. For development.

Keys are made on the first start and kept in the data directory, readable by their owner only. A
rotation adds a key; the one before stays published as long as a token it signed may live. A client
may withdraw its own tokens (RFC 7009); one that proves itself by certificate gets tokens bound to
it (RFC 8705).
"""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.attempts import Attempts
from gateway.call import Call, Reply
from gateway.certificates import Presented
from gateway.config import Client
from gateway.edge import bytes_reply
from gateway.keys import VerifyingKey, import_key
from gateway.oauth import ClientProof, OAuthError, Proven, form_of, refused
from gateway.peers import Peers
from gateway.revocation import Entry, Revocations, token_subject
from runtime.clock import Clock

ALGORITHM: Final = "ES256"
_LEEWAY_SECONDS: Final = 60.0
"""A withdrawn token is remembered for this long after its expiry: clocks differ."""


class _KeptKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key as kept on disk; from the epoch second `retired` on it may be dropped."""

    jwk: dict[str, Any]
    created: float
    retired: float | None = None


class KeyRing:
    """The issuer's signing keys, kept in one file."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._kept: list[_KeptKey] = []
        self._signing: ECKey | None = None
        self._public: tuple[VerifyingKey, ...] = ()

    def open(self) -> None:
        """Read the keys, or make the first one."""
        if self._path.exists():
            self._kept = msgspec.json.decode(self._path.read_bytes(), type=list[_KeptKey])
        if not self._kept:
            self._add(self._clock.now().timestamp())
        self._bind()

    def rotate(self, *, overlap_seconds: float) -> None:
        """Sign with a new key from now on; publish the old ones for the overlap."""
        now = self._clock.now().timestamp()
        live = [each for each in self._kept if each.retired is None or each.retired > now]
        self._kept = [
            msgspec.structs.replace(each, retired=each.retired or now + overlap_seconds)
            for each in live
        ]
        self._add(now)
        self._bind()

    @property
    def signing(self) -> ECKey:
        """The key that signs now."""
        if self._signing is None:
            raise RuntimeError("the key ring is not open")
        return self._signing

    def public(self) -> tuple[VerifyingKey, ...]:
        """Answer the keys that verify."""
        return self._public

    def jwks(self) -> dict[str, Any]:
        """Answer the published key set."""
        return {"keys": [_published(each.jwk) for each in self._kept]}

    def _add(self, now: float) -> None:
        key = ECKey.generate_key("P-256")
        jwk = {**key.as_dict(private=True), "alg": ALGORITHM, "use": "sig"}
        jwk["kid"] = key.thumbprint()
        self._kept = [_KeptKey(jwk=jwk, created=now), *self._kept]
        self._write()

    def _write(self) -> None:
        """Replace the file in one step; nobody else may ever read it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(self._kept))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _bind(self) -> None:
        newest = self._kept[0].jwk
        self._signing = ECKey.import_key({each: newest[each] for each in _PRIVATE_MEMBERS})
        self._public = tuple(import_key(_published(each.jwk)) for each in self._kept)


_PRIVATE_MEMBERS: Final = ("kty", "crv", "x", "y", "d")
_PUBLIC_MEMBERS: Final = ("kty", "crv", "x", "y", "kid", "alg", "use")


def _published(jwk: Mapping[str, Any]) -> dict[str, Any]:
    return {each: jwk[each] for each in _PUBLIC_MEMBERS}


class Issuer:
    """Answers `POST /oauth/token`, `POST /oauth/revoke` and the issuer's metadata."""

    def __init__(
        self,
        *,
        url: str,
        audience: str,
        clients: Mapping[str, Client],
        ring: KeyRing,
        token_seconds: int,
        clock: Clock,
        chance: random.Random,
        log: Callable[..., None],
        attempts: Attempts,
        peers: Peers,
        presented: Presented,
        revocations: Revocations,
    ) -> None:
        self.url = url
        self.audience = audience
        self.ring = ring
        self._token_seconds = token_seconds
        self._clock = clock
        self._chance = chance
        self._log = log
        self._revocations = revocations
        self._presented = presented
        self._proof = ClientProof(
            clients,
            attempts=attempts,
            peers=peers,
            presented=presented,
            revocations=revocations,
            log=log,
        )

    def metadata(self) -> dict[str, Any]:
        """Answer the authorization server metadata (RFC 8414)."""
        ways = ["client_secret_basic", "client_secret_post"]
        ways += ["tls_client_auth"] if self._presented.possible else []
        return {
            "issuer": self.url,
            "token_endpoint": f"{self.url}/oauth/token",
            "revocation_endpoint": f"{self.url}/oauth/revoke",
            "jwks_uri": f"{self.url}/.well-known/jwks.json",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ways,
            "revocation_endpoint_auth_methods_supported": ways,
            "tls_client_certificate_bound_access_tokens": self._presented.possible,
            "scopes_supported": self._proof.scopes(),
        }

    async def token(self, call: Call) -> Reply:
        """Grant an access token to a client that proves itself (RFC 6749 section 4.4)."""
        try:
            form = form_of(call)
            proven = self._proof.of(call, form)
            scopes = _granted(form, proven.client.scopes)
        except OAuthError as error:
            return refused(error)
        document = {
            "access_token": self.sign(proven.name, scopes, bound_to=proven.thumbprint),
            "token_type": "Bearer",
            "expires_in": self._token_seconds,
            "scope": " ".join(scopes),
        }
        reply = bytes_reply(msgspec.json.encode(document), media_type=b"application/json")
        reply.headers.append((b"cache-control", b"no-store"))
        return reply

    async def revoke(self, call: Call) -> Reply:
        """Withdraw a token of the client that asks; say the same of any other (RFC 7009)."""
        try:
            form = form_of(call)
            proven = self._proof.of(call, form)
        except OAuthError as error:
            return refused(error)
        token = form.get("token")
        if not token:
            return refused(OAuthError("invalid_request", "Send the token."))
        entry = self._withdrawal(token, proven)
        if entry is not None:
            await self._revocations.add(entry)
        reply = bytes_reply(b"", media_type=b"application/json")
        reply.headers.append((b"cache-control", b"no-store"))
        return reply

    def _withdrawal(self, token: str, proven: Proven) -> Entry | None:
        """Answer the entry that withdraws a token; None unless it is this client's, signed here."""
        for key in self.ring.public():
            try:
                raw = jws.deserialize_compact(token, key.key, algorithms=[ALGORITHM]).payload
                claims = msgspec.json.decode(raw, type=_Own)
            except (JoseError, ValueError, TypeError, msgspec.MsgspecError):
                continue
            if claims.client_id != proven.name:
                self._log("token_of_another_not_revoked", client=proven.name)
                return None
            return Entry(
                subject=token_subject(self.url, claims.jti),
                at=self._clock.now().timestamp(),
                until=claims.exp + _LEEWAY_SECONDS,
                by=proven.name,
            )
        return None

    def sign(self, client: str, scopes: Sequence[str], *, bound_to: str | None = None) -> str:
        """Sign an access token (RFC 9068 section 2), bound to a certificate where there is one."""
        now = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": client,
            "client_id": client,
            "aud": self.audience,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + self._token_seconds,
            "jti": f"{self._chance.getrandbits(128):032x}",
        }
        if bound_to is not None:
            claims["cnf"] = {"x5t#S256": bound_to}
        key = self.ring.signing
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.thumbprint()}
        return jws.serialize_compact(
            header, msgspec.json.encode(claims), key, algorithms=[ALGORITHM]
        )


class _Own(msgspec.Struct):
    """What is read of a token signed here."""

    client_id: str
    jti: str
    exp: float


def _granted(form: Mapping[str, str], allowed: Sequence[str]) -> list[str]:
    """Answer the scopes a token gets: those asked for, or all the client has."""
    if form.get("grant_type") != "client_credentials":
        raise OAuthError("unsupported_grant_type", "Use grant_type=client_credentials.")
    asked = form.get("scope")
    if not asked:
        return sorted(allowed)
    wanted = set(asked.split(" "))
    if not wanted <= set(allowed):
        raise OAuthError("invalid_scope", "The client does not have every scope it asks for.")
    return sorted(wanted)
