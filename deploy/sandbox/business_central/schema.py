"""What a property, a navigation and an entity set are.

A property is written as one word of a table: ``number:code20!`` is a 20-character code that is
read-only. Kinds: ``guid code text dec int bool date stamp`` and ``enum(A|B)``; ``code`` is
upper-cased by the vendor.
"""

import msgspec

__all__ = ["EntitySet", "Navigation", "Property", "properties"]

_EDM = {
    "guid": "Edm.Guid",
    "code": "Edm.String",
    "text": "Edm.String",
    "dec": "Edm.Decimal",
    "int": "Edm.Int32",
    "bool": "Edm.Boolean",
    "date": "Edm.Date",
    "stamp": "Edm.DateTimeOffset",
    "enum": "Edm.Enum",
}


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """One property of an entity. ``length`` None: no limit is published."""

    name: str
    kind: str
    length: int | None = None
    read_only: bool = False
    values: tuple[str, ...] = ()

    @property
    def edm(self) -> str:
        """The OData type; an enumeration is a type of its own."""
        return _EDM[self.kind]


class Navigation(msgspec.Struct, frozen=True, kw_only=True):
    """A way from one entity to another set: to many of its rows, or to one or none."""

    entity_set: str
    many: bool = True


class EntitySet(msgspec.Struct, frozen=True, kw_only=True):
    """One set and what may be done with it."""

    name: str
    entity: str
    properties: dict[str, Property]
    navigations: dict[str, Navigation] = {}
    insert: bool = True
    modify: bool = True
    delete: bool = True
    actions: frozenset[str] = frozenset()  # without the ``Microsoft.NAV.`` before them
    parent: str | None = None  # a set of lines is only reachable through this one, or by id


def properties(table: str) -> dict[str, Property]:
    """Read a table of properties, in the order in which the vendor sends them."""
    found = (_property(word) for word in table.split())
    return {prop.name: prop for prop in found}


def _property(word: str) -> Property:
    name, _, kind = word.partition(":")
    read_only = kind.endswith("!")
    kind = kind.removesuffix("!")
    if kind.startswith("enum("):
        values = tuple(kind[5:-1].split("|"))
        return Property(name=name, kind="enum", read_only=read_only, values=values)
    letters = kind.rstrip("0123456789")
    length = int(kind[len(letters) :]) if len(letters) < len(kind) else None
    return Property(name=name, kind=letters, length=length, read_only=read_only)
