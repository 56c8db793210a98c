"""Routes compiled from the contracts: an operation that no contract names cannot be reached.

Static paths are found in one dictionary look-up; paths with parameters in a trie of segments,
where a literal segment wins over a parameter (OpenAPI 3.1, "Path Templating Matching").
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from contracts.problems import Fault

Idempotency = Literal["required", "optional", "none"]
LimitClass = Literal["checks", "orders", "reads", "webhooks", "operations", "services", "house"]
Criticality = Literal["capture", "status", "sync", "bulk"]
METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where an operation stands in its life. Dates are ISO 8601 (RFC 9745, RFC 8594)."""

    state: Literal["active", "deprecated", "sunset"] = "active"
    deprecated_at: str | None = None
    sunset_at: str | None = None
    successor: str | None = None
    link: str | None = None


class CacheRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long a copy of an answer may be given, in seconds; as in `contracts.ports.binding`."""

    entity: str
    fresh_seconds: float
    stale_seconds: float = 0.0
    error_seconds: float = 0.0
    public: bool = False


class Terms(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`x-crossdock` of an operation: what the gateway enforces. Unknown members are faults."""

    idempotency: Idempotency = "none"
    limit: LimitClass = "reads"
    criticality: Criticality = "status"
    budget_ms: int = 10_000
    max_body_bytes: int = 262_144
    cost: int = 1
    """Calls of its limit class that one call counts as."""
    lifecycle: Lifecycle = Lifecycle()
    cache: CacheRule | None = None
    upgrade: Literal["websocket"] | None = None
    """What a GET may be upgraded to; a handshake passes the same policies as the GET."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path of one API, with everything the policies compile from."""

    key: str
    """`<api>/<operationId>`: the metric label and log field; unique in the gateway."""
    api: str
    method: str
    template: str
    """The public path with the API's prefix, e.g. `/sales/v1/orders/{id}`."""
    scopes: tuple[frozenset[str], ...] | None
    """Alternatives, each a set of scopes that together suffice; None: no credential needed."""
    terms: Terms
    parameters: tuple[dict[str, Any], ...] = ()
    open_query: bool = False
    """Whether the query may hold names that are no parameter's: those of an object's members."""
    body_schema: dict[str, Any] | None = None
    body_required: bool = False
    media_types: tuple[str, ...] = ()
    components: dict[str, Any] = {}
    responses: dict[str, Any] = {}
    """What may be answered, by status, as the contract has it."""

    @property
    def answers_json(self) -> bool:
        """Tell whether a success is a JSON document, of which nobody reads a part."""
        media = [
            each
            for status, said in self.responses.items()
            if status.startswith("2")
            for each in said.get("content", ())
        ]
        return bool(media) and all(is_json(each) for each in media)

    @property
    def effectful(self) -> bool:
        """Tell whether the operation may change anything (audit, retries)."""
        checks_only = self.terms.limit == "checks" and self.terms.idempotency == "none"
        return self.method not in SAFE and not checks_only


