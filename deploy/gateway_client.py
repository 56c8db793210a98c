"""A client of the public gateway, as the command line needs it: tokens, keys, and calm retrying.

It knows nothing of the tiers behind the gateway: what it can do, any caller could do with curl.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from contracts.problems import TYPE_PREFIX
from runtime.clock import Clock

__all__ = ["Answer", "GatewayClient", "NoAnswerError", "RefusedError", "http_client", "read_json"]

_TOKEN_SHARE: Final = 0.8  # of a token's life; the rest is for calls already under way
_UNAUTHENTICATED: Final = 401


class NoAnswerError(Exception):
    """Nothing answered, or the answer broke off: what was sent may have happened or not."""


class RefusedError(Exception):
    """An answer that says no. `slug` is the problem's, or the OAuth error's, or empty."""

    def __init__(self, answer: "Answer", said: str) -> None:
        super().__init__(said)
        self.answer = answer
        self.slug = answer.slug


class _Problem(msgspec.Struct):
    """What a caller reads of a problem document (RFC 9457), or of an OAuth error (RFC 6749)."""

    type: str = ""
    title: str = ""
    detail: str = ""
    retryable: bool = False
    error: str = ""
    error_description: str = ""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = 300.0


_problem: Final = msgspec.json.Decoder(_Problem)
_token: Final = msgspec.json.Decoder(_Token)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `retry_after` is in seconds."""

    status: int
    body: bytes
    replayed: bool = False
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Tell whether the call did what it was to do."""
        return 200 <= self.status < 300  # noqa: PLR2004  # RFC 9110, section 15.3

    @property
    def problem(self) -> _Problem:
        """The problem document; an empty one when the body is none."""
        try:
            return _problem.decode(self.body)
        except msgspec.MsgspecError:
            return _Problem()

    @property
    def slug(self) -> str:
        """The slug of the problem catalogue, or the OAuth error code."""
        problem = self.problem
        return problem.type.rpartition(TYPE_PREFIX)[2] or problem.error

    def refused(self, what: str) -> RefusedError:
        """Say that `what` was refused, why, and what to do."""
        problem = self.problem
        why = problem.title or problem.error_description or f"status {self.status}"
        more = f" {problem.detail}" if problem.detail and problem.detail != why else ""
        return RefusedError(self, f"{what} was refused: {why.rstrip('.')}.{more}")


def http_client(*, connections: int = 64, timeout_seconds: float = 60.0) -> Client:
    """Make the HTTP client: loopback or a gateway's own address, never through a proxy."""
    return (
        ClientBuilder()
        .no_proxy()
        .follow_redirects(enable=False)
        .max_connections(connections)
        .connect_timeout(timedelta(seconds=5))
        .timeout(timedelta(seconds=timeout_seconds))
        .build()
    )


async def read_json(http: Client, url: str, *, body: object = None) -> Any:
    """Read a JSON document that needs no credential (the sandbox's own desk); POST with `body`.

    Raises:
        NoAnswerError: nothing answers.
        RefusedError: the answer is not 2xx.
    """
    answer = await _send(http, "GET" if body is None else "POST", url, {}, _encoded(body))
    if not answer.ok:
        raise answer.refused(url)
    return msgspec.json.decode(answer.body)


def _encoded(body: object) -> bytes | None:
    return None if body is None else msgspec.json.encode(body)


async def _send(
    http: Client, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> Answer:
    request = http.request(method, url).headers(headers)
    if body is not None:
        if "content-type" not in headers:
            request = request.header("content-type", "application/json")
        request = request.body_bytes(body)
    try:
        response = await request.build().send()
        content = bytes(await response.bytes())
    except PyreqwestError as error:
        raise NoAnswerError(f"{url.partition('?')[0]}: {error.message}") from error
    pause = response.get_header("retry-after")
    return Answer(
        status=response.status,
        body=content,
        replayed=response.get_header("idempotency-replayed") == "true",
        retry_after=float(pause) if pause and pause.replace(".", "", 1).isdigit() else None,
    )


class GatewayClient:
    """Calls the gateway as one client, with a token that is fetched once and kept fresh."""

    def __init__(self, *, http: Client, url: str, client: str, secret: str, clock: Clock) -> None:
        self.url = url.rstrip("/")
        self.client = client
        self._http = http
        self._form = (
            "grant_type=client_credentials"
            f"&client_id={quote(client, safe='')}&client_secret={quote(secret, safe='')}"
        ).encode("ascii")
        self._clock = clock
        self._bearer = ""
        self._stale_at = 0.0
        self._fetching = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def token(self) -> str:
        """Get an access token (RFC 6749, section 4.4).

        Raises:
            NoAnswerError: the gateway does not answer.
            RefusedError: the client or its secret is wrong.
        """
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await _send(self._http, "POST", f"{self.url}/oauth/token", headers, self._form)
        if not answer.ok:
            raise answer.refused(f"A token for {self.client}")
        token = _token.decode(answer.body)
        self._bearer = f"Bearer {token.access_token}"
        self._stale_at = self._clock.monotonic() + token.expires_in * _TOKEN_SHARE
        return token.access_token

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        key: str | None = None,
        prefer: str | None = None,
    ) -> Answer:
        """Call an operation and answer whatever came back; an expired token is renewed once.

        Raises:
            NoAnswerError: no whole answer came back; with a `key` it is safe to call again.
            RefusedError: no token was granted.
        """
        bearer = await self._fresh_bearer()
        headers = {"authorization": bearer}
        if key is not None:
            headers["idempotency-key"] = key
        if prefer is not None:
            headers["prefer"] = prefer
        answer = await _send(self._http, method, self.url + path, headers, body)
        if answer.status == _UNAUTHENTICATED:
            headers["authorization"] = await self._fresh_bearer(not_this=bearer)
            answer = await _send(self._http, method, self.url + path, headers, body)
        return answer

    async def get(self, path: str) -> Any:
        """Read a JSON document.

        Raises:
            NoAnswerError: no whole answer came back.
            RefusedError: the answer is not 2xx.
        """
        answer = await self.send("GET", path)
        if not answer.ok:
            raise answer.refused(f"GET {path.partition('?')[0]}")
        return msgspec.json.decode(answer.body)

    async def post(self, path: str, body: object, *, key: str | None = None) -> Any:
        """Post a JSON document and read the answer; raises as `get` does."""
        answer = await self.send("POST", path, body=_encoded(body), key=key)
        if not answer.ok:
            raise answer.refused(f"POST {path}")
        return msgspec.json.decode(answer.body)

    async def _fresh_bearer(self, *, not_this: str = "") -> str:
        """Answer a token that is fresh and not the one just refused; one caller fetches it."""
        if self._usable(not_this):
            return self._bearer
        async with self._fetching:
            if not self._usable(not_this):
                await self.token()
        return self._bearer

    def _usable(self, not_this: str) -> bool:
        return self._bearer != not_this and self._clock.monotonic() < self._stale_at
