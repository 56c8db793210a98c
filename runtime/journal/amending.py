"""Amendments as JSON merge patches (RFC 7396)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.journal.codec import decode_object, encode


class AmendmentRefused(ValueError):  # noqa: N818  # named as the answer it is
    """The amendment does not fit the record. Nothing was changed."""


def merged(document: Any, patch: Any) -> Any:
    """The document with the patch applied: null removes, objects merge, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def amended(data: Any, patch: Mapping[str, Any]) -> Any:
    """A process's data after a merge patch, of the same type.

    Raises `AmendmentRefused` for a field that the type does not have, or a value it cannot take.
    """
    kind = type(data)
    document = decode_object(encode(data))
    known = set(document)
    if issubclass(kind, msgspec.Struct):
        known = {field.encode_name for field in msgspec.structs.fields(kind)}
    if strange := sorted(set(patch) - known):
        raise AmendmentRefused(f"no field {', '.join(strange)}")
    try:
        return msgspec.json.decode(encode(merged(document, patch)), type=kind)
    except msgspec.ValidationError as refused:
        raise AmendmentRefused(str(refused)) from refused