class ContractError(ValueError):
    """Documents that cannot be compiled; carries every fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{f.pointer}: {f.detail}" for f in self.faults))


def is_json(media_type: str) -> bool:
    """Tell whether documents of this type, in lower case, are JSON (RFC 6839, section 3.1)."""
    return media_type == "application/json" or media_type.endswith("+json")


def _resolve(document: Mapping[str, Any], node: Any) -> Any:
    """Follow local `$ref`s of parameters and request bodies."""
    for _ in range(8):
        if not (isinstance(node, dict) and "$ref" in node):
            return node
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    raise ValueError("references nest more than eight deep")


def _scopes(security: list[dict[str, list[str]]] | None) -> tuple[frozenset[str], ...] | None:
    if not security or {} in security:
        return None
    return tuple(frozenset(s for scopes in each.values() for s in scopes) for each in security)


def _spreads(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> bool:
    """Tell whether a parameter comes as several, one for each member (OpenAPI 3.1, "Style")."""
    if parameter["in"] != "query":
        return False
    if parameter.get("style") == "deepObject":
        return True
    schema = _resolve(document, parameter.get("schema", {}))
    return isinstance(schema, dict) and (schema.get("type") == "object" or "properties" in schema)


def base_of(document: Mapping[str, Any], api: str) -> str:
    """Answer the public prefix: the first server's path, or the API's name."""
    servers = document.get("servers") or ({"url": f"/{api}"},)
    return urlsplit(str(servers[0]["url"])).path.rstrip("/")


def _operation(
    document: Mapping[str, Any], api: str, path: str, method: str, faults: list[Fault]
) -> Operation | None:
    item = document["paths"][path]
    node = item[method]
    place = f"{api}#/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}"
    try:
        terms = msgspec.convert(node.get("x-crossdock", {}), Terms)
    except msgspec.ValidationError as error:
        faults.append(Fault(pointer=f"{place}/x-crossdock", detail=str(error)))
        return None
    described = (
        _resolve(document, each)
        for each in (*item.get("parameters", ()), *node.get("parameters", ()))
    )
    # An operation's own description of a parameter replaces its path's ("Operation Object").
    parameters = {(each["in"], each["name"]): each for each in described}.values()
    body = _resolve(document, node.get("requestBody")) or {}
    content: dict[str, Any] = body.get("content", {})
    json_types = [media_type for media_type in content if is_json(media_type)]
    return Operation(
        key=f"{api}/{node.get('operationId') or method + ' ' + path}",
        api=api,
        method=method.upper(),
        template=base_of(document, api) + ("" if path == "/" else path),
        scopes=_scopes(node.get("security", document.get("security"))),
        terms=terms,
        parameters=tuple(parameters),
        open_query=any(_spreads(document, each) for each in parameters),
        body_schema=content[json_types[0]].get("schema", {}) if json_types else None,
        body_required=bool(body.get("required", False)),
        media_types=tuple(content),
        components=document.get("components", {}),
        responses={
            str(status): _resolve(document, each)
            for status, each in node.get("responses", {}).items()
        },
    )


def compile_documents(documents: Iterable[Mapping[str, Any]]) -> tuple[Operation, ...]:
    """Compile OpenAPI 3.1 documents into operations.

    `info.x-crossdock-api` (e.g. `sales/v1`) names the API; it is the public prefix too, unless the
    document has a server. Raises `ContractError` with every fault of every document.
    """
    operations: dict[str, Operation] = {}
    faults: list[Fault] = []
    for document in documents:
        api = document.get("info", {}).get("x-crossdock-api")
        if not isinstance(api, str) or not re.fullmatch(r"[a-z0-9_-]+(/[a-z0-9_-]+)*", api):
            title = document.get("info", {}).get("title", "a document without a title")
            faults.append(
                Fault(
                    pointer=f"{title}#/info/x-crossdock-api",
                    detail="names no public prefix",
                    allowed="lower-case segments such as sales/v1",
                )
            )
            continue
        for path, item in document.get("paths", {}).items():
            for method in METHODS:
                if method not in item:
                    continue
                operation = _operation(document, api, path, method, faults)
                if operation is None:
                    continue
                if operation.key in operations:
                    faults.append(
                        Fault(pointer=operation.key, detail="names two operations of this API")
                    )
                operations[operation.key] = operation
    if faults:
        raise ContractError(faults)
    return tuple(operations.values())


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An operation found, with its path parameters still as text (percent-decoded)."""

    index: int
    parameters: dict[str, str]
    head: bool = False


class MethodNotAllowed(msgspec.Struct, frozen=True, kw_only=True):
    """The path is known, the method is not; `allowed` is ready for the Allow header."""

    allowed: str


class _Node:
    __slots__ = ("literals", "methods", "names", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, int] = {}
        self.names: dict[str, tuple[str, ...]] = {}


_EMPTY: Final[dict[str, str]] = {}


class Router:
    """Finds the operation for a method and a path. Answers indexes into the compiled table."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._static: dict[str, dict[str, int]] = {}
        self._root = _Node()
        for index, operation in enumerate(operations):
            self._add(operation, index)

    def _add(self, operation: Operation, index: int) -> None:
        if "{" not in operation.template:
            self._put(self._static.setdefault(operation.template, {}), operation, index)
            return
        node, names = self._root, []
        for segment in operation.template[1:].split("/"):
            if segment.startswith("{") and segment.endswith("}"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        self._put(node.methods, operation, index)
        node.names[operation.method] = tuple(names)

    @staticmethod
    def _put(methods: dict[str, int], operation: Operation, index: int) -> None:
        if operation.method in methods:
            raise ContractError(
                [
                    Fault(
                        pointer=f"{operation.method} {operation.template}",
                        detail="is named by two contracts",
                    )
                ]
            )
        methods[operation.method] = index

    def find(self, method: str, path: str) -> Match | MethodNotAllowed | None:
        """Find an operation; HEAD falls back to GET (RFC 9110 section 9.3.2)."""
        methods = self._static.get(path)
        values: list[str] = []
        node: _Node | None = None
        if methods is None:
            node = self._walk(self._root, path[1:].split("/"), 0, values)
            if node is None:
                return None
            methods = node.methods
        index = methods.get(method)
        head = False
        if index is None and method == "HEAD":
            method, head = "GET", True
            index = methods.get("GET")
        if index is None:
            return MethodNotAllowed(allowed=_allow(methods))
        if node is None:
            return Match(index=index, parameters=_EMPTY, head=head)
        names = node.names[method]
        return Match(index=index, parameters=dict(zip(names, values, strict=True)), head=head)

    def _walk(
        self, node: _Node, segments: list[str], depth: int, values: list[str]
    ) -> _Node | None:
        if depth == len(segments):
            return node if node.methods else None
        segment = segments[depth]
        literal = node.literals.get(segment)
        if literal is not None:
            found = self._walk(literal, segments, depth + 1, values)
            if found is not None:
                return found
        if node.parameter is not None and segment:
            values.append(segment)
            found = self._walk(node.parameter, segments, depth + 1, values)
            if found is not None:
                return found
            values.pop()
        return None


def _allow(methods: Mapping[str, int]) -> str:
    names = set(methods)
    if "GET" in names:
        names.add("HEAD")
    return ", ".join(sorted(names))
