"""A client for a port whose implementation runs in another process.

The object answers the same methods, raises the same errors and carries the call context, so that
whoever holds the port cannot tell how it was deployed.
"""

import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote

import msgspec
from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import Response

from contracts import context
from contracts.outcomes import CallFailedError, Malformed, Unavailable, from_problem
from contracts.ports.binding import BoundOperation, Reply, operations
from contracts.problems import ProblemError, parse, refuse
from contracts.versions import ApiVersion
from runtime.http.ends import was_never_sent
from runtime.tasks import CancelledAsAsked

_FIRST_ERROR: Final = 400


def remote(api: ApiVersion, base_url: str, client: Client) -> Any:
    """Answer an object with the methods of the API's port, each calling `base_url` + path.

    Process and experience ports raise `ProblemError`, system ports `CallFailedError`, exactly as
    the implementation would in process.
    """
    address = base_url.rstrip("/") + api.path
    methods = {one.name: _method(api, one, address, client) for one in operations(api.port)}
    return SimpleNamespace(**methods)


def _method(
    api: ApiVersion, one: BoundOperation, address: str, client: Client
) -> Callable[..., Awaitable[Any]]:
    decoder = msgspec.json.Decoder(one.result)
    encoder = msgspec.json.Encoder()

    async def call(*args: Any, **named: Any) -> Any:
        arguments = {**dict(zip(_names(one), args, strict=False)), **named}
        path = one.operation.path.format(
            **{name: quote(str(arguments[name]), safe="") for name in one.path_parameters}
        )
        headers = context.to_headers(context.current(), time.monotonic())
        request = client.request(one.operation.method, address + path).headers(headers)
        if one.query is not None:
            given = msgspec.to_builtins(arguments["query"])
            request = request.query({key: str(v) for key, v in given.items() if v is not None})
        if one.body is not None:
            body = encoder.encode(arguments["body"])
            request = request.header("content-type", "application/json").body_bytes(body)
        try:
            with CancelledAsAsked():
                response = await request.build().send()
                content = (await response.bytes()).to_bytes()
        except PyreqwestError as error:
            raise _lost(api, error) from None
        return _read(api, one, response, content, decoder)

    return call


def _names(one: BoundOperation) -> tuple[str, ...]:
    extra = (("body", one.body), ("query", one.query), ("raw", one.raw or None))
    return one.path_parameters + tuple(name for name, shape in extra if shape is not None)


def _lost(api: ApiVersion, error: PyreqwestError) -> Exception:
    """Say a broken connection: the tier below may have acted unless it was never reached."""
    sent = not was_never_sent(error)
    if api.tier == "system":
        failure = Unavailable(system=api.name, may_have_happened=sent, because=type(error).__name__)
        return CallFailedError(failure)
    return refuse("upstream-unavailable", retry_after=1, system=api.name)


def _read(
    api: ApiVersion,
    one: BoundOperation,
    response: Response,
    content: bytes,
    decoder: msgspec.json.Decoder[Any],
) -> Any:
    if response.status >= _FIRST_ERROR:
        raise _refusal(api, response, content)
    try:
        body = decoder.decode(content)
    except (msgspec.DecodeError, RecursionError):
        raise _malformed(api) from None
    if not one.replies:
        return body
    etag = response.headers.get("etag")
    return Reply(
        body=body,
        status=response.status,
        location=response.headers.get("location"),
        etag=etag.strip('"') if etag else None,
    )


def _refusal(api: ApiVersion, response: Response, content: bytes) -> Exception:
    try:
        told = parse(content)
    except (msgspec.DecodeError, RecursionError):
        return _malformed(api)
    header = response.headers.get("retry-after") or ""
    retry_after = float(header) if header.isdigit() else None
    if api.tier == "system":
        return CallFailedError(from_problem(told, system=api.name, retry_after=retry_after))
    return ProblemError(told, retry_after=retry_after)


def _malformed(api: ApiVersion) -> Exception:
    if api.tier == "system":
        detail = "the answer is not what the contract says"
        return CallFailedError(Malformed(system=api.name, detail=detail, may_have_happened=True))
    return refuse("upstream-malformed", system=api.name)
