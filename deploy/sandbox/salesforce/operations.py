"""What the fault switch and the journal call a request: ``sobjects.Case.create``, ``query``."""

import re

from deploy.sandbox.salesforce.call import ROOT
from deploy.sandbox.salesforce.objects import Schema
from deploy.sandbox.wire import Request

__all__ = ["operation_of"]

_TYPE = re.compile(rb'"type"\s*:\s*"(\w+)"')
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PATCH": "update", "DELETE": "delete"}
_PEEK = 4096


def operation_of(  # noqa: PLR0911  # one return an address
    request: Request, schema: Schema
) -> str:
    """The name of a request's operation; never raises."""
    path = request.path
    if path.startswith("/services/oauth2/"):
        return path.rsplit("/", 1)[-1]
    if not path.startswith(ROOT):
        return "versions" if path.startswith("/services/data") else "unknown"
    verb = _VERBS.get(request.method, "unknown")
    match request.raw_path.split("/")[4:]:
        case ["sobjects", *parts]:
            return _on_records(parts, verb)
        case ["composite", "sobjects"]:
            return f"collections.{_first_type(request, schema)}.{verb}"
        case ["composite", "sobjects", name]:
            return f"collections.{name}.get"
        case ["composite", "sobjects", name, _]:
            return f"collections.{name}.upsert"
        case [first, *_] if first:
            return first
    return "resources"


def _on_records(parts: list[str], verb: str) -> str:
    """Operations under ``sobjects``."""
    match parts:
        case [name]:
            return f"sobjects.{name}.{'create' if verb == 'create' else 'info'}"
        case [name, "describe"]:
            return f"sobjects.{name}.describe"
        case [name, _]:
            return f"sobjects.{name}.{verb}"
        case [name, _, _]:
            return f"sobjects.{name}.{'upsert' if verb in {'create', 'update'} else verb}"
    return "sobjects.list"


def _first_type(request: Request, schema: Schema) -> str:
    """The object of a collection's first record, which stands for the collection."""
    found = _TYPE.search(request.body, 0, _PEEK)
    if found is not None:
        return found.group(1).decode()
    sobject = schema.of_id(request.query.get("ids", ""))
    return "mixed" if sobject is None else sobject.name
