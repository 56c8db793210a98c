"""``composite``: up to 25 calls in one, later ones referring to the answers of earlier ones.

The answer is 200 whatever became of the parts. With ``allOrNone`` one failure undoes every part.
"""

import re
from collections.abc import Callable
from typing import Any

from deploy.sandbox.salesforce.call import ROOT, Answer, Call, caller_of, split_url
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.org import Org

__all__ = ["serve_composite"]

Body = dict[str, Any]
Route = Callable[[Call], Answer]
_MOST_PARTS = 25
_MOST_HEAVY = 5
_FAILED = 300
_REFERENCE = re.compile(r"@\{([A-Za-z]\w*)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_NAME = re.compile(r"[A-Za-z]\w*")
_FORBIDDEN_HEADERS = {"accept", "authorization", "content-type"}
_METHODS = {"GET", "POST", "PATCH", "PUT", "DELETE"}
_HALTED = Refusal(
    "PROCESSING_HALTED",
    "The transaction was rolled back since another operation in the same transaction failed.",
)


class _HaltedError(Exception):
    """A part failed and the caller wanted all or none."""


def serve_composite(org: Org, call: Call, route: Route) -> Answer:
    """Serve every part through ``route``.

    Raises:
        Refusal: the whole request is wrong (too many parts, a reference id twice).
    """
    call.allow("POST")
    body = call.object_body()
    parts = _checked(body.get("compositeRequest"))
    results: dict[str, Answer] = {}
    if body.get("allOrNone") is True:
        try:
            with org.transaction():
                for part in parts:
                    answer = _serve(part, call, route, results)
                    results[part["referenceId"]] = answer
                    if answer.status >= _FAILED or answer.rolled_back:
                        raise _HaltedError  # noqa: TRY301  # it ends the transaction
        except _HaltedError:
            failed = next(reversed(results))
            halted = Answer(_HALTED.status, _HALTED.as_body())
            results = {
                part["referenceId"]: results[failed] if part["referenceId"] == failed else halted
                for part in parts
            }
    else:
        for part in parts:
            results[part["referenceId"]] = _serve(part, call, route, results)
    return Answer(
        200,
        {
            "compositeResponse": [
                {
                    "body": answer.body,
                    "httpHeaders": answer.headers,
                    "httpStatusCode": answer.status,
                    "referenceId": reference,
                }
                for reference, answer in results.items()
            ]
        },
    )


def _checked(parts: Any) -> list[Body]:
    """The parts, judged as a whole before any is served."""
    if not isinstance(parts, list) or not parts:
        raise Refusal("JSON_PARSER_ERROR", "compositeRequest must be an array of subrequests")
    if len(parts) > _MOST_PARTS:
        raise Refusal(
            "LIMIT_EXCEEDED",
            f"The limit of {_MOST_PARTS} subrequests was exceeded: {len(parts)} were sent",
        )
    references: set[str] = set()
    heavy = 0
    for part in parts:
        reference = _check_part(part)
        if reference in references:
            raise Refusal("INVALID_INPUT", f"Duplicate referenceId: {reference}")
        references.add(reference)
        heavy += part["url"].startswith(
            (f"{ROOT}/query", f"{ROOT}/composite/sobjects", f"{ROOT}/queryAll")
        )
    if heavy > _MOST_HEAVY:
        raise Refusal(
            "LIMIT_EXCEEDED",
            f"At most {_MOST_HEAVY} subrequests may be queries or collections: {heavy} were sent",
        )
    return parts


def _check_part(part: Any) -> str:
    if not isinstance(part, dict):
        raise Refusal("JSON_PARSER_ERROR", "a subrequest must be an object")
    reference, method, url = part.get("referenceId"), part.get("method"), part.get("url")
    if not isinstance(reference, str) or not _NAME.fullmatch(reference):
        raise Refusal("INVALID_INPUT", f"referenceId is missing or malformed: {reference}")
    if method not in _METHODS or not isinstance(url, str):
        raise Refusal("INVALID_INPUT", f"{reference}: method and url are required")
    headers = part.get("httpHeaders") or {}
    if not isinstance(headers, dict):
        raise Refusal("INVALID_INPUT", f"{reference}: httpHeaders must be an object")
    forbidden = sorted(name for name in headers if name.lower() in _FORBIDDEN_HEADERS)
    if forbidden:
        raise Refusal(
            "INVALID_INPUT", f"{reference}: a subrequest may not set {', '.join(forbidden)}"
        )
    return reference


def _serve(part: Body, outer: Call, route: Route, results: dict[str, Answer]) -> Answer:
    """Serve one part; a refusal is its answer."""
    try:
        path, query = _address(_resolved(part["url"], results))
        headers = {
            name.lower(): str(value) for name, value in (part.get("httpHeaders") or {}).items()
        }
        options = {name: value for name, value in outer.headers.items() if "sforce-" in name}
        headers = {**options, **headers}
        return route(
            Call(
                method=part["method"],
                path=path,
                query=query,
                headers=headers,
                body=_resolved(part.get("body"), results),
                caller=caller_of(outer.caller.user_id, headers),
            )
        )
    except Refusal as refusal:
        return Answer(refusal.status, refusal.as_body())


def _address(url: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Where a part goes: anywhere in this version but another composite."""
    if not url.startswith(f"{ROOT}/"):
        raise Refusal("NOT_FOUND", f"The requested resource does not exist: {url}")
    path, query = split_url(url.removeprefix(ROOT))
    if path[0] == "composite" and path[1:2] != ("sobjects",):
        raise Refusal("INVALID_INPUT", "a composite cannot be part of a composite")
    return path, query


def _resolved(value: Any, results: dict[str, Answer]) -> Any:
    """The value with every ``@{reference.path}`` in it replaced."""
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value)
        if whole is not None:
            return _look_up(whole, results)
        return _REFERENCE.sub(lambda found: str(_look_up(found, results)), value)
    if isinstance(value, dict):
        return {name: _resolved(inner, results) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, results) for inner in value]
    return value


def _look_up(found: re.Match[str], results: dict[str, Answer]) -> Any:
    reference, steps = found.group(1), found.group(2)
    answer = results.get(reference)
    here: Any = None if answer is None or answer.status >= _FAILED else answer.body
    for name, position in _STEP.findall(steps):
        if name and isinstance(here, dict):
            here = here.get(name)
        elif position and isinstance(here, list) and int(position) < len(here):
            here = here[int(position)]
        else:
            here = None
    if here is None or isinstance(here, dict | list):
        raise Refusal(
            "PROCESSING_HALTED",
            f"Invalid reference specified. No value for {reference}{steps} found in {reference}",
        )
    return here
