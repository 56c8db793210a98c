"""The contract of a service that is not ours: every fault of it at once, or one like ours.

What is read of it is checked by its form, by what its references and schemas come to, and by what
the service's section says of its operations; the rest of the document is nobody's business here.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from contracts.problems import Fault
from gateway.call import ConfigFault
from gateway.faults import REMEDIES, Checker, choices, nearest, pointer_of, shown, written
from gateway.refs import followed, reference_faults
from gateway.retelling import METHODS, ForeignOperation, is_old, operations_of, paths_of, told_over
from gateway.schemas import schema_faults
from gateway.services import Service, ServiceTerms

_VERSION: Final = re.compile(r"3\.[01]\.\d+")
_SEGMENT: Final = re.compile(r"\{[^{}/]+\}|[^{}/]*")


_TABLE: Final[dict[str, Any]] = {"type": "object"}


def _or_reference(kind: str, itself: dict[str, Any]) -> dict[str, Any]:
    """The thing itself, or a reference to one among the components of its kind."""
    elsewhere = {"type": "string", "pattern": f"^#/components/{kind}/"}
    return {
        "type": "object",
        "if": {"required": ["$ref"]},
        "then": {"properties": {"$ref": elsewhere}},
        "else": itself,
    }


def _form() -> dict[str, Any]:
    """What is read of a document, as a schema; of the rest nothing is asked."""
    made = msgspec.json.schema(ServiceTerms)
    kinds: dict[str, Any] = made["$defs"]
    for kind in kinds.values():
        kind["additionalProperties"] = False
    media = {**_TABLE, "additionalProperties": _TABLE}
    content = {"properties": {"content": media}}
    parameter = {
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "in": {"enum": ["query", "header", "path", "cookie"]},
            "schema": {"type": ["object", "boolean"]},
        },
        "required": ["name", "in"],
    }
    parameters = {"type": "array", "items": _or_reference("parameters", parameter)}
    body = _or_reference("requestBodies", content)
    response = _or_reference("responses", content)
    operation = {
        "type": "object",
        "properties": {
            "operationId": {"type": "string", "minLength": 1, "maxLength": 128},
            "parameters": parameters,
            "requestBody": body,
            "responses": {**_TABLE, "additionalProperties": response},
            "x-crossdock": {"$ref": "#/$defs/ServiceTerms"},
        },
    }
    item = {"properties": {"parameters": parameters, **dict.fromkeys(METHODS, operation)}}
    components = {
        "parameters": {**_TABLE, "additionalProperties": parameters["items"]},
        "requestBodies": {**_TABLE, "additionalProperties": body},
        "responses": {**_TABLE, "additionalProperties": response},
        "pathItems": {**_TABLE, "additionalProperties": _or_reference("pathItems", item)},
        "schemas": _TABLE,
    }
    paths = {
        **_TABLE,
        "minProperties": 1,
        "patternProperties": {"^x-": True},
        "additionalProperties": _or_reference("pathItems", item),
    }
    return {
        "$defs": kinds,
        "type": "object",
        "required": ["info", "paths"],
        "properties": {
            "info": _TABLE,
            "paths": paths,
            "components": {**_TABLE, "properties": components},
        },
    }


_REMEDY: Final = "Correct the contract, or ask its owner to."
_FORM: Final = Checker(_form())


class Adapted(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign contract as one of ours; without a document if there are faults.

    `scopes` are all that it and its section name, for who is to be given them; unless it could not
    be read as far as it `names_scopes`.
    """

    document: dict[str, Any] | None
    faults: tuple[ConfigFault, ...]
    scopes: frozenset[str]
    names_scopes: bool = True


def adapt(name: str, service: Service, told: Any) -> Adapted:
    """Tell a foreign document over, or tell every fault of it and of what its section says."""
    scopes = frozenset(service.scopes)
    place = service.contract
    wrong = _unreadable(place, told)
    if wrong is not None:
        return Adapted(document=None, faults=(wrong,), scopes=scopes, names_scopes=False)
    form, references = _FORM.faults(told), list(reference_faults(told))
    faults = [_formal(place, fault, told) for fault in (*form, *references)]
    # Wrong terms and schemas stand in nobody's way: what else is wrong is told with them.
    legible = all("/x-crossdock" in each.pointer for each in form) and all(
        "/schema" in each.pointer for each in references
    )
    if legible:
        operations = list(operations_of(told))
        scopes |= {scope for each in operations for scope in each.scopes or ()}
        faults += _schema_faults(place, told)
        faults += _shape_faults(place, told, operations)
        faults += _section_faults(name, service, operations)
    if faults:
        return Adapted(
            document=None,
            faults=tuple(faults),
            scopes=scopes,
            names_scopes=legible and not form,
        )
    return Adapted(document=told_over(name, service, told, scopes), faults=(), scopes=scopes)


