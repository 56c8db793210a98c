"""Contract files of services that are not ours: OpenAPI as JSON or as YAML."""

from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["UnreadableError", "read"]

_MOST_BYTES: Final = 16 * 1024 * 1024


class UnreadableError(ValueError):
    """A file that holds no document; says why, in words for an operator."""


def read(path: Path) -> Any:
    """Read a document; raise `UnreadableError` where there is none."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UnreadableError((error.strerror or "cannot be read").lower()) from None
    except ValueError:
        raise UnreadableError("no name that a file can have") from None
    if len(raw) > _MOST_BYTES:
        raise UnreadableError(f"larger than {_MOST_BYTES} bytes")
    try:
        if path.suffix.lower() in {".yaml", ".yml"}:
            from gateway.plainyaml import parse  # noqa: PLC0415  # only who has YAML waits for it

            return parse(raw)
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(str(error)) from None
