"""What each part of a deployment needs of the file: the one place that knows.

A part needs the secrets it uses and no others, so that a process at the edge need not hold what
opens the ERP. The connectors use the vendors' credentials; whoever takes vendors' notifications
uses what these are signed with; whoever prices quotes uses what promises are signed with.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

__all__ = ["PARTS", "PROMISE_KEY", "SECRETS", "Part", "needed", "needs_systems", "users_of"]

Part = Literal["up", "gateway", "experience", "process", "system", "worker"]
"""What a process runs: the assembled system (`up`), or one part of the split one."""
PARTS: Final[Mapping[Part, str]] = {
    "up": "crossdock up",
    "gateway": "crossdock gateway",
    "experience": "crossdock serve experience",
    "process": "crossdock serve process",
    "system": "crossdock serve system",
    "worker": "crossdock worker",
}
"""The parts, each with the command that runs it."""

_CREDENTIALS: Final = ("client_secret", "password")
_SIGNATURES: Final = ("webhook_secrets",)
SECRETS: Final = (*_CREDENTIALS, *_SIGNATURES)
"""What a section of `systems` names by reference."""
PROMISE_KEY: Final = "promise_key"

_NOTHING: Final[frozenset[str]] = frozenset()


def needed(part: Part | None, document: Mapping[str, Any]) -> frozenset[str]:
    """Answer the names of the secrets that a part uses, with the tiers where the document says.

    Without a part: what every process that reads the document must have, which in a split system
    is nothing that some other process may be there for.
    """
    connectors = _NOTHING if _apart(document, "system") else frozenset(SECRETS)
    promises = frozenset((PROMISE_KEY,))
    match part:
        case "gateway" | "experience":
            return _NOTHING
        case "system":
            return frozenset(SECRETS)
        case "worker":
            return connectors | promises
        case "process" | "up":
            return connectors | promises | frozenset(_SIGNATURES)
        case None:
            return connectors | (_NOTHING if _apart(document, "process") else promises)


def needs_systems(part: Part | None, document: Mapping[str, Any]) -> bool:
    """Tell whether the part has the connectors, and so cannot do without `systems`."""
    return not needed(part, document).isdisjoint(_CREDENTIALS)


def users_of(secret: str, document: Mapping[str, Any]) -> list[str]:
    """Answer the commands of a split system that use a secret."""
    return [
        command
        for part, command in PARTS.items()
        if part != "up" and secret in needed(part, document)
    ]


def _apart(document: Mapping[str, Any], tier: str) -> bool:
    """Tell whether a tier is a process of its own."""
    tiers = document.get("tiers")
    return isinstance(tiers, Mapping) and tiers.get(tier) is not None