def _unreadable(place: str, told: Any) -> ConfigFault | None:
    """Tell what is no OpenAPI document of a version that is understood."""
    version = told.get("openapi", told.get("swagger")) if isinstance(told, dict) else None
    if isinstance(version, str) and "openapi" in told and _VERSION.fullmatch(version):
        return None
    value = "no OpenAPI document" if version is None else f"a document of version {shown(version)}"
    return ConfigFault(
        place=f"{place}#/openapi",
        value=value,
        allowed="OpenAPI 3.0 or 3.1, like 3.1.0",
        remedy="Name the service's OpenAPI document, or have it converted.",
    )


def _formal(place: str, fault: Fault, told: Any) -> ConfigFault:
    return ConfigFault(
        place=f"{place}#{fault.pointer}",
        value=written(fault, told),
        allowed=fault.allowed or "see the OpenAPI Specification",
        nearest=fault.nearest,
        remedy=REMEDIES.get(fault.detail, _REMEDY),
    )


def _schema_faults(place: str, told: Mapping[str, Any]) -> list[ConfigFault]:
    return [
        ConfigFault(
            place=f"{place}#{pointer}",
            value=value,
            allowed="what JSON Schema has there (OpenAPI 3.0: its own dialect of it)",
            remedy=_REMEDY,
        )
        for pointer, value in schema_faults(told, old=is_old(told))
    ]


def _shape_faults(
    place: str, told: Mapping[str, Any], operations: list[ForeignOperation]
) -> list[ConfigFault]:
    """Report what the form does not show: paths and names that the gateway could not tell apart."""
    said = [*_path_faults(told), *_operation_faults(operations)]
    if not operations:
        said.append(("/paths", "no operation", "at least one"))
    return [
        ConfigFault(place=f"{place}#{pointer}", value=value, allowed=allowed, remedy=_REMEDY)
        for pointer, value, allowed in said
    ]


def _path_faults(told: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for path, item in paths_of(told).items():
        if not _is_routable(path):
            yield (
                pointer_of(("paths", path)),
                f"{shown(path)} is not made of whole segments",
                "/segments, each of them a word or one {parameter}",
            )
        if "trace" in followed(told, item):
            yield (
                pointer_of(("paths", path, "trace")),
                "TRACE, which would show a caller what the service is sent",
                "any other method",
            )


def _operation_faults(operations: list[ForeignOperation]) -> Iterator[tuple[str, str, str]]:
    ids = Counter(each.id for each in operations)
    shapes = Counter((each.method, _shape(each.path)) for each in operations)
    for each in operations:
        if ids[each.id] > 1:
            named = f"{shown(each.id)} names {ids[each.id]} operations"
            yield f"{each.pointer}/operationId", named, "a name of its own"
        if shapes[each.method, _shape(each.path)] > 1:
            alike = "another path that differs in its parameters' names only"
            yield each.pointer, alike, "one of them"
        for one in each.parameters:
            if one["in"] == "cookie" and one.get("required"):
                needed = f"needs the cookie {shown(one['name'])}, and cookies never pass"
                yield each.pointer, needed, "no cookie, or one that may be left out"


def _is_routable(path: str) -> bool:
    return (
        path.startswith("/")
        and not any(each in path for each in "?#%\\")
        and all(
            _SEGMENT.fullmatch(each) and each not in {".", ".."} for each in path[1:].split("/")
        )
    )


def _shape(path: str) -> str:
    return re.sub(r"\{[^{}]*\}", "{}", path)


def _section_faults(
    name: str, service: Service, operations: list[ForeignOperation]
) -> list[ConfigFault]:
    """Report what the section says of operations that there are not, or leaves unsaid."""
    known = sorted(each.id for each in operations)
    reads = sorted(each.id for each in operations if each.method == "get")
    faults = [
        ConfigFault(
            place=f"services.{name}.{line}",
            value=f"{each!r} is no {kind} of its contract",
            allowed=choices(known),
            nearest=nearest(each, known),
            remedy="Name one that exists, or remove the name.",
        )
        for line, kind, named, known in (
            ("public", "operation", service.public, known),
            ("websockets", "GET", service.websockets, reads),
        )
        for each in named
        if each not in known
    ]
    faults += [
        ConfigFault(
            place=f"services.{name}.public",
            value=f"{each.id!r}, for which the contract asks for scopes",
            allowed="an operation without scopes of its own",
            remedy="Remove the scopes from the contract, or the name from here.",
        )
        for each in operations
        if each.id in service.public and each.scopes is not None
    ]
    bare = [each.id for each in operations if each.scopes is None and each.id not in service.public]
    if bare and not service.scopes:
        faults.append(
            ConfigFault(
                place=f"services.{name}.scopes",
                value=f"missing, and the contract asks for none at {choices(bare)}",
                allowed="the scopes that a caller needs",
                remedy=("Name them, or list under `public` what nobody has to prove anything for."),
            )
        )
    return faults
