"""What can be read of a configuration whose form is wrong in places, so that the rest is judged.

A faulty place is left out, and with it the smallest entry that cannot do without it: the one
window of a plan, the one rule. Entries that still say something without it (an issuer, a key, a
service) get a stand-in there, which nothing is told of.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_type_hints

import msgspec

from contracts.problems import Fault
from deploy.profile import Configuration
from gateway.config import GatewayConfig, hashed, plain
from gateway.faults import Checker
from gateway.gaps import Gaps

__all__ = ["Legible", "blanked", "leaves", "legible", "path_of", "unwritable"]

Path = tuple[str, ...]
MOST_FAULTS: Final = 1_000
DEEPEST: Final = 16
_KINDS: Final[Mapping[str, Any]] = {
    name: kind
    for name, kind in {**get_type_hints(Configuration), **get_type_hints(GatewayConfig)}.items()
    if name in GatewayConfig.__struct_fields__ or name in Configuration.__struct_fields__
}
"""What each section is read into. `gateway` is a section of the gateway's own."""
_TOKEN: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[(\.\.\.)\]")
_SECRET: Final = hashed("")


class Legible(msgspec.Struct, frozen=True, kw_only=True):
    """The document as far as it can be read, what is left out of it, and faults of reading.

    `odd` are places with what is wrong there: values that a rule of their own refuses. `left` is
    everything that was left out, by its place.
    """

    document: dict[str, Any]
    gaps: Gaps
    odd: tuple[tuple[Path, str], ...]
    left: tuple[tuple[Path, Any], ...]


def legible(told: Mapping[str, Any], found: Iterable[Fault], checker: Checker) -> Legible:
    """Leave out of a document what its form refuses; `found` are the faults that were told."""
    cut = _Cutting(told)
    faults = list(found)
    cut.gaps.update(_misspelt(told, faults))
    while faults and cut.out_all(path_of(each.pointer) for each in faults):
        faults = checker.faults(cut.kept, MOST_FAULTS)
    odd = [each for name, kind in _KINDS.items() for each in cut.odd(name, kind)]
    return Legible(
        document=cut.kept, gaps=Gaps(frozenset(cut.gaps)), odd=tuple(odd), left=tuple(cut.left)
    )


