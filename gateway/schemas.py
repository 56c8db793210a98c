"""Schemas of OpenAPI 3.0 in today's words (JSON Schema 2020-12), and what both versions add to it.

3.0 has a dialect of its own: `nullable`, exclusive bounds as switches, nothing beside a `$ref`
(OpenAPI 3.0.3, section 4.7.24). In both versions a member that only one side may write (`readOnly`,
`writeOnly`) is required of that side alone; which side a schema is held to is not known here, so it
is required of neither.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema_rs

from gateway.faults import pointer_of, shown
from gateway.refs import DATA

_MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_ONES: Final = frozenset(
    {
        "items",
        "additionalProperties",
        "not",
        "contains",
        "if",
        "then",
        "else",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


def modern(schema: Any, *, old: bool) -> Any:
    """Answer a schema that a validator of 2020-12 reads; `old` says that it is one of 3.0."""
    if not isinstance(schema, Mapping):
        return schema
    if old and "$ref" in schema:
        return {"$ref": schema["$ref"]}
    made = {key: _member(key, each, old=old) for key, each in schema.items()}
    _forget_one_sided(made)
    if not old:
        return made
    for bound, switch in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(switch), bool) and made.pop(switch) and bound in made:
            made[switch] = made.pop(bound)
    return _or_null(made) if made.pop("nullable", False) is True else made


def _member(key: str, value: Any, *, old: bool) -> Any:
    if key in _MAPS and isinstance(value, Mapping):
        return {name: modern(each, old=old) for name, each in value.items()}
    if key in _LISTS and isinstance(value, list):
        return [modern(each, old=old) for each in value]
    return modern(value, old=old) if key in _ONES else value


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Let null do as well. 3.0.3 asks for a `type` beside it; documents seldom heed that."""
    return {"anyOf": [schema, {"type": "null"}]}


def _forget_one_sided(schema: dict[str, Any]) -> None:
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return
    one_sided = {
        name
        for name, each in properties.items()
        if isinstance(each, Mapping) and (each.get("readOnly") or each.get("writeOnly"))
    }
    schema["required"] = [name for name in required if name not in one_sided]


def schema_faults(document: Mapping[str, Any], *, old: bool) -> Iterator[tuple[str, str]]:
    """Answer where a document holds what is no schema, and what stands there."""
    for path, schema in _schemas(document):
        try:
            jsonschema_rs.meta.validate(modern(schema, old=old))
        except jsonschema_rs.ValidationError as error:
            place = pointer_of((*path, *error.instance_path))
            yield place, f"{shown(error.instance)}, which no schema may say there"


def _schemas(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every schema that is no part of another one, and where it is."""
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        yield ("components", "schemas", name), schema
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(document, ())]
    while pending:
        node, path = pending.pop()
        if isinstance(node, list):
            pending.extend((each, (*path, index)) for index, each in enumerate(node))
        if not isinstance(node, Mapping):
            continue
        for name, each in node.items():
            if name == "schema":
                yield (*path, name), each
            elif name not in DATA and name != "schemas" and not name.startswith("x-"):
                pending.append((each, (*path, name)))
