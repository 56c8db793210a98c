"""validate: the request against its contract, every fault at once.

Bodies against the operation's JSON Schema, parameters against theirs; a parameter the contract does
not name is a fault too, with the nearest name that it does.
"""

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any, Final
from urllib.parse import parse_qsl

from contracts.context import BUDGET_HEADER, CORRELATION_HEADER, TRACEPARENT_HEADER
from contracts.problems import Fault, problem
from gateway.call import PASS, Call, ConfigFault, Finding, Refuse, Step, Verdict
from gateway.documents import parse
from gateway.faults import Checker, choices, nearest
from gateway.routes import Operation

_MOST_PARAMETERS: Final = 64
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


class Parameter:
    """One path, query or header parameter, compiled."""

    def __init__(self, spec: dict[str, Any], components: dict[str, Any]) -> None:
        self.name: str = spec["name"]
        self.place: str = spec["in"]
        self.required: bool = bool(spec.get("required", self.place == "path"))
        self.field = self.name.lower().encode()
        schema = spec.get("schema", {})
        resolved = _resolved(schema, components)
        self.repeats = "array" in _types(resolved, components)
        items = resolved.get("items", {}) if self.repeats else resolved
        self._convert = _converter(_types(_resolved(items, components), components))
        self._checker = Checker(schema, {"components": components})

    def faults(self, texts: list[str]) -> list[Fault]:
        """Check the texts a request gives for this parameter."""
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
                        value=str(error)[:200],
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
        parameters = [Parameter(spec, operation.components) for spec in operation.parameters]
        by_place = {
            place: {each.name: each for each in parameters if each.place == place}
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

        def ask(call: Call) -> Verdict:
            faults: list[Fault] = []
            if call.parameters:
                _check_path(call, by_place["path"], faults)
            query = call.scope["query_string"]
            if not free_form and (query or by_place["query"]):
                _check_query(query, by_place["query"], faults)
            if headers:
                _check_headers(call, headers, faults)
            if body is not None:
                _check_body(call, body, required=operation.body_required, faults=faults)
            if not faults:
                return PASS
            return Refuse(problem=problem("invalid-request", errors=faults))

        asked = f"{len(parameters)} parameters" + (" and a JSON body" if body else "")
        return (
            Step(
                self.name,
                ask=ask,
                explain=lambda _: Finding(
                    policy=self.name, verdict="pass", because=f"{asked} are checked"
                ),
            ),
        )


def _check_path(call: Call, known: dict[str, Parameter], faults: list[Fault]) -> None:
    for name, text in call.parameters.items():
        parameter = known.get(name)
        if parameter is not None:
            faults.extend(parameter.faults([text]))


def _check_query(raw: bytes, known: dict[str, Parameter], faults: list[Fault]) -> None:
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
            texts = [value.decode("latin-1")]
            if parameter.repeats:
                texts = [each.strip() for each in texts[0].split(",")]
            faults.extend(parameter.faults(texts))
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
            if "number" in types and text.isascii() and text[-1:].isdigit():
                number = float(text)
                return number if isfinite(number) else text
        except ValueError:
            return text
        return text

    return convert