def unwritable(node: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Answer what TOML's grammar lets through and its meaning does not, each with its place.

    A whole number has 64 bits (TOML 1.0); no section of ours is nested more than `DEEPEST` deep.
    """
    match node:
        case dict() | list() if len(path) > DEEPEST:
            yield path, f"nested more than {DEEPEST} deep"
        case dict():
            for name, each in node.items():
                yield from unwritable(each, (*path, name))
        case list():
            for index, each in enumerate(node):
                yield from unwritable(each, (*path, str(index)))
        case int() if not -(2**63) <= node < 2**63:
            yield path, "a whole number of more than 64 bits"


def blanked(told: dict[str, Any], odd: Iterable[Path]) -> dict[str, Any]:
    """Put nothing at these places of a document, which no form allows there; answer it."""
    for path in odd:
        parent = _at(told, path[:-1])
        parent[int(path[-1]) if isinstance(parent, list) else path[-1]] = None
    return told


def path_of(pointer: str) -> Path:
    """Answer the names and indexes of an RFC 6901 pointer."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def leaves(path: Path, node: Any) -> Iterator[tuple[Path, Any]]:
    """Answer every value in what was left out that is neither table nor list, with its place."""
    match node:
        case dict():
            for name, each in node.items():
                yield from leaves((*path, name), each)
        case list():
            for index, each in enumerate(node):
                yield from leaves((*path, str(index)), each)
        case _:
            yield path, node


def _misspelt(told: Mapping[str, Any], faults: Iterable[Fault]) -> Iterator[Path]:
    """Answer the places of what stands there under a misspelt name: it is not missing."""
    for fault in faults:
        *beside, _ = path_of(fault.pointer)
        if fault.nearest is None or fault.detail != "is not a member of this object":
            continue
        path = (*beside, fault.nearest)
        if _at(told, path) is None:
            yield path


class _Cutting:
    """A document that becomes smaller until it can be read."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.kept: dict[str, Any] = plain(told)
        self.gaps: set[Path] = set()
        self.left: list[tuple[Path, Any]] = []

    def __repr__(self) -> str:
        return f"<Cutting {len(self.left)} left out>"

    def out_all(self, paths: Iterable[Path]) -> bool:
        """Leave these places out; only once all that is there is out, what lacks something.

        Answer whether anything changed. The last of a list goes first, so that indexes hold.
        """
        ordered = sorted(set(paths), key=_in_order, reverse=True)
        there = [path for path in ordered if self._is_there(path) or self._stands_in(path)]
        if there:
            return sum(self.out(path) for path in there) > 0
        lacking = sorted({path[:-1] for path in ordered}, key=_in_order, reverse=True)
        return sum(self.out(path) for path in lacking) > 0

    def out(self, path: Path) -> bool:
        """Leave one place out, or put a stand-in there; answer whether that was possible."""
        if not path:
            return False
        parent = _at(self.kept, path[:-1])
        if self._stands_in(path):
            if self._is_there(path):
                self.left.append((path, _at(self.kept, path)))
            parent[int(path[-1]) if isinstance(parent, list) else path[-1]] = _stand_in(path)
        elif self._is_there(path):
            self.left.append((path, _at(self.kept, path)))
            del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]
        else:
            return False
        self.gaps.add(path)
        return True

    def odd(self, section: str, kind: Any) -> Iterator[tuple[Path, str]]:
        """Read a section; answer what refuses to be read, and leave it out."""
        while section in self.kept:
            try:
                msgspec.convert(self.kept[section], kind)
            except msgspec.ValidationError as error:
                said = str(error).partition(" - at ")[0]
                path = (section, *_place(str(error), self.kept[section], kind))
                lacks = said.startswith("Object missing required field")
                if not lacks:
                    yield path, said
                while not self.out(path):
                    path = path[:-1]
            else:
                return

    def _is_there(self, path: Path) -> bool:
        parent = _at(self.kept, path[:-1])
        if isinstance(parent, list):
            return path[-1].isdigit() and int(path[-1]) < len(parent)
        return isinstance(parent, dict) and path[-1] in parent

    def _stands_in(self, path: Path) -> bool:
        parent = _at(self.kept, path[:-1])
        fresh = path not in self.gaps or not self._is_there(path)
        return isinstance(parent, dict | list) and fresh and _stand_in(path) is not None


def _stand_in(path: Path) -> Any:
    """Answer a value that no rule has anything to say of; None: the entry does without."""
    said: Any = None
    match path:
        case ("issuers" | "services", name, "url"):
            said = f"https://{hashed(name)[7:23]}.invalid"
        case ("issuers", _, "audience") | ("services", _, "contract"):
            said = "-"
        case ("issuers", _, "algorithms"):
            said = ["ES256"]
        case ("clients", name, "keys", index):
            said = {"id": _key_id(name, index), "secret": _SECRET}
        case ("clients", name, "keys", index, "id"):
            said = _key_id(name, index)
        case ("clients", _, "keys", _, "secret"):
            said = _SECRET
    return said


def _key_id(name: str, index: str) -> str:
    digest = hashed(f"{name} {index}")[7:19]
    return digest.translate(str.maketrans("0189", "ghij"))


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Indexes by their number, names by their letters."""
    return [(len(part), part) if part.isdigit() else (0, part) for part in path]


def _at(node: Any, path: Path) -> Any:
    """What stands at a place, or None."""
    for part in path:
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _place(said: str, section: Any, kind: Any) -> Path:
    """Answer where in a section reading it fails; names of entries are not told, and tried."""
    where = re.search(r"`(\$[^`]*)`$", said)
    tokens = [a or b or c for a, b, c in _TOKEN.findall(where[1])] if where else []
    tokens += ["..."] if "`key` in" in said else []
    path: Path = ()
    for token in tokens:
        path = (*path, _refused(section, path, kind) if token == "..." else token)  # noqa: S105  no secret
    return path


def _refused(section: Any, path: Path, kind: Any) -> str:
    """Answer the entry of a table without which the section could be read that far."""
    for name in _at(section, path):
        alone = plain(section)
        entries = _at(alone, path)
        for other in [each for each in entries if each != name]:
            del entries[other]
        try:
            msgspec.convert(alone, kind)
        except msgspec.ValidationError:
            return str(name)
    return "..."
