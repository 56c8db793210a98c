"""Queries run: which records, in which order, and how each row is shown."""

from collections.abc import Callable, Iterator
from typing import Any

from deploy.sandbox.salesforce.errors import Refusal, naming_hint
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.soql.filtering import candidates, predicate
from deploy.sandbox.salesforce.soql.lexer import malformed
from deploy.sandbox.salesforce.soql.parser import parse
from deploy.sandbox.salesforce.soql.reaching import local_parts, no_such_column, reach, step_up
from deploy.sandbox.salesforce.soql.syntax import Function, OrderKey, Path, Query, Subquery
from deploy.sandbox.vault import Record

__all__ = ["Result", "run"]

Show = Callable[[Record], Any]
_MOST_WITH_FIELDS = 200


class Result:
    """The rows of a query, and how to show one. ``counted`` is set for COUNT() only."""

    __slots__ = ("counted", "records", "show")

    def __init__(self, records: list[Record], show: Show, counted: int | None = None) -> None:
        self.records = records
        self.show = show
        self.counted = counted


def run(org: Org, text: str, *, deleted: bool) -> Result:
    """Run a query; ``deleted`` includes what lies in the recycle bin (queryAll).

    Raises:
        Refusal: in Salesforce's words.
    """
    query = parse(text, org.now())
    sobject = org.schema.find(query.source)
    if sobject is None:
        raise malformed(
            text,
            query.source_at,
            f"sObject type '{query.source}' is not supported. "
            + naming_hint("object", "__c", "entity"),
            "INVALID_TYPE",
        )
    runner = _Runner(org, query, sobject, deleted=deleted)
    show = runner.shower()
    records = runner.records()
    if query.counts:
        return Result([], show, len(records))
    return Result(records, show)


