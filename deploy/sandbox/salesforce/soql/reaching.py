"""Paths made into functions: from a record to a field of it or of a parent."""

from collections.abc import Callable
from typing import Any

from deploy.sandbox.salesforce.errors import Refusal, naming_hint
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.soql.lexer import malformed
from deploy.sandbox.salesforce.soql.syntax import Path, Query
from deploy.sandbox.vault import Record

__all__ = ["Getter", "Reached", "no_such_column", "reach", "step_up"]

Getter = Callable[[Record], Any]


class Reached:
    """Where a path leads: the field at its end, the object that has it, and how to get there."""

    __slots__ = ("field", "getter", "local", "sobject")

    def __init__(self, sobject: SObject, field: Field, getter: Getter, *, local: bool) -> None:
        self.sobject = sobject
        self.field = field
        self.getter = getter
        self.local = local


def reach(org: Org, sobject: SObject, path: Path, query: Query) -> Reached:
    """Follow a path from an object.

    Raises:
        Refusal: INVALID_FIELD with the place.
    """
    parts = local_parts(sobject, path, query)
    links: list[tuple[str, dict[str, Record]]] = []
    here = sobject
    for part in parts[:-1]:
        link = step_up(here, part)
        if link is None:
            raise _no_relationship(here, part, path, query)
        here = org.schema.objects[link.references[0]]
        links.append((link.name, org.tables[here.name].records))
    field = here.field(parts[-1])
    if field is None:
        raise no_such_column(here, parts[-1], path, query)
    name = field.name
    if not links:
        return Reached(here, field, lambda record: record.get(name), local=True)

    def climb(record: Record) -> Any:
        found: Record | None = record
        for link_name, table in links:
            found = table.get(found.get(link_name, "")) if found is not None else None
        return None if found is None else found.get(name)

    return Reached(here, field, climb, local=False)


def local_parts(sobject: SObject, path: Path, query: Query) -> tuple[str, ...]:
    """The path without the alias or the object's own name in front."""
    parts = path.parts
    if len(parts) > 1:
        first = parts[0].lower()
        if query.alias is not None and first == query.alias.lower():
            return parts[1:]
        if first == sobject.name.lower() and first not in sobject.parents:
            return parts[1:]
    return parts


def step_up(sobject: SObject, relationship: str) -> Field | None:
    """The reference that a relationship's name stands for."""
    return sobject.parents.get(relationship.lower())


def no_such_column(sobject: SObject, name: str, path: Path, query: Query) -> Refusal:
    """What Salesforce says of a field it does not have."""
    return malformed(
        query.text,
        path.at,
        f"No such column '{name}' on entity '{sobject.name}'. "
        + naming_hint("field", "__c", "custom field"),
        "INVALID_FIELD",
    )


def _no_relationship(sobject: SObject, name: str, path: Path, query: Query) -> Refusal:
    return malformed(
        query.text,
        path.at,
        f"Didn't understand relationship '{name}' in field path of {sobject.name}. "
        + naming_hint("relationship", "__r", "custom relationship"),
        "INVALID_FIELD",
    )
