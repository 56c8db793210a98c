"""validate: the request against its contract, every fault at once.

Bodies against the operation's JSON Schema, parameters against theirs; a parameter the contract does
not name is a fault too, with the nearest name that it does.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any, Final
from urllib.parse import parse_qsl

from contracts.context import BUDGET_HEADER, CORRELATION_HEADER, TRACEPARENT_HEADER
from contracts.problems import Fault, problem
from gateway.call import PASS, Call, ConfigFault, Finding, Refuse, Step, Verdict
from gateway.documents import parse
from gateway.faults import Checker, choices, nearest
from gateway.routes import Operation, is_json

_MOST_PARAMETERS: Final = 64
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""As JSON writes numbers (RFC 8259 section 6)."""
_OWNED_ELSEWHERE: Final = frozenset(
    {
        b"authorization",
        b"idempotency-key",
        CORRELATION_HEADER.encode(),
        BUDGET_HEADER.encode(),
        TRACEPARENT_HEADER.encode(),
    }
)
"""Headers another policy holds to its own rules, even where a contract describes them."""
_IN_THE_ADDRESS: Final = ("path:", "query:")


class Parameter:
    """One path, query or header parameter, compiled."""

    def __init__(self, spec: dict[str, Any], components: dict[str, Any]) -> None:
        self.name: str = spec["name"]
        self.place: str = spec["in"]
        self.required: bool = bool(spec.get("required", self.place == "path"))
        self.field = self.name.lower().encode()
        schema = spec.get("schema", {})
        resolved = _resolved(schema, components)
        types = _types(resolved, components)
        self.repeats = "array" in types
        self.spreads = self.place == "query" and ("object" in types or "properties" in resolved)
        """Whether its members come instead, each by its own name."""
        self.separator = _separator(spec) if self.repeats else None
        """What stands between entries that come in one text; None: each comes by itself."""
        self._empty = bool(spec.get("allowEmptyValue")) and self.place == "query"
        items = resolved.get("items", {}) if self.repeats else resolved
        self._convert = _converter(_types(_resolved(items, components), components))
        self._checker = Checker(schema, {"components": components})

    def faults(self, texts: list[str]) -> list[Fault]:
        """Check the texts a request gives for this parameter."""
        if self._empty and texts == [""]:
            return []
        if self.separator is not None:
            texts = [each.strip() for text in texts for each in text.split(self.separator)]
        values = [self._convert(text) for text in texts]
        value = values if self.repeats else values[0]
        place = f"{self.place}:{self.name}"
        if not self.repeats and len(values) > 1:
            return [Fault(pointer=place, detail="is given more than once", allowed="once")]
        if self._checker.is_valid(value):
            return []
        return [
            Fault(pointer=place, detail=each.detail, allowed=each.allowed, nearest=each.nearest)
            for each in self._checker.faults(value)
        ]


