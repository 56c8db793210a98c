"""JSON in, strictly: what two readers could understand differently is refused.

RFC 8259 leaves duplicate names, lone surrogates and huge numbers to the reader (section 4, 8.2, 6);
here they are faults, so that every hop agrees on what was said.
"""

import json
from decimal import Decimal
from typing import Any, Final

import msgspec

from contracts.problems import Fault, refuse
from gateway.faults import MOST_FAULTS, pointer_of

DEEPEST: Final = 32
"""Levels of nesting accepted; the deepest contract has six."""
MOST_BRACKETS: Final = 20_000
"""Opening brackets accepted, those in strings among them: so many objects and arrays hold a call,
and with it the event loop, for some 20 ms."""


def _exact(text: str) -> float:
    """Read a number with a point or an exponent; refuse what a double cannot say again.

    Else a reader of decimals and a reader of doubles would read two amounts (RFC 7493, 2.2).
    """
    number = float(text)
    try:
        exact = Decimal(text) == Decimal(repr(number))
    except ArithmeticError:  # an exponent beyond what even a decimal holds
        exact = False
    if not exact:
        raise ValueError("more than a double holds")
    return number


_decode = msgspec.json.Decoder(float_hook=_exact).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def parse(raw: bytes) -> Any:
    """Parse a JSON document; raise `ProblemError` (malformed-request) for anything doubtful."""
    if raw.count(b"[") + raw.count(b"{") > MOST_BRACKETS:
        raise refuse("malformed-request", detail="The JSON holds too many objects and arrays.")
    try:
        document = _decode(raw)
    except RecursionError:
        raise refuse("malformed-request", detail="The JSON is nested too deeply.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        raise refuse("malformed-request", detail="The body is not valid JSON.") from None
    colons = _colons(document, 1)
    if colons != raw.count(b":") or b"\\u" in raw:
        # Colons stand between names and values and inside strings, nowhere else (RFC 8259). As
        # many as were read: no name came twice. Otherwise, or where one may have been written as
        # an escape, look closely.
        _refuse_duplicates(raw)
    return document


def canonical(document: Any) -> bytes:
    """Answer the one spelling of a document: sorted names, no white space."""
    return _encode(document)


def _colons(node: Any, depth: int) -> int:
    """Count the members of all objects and the colons of all strings; refuse too deep a nesting."""
    if depth > DEEPEST:
        raise refuse("malformed-request", detail=f"The JSON is nested more than {DEEPEST} deep.")
    count = 0
    values = node
    if isinstance(node, dict):
        count = len(node) + "".join(node).count(":")
        values = node.values()
    elif not isinstance(node, list):
        return node.count(":") if isinstance(node, str) else 0
    for each in values:
        if isinstance(each, str):
            count += each.count(":")
        elif isinstance(each, (dict, list)):
            count += _colons(each, depth + 1)
    return count


class _Pairs(list[tuple[str, Any]]):
    """An object as the pairs it was written as."""


def _refuse_duplicates(raw: bytes) -> None:
    try:
        written = json.loads(raw, object_pairs_hook=_Pairs)
    except RecursionError:  # what an earlier value of the same name hid from `_colons`
        raise refuse("malformed-request", detail="The JSON is nested too deeply.") from None
    except ValueError:
        raise refuse("malformed-request", detail="The body is not valid JSON.") from None
    faults: list[Fault] = []
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(written, ())]
    while pending and len(faults) < MOST_FAULTS:
        node, path = pending.pop()
        if isinstance(node, _Pairs):
            seen: set[str] = set()
            for name, value in node:
                if len(faults) == MOST_FAULTS:
                    break
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