class _Runner:
    def __init__(self, org: Org, query: Query, sobject: SObject, *, deleted: bool) -> None:
        self._org = org
        self._query = query
        self._sobject = sobject
        self._deleted = deleted

    def records(self, among: list[Record] | None = None) -> list[Record]:
        """The records that meet the condition, ordered and cut to the limit."""
        query = self._query
        source = among
        if source is None:
            found = candidates(self._org, self._sobject, query.where)
            source = list(found)
        if not self._deleted:
            source = [record for record in source if not record["IsDeleted"]]
        if query.where is not None:
            test = predicate(self._org, self._sobject, query.where, query, self._inner)
            source = [record for record in source if test(record)]
        for key in reversed(query.order):
            source = self._ordered(source, key)
        end = None if query.limit is None else query.offset + query.limit
        return source[query.offset : end]

    def shower(self) -> Show:
        """The function that shows one record."""
        shown = _Shown(self._sobject)
        children: dict[str, Callable[[Record], Any]] = {}
        for item in self._query.select:
            if isinstance(item, Subquery):
                name, show = self._children(item.query)
                children[name] = show
            elif isinstance(item, Function):
                self._all_fields(item, shown)
            else:
                self._add(item, shown)
        plain = shown.compiled(self._org)
        if not children:
            return plain

        def whole(record: Record) -> Any:
            row = plain(record)
            for name, show in children.items():
                row[name] = show(record)
            return row

        return whole

    def _inner(self, query: Query) -> set[Any]:
        """The values of a semi-join: one plain field of another object."""
        sobject = self._org.schema.named(query.source)
        if len(query.select) != 1 or not isinstance(query.select[0], Path):
            raise malformed(query.text, query.source_at, "a semi join selects exactly one field")
        reached = reach(self._org, sobject, query.select[0], query)
        runner = _Runner(self._org, query, sobject, deleted=self._deleted)
        return {value for r in runner.records() if (value := reached.getter(r)) is not None}

    def _ordered(self, records: list[Record], key: OrderKey) -> list[Record]:
        reached = reach(self._org, self._sobject, key.path, self._query)
        get, fold = reached.getter, reached.field.fold
        nulls = [record for record in records if get(record) is None]
        rest = [record for record in records if get(record) is not None]
        rest.sort(key=lambda record: fold(get(record)), reverse=key.descending)
        return rest + nulls if key.nulls_last else nulls + rest

    def _add(self, path: Path, shown: "_Shown") -> None:
        here = shown
        parts = local_parts(self._sobject, path, self._query)
        for part in parts[:-1]:
            link = step_up(here.sobject, part)
            if link is None:
                reach(self._org, self._sobject, path, self._query)  # refuses, with the place
                raise AssertionError("a relationship that is not there was reached")
            parent = self._org.schema.objects[link.references[0]]
            here = here.parents.setdefault(link.name, (link, _Shown(parent)))[1]
        field = here.sobject.field(parts[-1])
        if field is None:
            raise no_such_column(here.sobject, parts[-1], path, self._query)
        if field.name in here.fields:
            raise malformed(
                self._query.text,
                path.at,
                f"duplicate field selected: {field.name}",
                "INVALID_FIELD",
            )
        here.fields.append(field.name)

    def _all_fields(self, function: Function, shown: "_Shown") -> None:
        limit = self._query.limit
        if function.argument != "STANDARD" and (limit is None or limit > _MOST_WITH_FIELDS):
            raise malformed(
                self._query.text,
                function.at,
                "The SOQL FIELDS function must have a LIMIT of at most 200",
            )
        for field in self._sobject.fields.values():
            if function.argument == "ALL" or field.custom == (function.argument == "CUSTOM"):
                shown.fields.append(field.name)

    def _children(self, query: Query) -> tuple[str, Callable[[Record], Any]]:
        link = self._sobject.children.get(query.source.lower())
        if link is None:
            raise malformed(
                self._query.text,
                query.source_at,
                f"Didn't understand relationship '{query.source}' in FROM part of query call. "
                + naming_hint("relationship", "__r", "custom relationship"),
                "INVALID_TYPE",
            )
        if query.counts:
            raise malformed(query.text, query.source_at, "COUNT() is not for a subquery")
        child = self._org.schema.objects[link.sobject]
        runner = _Runner(self._org, query, child, deleted=self._deleted)
        show = runner.shower()
        index = self._org.index(child, link.field)
        if index is None:
            raise Refusal("INVALID_TYPE", f"{link.name} cannot be queried")

        def rows(record: Record) -> Any:
            found = runner.records(index.get(record["Id"]))
            if not found:
                return None
            return {"totalSize": len(found), "done": True, "records": [show(r) for r in found]}

        return link.name, rows


class _Shown:
    """What of one object is selected: its fields, and what of its parents."""

    def __init__(self, sobject: SObject) -> None:
        self.sobject = sobject
        self.fields: list[str] = []
        self.parents: dict[str, tuple[Field, _Shown]] = {}

    def compiled(self, org: Org) -> Callable[[Record], dict[str, Any]]:
        """A function that shows one record, its attributes first."""
        name = self.sobject.name
        url = f"/services/data/v67.0/sobjects/{name}/"
        fields = tuple(self.fields)
        parents = tuple(self._compiled_parents(org))

        def show(record: Record) -> dict[str, Any]:
            row: dict[str, Any] = {"attributes": {"type": name, "url": url + record["Id"]}}
            for field in fields:
                row[field] = record.get(field)
            for relationship, link, table, show_parent in parents:
                parent = table.get(record.get(link, ""))
                row[relationship] = None if parent is None else show_parent(parent)
            return row

        return show

    def _compiled_parents(
        self, org: Org
    ) -> Iterator[tuple[str, str, dict[str, Record], Callable[[Record], dict[str, Any]]]]:
        for link, shown in self.parents.values():
            table = org.tables[shown.sobject.name].records
            yield str(link.relationship), link.name, table, shown.compiled(org)
