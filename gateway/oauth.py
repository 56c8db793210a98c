"""How a client proves itself at the token endpoint, and how it is told that it has not.

RFC 6749 sections 2.3 and 5.2, RFC 8705 section 2. Every secret is compared by digest, and as many
digests for a name nobody has, so that time tells nothing; failures are counted and slowed.
"""

import hashlib
import hmac
import math
import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from gateway.attempts import Attempts
from gateway.call import Call, Header, Reply
from gateway.certificates import CertificateRefusedError, Presented
from gateway.config import BUILT_IN, MOST_KEYS, Client, secret_digest
from gateway.edge import bytes_reply
from gateway.peers import Peers
from gateway.revocation import Revocations, subject_of

_FORM: Final = b"application/x-www-form-urlencoded"


class OAuthError(Exception):
    """An error of RFC 6749 section 5.2; `retry_after` in seconds where it is asked to slow down."""

    def __init__(
        self, error: str, description: str, *, status: int = 400, retry_after: float | None = None
    ) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.retry_after = retry_after


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """A client that proved itself; `thumbprint` of the certificate it did it with."""

    name: str
    client: Client
    thumbprint: str | None = None


class ClientProof:
    """The clients of the built-in issuer, and what each can prove itself with."""

    def __init__(
        self,
        clients: Mapping[str, Client],
        *,
        attempts: Attempts,
        peers: Peers,
        presented: Presented,
        revocations: Revocations,
        log: Callable[..., None],
    ) -> None:
        self._attempts = attempts
        self._peers = peers
        self._presented = presented
        self._revocations = revocations
        self._log = log
        # Compared with where a client has fewer secrets or nobody the name: the time is the same.
        nobody = hashlib.sha256(secrets.token_bytes(32)).digest()
        self._nobody = (nobody,) * MOST_KEYS
        self._clients = {
            name: (client, _filled([secret_digest(each) for each in client.secrets], nobody))
            for name, client in clients.items()
            if can_prove_itself(client)
        }

    def scopes(self) -> list[str]:
        """Answer every scope a client may be granted."""
        return sorted({scope for client, _ in self._clients.values() for scope in client.scopes})

    def of(self, call: Call, form: Mapping[str, str]) -> Proven:
        """Answer who is asking; raise `OAuthError` for one that has not proven it."""
        basic = _basic(call)
        if basic is not None and "client_secret" in form:
            raise OAuthError("invalid_request", "Authenticate in one way only.")
        name, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
        address = self._peers.address(call)
        wait = self._attempts.wait(name, address)
        if wait > 0:
            self._log("client_slowed", client=self._known(name), address=address)
            raise OAuthError(
                "temporarily_unavailable",
                "Too many failed attempts; wait before the next.",
                status=429,
                retry_after=wait,
            )
        proven = self._by_certificate(call, name) if secret is None else self._by(name, secret)
        if proven is None:
            self._attempts.failed(name, address)
            self._log("client_refused", client=self._known(name), address=address)
            raise OAuthError("invalid_client", "The client or its secret is wrong.", status=401)
        self._attempts.succeeded(name, address)
        return proven

    def _by(self, name: str, secret: str) -> Proven | None:
        client, digests = self._clients.get(name, (None, self._nobody))
        given = hashlib.sha256(secret.encode()).digest()
        # Every digest is compared, and as many for an unknown client: time tells nothing.
        proven = [hmac.compare_digest(given, each) for each in digests]
        if client is None or not any(proven) or self._stopped(name, client):
            return None
        return Proven(name=name, client=client)

    def _by_certificate(self, call: Call, name: str) -> Proven | None:
        """Answer a client by the certificate a trusted hop saw (RFC 8705 section 2.1)."""
        try:
            shown = self._presented.of(call)
        except CertificateRefusedError:
            return None
        client, _ = self._clients.get(name, (None, ()))
        if shown is None or client is None or self._stopped(name, client):
            return None
        if self._revocations.holds((subject_of("certificate", shown.thumbprint),)):
            return None
        if not any(each in client.certificates for each in shown.names):
            return None
        return Proven(name=name, client=client, thumbprint=shown.thumbprint)

    def _stopped(self, name: str, client: Client) -> bool:
        return client.disabled or self._revocations.holds((subject_of("client", name),))

    def _known(self, name: str) -> str:
        """Answer a name for the log: what a stranger writes there is not repeated."""
        return name if name in self._clients else "unknown"


def can_prove_itself(client: Client) -> bool:
    """Tell whether the built-in issuer has anything to know the client by."""
    return client.issuer == BUILT_IN and bool(client.secrets or client.certificates)


def _filled(digests: list[bytes], nobody: bytes) -> tuple[bytes, ...]:
    return (*digests, *([nobody] * (MOST_KEYS - len(digests))))


def form_of(call: Call) -> dict[str, str]:
    """Read the form; raise `OAuthError` for what cannot be read or comes twice."""
    if call.fields.get(b"content-type", b"").split(b";", 1)[0].strip().lower() != _FORM:
        raise OAuthError("invalid_request", "Send application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(
            (call.body or b"").decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=16,
        )
    except ValueError:
        raise OAuthError("invalid_request", "The form cannot be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "A parameter is given twice.")
    return form


def _basic(call: Call) -> tuple[str, str] | None:
    header = call.fields.get(b"authorization")
    if header is None:
        return None
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise OAuthError("invalid_client", "Use HTTP Basic or form parameters.", status=401)
    try:
        name, colon, secret = b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except ValueError:
        raise OAuthError("invalid_client", "The credentials cannot be read.", status=401) from None
    if not colon:
        raise OAuthError("invalid_client", "The credentials cannot be read.", status=401)
    return unquote_plus(name), unquote_plus(secret)  # RFC 6749 section 2.3.1


def refused(error: OAuthError) -> Reply:
    """Answer an error as RFC 6749 section 5.2 has it."""
    headers: list[Header] = [(b"cache-control", b"no-store")]
    if error.error == "invalid_client":
        headers.append((b"www-authenticate", b'Basic realm="crossdock"'))
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    body = {"error": error.error, "error_description": error.description}
    reply = bytes_reply(
        msgspec.json.encode(body), media_type=b"application/json", status=error.status
    )
    reply.headers.extend(headers)
    reply.reason = error.error
    return reply
