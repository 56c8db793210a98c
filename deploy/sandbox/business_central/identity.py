"""Microsoft Entra's token endpoint for client credentials, and the check of the tokens it gave.

Answers and AADSTS numbers are those of the Microsoft identity platform (OAuth 2.0 client
credentials flow). A token says itself who it is for and until when, signed with a key in the vault:
it outlives a restart.
"""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec

from deploy.sandbox.business_central.errors import BusinessCentralError
from deploy.sandbox.business_central.guids import new_guid
from deploy.sandbox.business_central.tenant import RESOURCE, SCOPE, Principal, Tenant
from deploy.sandbox.clock import Clock
from deploy.sandbox.faults import Fault
from deploy.sandbox.vault import Vault
from deploy.sandbox.wire import Reply, Request, json_reply

__all__ = ["Identity"]

_KEPT = 4096


class _Refusal(msgspec.Struct, frozen=True):
    """One way of refusing a token: status, OAuth error, AADSTS number and its text."""

    status: int
    error: str
    number: int
    text: str


class _Claims(msgspec.Struct):
    aud: str
    appid: str
    tid: str
    nbf: int
    exp: int
    uti: str


class Identity:
    """Gives tokens and recognises them."""

    def __init__(self, tenant: Tenant, vault: Vault, clock: Clock) -> None:
        self._tenant = tenant
        self._clock = clock
        self._principals = {one.client_id: one for one in tenant.principals}
        secrets = vault.table("secrets")
        if "signing" not in secrets:
            secrets.put("signing", {"key": os.urandom(32).hex()})
        self._key = bytes.fromhex((secrets.get("signing") or {})["key"])
        self._known: dict[str, _Claims] = {}
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Claims).decode

    def token(self, request: Request, tenant: str) -> Reply:
        """Answer a token request: a bearer token, or the refusal that Entra gives."""
        form = request.form()
        refusal = self._refusal(request, tenant, form)
        if refusal is not None:
            return self._refused(refusal)
        lifetime = self._tenant.token_seconds
        return json_reply(
            200,
            {
                "token_type": "Bearer",
                "expires_in": lifetime,
                "ext_expires_in": lifetime,
                "access_token": self._issue(form["client_id"]),
            },
            (b"cache-control", b"no-store, no-cache"),
            (b"pragma", b"no-cache"),
        )

    def refused_for(self, fault: Fault) -> Reply:
        """An injected fault in Entra's words."""
        status = 429 if fault.kind == "throttle" else fault.status
        text = fault.message or "The server is temporarily too busy to handle the request."
        wait = fault.retry_after
        headers = () if wait is None else ((b"retry-after", f"{wait:g}".encode()),)
        error = fault.code or "temporarily_unavailable"
        return self._refused(_Refusal(status, error, 90033, text), *headers)

    def principal(self, authorization: str) -> Principal:
        """Whoever a request comes from.

        Raises:
            BusinessCentralError: 401, no token of ours, expired, or unknown to the company.
        """
        scheme, _, token = authorization.partition(" ")
        claims = self._claims(token) if scheme.lower() == "bearer" and token else None
        if claims is None or claims.exp <= self._clock.now().timestamp():
            raise _unauthorised()
        principal = self._principals.get(claims.appid)
        if principal is None or not principal.enabled:
            raise _unauthorised()
        return principal

    def client(self, authorization: str) -> str | None:
        """The client a bearer token was given to, expired or not; None when we did not give it."""
        claims = self._claims(authorization.partition(" ")[2])
        return None if claims is None else claims.appid

    def _issue(self, client_id: str) -> str:
        now = int(self._clock.now().timestamp())
        claims = _Claims(
            aud=RESOURCE,
            appid=client_id,
            tid=self._tenant.tenant_id,
            nbf=now,
            exp=now + self._tenant.token_seconds,
            uti=new_guid(),
        )
        signed = _base64(b'{"typ":"JWT","alg":"HS256"}') + "." + _base64(self._encode(claims))
        return f"{signed}.{self._signature(signed)}"

    def _claims(self, token: str) -> _Claims | None:
        known = self._known.get(token)
        if known is not None:
            return known
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        text = signed.partition(".")[2]
        claims = self._decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[token] = claims
        return claims

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self._key, signed.encode(), sha256))

    def _refusal(self, request: Request, tenant: str, form: dict[str, str]) -> _Refusal | None:  # noqa: PLR0911  # one return per refusal, in Entra's order
        if tenant.lower() not in {self._tenant.tenant_id, self._tenant.domain}:
            return _Refusal(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if request.method != "POST":
            text = "Endpoint only accepts POST requests. Received a GET request."
            return _Refusal(400, "invalid_request", 900561, text)
        for name in ("grant_type", "client_id"):
            if not form.get(name):
                return _missing(name)
        if form["grant_type"] != "client_credentials":
            text = "The app requested an unsupported grant type "
            return _Refusal(400, "unsupported_grant_type", 70003, f"{text}'{form['grant_type']}'.")
        principal = self._principals.get(form["client_id"])
        if principal is None:
            text = (
                f"Application with identifier '{form['client_id']}' was not found in the directory."
            )
            return _Refusal(400, "unauthorized_client", 700016, text)
        if not form.get("client_secret"):
            text = (
                "The request body must contain the following parameter: "
                "'client_assertion' or 'client_secret'."
            )
            return _Refusal(401, "invalid_client", 7000218, text)
        given, wanted = form["client_secret"].encode(), principal.client_secret.encode()
        if not hmac.compare_digest(given, wanted):
            text = (
                "Invalid client secret provided. Ensure the secret being sent in the request is "
                "the client secret value, not the client secret ID, for a secret added to app "
                f"'{principal.client_id}'."
            )
            return _Refusal(401, "invalid_client", 7000215, text)
        return _scope_refusal(form.get("scope", ""))

    def _refused(self, refusal: _Refusal, *headers: tuple[bytes, bytes]) -> Reply:
        trace, correlation = new_guid(), new_guid()
        stamp = self._clock.now().strftime("%Y-%m-%d %H:%M:%SZ")
        return json_reply(
            refusal.status,
            {
                "error": refusal.error,
                "error_description": f"AADSTS{refusal.number}: {refusal.text} Trace ID: {trace} "
                f"Correlation ID: {correlation} Timestamp: {stamp}",
                "error_codes": [refusal.number],
                "timestamp": stamp,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": f"https://login.microsoftonline.com/error?code={refusal.number}",
            },
            *headers,
        )


def _scope_refusal(scope: str) -> _Refusal | None:
    if not scope:
        return _missing("scope")
    if scope == SCOPE:
        return None
    if scope.endswith("/.default"):
        text = f"The resource principal named {scope.removesuffix('/.default')} was not found."
        return _Refusal(400, "invalid_resource", 500011, text)
    text = (
        f"The provided value for scope {scope} is not valid. Client credential flows must have "
        "a scope value with /.default suffixed to the resource identifier (application ID URI)."
    )
    return _Refusal(400, "invalid_scope", 1002012, text)


def _missing(name: str) -> _Refusal:
    text = f"The request body must contain the following parameter: '{name}'."
    return _Refusal(400, "invalid_request", 900144, text)


def _unauthorised() -> BusinessCentralError:
    return BusinessCentralError(
        401,
        "Authentication_InvalidCredentials",
        "The server has rejected the client credentials.",
    )


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
