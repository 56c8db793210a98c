"""Calls to vendors over HTTP, and what becomes of those that do not end in an answer.

Nothing travels that was not handed in: no cookies, no proxy or credentials from the environment, no
redirects. A call has one total time-out, from connecting to the last byte of the body, and its
decoded body has a largest size.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Protocol, TypeVar

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BodyDecodeError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.request import RequestBuilder

from contracts.outcomes import CallFailedError, Malformed, Unavailable
from runtime.http.ends import was_never_sent
from runtime.tasks import CancelledAsAsked
from runtime.tracing import Tracing

__all__ = ["HttpAnswer", "HttpClient", "HttpSettings", "decode"]

T_co = TypeVar("T_co", covariant=True)

MIB: Final = 1_048_576


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client can be told. Times are seconds, `largest_body` decoded bytes."""

    connect_timeout: float = 2.0
    idle_timeout: float = 30.0
    idle_connections: int = 64
    largest_body: int = 64 * MIB
    user_agent: str = "crossdock/0.1"


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole answer. Names in `headers` are looked up in any case."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class HttpClient:
    """One pool of connections for every connector of a process.

    `tracing` is where the channels over it tell of their calls; None: nowhere.
    """

    def __init__(
        self, settings: HttpSettings | None = None, *, tracing: Tracing | None = None
    ) -> None:
        self.tracing = tracing
        self._settings = settings or HttpSettings()
        self._client: Client | None = None

    def _pool(self) -> Client:
        """Open the pool on first use: construction has no effects."""
        if self._client is None:
            told = self._settings
            self._client = (
                ClientBuilder()
                .no_proxy()
                .follow_redirects(enable=False)
                .referer(enable=False)
                .default_cookie_store(enable=False)
                .connect_timeout(timedelta(seconds=told.connect_timeout))
                .pool_idle_timeout(timedelta(seconds=told.idle_timeout))
                .pool_max_idle_per_host(told.idle_connections)
                .user_agent(told.user_agent)
                .build()
            )
        return self._client

    async def send(
        self,
        method: str,
        url: str,
        *,
        system: str,
        headers: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109  # the Rust client keeps it, at no cost to the loop
        safe: bool,
        body: bytes | None = None,
    ) -> HttpAnswer:
        """Send one request and read the whole answer, whatever its status.

        `timeout` is seconds in total. `safe` says that the call has no effect (RFC 9110, section
        9.2.1), so that an unknown end leaves nothing in doubt.

        Raises:
            CallFailedError: `Unavailable` without an answer, its `may_have_happened` False when
                nothing can have been sent; `Malformed` when the body cannot be decoded or is
                larger than allowed.
        """
        request = self._pool().request(method, url).headers(headers)
        request = request.timeout(timedelta(seconds=timeout))
        if body is not None:
            request = request.body_bytes(body)
        try:
            with CancelledAsAsked():
                return await self._read(request, system, safe=safe)
        except PyreqwestError as error:
            raise CallFailedError(_end_of(error, system, safe=safe)) from error

    async def _read(self, request: RequestBuilder, system: str, *, safe: bool) -> HttpAnswer:
        async with request.build_streamed() as response:
            chunks: list[bytes] = []
            size = 0
            while (chunk := await response.body_reader.read_chunk()) is not None:
                chunks.append(bytes(chunk))
                size += len(chunks[-1])
                if size > self._settings.largest_body:
                    raise _too_large(system, safe=safe)
            return HttpAnswer(
                status=response.status, body=b"".join(chunks), headers=response.headers
            )

    async def close(self) -> None:
        """Close the pool; calls under way end as `Unavailable`."""
        if self._client is not None:
            await self._client.close()
            self._client = None


def _end_of(error: PyreqwestError, system: str, *, safe: bool) -> Unavailable | Malformed:
    if was_never_sent(error):
        return Unavailable(system=system, may_have_happened=False, because="connect")
    if isinstance(error, BodyDecodeError):
        return Malformed(system=system, may_have_happened=not safe, detail="body encoding")
    because = "time-out" if isinstance(error, RequestTimeoutError) else "connection lost"
    return Unavailable(system=system, may_have_happened=not safe, because=because)


def _too_large(system: str, *, safe: bool) -> CallFailedError:
    return CallFailedError(
        Malformed(system=system, may_have_happened=not safe, detail="body larger than allowed")
    )


class Decoder(Protocol[T_co]):
    """A msgspec decoder of one type."""

    def decode(self, buf: bytes, /) -> T_co:
        """Decode, or raise `msgspec.DecodeError`."""
        ...


def decode(decoder: Decoder[T_co], answer: HttpAnswer, *, system: str, safe: bool) -> T_co:
    """Read an answer's JSON as what the vendor's contract says it is.

    Raises:
        CallFailedError: `Malformed`, when it is not that.
    """
    try:
        return decoder.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        detail = "not JSON" if not isinstance(error, msgspec.ValidationError) else "unknown shape"
        raise CallFailedError(
            Malformed(system=system, may_have_happened=not safe, detail=detail)
        ) from error
