"""Keys that verify tokens: an import policy of our own, and a cache that outlives its issuer.

RFC 7517 leaves a reader free to accept almost anything; RFC 8725 section 3 says what to refuse. A
key is taken only if it is public, asymmetric, strong enough, named once, and says nothing that
contradicts itself. One bad key does not spoil the good ones beside it.
"""

import asyncio
import base64
import binascii
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.documents import parse
from gateway.records import Records
from runtime.clock import Clock

PublicKey = ECKey | OKPKey | RSAKey
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Final[dict[str, tuple[str, frozenset[str], int]]] = {
    # crv: (kty, algorithms, coordinate bytes); RFC 7518 section 6.2.1.1, RFC 8037, RFC 9864
    "P-256": ("EC", frozenset({"ES256"}), 32),
    "P-384": ("EC", frozenset({"ES384"}), 48),
    "P-521": ("EC", frozenset({"ES512"}), 66),
    "Ed25519": ("OKP", frozenset({"EdDSA", "Ed25519"}), 32),
}
_RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ALGORITHMS: Final = frozenset({*_RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA", "Ed25519"})
"""Every signature algorithm an issuer may be pinned to."""
_RSA_BITS: Final = (2048, 8192)
_LEAST_EXPONENT: Final = 65537
_LONGEST_KID: Final = 256
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 30.0
_PATIENCE_SECONDS: Final = 2.0
_MOST_KEYS: Final = 256
"""An issuer signs with one key and publishes a few; importing thousands would hold everybody up."""


class KeyRefusedError(ValueError):
    """A key that the import policy does not take; the message is a stable reason id."""


class VerifyingKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key taken, and the algorithms it may be used with."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey


def _number(value: Any) -> bytes:
    """Decode canonical base64url (RFC 4648 section 5, no padding, no stray bits)."""
    if not isinstance(value, str) or not _BASE64URL.fullmatch(value):
        raise KeyRefusedError("not-base64url")
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except binascii.Error:
        raise KeyRefusedError("not-base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != value.encode():
        raise KeyRefusedError("not-canonical-base64url")
    return raw


def _check_use(jwk: Mapping[str, Any]) -> None:
    if _PRIVATE & jwk.keys():
        raise KeyRefusedError("private-or-symmetric")
    if jwk.get("use", "sig") != "sig":
        raise KeyRefusedError("not-for-signatures")
    operations = jwk.get("key_ops", ["verify"])
    if operations != ["verify"]:
        raise KeyRefusedError("key-ops-not-verify")


def _rsa(jwk: Mapping[str, Any]) -> frozenset[str]:
    modulus, exponent = _number(jwk.get("n")), _number(jwk.get("e"))
    if modulus[:1] == b"\0" or exponent[:1] == b"\0":
        raise KeyRefusedError("not-minimal")
    bits = int.from_bytes(modulus).bit_length()
    value = int.from_bytes(exponent)
    if not _RSA_BITS[0] <= bits <= _RSA_BITS[1]:
        raise KeyRefusedError("rsa-size")
    if modulus[-1] % 2 == 0 or value % 2 == 0 or not _LEAST_EXPONENT <= value < 1 << 32:
        raise KeyRefusedError("rsa-numbers")
    return _RSA_ALGORITHMS


def _curve(jwk: Mapping[str, Any], kty: str) -> frozenset[str]:
    expected, algorithms, size = _CURVES.get(str(jwk.get("crv")), ("", frozenset(), 0))
    if expected != kty:
        raise KeyRefusedError("curve-not-allowed")
    coordinates = ("x", "y") if kty == "EC" else ("x",)
    for each in coordinates:
        if len(_number(jwk.get(each))) != size:
            raise KeyRefusedError("coordinate-size")
    return algorithms


def _checked(jwk: Mapping[str, Any]) -> tuple[frozenset[str], type[PublicKey]]:
    """Answer the algorithms a key's numbers allow, and what imports it."""
    match jwk.get("kty"):
        case "RSA":
            return _rsa(jwk), RSAKey
        case "EC":
            return _curve(jwk, "EC"), ECKey
        case "OKP":
            return _curve(jwk, "OKP"), OKPKey
        case _:
            raise KeyRefusedError("key-type-not-allowed")


def import_key(jwk: Any) -> VerifyingKey:
    """Take one public key; raise `KeyRefusedError` with the reason."""
    if not isinstance(jwk, dict):
        raise KeyRefusedError("not-an-object")
    _check_use(jwk)
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _LONGEST_KID):
        raise KeyRefusedError("kid-not-usable")
    algorithms, importer = _checked(jwk)
    members = {each: jwk[each] for each in ("kty", "crv", "x", "y", "n", "e") if each in jwk}
    try:
        key = importer.import_key(members)
        key.public_key  # noqa: B018  the point is checked to lie on its curve here, not at first use
    except (JoseError, ValueError, TypeError) as error:
        raise KeyRefusedError("not-a-key") from error
    stated = jwk.get("alg")
    if stated is not None:
        if not isinstance(stated, str) or stated not in algorithms:
            raise KeyRefusedError("alg-contradicts-key")
        algorithms = frozenset({stated})
    return VerifyingKey(kid=kid, algorithms=algorithms, key=key)


def _distinct(key: VerifyingKey, named: Mapping[str | None, int], members: int) -> VerifyingKey:
    if named[key.kid] > 1:
        raise KeyRefusedError("kid-names-two-keys")
    if key.kid is None and members > 1:
        raise KeyRefusedError("kid-missing")
    return key


def import_set(document: Any) -> tuple[dict[str | None, VerifyingKey], list[str]]:
    """Take the good keys of a JWKS by `kid`; answer them and the reasons of those refused.

    A `kid` that names two keys names none; a key without one is taken only if it stands alone.
    """
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise KeyRefusedError("not-a-jwks")
    if len(members) > _MOST_KEYS:
        raise KeyRefusedError("too-many-keys")
    named = Counter(
        each.get("kid") if isinstance(each.get("kid"), str) else None
        for each in members
        if isinstance(each, dict)
    )
    taken: dict[str | None, VerifyingKey] = {}
    refused: list[str] = []
    for member in members:
        try:
            key = _distinct(import_key(member), named, len(members))
            taken[key.kid] = key
        except KeyRefusedError as error:
            refused.append(str(error))
    return taken, refused


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    def find(self, kid: str | None) -> VerifyingKey | None:
        """Answer a key at hand, without waiting."""

    async def fetch(self, kid: str | None) -> VerifyingKey | None:
        """Answer a key after asking the issuer; raise `KeysUnavailableError` if it has none."""


class LocalKeys:
    """The built-in issuer's own keys."""

    def __init__(self, keys: Callable[[], Iterable[VerifyingKey]]) -> None:
        self._keys = keys

    def find(self, kid: str | None) -> VerifyingKey | None:
        """Answer the key of that name."""
        return next((each for each in self._keys() if each.kid == kid), None)

    async def fetch(self, kid: str | None) -> VerifyingKey | None:
        """Answer what `find` does: there is nobody else to ask."""
        return self.find(kid)


Fetch = Callable[[str], Awaitable[bytes]]
"""Gets a URL's body, bounded in time and size; raises on anything but 200."""


class KeysUnavailableError(Exception):
    """Whether a token is right cannot be told now; `retry_after` in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"keys are not available for {retry_after:.1f} s")
        self.retry_after = retry_after


class RemoteKeys:
    """An issuer's JWKS: one fetch at a time, stale keys served while the issuer is down.

    An unknown `kid` asks the issuer, at most once per cooldown, so that a flood of invented names
    costs it next to nothing. Whoever comes within it waits for the next fetch, because the key that
    signed may be newer than what was fetched. Only with the issuer down, or too many waiting, does
    `KeysUnavailableError` say that nothing can be told: a right token is never called wrong.
    """

    def __init__(
        self,
        *,
        issuer: str,
        jwks_uri: str | None,
        fetch: Fetch,
        clock: Clock,
        records: Records,
        discovery: str = "openid",
        fresh_seconds: float = 600.0,
        stale_seconds: float = 86_400.0,
        cooldown_seconds: float = 1.0,
        most_waiting: int = 1_000,
    ) -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._fetch = fetch
        self._clock = clock
        self._records = records
        self._discovery = discovery
        self._fresh = fresh_seconds
        self._stale = stale_seconds
        self._cooldown = cooldown_seconds
        self._most_waiting = most_waiting
        self._keys: dict[str | None, VerifyingKey] = {}
        self._fetched = float("-inf")
        self._asked = float("-inf")
        self._failures = 0
        self._waiting = 0
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<RemoteKeys {self._issuer} {len(self._keys)} keys>"

    def find(self, kid: str | None) -> VerifyingKey | None:
        """Answer a key no older than the stale limit; start a refresh in passing when due."""
        age = self._clock.monotonic() - self._fetched
        if age > self._stale:
            return None
        if age > self._fresh and self._running is None and self._rest() <= 0:
            self._refresh()
        return self._keys.get(kid)

    async def fetch(self, kid: str | None) -> VerifyingKey | None:
        """Ask the issuer as soon as it may be asked; answer the key, None if it has none.

        Raises `KeysUnavailableError` when no usable keys are to be had, or when the issuer could
        not be asked: the key may be newer than those that still serve.
        """
        if self._running is None and self._rest() <= 0:
            await asyncio.shield(self._refresh())
        else:
            if self._running is not None:
                await asyncio.shield(self._running)
                if (found := self.find(kid)) is not None:
                    return found
            if self.usable:
                # What was fetched may have been written before this token's key was: look again.
                await self._wait_for_next()
        found = self.find(kid)
        if found is None and (self._failures or not self.usable):
            raise KeysUnavailableError(max(1.0, self._rest()))
        return found

    @property
    def usable(self) -> bool:
        """Tell whether there are keys no older than the stale limit."""
        return bool(self._keys) and self._clock.monotonic() - self._fetched <= self._stale

    def close(self) -> None:
        """Let go of what is being fetched."""
        for each in (self._next, self._running):
            if each is not None:
                each.cancel()

    async def _wait_for_next(self) -> None:
        if self._waiting >= self._most_waiting or self._rest() > _PATIENCE_SECONDS:
            raise KeysUnavailableError(max(1.0, self._rest()))
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._load_next())
            self._next.add_done_callback(self._next_done)
        self._waiting += 1
        try:
            await asyncio.shield(self._next)
        finally:
            self._waiting -= 1

    async def _load_next(self) -> None:
        await asyncio.sleep(self._rest())
        await asyncio.shield(self._running or self._refresh())

    def _next_done(self, _: asyncio.Task[None]) -> None:
        self._next = None

    def _rest(self) -> float:
        """Answer the seconds until the issuer may be asked: later each time it has failed."""
        pause = self._cooldown
        if self._failures:
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0**self._failures)
        return self._asked + pause - self._clock.monotonic()

    def _refresh(self) -> asyncio.Task[None]:
        self._asked = self._clock.monotonic()
        self._running = asyncio.get_running_loop().create_task(self._load())
        self._running.add_done_callback(self._done)
        return self._running

    def _done(self, _: asyncio.Task[None]) -> None:
        self._running = None

    async def _load(self) -> None:
        try:
            uri = self._jwks_uri or await self._discovered()
            keys, refused = import_set(parse(await self._fetch(uri)))
        except Exception as error:  # noqa: BLE001  an issuer can fail in any way; its keys stay
            self._failed(type(error).__name__)
            return
        if refused:
            self._records.event(
                "issuer_keys_refused", issuer=self._issuer, reasons=sorted(set(refused))
            )
        if not keys:
            self._failed("no-usable-key")  # garbage does not displace keys that work
            return
        self._failures = 0
        self._keys = keys
        self._fetched = self._clock.monotonic()

    def _failed(self, error: str) -> None:
        self._failures = min(self._failures + 1, 16)
        self._records.event("issuer_keys_not_fetched", issuer=self._issuer, error=error)

    async def _discovered(self) -> str:
        """Find the JWKS by the issuer's own metadata, which must name this very issuer."""
        document = parse(await self._fetch(metadata_url(self._issuer, self._discovery)))
        if not isinstance(document, dict) or document.get("issuer") != self._issuer:
            raise KeyRefusedError("discovery-names-another-issuer")
        uri = document.get("jwks_uri")
        if not isinstance(uri, str) or not reachable(uri):
            raise KeyRefusedError("jwks-uri-not-allowed")
        return uri


def metadata_url(issuer: str, discovery: str) -> str:
    """Answer where an issuer's metadata is.

    OpenID Connect Discovery 1.0 section 4 appends to the issuer; RFC 8414 section 3.1 inserts
    between its host and its path.
    """
    if discovery == "openid":
        return issuer.rstrip("/") + "/.well-known/openid-configuration"
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}"


def reachable(url: str) -> bool:
    """Tell whether keys may come from there: TLS, or this machine's loopback."""
    try:
        parts = urlsplit(url)
        port_named, host = parts.port is not None, parts.hostname
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    loopback = host in ("127.0.0.1", "localhost", "::1") and port_named
    return parts.scheme == "https" or (parts.scheme == "http" and loopback)
