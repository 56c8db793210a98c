"""``/services/oauth2/token``: client credentials and JWT bearer.

Source: help.salesforce.com, remoteaccess_oauth_endpoints; RFC 6749 section 4.4; RFC 7523. Errors
are ``{"error", "error_description"}``.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.sessions import ConnectedApp, Sessions
from deploy.sandbox.wire import Reply, Request, json_reply

__all__ = ["OAuth", "oauth_error"]

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
_LONGEST_ASSERTION = 180.0  # seconds until `exp`
_NO_STORE = (b"cache-control", b"no-cache, no-store")


class _RefusedError(Exception):
    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error, description)
        self.reply = oauth_error(error, description, status)


def oauth_error(error: str, description: str, status: int = 400) -> Reply:
    """An error as the token endpoint words it."""
    return json_reply(status, {"error": error, "error_description": description}, _NO_STORE)


class OAuth:
    """The token endpoint and its neighbour for revocation."""

    def __init__(self, org: Org, sessions: Sessions, authority: str) -> None:
        """``authority`` is host and port for callers that send no Host header."""
        self._org = org
        self._sessions = sessions
        self._authority = authority

    def token(self, request: Request) -> Reply:
        """Answer a token request."""
        if request.method != "POST":
            return oauth_error("invalid_request", "must use HTTP POST")
        form = request.form()
        try:
            match form.get("grant_type"):
                case "client_credentials":
                    app = self._app_by_secret(request, form)
                    username = app.username
                case grant if grant == JWT_BEARER:
                    app, username = self._app_by_assertion(request, form)
                case None | "":
                    raise _RefusedError("invalid_request", "grant type is missing")  # noqa: TRY301  # one exit
                case _:
                    raise _RefusedError("unsupported_grant_type", "grant type not supported")  # noqa: TRY301
            return self._granted(request, app, self._user(username))
        except _RefusedError as refused:
            return refused.reply

    def revoke(self, request: Request) -> Reply:
        """End a session by its token."""
        token = request.form().get("token") or request.query.get("token", "")
        if not self._sessions.close(token):
            return oauth_error("invalid_token", "invalid token")
        return Reply(200, b"")

    def instance_url(self, request: Request) -> str:
        """Where this org's API is, as the caller reached it."""
        scheme = request.scope.get("scheme", "http")
        return f"{scheme}://{request.headers.get('host') or self._authority}/salesforce"

    def _app_by_secret(self, request: Request, form: dict[str, str]) -> ConnectedApp:
        header = request.headers.get("authorization", "")
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        basic = header[:6].lower() == "basic "
        if basic:
            client_id, secret = _basic(header[6:])
        app = self._sessions.app(client_id)
        if app is None:
            raise _RefusedError("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(app.secret.encode(), secret.encode()):
            raise _RefusedError(
                "invalid_client", "invalid client credentials", 401 if basic else 400
            )
        return app

    def _app_by_assertion(self, request: Request, form: dict[str, str]) -> tuple[ConnectedApp, str]:
        assertion = form.get("assertion", "")
        issuer = _unverified_issuer(assertion)
        app = self._sessions.app(issuer)
        if app is None:
            raise _RefusedError("invalid_client_id", "client identifier invalid")
        claims = _verified(assertion, app)
        audience = claims.get("aud")
        if audience not in {*_AUDIENCES, self.instance_url(request)}:
            raise _RefusedError("invalid_grant", "audience is invalid")
        expires = claims.get("exp")
        now = self._org.now().timestamp()
        if not isinstance(expires, int | float) or isinstance(expires, bool):
            raise _RefusedError("invalid_grant", "expiry claim is invalid")
        if expires <= now:
            raise _RefusedError("invalid_grant", "expired authorization code")
        if expires > now + _LONGEST_ASSERTION:
            raise _RefusedError("invalid_grant", "expiry claim is too far in the future")
        subject = claims.get("sub") or claims.get("prn")
        if not isinstance(subject, str):
            raise _RefusedError("invalid_grant", "user hasn't approved this consumer")
        return app, subject

    def _user(self, username: str) -> str:
        for user in self._org.tables["User"].values():
            if user["Username"] == username and user["IsActive"]:
                user_id: str = user["Id"]
                return user_id
        raise _RefusedError("invalid_grant", "user hasn't approved this consumer")

    def _granted(self, request: Request, app: ConnectedApp, user_id: str) -> Reply:
        token = self._sessions.open(app, user_id)
        identity = f"https://login.salesforce.com/id/{self._org.organization_id}/{user_id}"
        issued_at = str(int(self._org.now().timestamp() * 1000))
        signed = hmac.new(app.secret.encode(), (identity + issued_at).encode(), hashlib.sha256)
        return json_reply(
            200,
            {
                "access_token": token,
                "signature": b64encode(signed.digest()).decode(),
                "token_format": "opaque",
                "scope": "api",
                "instance_url": self.instance_url(request),
                "id": identity,
                "token_type": "Bearer",
                "issued_at": issued_at,
                "api_instance_url": "https://api.salesforce.com",
            },
            _NO_STORE,
        )


def _basic(encoded: str) -> tuple[str, str]:
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        raise _RefusedError("invalid_client", "invalid client credentials", 401) from None
    return unquote_plus(client_id), unquote_plus(secret)  # RFC 6749 section 2.3.1


def _unverified_issuer(assertion: str) -> str:
    """Who claims to have made the assertion: the key to check it with is his."""
    parts = assertion.split(".")
    try:
        middle = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = msgspec.json.decode(b64decode(middle, altchars=b"-_", validate=True))
    except (IndexError, Base64Error, msgspec.DecodeError, UnicodeDecodeError):
        raise _RefusedError("invalid_grant", "invalid assertion") from None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""


def _verified(assertion: str, app: ConnectedApp) -> dict[str, Any]:
    """The claims, when the application's registered key signed them with RS256."""
    from joserfc import jwt  # noqa: PLC0415  # start-up time: most callers use client credentials
    from joserfc.errors import JoseError  # noqa: PLC0415  # as above
    from joserfc.jwk import RSAKey  # noqa: PLC0415  # as above

    if app.public_key is None:
        raise _RefusedError("invalid_grant", "user hasn't approved this consumer")
    try:
        key = RSAKey.import_key(app.public_key)
        return dict(jwt.decode(assertion, key, algorithms=["RS256"]).claims)
    except (JoseError, ValueError):
        raise _RefusedError("invalid_grant", "invalid assertion") from None
