"""What of a configuration could not be read, so that no rule takes its absence for a fault.

A fault of form is told once, with its place; what stands there is left out and the rest is judged.
Rules that rest on what was left out hold their judgement.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

__all__ = ["NO_GAPS", "Gaps"]

Path = tuple[str, ...]


class Gaps(msgspec.Struct, frozen=True):
    """The places left out, each as its names and indexes from the top of the document."""

    paths: frozenset[Path] = frozenset()

    def __repr__(self) -> str:
        return f"<Gaps {', '.join('.'.join(path) for path in sorted(self.paths)) or 'none'}>"

    def beside(self, paths: Iterable[Path]) -> Self:
        """Answer these and more."""
        return type(self)(self.paths.union(paths))

    def at(self, *place: str) -> bool:
        """Tell whether the place itself, or what it stands in, is left out."""
        return any(place[: len(path)] == path for path in self.paths)

    def within(self, *place: str) -> bool:
        """Tell whether anything of the place is left out, or all of it."""
        return self.at(*place) or any(path[: len(place)] == place for path in self.paths)

    def names(self, *section: str) -> frozenset[str]:
        """Answer the entries of a section that are left out: they are names all the same."""
        return frozenset(
            path[len(section)]
            for path in self.paths
            if len(path) == len(section) + 1 and path[:-1] == section
        )

    def hold(self, place: str) -> bool:
        """Tell whether a place, written as a fault has it, is left out or in what is."""
        said = place.replace("[", ".").replace("]", "")
        return any(f"{said}.".startswith(f"{'.'.join(path)}.") for path in self.paths)

    @property
    def scopes(self) -> bool:
        """Tell whether a service may name scopes that could not be read."""
        return any(
            path[0] == "services" and (len(path) < 3 or path[2] in {"contract", "scopes"})  # noqa: PLR2004  services, its name, the line
            for path in self.paths
        )


NO_GAPS = Gaps()
