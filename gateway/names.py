"""Names in a configuration that name nothing."""

from collections.abc import Iterable

from gateway.call import ConfigFault
from gateway.faults import choices, nearest

__all__ = ["unknown"]


def unknown(place: str, given: Iterable[str], known: Iterable[str], what: str) -> list[ConfigFault]:
    """Report the names that name nothing known, each with the nearest that exists."""
    names = sorted(known)
    return [
        ConfigFault(
            place=place,
            value=f"{each!r} is not {what}",
            allowed=choices(names) or "none, for there is none",
            nearest=nearest(each, names),
            remedy=f"Name {what} that exists.",
        )
        for each in given
        if each not in names
    ]
