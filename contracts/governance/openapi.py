"""OpenAPI 3.1 documents, generated from the ports.

Shapes come from msgspec's own JSON Schema (2020-12), so that what is documented is what is
decoded. Four corrections: decimals are strings of a stated pattern, what an annotation narrows a
struct to is said beside the reference, parameters are listed one by one, and every operation names
each problem it can answer.
"""

import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec import inspect

from contracts import problems
from contracts.ports.binding import BoundOperation, Operation, operations
from contracts.versions import ApiVersion

DECIMAL_PATTERN: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"
"""Six places are what Python still writes without an exponent; the ERP keeps five."""
SEGMENT_PATTERN: Final = r"^[!-\-0-\[\]-~][ -.0-\[\]-~]*$"
"""One segment of a path: visible ASCII without slashes, which no two readers of a path read alike
(RFC 3986, section 3.3), and not beginning with a dot."""
PROBLEM_TYPE: Final = "application/problem+json"

_EVERY_CALL: Final = (
    "malformed-request", "request-timeout", "uri-too-long", "headers-too-large",
    "quota-exceeded", "overloaded", "draining", "internal-error", "deadline-exceeded",
)  # fmt: skip
_WITH_BODY: Final = ("invalid-request", "request-too-large", "unsupported-media-type")
_WITH_SCOPE: Final = ("unauthenticated", "token-expired", "insufficient-scope")
_WITH_KEY: Final = (
    "idempotency-key-missing", "idempotency-key-invalid", "idempotency-in-flight",
    "idempotency-key-reused", "store-unavailable",
)  # fmt: skip
_BEHIND: Final = ("upstream-unavailable", "upstream-throttled", "upstream-malformed")

_REF: Final = "#/components/schemas/{name}"
_SENTENCE: Final = re.compile(r"\s*\n\s*")


def document(api: ApiVersion) -> dict[str, Any]:
    """Make the OpenAPI document of one API version; the same input gives the same bytes."""
    bound = operations(api.port)
    schemas = _schemas(bound)
    paths: dict[str, Any] = {}
    for one in bound:
        item = paths.setdefault(one.operation.path, {})
        item[one.operation.method.lower()] = _operation(one, api, schemas)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": f"Crossdock {api.title}",
            "version": f"{api.version}.0.0",
            "description": (api.port.__doc__ or "").strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "x-crossdock-api": api.path.removeprefix("/"),
            "x-crossdock-tier": api.tier,
            "x-crossdock-owner": api.owner,
            "x-crossdock-state": api.state,
        },
        "servers": [{"url": api.path}],
        "paths": paths,
        "components": {
            "schemas": schemas["components"],
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "description": "OAuth 2 client credentials; JWT access tokens (RFC 9068).",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": "/oauth/token",
                            "scopes": _scopes(bound),
                        }
                    },
                }
            },
        },
    }


def encode(made: dict[str, Any]) -> bytes:
    """Write a document as it is blessed: two-space JSON, keys in the order they were made."""
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def blessed(api: ApiVersion) -> dict[str, Any]:
    """Read the blessed document of an API version; raise `FileNotFoundError` without one."""
    found: dict[str, Any] = msgspec.json.decode(
        (files("contracts") / "openapi" / f"{api.slug}.json").read_bytes()
    )
    return found


def _schemas(bound: Iterable[BoundOperation]) -> dict[str, Any]:
    shapes: list[Any] = [problems.Problem]
    for one in bound:
        shapes += [shape for shape in (one.body, None if one.raw else one.result) if shape]
        if one.query:
            shapes.append(one.query)
    found = schemas_of(shapes)
    components = found["components"]
    components["Problem"]["properties"].pop("extensions", None)
    components["Problem"]["properties"]["type"]["description"] = "A reference to /problems/<slug>."
    components["Fault"].setdefault("description", "One fault in a request.")
    return found


def schemas_of(shapes: Iterable[Any]) -> dict[str, Any]:
    """Answer the schema `of` each shape, and the `components` that these refer to, by name."""
    unique = list(dict.fromkeys(shapes))
    made, components = msgspec.json.schema_components(unique, ref_template=_REF)
    _narrow(inspect.multi_type_info(unique), components)
    return {
        "of": dict(zip(unique, (_corrected(schema) for schema in made), strict=True)),
        "components": {name: _corrected(schema) for name, schema in sorted(components.items())},
    }


