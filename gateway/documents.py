"""JSON in, strictly: what two readers could understand differently is refused.

RFC 8259 leaves duplicate names, lone surrogates and huge numbers to the reader (section 4, 8.2, 6);
here they are faults, so that every hop agrees on what was said.
"""

import json
from typing import Any, Final

import msgspec

from contracts.problems import Fault, refuse
from gateway.faults import pointer_of

DEEPEST: Final = 32
"""Levels of nesting accepted; the deepest contract has six."""
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def parse(raw: bytes) -> Any:
    """Parse a JSON document; raise `ProblemError` (malformed-request) for anything doubtful."""
    try:
        document = _decode(raw)
    except RecursionError:
        raise refuse("malformed-request", detail="The JSON is nested too deeply.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        raise refuse("malformed-request", detail="The body is not valid JSON.") from None
    members = _members(document, 1)
    if members != raw.count(b":"):
        # Colons stand between names and values and inside strings, nowhere else (RFC 8259). As
        # many colons as members read: no name came twice. Otherwise look closely.
        _refuse_duplicates(raw)
    return document


def canonical(document: Any) -> bytes:
    """Answer the one spelling of a document: sorted names, no white space."""
    return _encode(document)


def _members(node: Any, depth: int) -> int:
    """Count the members of all objects; refuse too deep a nesting."""
    if depth > DEEPEST:
        raise refuse("malformed-request", detail=f"The JSON is nested more than {DEEPEST} deep.")
    count = 0
    if isinstance(node, dict):
        count = len(node)
        for each in node.values():
            if isinstance(each, (dict, list)):
                count += _members(each, depth + 1)
    elif isinstance(node, list):
        for each in node:
            if isinstance(each, (dict, list)):
                count += _members(each, depth + 1)
    return count


class _Pairs(list[tuple[str, Any]]):
    """An object as the pairs it was written as."""


def _refuse_duplicates(raw: bytes) -> None:
    try:
        written = json.loads(raw, object_pairs_hook=_Pairs)
    except ValueError:
        raise refuse("malformed-request", detail="The body is not valid JSON.") from None
    faults: list[Fault] = []
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(written, ())]
    while pending:
        node, path = pending.pop()
        if isinstance(node, _Pairs):
            seen: set[str] = set()
            for name, value in node:
                if name in seen:
                    faults.append(
                        Fault(pointer=pointer_of((*path, name)), detail="is written twice")
                    )
                seen.add(name)
                pending.append((value, (*path, name)))
        elif isinstance(node, list):
            pending.extend((each, (*path, index)) for index, each in enumerate(node))
    if faults:
        raise refuse("malformed-request", detail="A name is written twice.", errors=faults)
