"""References within a document (`$ref`, RFC 6901): followed, and the broken ones told."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.problems import Fault
from gateway.faults import choices, nearest, pointer_of

DATA: Final = frozenset({"example", "examples", "default", "enum", "const", "value"})
"""Under these names a document holds values, which may look like anything."""
_DEEPEST: Final = 8


def followed(document: Mapping[str, Any], node: Any) -> dict[str, Any]:
    """Answer the object itself, or what its local reference leads to."""
    for _ in range(_DEEPEST):
        if "$ref" not in node:
            break
        node = _target(document, node["$ref"])
    found: dict[str, Any] = node
    return found


def _target(document: Mapping[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def reference_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Tell every reference that leads out of the document, to nothing, or round in a circle."""
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(document, ())]
    while pending:
        node, path = pending.pop()
        if isinstance(node, list):
            pending.extend((each, (*path, index)) for index, each in enumerate(node))
        if not isinstance(node, dict):
            continue
        if isinstance(node.get("$ref"), str) and path[-1:] != ("properties",):
            fault = _fault(document, node["$ref"], path)
            if fault is not None:
                yield fault
        named = path[-1:] in {("properties",), ("schemas",), ("patternProperties",)}
        pending.extend(
            (each, (*path, name))
            for name, each in node.items()
            if named or (name not in DATA and not name.startswith("x-"))
        )


def _fault(
    document: Mapping[str, Any], reference: str, path: tuple[str | int, ...]
) -> Fault | None:
    place = pointer_of((*path, "$ref"))
    if not reference.startswith("#/"):
        return Fault(
            pointer=place,
            detail="leads out of the document",
            allowed="a reference within it, like #/components/schemas/Parcel",
        )
    try:
        node = _target(document, reference)
        for _ in range(_DEEPEST):
            if not (isinstance(node, dict) and isinstance(node.get("$ref"), str)):
                return None
            node = _target(document, node["$ref"])
    except (KeyError, TypeError):
        above, _, name = reference.rpartition("/")
        known = _names_at(document, above)
        near = nearest(name, known)
        return Fault(
            pointer=place,
            detail="leads to nothing",
            allowed=choices(f"{above}/{each}" for each in known) or "something that exists",
            nearest=None if near is None else f"{above}/{near}",
        )
    return Fault(
        pointer=place,
        detail=f"leads on to another reference more than {_DEEPEST} times",
        allowed="the thing itself",
    )


def _names_at(document: Mapping[str, Any], reference: str) -> list[str]:
    try:
        node = _target(document, reference)
    except (KeyError, TypeError):
        return []
    return sorted(node) if isinstance(node, dict) else []
