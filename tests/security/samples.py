"""Bodies made from contracts: the fullest that a schema allows, and where its objects are.

A pattern is met by one of `TEXTS`; a contract with a pattern none of them meets makes this raise,
and wants one more there.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

TEXTS = (
    "x", "1", "1.00", "GBP", "GB", "bc:10001", "cust_20001", "2026-11-22", "2026-11-22T05:00:00Z",
    "EAST",
    "ORDER-1", "B1 1AA", "01M81CPRBX212S6ZEGVW40YH5T", "https://example.com/", "bc:1", "A", "AB",
    "a@b.example",
    "ord_1", "1000000", "0.5", "erp", "sha256:" + "0" * 64, "0" * 64, "0" * 32, "a.b", "a-b", "a_b",
)  # fmt: skip
_DEEPEST = 8


def resolved(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references; of alternatives take the first that says most."""
    for _ in range(16):
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = _both(components["schemas"][name], beside)
            continue
        branches = schema.get("anyOf") or schema.get("oneOf")
        if not branches:
            return schema
        schema = next((each for each in branches if each.get("type") != "null"), branches[0])
    raise AssertionError("references without an end")


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What is said beside a reference narrows what it refers to, member by member."""
    members = dict(one.get("properties", {}))
    for name, each in other.get("properties", {}).items():
        members[name] = {**members.get(name, {}), **each}
    return {**one, **other, **({"properties": members} if members else {})}


def sample(  # noqa: PLR0911  one return for each type
    schema: Mapping[str, Any], components: Mapping[str, Any], depth: int = 0
) -> Any:
    """Answer the fullest value a schema allows, as small as it may be."""
    schema = resolved(schema, components)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = next((each for each in kind if each != "null"), None) if isinstance(kind, list) else kind
    match kind:
        case "object":
            required = set(schema.get("required", ()))
            return {
                name: sample(each, components, depth + 1)
                for name, each in schema.get("properties", {}).items()
                if depth < _DEEPEST or name in required
            }
        case "array":
            if "prefixItems" in schema:
                return [sample(each, components, depth + 1) for each in schema["prefixItems"]]
            least = max(1, schema.get("minItems", 0))
            return [sample(schema.get("items", {}), components, depth + 1)] * least
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "string":
            return _text(schema)
        case _:
            return "x"


def _text(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 10**6)
    wanted = {"date": "2026-11-22", "date-time": "2026-11-22T05:00:00Z"}.get(
        schema.get("format", "")
    )
    for text in (wanted,) if wanted else (*TEXTS, "x" * max(1, least)):
        if least <= len(text) <= most and re.search(schema.get("pattern", ""), text):
            return text
    raise AssertionError(f"no text here meets {schema}")


def objects(
    schema: Mapping[str, Any],
    components: Mapping[str, Any],
    value: Any,
    path: tuple[str | int, ...] = (),
) -> Iterator[tuple[tuple[str | int, ...], frozenset[str], bool]]:
    """Yield where a sample has objects, what names each may have, and whether it takes any."""
    schema = resolved(schema, components)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield path, frozenset(known), schema.get("additionalProperties", True) is not False
        for name, each in value.items():
            if name in known:
                yield from objects(known[name], components, each, (*path, name))
    elif isinstance(value, list) and value:
        yield from objects(schema.get("items", {}), components, value[0], (*path, 0))


def property_names(documents: list[Mapping[str, Any]]) -> set[str]:
    """Every name any contract gives to a member of an object."""
    found: set[str] = set()
    pending: list[Any] = list(documents)
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            properties = node.get("properties")
            if isinstance(properties, Mapping):
                found.update(properties)
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return found
