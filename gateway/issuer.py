"""The built-in issuer: client credentials in, RFC 9068 access tokens out. For development.

Keys are made on the first start and kept in the data directory, readable by their owner only. A
rotation adds a key; the one before stays published as long as a token it signed may live.
"""

import hashlib
import hmac
import os
import random
import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey

from gateway.call import Call, Header, Reply
from gateway.config import BUILT_IN, Client, secret_digest
from gateway.edge import bytes_reply
from gateway.keys import VerifyingKey, import_key
from runtime.clock import Clock

ALGORITHM: Final = "ES256"
_FORM: Final = b"application/x-www-form-urlencoded"


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


class _OAuthError(Exception):
    """An error of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, *, basic: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.basic = basic


class Issuer:
    """Answers `POST /oauth/token` and the issuer's metadata."""

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
    ) -> None:
        self.url = url
        self.audience = audience
        self.ring = ring
        self._token_seconds = token_seconds
        self._clock = clock
        self._chance = chance
        self._log = log
        self._clients = {
            name: (client, tuple(secret_digest(each) for each in client.secrets))
            for name, client in clients.items()
            if client.issuer == BUILT_IN and client.secrets
        }
        # Compared with when nobody has the name, so that both take the same time.
        self._nobody = hashlib.sha256(secrets.token_bytes(32)).digest()

    def metadata(self) -> dict[str, Any]:
        """Answer the authorization server metadata (RFC 8414)."""
        scopes = sorted({s for client, _ in self._clients.values() for s in client.scopes})
        return {
            "issuer": self.url,
            "token_endpoint": f"{self.url}/oauth/token",
            "jwks_uri": f"{self.url}/.well-known/jwks.json",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": scopes,
        }

    async def token(self, call: Call) -> Reply:
        """Grant an access token to a client that proves its secret (RFC 6749 section 4.4)."""
        try:
            name, scopes = self._grant(call)
        except _OAuthError as error:
            return _refused(error)
        document = {
            "access_token": self.sign(name, scopes),
            "token_type": "Bearer",
            "expires_in": self._token_seconds,
            "scope": " ".join(scopes),
        }
        reply = bytes_reply(msgspec.json.encode(document), media_type=b"application/json")
        reply.headers.append((b"cache-control", b"no-store"))
        return reply

    def _grant(self, call: Call) -> tuple[str, list[str]]:
        form = _form(call)
        name, client = self._client(call, form)
        if form.get("grant_type") != "client_credentials":
            raise _OAuthError("unsupported_grant_type", "Use grant_type=client_credentials.")
        return name, _granted(form.get("scope"), client.scopes)

    def sign(self, client: str, scopes: Sequence[str]) -> str:
        """Sign an access token (RFC 9068 section 2)."""
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": self.url,
            "sub": client,
            "client_id": client,
            "aud": self.audience,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + self._token_seconds,
            "jti": f"{self._chance.getrandbits(128):032x}",
        }
        key = self.ring.signing
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.thumbprint()}
        return jws.serialize_compact(
            header, msgspec.json.encode(claims), key, algorithms=[ALGORITHM]
        )

    def _client(self, call: Call, form: Mapping[str, str]) -> tuple[str, Client]:
        basic = _basic(call)
        if basic is not None and ("client_secret" in form):
            raise _OAuthError("invalid_request", "Authenticate in one way only.")
        name, secret = basic or (form.get("client_id", ""), form.get("client_secret", ""))
        client, digests = self._clients.get(name, (None, (self._nobody,)))
        given = hashlib.sha256(secret.encode()).digest()
        # Every digest is compared, and one for an unknown client too: time tells nothing.
        proven = [hmac.compare_digest(given, each) for each in digests]
        if client is None or not any(proven):
            self._log("client_refused", client=name[:64] if client is not None else "unknown")
            raise _OAuthError(
                "invalid_client", "The client or its secret is wrong.", basic=basic is not None
            )
        return name, client


def _form(call: Call) -> dict[str, str]:
    if call.fields.get(b"content-type", b"").split(b";", 1)[0].strip().lower() != _FORM:
        raise _OAuthError("invalid_request", "Send application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(
            (call.body or b"").decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=16,
        )
    except ValueError:
        raise _OAuthError("invalid_request", "The form cannot be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _OAuthError("invalid_request", "A parameter is given twice.")
    return form


def _basic(call: Call) -> tuple[str, str] | None:
    header = call.fields.get(b"authorization")
    if header is None:
        return None
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise _OAuthError("invalid_client", "Use HTTP Basic or form parameters.", basic=True)
    try:
        name, colon, secret = b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except ValueError:
        raise _OAuthError("invalid_client", "The credentials cannot be read.", basic=True) from None
    if not colon:
        raise _OAuthError("invalid_client", "The credentials cannot be read.", basic=True)
    return unquote_plus(name), unquote_plus(secret)  # RFC 6749 section 2.3.1


def _granted(asked: str | None, allowed: Sequence[str]) -> list[str]:
    if not asked:
        return sorted(allowed)
    wanted = set(asked.split(" "))
    if not wanted <= set(allowed):
        raise _OAuthError("invalid_scope", "The client does not have every scope it asks for.")
    return sorted(wanted)


def _refused(error: _OAuthError) -> Reply:
    status = 401 if error.error == "invalid_client" else 400
    headers: list[Header] = [(b"cache-control", b"no-store")]
    if status == 401:  # noqa: PLR2004  RFC 6749 section 5.2 asks for the challenge with a 401
        headers.append((b"www-authenticate", b'Basic realm="crossdock"'))
    body = {"error": error.error, "error_description": error.description}
    reply = bytes_reply(msgspec.json.encode(body), media_type=b"application/json", status=status)
    reply.headers.extend(headers)
    reply.reason = error.error
    return reply
