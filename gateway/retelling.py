"""The contract of a service that is not ours, told over as one of ours.

OpenAPI 3.0 and 3.1 go in, a 3.1 document goes out that `gateway.routes` compiles like any other:
with our prefix, our security and complete `x-crossdock` terms. What the document says of its own
servers and security is between the service and its other callers, and is not believed here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.faults import pointer_of
from gateway.refs import followed
from gateway.routes import is_json
from gateway.schemas import modern
from gateway.services import Service

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_NOT_CHECKED: Final = frozenset(
    {"accept", "content-type", "authorization", "cookie", "x-api-key", "expect", "host"}
)
"""Headers OpenAPI leaves out itself, and those that never reach a service."""


class ForeignOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as its document has it, its path item's parameters included."""

    path: str
    method: str
    node: dict[str, Any]
    parameters: tuple[dict[str, Any], ...]

    @property
    def id(self) -> str:
        """What it is called: `get /shipments` where it has no name of its own."""
        return self.node.get("operationId") or f"{self.method} {self.path}"

    @property
    def own(self) -> dict[str, Any]:
        """Its own terms."""
        found = self.node.get("x-crossdock")
        return found if isinstance(found, dict) else {}

    @property
    def scopes(self) -> list[str] | None:
        """The scopes that its own terms ask for; None where they say nothing."""
        found = self.own.get("scopes")
        return [str(each) for each in found] if isinstance(found, list) else None

    @property
    def pointer(self) -> str:
        """Where it stands."""
        return pointer_of(("paths", self.path, self.method))


def paths_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the document's path items; what is beside them is nobody's path."""
    return {path: item for path, item in told["paths"].items() if not path.startswith("x-")}


def operations_of(told: Mapping[str, Any]) -> Iterator[ForeignOperation]:
    """Answer the document's operations, an operation's parameters before its path item's."""
    for path, item in paths_of(told).items():
        found = followed(told, item)
        for method in METHODS:
            if method not in found:
                continue
            node = found[method]
            by_name = {
                (each["in"], each["name"]): each
                for each in (
                    followed(told, one)
                    for one in (*found.get("parameters", ()), *node.get("parameters", ()))
                )
            }
            yield ForeignOperation(
                path=path, method=method, node=node, parameters=tuple(by_name.values())
            )


def is_old(told: Mapping[str, Any]) -> bool:
    """Tell whether its schemas are in the dialect of OpenAPI 3.0."""
    return str(told["openapi"]).startswith("3.0")


def told_over(
    name: str, service: Service, told: Mapping[str, Any], scopes: frozenset[str]
) -> dict[str, Any]:
    """Answer the document as one of ours."""
    old = is_old(told)
    paths: dict[str, Any] = {}
    for each in operations_of(told):
        paths.setdefault(each.path, {})[each.method] = _operation_over(service, told, each, old=old)
    components = {**told.get("components", {})}
    components["schemas"] = {
        key: modern(each, old=old) for key, each in components.get("schemas", {}).items()
    }
    components["securitySchemes"] = {
        "oauth2": {
            "type": "oauth2",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "/oauth/token",
                    "scopes": dict.fromkeys(sorted(scopes), f"Call {told['info'].get('title')}"),
                }
            },
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {**told["info"], "x-crossdock-api": api_of(name)},
        "servers": [{"url": prefix_of(name, service)}],
        "paths": paths,
        "components": components,
    }


def api_of(name: str) -> str:
    """Answer the name of a service's API: what metrics, records and circuits call it."""
    return f"services/{name}"


def prefix_of(name: str, service: Service) -> str:
    """Answer the public path under which a service's paths are found."""
    return service.prefix or f"/{name}"


def _operation_over(
    service: Service, told: Mapping[str, Any], each: ForeignOperation, *, old: bool
) -> dict[str, Any]:
    sent = {one.lower() for one in service.headers}
    made = {
        key: value
        for key, value in each.node.items()
        if key not in {"parameters", "requestBody", "responses", "security", "servers", "callbacks"}
    }
    made["operationId"] = each.id
    made["parameters"] = [
        _modern_parameter(one, old=old)
        for one in each.parameters
        if one["in"] != "cookie"
        and not (one["in"] == "header" and one["name"].lower() in _NOT_CHECKED | sent)
    ]
    if "requestBody" in each.node:
        made["requestBody"] = _with_content(told, each.node["requestBody"], old=old, one_json=True)
    made["responses"] = {
        str(status): _with_content(told, one, old=old)
        for status, one in each.node.get("responses", {}).items()
    }
    scopes = list(service.scopes) if each.scopes is None else each.scopes
    made["security"] = [] if each.id in service.public else [{"oauth2": scopes}]
    made["x-crossdock"] = {
        "limit": service.limit,
        "criticality": service.criticality,
        "budgetMs": service.budget_ms,
        "maxBodyBytes": service.max_body_bytes,
        **({"upgrade": "websocket"} if each.id in service.websockets else {}),
        **{key: value for key, value in each.own.items() if key != "scopes"},
    }
    return made


def _modern_parameter(parameter: Mapping[str, Any], *, old: bool) -> dict[str, Any]:
    made = dict(parameter)
    if "schema" in made:
        made["schema"] = modern(made["schema"], old=old)
    return made


def _with_content(
    told: Mapping[str, Any], node: Any, *, old: bool, one_json: bool = False
) -> dict[str, Any]:
    """Answer a body or a response in place, its media types as they are compared."""
    found = dict(followed(told, node))
    if "content" not in found:
        return found
    content = {
        media.split(";", 1)[0].strip().lower(): (
            {**each, "schema": modern(each["schema"], old=old)} if "schema" in each else dict(each)
        )
        for media, each in found["content"].items()
    }
    if one_json:
        _join_json(content)
    return {**found, "content": content}


def _join_json(content: dict[str, dict[str, Any]]) -> None:
    """Let any of several JSON shapes do: a call is checked before its media type is told apart."""
    shapes = [each.get("schema", {}) for media, each in content.items() if is_json(media)]
    if any(each != shapes[0] for each in shapes):
        for media, each in content.items():
            if is_json(media):
                each["schema"] = {"anyOf": shapes}
