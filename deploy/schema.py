"""The published JSON Schema of the whole `crossdock.toml` (draft 2020-12).

Made from the very types the file is read into, so that it cannot fall behind them; editors that
know schemas complete and check the file by it. `docs/crossdock.schema.json` is this document.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from deploy.profile import Configuration
from gateway.config import GatewayConfig

__all__ = ["described", "document", "schema"]

_HERE: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Answer the schema: the gateway's sections and those of the tiers, side by side."""
    whole: dict[str, Any] = msgspec.json.schema(Configuration)
    kinds: dict[str, Any] = whole["$defs"]
    edge, rest = kinds.pop(GatewayConfig.__name__), kinds.pop(Configuration.__name__)
    del rest["properties"]["gateway"]
    for kind in kinds.values():
        _close(kind)
    return {
        "$schema": _HERE,
        "title": "crossdock.toml",
        "description": "What Crossdock is run with. Secrets are references or hashes.",
        "type": "object",
        "properties": {**edge["properties"], **rest["properties"]},
        "required": [each for each in rest.get("required", ()) if each != "gateway"],
        "additionalProperties": False,
        "$defs": kinds,
    }


def described(whole: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    """Answer what the schema says of the value at a path; nothing of one it does not know."""
    node: Any = whole
    for part in path:
        node = _resolved(whole, node)
        if node.get("type") == "array":
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    return {**_resolved(whole, node), **node} if node else {}


def _resolved(whole: Mapping[str, Any], node: Any) -> Any:
    """Follow a reference, and out of several alternatives the one that says something."""
    if "$ref" in node:
        return whole["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    said = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
    return _resolved(whole, said[0]) if said else node


def document() -> bytes:
    """Answer the schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2) + b"\n"


def _close(kind: dict[str, Any]) -> None:
    """No name but the known ones: a misspelt line is a fault, not a silent default."""
    if "properties" in kind:
        kind.setdefault("additionalProperties", False)
    if "description" in kind:
        kind["description"] = inspect.cleandoc(kind["description"])