def _narrow(types: Iterable[inspect.Type], components: dict[str, Any]) -> None:
    """Say beside a reference what its annotation adds; msgspec writes the bare reference."""
    seen: set[type] = set()
    pending = list(types)
    while pending:
        match pending.pop():
            case inspect.StructType(cls=cls, fields=fields) if cls not in seen:
                seen.add(cls)
                properties = components[cls.__name__]["properties"]
                for field in fields:
                    pending.append(field.type)
                    for name, extra in _narrowings(field.type):
                        _beside(properties[field.encode_name], _REF.format(name=name), extra)
            case inspect.Metadata(type=inner):
                pending.append(inner)
            case inspect.UnionType(types=several):
                pending += several
            case inspect.VarTupleType(item_type=item):
                pending.append(item)


def _narrowings(shape: inspect.Type) -> Iterable[tuple[str, dict[str, Any]]]:
    for each in shape.types if isinstance(shape, inspect.UnionType) else (shape,):
        match each:
            case inspect.Metadata(
                type=inspect.StructType(cls=cls), extra_json_schema=dict() as extra
            ):
                yield cls.__name__, extra


def _beside(schema: dict[str, Any], reference: str, extra: dict[str, Any]) -> None:
    for each in (schema, *schema.get("anyOf", ())):
        if each.get("$ref") == reference:
            each.update(extra)


def _corrected(schema: Any) -> Any:
    """Give decimals their pattern, and drop what msgspec derives from class names."""
    if isinstance(schema, list):
        return [_corrected(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _corrected(value) for key, value in schema.items() if key != "title"}
    if made.get("format") == "decimal":
        made.setdefault("pattern", DECIMAL_PATTERN)
    if isinstance(made.get("description"), str):
        made["description"] = _SENTENCE.sub(" ", made["description"]).strip()
    if isinstance(schema.get("properties"), dict) and "title" in schema["properties"]:
        made["properties"]["title"] = _corrected(schema["properties"]["title"])
    return made


def _operation(one: BoundOperation, api: ApiVersion, schemas: dict[str, Any]) -> dict[str, Any]:
    declared = one.operation
    made: dict[str, Any] = {
        "operationId": one.name,
        "summary": declared.summary,
        "description": _SENTENCE.sub(" ", one.description),
        "tags": [api.title],
        "parameters": _parameters(one, schemas),
        "security": _security(declared),
    }
    if one.body is not None:
        body = {"application/json": {"schema": schemas["of"][one.body], **_example(one, "body")}}
        made["requestBody"] = {"required": True, "content": body}
    if one.raw:
        as_it_comes: dict[str, Any] = {"*/*": {}}
        made["requestBody"] = {"required": False, "content": as_it_comes}
    made["responses"] = _responses(one, schemas)
    made["x-crossdock"] = {
        "idempotency": declared.idempotency,
        "limit": declared.limit,
        "criticality": declared.criticality,
        "budgetMs": declared.budget_ms,
        "maxBodyBytes": declared.max_body_bytes,
        "lifecycle": _lifecycle(api),
    }
    if declared.cost != 1:
        made["x-crossdock"]["cost"] = declared.cost
    if declared.cache is not None:
        made["x-crossdock"]["cache"] = msgspec.to_builtins(declared.cache)
    return made


def _security(declared: Operation) -> list[dict[str, list[str]]]:
    """The scope suffices; a scope that changes what the call may do is shown beside it."""
    if declared.scope is None:
        return []
    alone = {"oauth2": [declared.scope]}
    return [alone, *({"oauth2": [declared.scope, extra]} for extra in declared.honours)]


def _lifecycle(api: ApiVersion) -> dict[str, Any]:
    made: dict[str, Any] = {"state": api.state}
    if api.deprecated_on:
        made["deprecatedAt"] = api.deprecated_on.isoformat()
    if api.sunset_on:
        made["sunsetAt"] = api.sunset_on.isoformat()
    if api.successor:
        made["successor"] = api.successor
    return made


def _parameters(one: BoundOperation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": 128,
                "pattern": SEGMENT_PATTERN,
            },
            **_example(one, name),
        }
        for name in one.path_parameters
    ]
    if one.query is not None:
        made += _query_parameters(one, one.query, schemas)
    if one.operation.idempotency != "none":
        made.append(
            _header("Idempotency-Key", required=one.operation.idempotency == "required",
                    schema={"type": "string", "minLength": 1, "maxLength": 255,
                            "pattern": "^[!-~]+$"},
                    says="Yours, and the same on every retry of the same request.")
        )  # fmt: skip
    if 202 in _statuses(one.operation):  # noqa: PLR2004  # an HTTP status is its own name
        made.append(
            _header("Prefer", required=False, schema={"type": "string", "maxLength": 200},
                    says="`wait=10`: wait up to ten seconds for the end (RFC 7240).")
        )  # fmt: skip
    made.append(
        _header("X-Correlation-Id", required=False,
                schema={"type": "string"},
                says="Yours if well formed, minted if not; every answer and record carries it.")
    )  # fmt: skip
    return made


