"""How a port is bound to HTTP: one declaration, from which route, document and client are made.

A port is a `Protocol` whose methods carry `@operation(...)`. Conventions, all checked by
`operations()` when a port is read, so that a mistake stops the start and not a call:

- parameters named in the path template are strings;
- a parameter called `body` is the JSON body, one called `query` a struct of query parameters, none
  of which is an empty text (`?po=` says nothing: it is refused rather than guessed at), one called
  `raw` an inbound notification as it arrived (bytes and headers);
- the return type is a canonical struct, or `Reply[...]` where status or headers vary.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Idempotency = Literal["required", "optional", "none"]
LimitClass = Literal["checks", "orders", "reads", "webhooks", "operations"]
Criticality = Literal["capture", "status", "sync", "bulk"]

_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")


class CacheRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How long the gateway may answer a GET from a copy, in seconds.

    `fresh_seconds` without asking; then for `stale_seconds` to all but the one caller who asks
    again; for `error_seconds` more while there is no new answer to be had. A copy is its
    consumer's own unless it is `public`, the same for everybody who may call. An event about
    `entity` ends them all.
    """

    entity: str
    fresh_seconds: float
    stale_seconds: float = 0.0
    error_seconds: float = 0.0
    public: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What the contract says of one operation beyond its shapes.

    `scope` is needed for the call; a scope in `honours` is not, and changes what it may do.
    `examples` go by the name of a parameter (`body`, a path parameter, a member of `query`) and
    speak of the sandbox's catalogue, so that a reader can send them as they stand.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    scope: str | None
    honours: tuple[str, ...]
    summary: str
    status: int
    also: tuple[int, ...]
    problems: tuple[str, ...]
    idempotency: Idempotency
    limit: LimitClass
    criticality: Criticality
    budget_ms: int
    max_body_bytes: int
    examples: Mapping[str, Any]
    cost: int
    """Calls of its limit class that one call counts as."""
    cache: CacheRule | None


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """A result whose status or headers vary from call to call.

    `etag` is the bare revision; the edge quotes it (RFC 9110, section 8.8.3).
    """

    body: T
    status: int
    location: str | None = None
    etag: str | None = None
    retry_after: float | None = None


class RawRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's notification as it arrived. Header names are lower case."""

    headers: dict[str, str]
    query: dict[str, str]
    body: bytes


class RawReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor must be answered."""

    status: int
    body: bytes
    content_type: str


class BoundOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation with the shapes of its method."""

    name: str
    operation: Operation
    path_parameters: tuple[str, ...]
    body: Any | None
    query: Any | None
    raw: bool
    result: Any
    replies: bool
    description: str


def operation(
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    *,
    scope: str | None,
    honours: tuple[str, ...] = (),
    status: int = 200,
    also: tuple[int, ...] = (),
    problems: tuple[str, ...] = (),
    idempotency: Idempotency = "none",
    limit: LimitClass = "reads",
    criticality: Criticality = "status",
    budget_ms: int = 5_000,
    max_body_bytes: int = 262_144,
    examples: Mapping[str, Any] = MappingProxyType({}),
    cost: int = 1,
    cache: CacheRule | None = None,
) -> Callable[[F], F]:
    """Bind a port's method to HTTP; the docstring's first line becomes the summary."""

    def bind(function: F) -> F:
        summary = (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")
        bound = Operation(
            method=method,
            path=path,
            scope=scope,
            honours=honours,
            summary=summary,
            status=status,
            also=also,
            problems=problems,
            idempotency=idempotency,
            limit=limit,
            criticality=criticality,
            budget_ms=budget_ms,
            max_body_bytes=max_body_bytes,
            examples=examples,
            cost=cost,
            cache=cache,
        )
        function.__operation__ = bound  # type: ignore[attr-defined]  # functions carry attributes
        return function

    return bind


def operations(port: type) -> tuple[BoundOperation, ...]:
    """Read every bound operation of a port, in the order of declaration.

    Raises:
        TypeError: a method breaks the conventions of this module; the message names it.
    """
    found = []
    for name, function in vars(port).items():
        declared: Operation | None = getattr(function, "__operation__", None)
        if declared is not None:
            found.append(_bound(name, function, declared))
    if not found:
        raise TypeError(f"{port.__name__} has no operations")
    return tuple(found)


def _bound(name: str, function: Callable[..., Any], declared: Operation) -> BoundOperation:
    hints = get_type_hints(function, include_extras=True)
    result = hints.pop("return")
    in_path = tuple(_PARAMETER.findall(declared.path))
    unknown = set(hints) - set(in_path) - {"body", "query", "raw"}
    if unknown or set(in_path) - set(hints):
        raise TypeError(f"{name}: parameters {sorted(hints)} do not fit path {declared.path!r}")
    replies = get_origin(result) is Reply
    return BoundOperation(
        name=name,
        operation=declared,
        path_parameters=in_path,
        body=hints.get("body"),
        query=hints.get("query"),
        raw="raw" in hints,
        result=get_args(result)[0] if replies else result,
        replies=replies,
        description=inspect.getdoc(function) or "",
    )
