"""Litestar routes for an object that implements a port.

Bodies are decoded by msgspec straight into the canonical struct, so what is accepted is what the
contract documents; every error leaves as a problem document (RFC 9457).
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from contracts import context
from contracts.canonical.money import AmountBeyondError
from contracts.outcomes import CallFailedError, as_problem
from contracts.ports.binding import BoundOperation, RawReply, RawRequest, Reply, operations
from contracts.problems import Fault, ProblemError, refuse, render
from contracts.versions import ApiVersion
from runtime.rest.faults import faults_of

PROBLEM_TYPE: Final = "application/problem+json"

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_AnyRequest = Request[Any, Any, State]
_Handler = Callable[[_AnyRequest], Awaitable[Response[bytes]]]


def application(routers: list[Router]) -> Litestar:
    """Make the application of a tier: its routers, and one place where errors become problems."""
    return Litestar(
        route_handlers=routers,
        openapi_config=None,
        exception_handlers={
            ProblemError: _refused,
            AmountBeyondError: _too_much,
            CallFailedError: _failed,
            TimeoutError: _too_late,
            HTTPException: _not_served,
            Exception: _unexpected,
        },
        logging_config=None,
    )


def router_for(api: ApiVersion, implementation: object) -> Router:
    """Make the router of one API version over the object that implements its port."""
    handlers = [
        HTTPRouteHandler(
            one.operation.path.replace("}", ":str}"),
            http_method=one.operation.method,
            name=f"{api.slug}.{one.name}",
            media_type=MediaType.JSON,
            status_code=one.operation.status,
        )(_endpoint(one, getattr(implementation, one.name)))
        for one in operations(api.port)
    ]
    return Router(path=api.path, route_handlers=handlers)


def _endpoint(one: BoundOperation, method: Callable[..., Awaitable[Any]]) -> _Handler:
    body_decoder = msgspec.json.Decoder(one.body) if one.body is not None else None
    path_parameters = one.path_parameters

    async def sent(request: _AnyRequest) -> dict[str, Any]:
        arguments: dict[str, Any] = {name: request.path_params[name] for name in path_parameters}
        if body_decoder is not None:
            arguments["body"] = _body(body_decoder, one.body, await request.body())
        if one.query is not None:
            arguments["query"] = msgspec.convert(
                {key: _scalar(value) for key, value in request.query_params.items()},
                type=one.query,
                strict=False,
            )
        if one.raw:
            arguments["raw"] = await _raw(request)
        return arguments

    async def handle(request: _AnyRequest) -> Response[bytes]:
        # Only here is what cannot be decoded the caller's fault: further in it would be ours.
        try:
            arguments = await sent(request)
        except msgspec.ValidationError as error:
            raise refuse("invalid-request", errors=faults_of(error)) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise _unreadable(error) from None
        with context.calling(_call_of(request.headers)):
            return _answer(one, await method(**arguments), request.headers)

    return handle


def _body(decoder: msgspec.json.Decoder[Any], shape: Any, sent: bytes) -> Any:
    """Decode a body as its contract has it, where `3.0` is an integer.

    JSON Schema (2020-12 validation, section 6.1.1) calls so any number without a fractional part;
    msgspec goes by how it is written. Only what it refuses is read once more.
    """
    try:
        return decoder.decode(sent)
    except msgspec.ValidationError as refused:
        try:
            return msgspec.convert(_whole_numbers.decode(sent), shape)
        except (msgspec.DecodeError, RecursionError):
            raise refused from None  # what was wrong with it first is what its caller is told


def _whole(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


_whole_numbers = msgspec.json.Decoder(float_hook=_whole)


async def _raw(request: _AnyRequest) -> RawRequest:
    return RawRequest(
        headers={key.lower(): value for key, value in request.headers.items()},
        query={key: str(value) for key, value in request.query_params.items()},
        body=await request.body(),
    )


def _scalar(value: Any) -> Any:
    return value[-1] if isinstance(value, list) else value


def _call_of(headers: Mapping[str, str]) -> context.CallContext:
    """Answer the running call, with what the caller prefers.

    In one process the gateway has set it; between processes its headers carry it, and this
    process listens only where the gateway can reach it (decision record 0006).
    """
    call = context.current()
    if call is context.SYSTEM:
        call = context.from_headers(headers, time.monotonic()) or call
    wait = context.preferred_wait(headers.get(context.PREFER_HEADER, ""))
    return msgspec.structs.replace(call, prefer_wait=wait) if wait is not None else call


def _answer(one: BoundOperation, result: Any, asked: Mapping[str, str]) -> Response[bytes]:
    if isinstance(result, RawReply):
        return Response(result.body, status_code=result.status, media_type=result.content_type)
    if not isinstance(result, Reply):
        return Response(
            _encoder.encode(result), status_code=one.operation.status, media_type=MediaType.JSON
        )
    headers: dict[str, str] = {}
    if result.etag is not None:
        headers["etag"] = f'"{result.etag}"'
        if one.operation.method == "GET" and _has(asked.get("if-none-match"), headers["etag"]):
            return Response(b"", status_code=304, headers=headers)
    if result.location is not None:
        headers["location"] = result.location
    if result.retry_after is not None:
        headers["retry-after"] = str(math.ceil(result.retry_after))
    return Response(
        _encoder.encode(result.body),
        status_code=result.status,
        headers=headers,
        media_type=MediaType.JSON,
    )


def _has(tags: str | None, etag: str) -> bool:
    """Tell whether If-None-Match names a tag: a list of them, weak or strong, or any (RFC 9110)."""
    if tags is None:
        return False
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in tags.split(","))


def problem_response(error: ProblemError) -> Response[bytes]:
    """Say a refusal as `application/problem+json`, with Retry-After where it applies."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return Response(
        render(error.problem),
        status_code=error.problem.status,
        headers=headers,
        media_type=PROBLEM_TYPE,
    )


def _refused(_: _AnyRequest, error: ProblemError) -> Response[bytes]:
    return problem_response(error)


def _failed(_: _AnyRequest, error: CallFailedError) -> Response[bytes]:
    return problem_response(as_problem(error.failure))


def _too_much(_: _AnyRequest, __: AmountBeyondError) -> Response[bytes]:
    return problem_response(refuse("amount-too-large"))


def _unreadable(error: Exception) -> ProblemError:
    deep = isinstance(error, RecursionError)
    fault = Fault(pointer="", detail="nested too deeply" if deep else "not valid JSON")
    return refuse("malformed-request", errors=[fault])


def _too_late(_: _AnyRequest, __: TimeoutError) -> Response[bytes]:
    return problem_response(refuse("deadline-exceeded", retry_after=1))


def _not_served(_: _AnyRequest, error: HTTPException) -> Response[bytes]:
    slugs = {404: "operation-unknown", 405: "method-not-allowed", 413: "request-too-large"}
    slug = slugs.get(error.status_code)
    if slug is None:
        slug = "malformed-request" if error.status_code < 500 else "internal-error"  # noqa: PLR2004  # the HTTP class boundary
    return problem_response(refuse(slug))


def _unexpected(_: _AnyRequest, error: Exception) -> Response[bytes]:
    log.error("call_failed_unexpectedly", exc_info=error)
    return problem_response(refuse("internal-error"))