def _example(one: BoundOperation, name: str) -> dict[str, Any]:
    examples = one.operation.examples
    return {"example": examples[name]} if name in examples else {}


def _header(name: str, *, required: bool, schema: dict[str, Any], says: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": says,
            "schema": schema}  # fmt: skip


def _query_parameters(
    one: BoundOperation, query: type, schemas: dict[str, Any]
) -> list[dict[str, Any]]:
    component = schemas["components"][query.__name__]
    required = component.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required,
         "schema": _without_null(schema), **_example(one, name)}
        for name, schema in component["properties"].items()
    ]  # fmt: skip


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is absent rather than null."""
    choices = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    made = {key: value for key, value in schema.items() if key != "anyOf"}
    if made.get("default", 0) is None:
        del made["default"]
    return {**made, **choices[0]} if len(choices) == 1 else schema


def _statuses(declared: Operation) -> tuple[int, ...]:
    return tuple(sorted({declared.status, *declared.also}))


def _responses(one: BoundOperation, schemas: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for status in _statuses(one.operation):
        made[str(status)] = _success(one, status, schemas)
    if one.operation.method == "GET" and (one.replies or one.operation.cache):
        made["304"] = {"description": "Not modified since the ETag given"}
    by_status: dict[int, list[str]] = {}
    for slug in dict.fromkeys(_problems_of(one)):
        by_status.setdefault(problems.kind(slug).status, []).append(slug)
    for status, slugs in sorted(by_status.items()):
        made[str(status)] = {
            "description": "; ".join(problems.kind(slug).title for slug in slugs),
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "x-problems": slugs,
        }
    return made


def _success(one: BoundOperation, status: int, schemas: dict[str, Any]) -> dict[str, Any]:
    said = {200: "Done", 201: "Created and complete", 202: "Accepted; it is durable"}
    made: dict[str, Any] = {"description": said[status]}
    if one.raw:
        made["content"] = {"*/*": {}}
        return made
    made["content"] = {"application/json": {"schema": schemas["of"][one.result]}}
    if one.replies:
        headers = ("ETag",) if status == 200 else ("Location", "ETag")  # noqa: PLR2004  # see above
        made["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return made


def _problems_of(one: BoundOperation) -> tuple[str, ...]:
    declared = one.operation
    slugs = _EVERY_CALL + declared.problems
    if one.body is not None or one.query is not None or one.path_parameters:
        slugs += _WITH_BODY if one.body is not None else ("invalid-request",)
    if one.raw:
        slugs += ("request-too-large",)
    if declared.scope:
        slugs += _WITH_SCOPE
    if declared.idempotency != "none":
        slugs += _WITH_KEY
    if one.path_parameters:
        slugs += ("not-found",)
    return (*slugs, *_BEHIND)


def _scopes(bound: Iterable[BoundOperation]) -> dict[str, str]:
    scopes = sorted(
        {scope for one in bound for scope in (one.operation.scope, *one.operation.honours) if scope}
    )
    return {scope: f"Call the operations that need {scope}" for scope in scopes}