class Validate:
    """Holds requests to the contract."""

    name = "validate"

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[Step, ...]] = {}

    async def provision(self) -> None:
        """Need nothing: schemas are compiled with the operations."""

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """Every schema must compile; the validator's own words say where it does not."""
        faults = []
        for operation in operations:
            try:
                self.compile(operation)
            except (ValueError, KeyError) as error:
                faults.append(
                    ConfigFault(
                        place=operation.key,
                        value=str(error).partition("\n")[0][:200],
                        allowed="a JSON Schema of draft 2020-12 with local references",
                        remedy="Correct the contract this operation comes from.",
                    )
                )
        return faults

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract names a body or parameters; refuse stray queries elsewhere."""
        found = self._compiled.get(operation.key)
        if found is None:
            # Schemas are the costly part of a start: compiled for the check, used for serving.
            found = self._compiled[operation.key] = self._compile(operation)
        return found

    def _compile(self, operation: Operation) -> tuple[Step, ...]:
        parameters = [
            Parameter(spec, operation.components)
            for spec in operation.parameters
            if _is_checkable(spec)
        ]
        unchecked = None if operation.open_query else _unchecked(operation)
        by_place = {
            place: {
                each.name: each for each in parameters if each.place == place and not each.spreads
            }
            for place in ("path", "query")
        }
        headers = [
            each
            for each in parameters
            if each.place == "header" and each.field not in _OWNED_ELSEWHERE
        ]
        body = (
            Checker(operation.body_schema, {"components": operation.components})
            if operation.body_schema is not None
            else None
        )
        # A vendor's notification is in the vendor's form; its connector knows what may be in it.
        free_form = operation.terms.limit == "house" or "*/*" in operation.media_types
        json_only = all(is_json(each) for each in operation.media_types)

        def ask(call: Call) -> Verdict:
            faults: list[Fault] = []
            if call.parameters:
                _check_path(call, by_place["path"], faults)
            query = call.scope["query_string"]
            if not free_form and (query or by_place["query"]):
                _check_query(query, by_place["query"], unchecked, faults)
            if headers:
                _check_headers(call, headers, faults)
            if body is not None and (json_only or is_json(_media_type(call))):
                _check_body(call, body, required=operation.body_required, faults=faults)
            if not faults:
                return PASS
            return Refuse(problem=problem("invalid-request", errors=faults))

        asked = f"{len(parameters)} parameters" + (" and a JSON body" if body else "")

        def explain(call: Call) -> Finding:
            """Judge what the address says; headers and body are not known."""
            told = ask(call)
            faults = told.problem.errors if isinstance(told, Refuse) else ()
            said = [_said(each) for each in faults if each.pointer.startswith(_IN_THE_ADDRESS)]
            return Finding(
                policy=self.name,
                verdict="refuse" if said else "pass",
                because="; ".join(said) or f"{asked} are checked",
            )

        return (Step(self.name, ask=ask, explain=explain),)


def _said(fault: Fault) -> str:
    allowed = "" if fault.allowed is None else f" (allowed: {fault.allowed})"
    near = "" if fault.nearest is None else f"; did you mean {fault.nearest}?"
    return f"{fault.pointer} {fault.detail}{allowed}{near}"


def _is_checkable(spec: dict[str, Any]) -> bool:
    """Tell whether one text, or a list of them, is the parameter (OpenAPI 3.1, "Style Values")."""
    style = spec.get("style", "form")
    return "schema" in spec and style not in {"deepObject", "label", "matrix"}


def _unchecked(operation: Operation) -> frozenset[str]:
    return frozenset(
        each["name"]
        for each in operation.parameters
        if each["in"] == "query" and not _is_checkable(each)
    )


def _separator(spec: dict[str, Any]) -> str | None:
    style = spec.get("style", "form")
    if spec["in"] != "query":
        return ","
    if spec.get("explode", style == "form"):
        return None
    return {"spaceDelimited": " ", "pipeDelimited": "|"}.get(style, ",")


def _media_type(call: Call) -> str:
    given = call.fields.get(b"content-type", b"")
    return given.split(b";", 1)[0].strip().lower().decode("latin-1")


def _check_path(call: Call, known: dict[str, Parameter], faults: list[Fault]) -> None:
    for name, text in call.parameters.items():
        parameter = known.get(name)
        if parameter is not None:
            faults.extend(parameter.faults([text]))


def _check_query(
    raw: bytes, known: dict[str, Parameter], unchecked: frozenset[str] | None, faults: list[Fault]
) -> None:
    """Check a query; names in `unchecked` may hold anything, None: whatever has no name may."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        faults.append(
            Fault(
                pointer="query:",
                detail="cannot be read",
                allowed=f"at most {_MOST_PARAMETERS} percent-encoded UTF-8 parameters",
            )
        )
        return
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    for name, texts in given.items():
        parameter = known.get(name)
        if parameter is None and (unchecked is None or name in unchecked):
            continue
        if parameter is None:
            faults.append(
                Fault(
                    pointer=f"query:{name[:64]}",
                    detail="is not a parameter of this operation",
                    allowed=choices(known) or "no parameter at all",
                    nearest=nearest(name, known),
                )
            )
        else:
            faults.extend(parameter.faults(texts))
    faults.extend(_missing(known.values(), given))


def _check_headers(call: Call, headers: Iterable[Parameter], faults: list[Fault]) -> None:
    for parameter in headers:
        value = call.fields.get(parameter.field)
        if value is not None:
            faults.extend(parameter.faults([value.decode("latin-1")]))
        elif parameter.required:
            faults.append(Fault(pointer=f"header:{parameter.name}", detail="is missing"))


def _missing(known: Iterable[Parameter], given: dict[str, list[str]]) -> list[Fault]:
    return [
        Fault(pointer=f"{each.place}:{each.name}", detail="is missing")
        for each in known
        if each.required and each.name not in given
    ]


def _check_body(call: Call, checker: Checker, *, required: bool, faults: list[Fault]) -> None:
    if not call.body:
        if required:
            faults.append(Fault(pointer="", detail="the body is missing", allowed="a JSON body"))
        return
    call.document = parse(call.body)
    if not checker.is_valid(call.document):
        faults.extend(checker.faults(call.document))


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        node: Any = {"components": components}
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    return schema


def _types(schema: dict[str, Any], components: dict[str, Any]) -> set[str]:
    """Answer the JSON types a parameter's schema speaks of, through its alternatives."""
    found = schema.get("type", ())
    types = {found} if isinstance(found, str) else set(found)
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        types |= _types(_resolved(branch, components), components)
    return types


def _converter(types: set[str]) -> Callable[[str], Any]:
    """Read a parameter's text as the type its schema wants; what cannot be read stays text."""
    if "string" in types or not types:
        return str

    def convert(text: str) -> Any:
        if "boolean" in types and text in ("true", "false"):
            return text == "true"
        try:
            if "integer" in types and len(text) < 20:  # noqa: PLR2004  digits of a 64-bit number
                return int(text) if text.lstrip("-").isdecimal() and text.isascii() else text
            if "number" in types and _NUMBER.fullmatch(text):
                number = float(text)
                return number if isfinite(number) else text
        except ValueError:
            return text
        return text

    return convert
