"""sObjects: an object's fields, looked up as Salesforce does, without regard to case."""

from collections.abc import Iterable

from deploy.sandbox.salesforce.errors import Refusal, naming_hint
from deploy.sandbox.salesforce.fields import Coercer, Field, coercer_of

__all__ = ["ChildLink", "SObject", "Schema"]

_SYSTEM_FIELDS = (
    Field(
        name="IsDeleted",
        label="Deleted",
        kind="boolean",
        createable=False,
        updateable=False,
        default=False,
    ),
    Field(
        name="CreatedDate",
        label="Created Date",
        kind="datetime",
        createable=False,
        updateable=False,
    ),
    Field(
        name="CreatedById",
        label="Created By ID",
        kind="reference",
        references=("User",),
        relationship="CreatedBy",
        createable=False,
        updateable=False,
    ),
    Field(
        name="LastModifiedDate",
        label="Last Modified Date",
        kind="datetime",
        createable=False,
        updateable=False,
    ),
    Field(
        name="LastModifiedById",
        label="Last Modified By ID",
        kind="reference",
        references=("User",),
        relationship="LastModifiedBy",
        createable=False,
        updateable=False,
    ),
    Field(
        name="SystemModstamp",
        label="System Modstamp",
        kind="datetime",
        createable=False,
        updateable=False,
        indexed=True,
    ),
)


class ChildLink:
    """The way from a parent down to its children: which object, over which of its fields."""

    __slots__ = ("field", "name", "sobject")

    def __init__(self, name: str, sobject: str, field: Field) -> None:
        self.name = name
        self.sobject = sobject
        self.field = field


class SObject:
    """One object of the org. ``auto_number`` is a format for the field ``auto_field``."""

    def __init__(
        self,
        name: str,
        prefix: str,
        plural: str,
        fields: Iterable[Field],
        *,
        label: str | None = None,
        auto_field: str | None = None,
        auto_number: str = "{:08d}",
        writable: bool = True,
    ) -> None:
        own_id = Field(
            name="Id",
            label=f"{label or name} ID",
            kind="id",
            createable=False,
            updateable=False,
            indexed=True,
        )
        self.name = name
        self.prefix = prefix
        self.label = label or name
        self.plural = plural
        self.custom = name.endswith("__c")
        self.writable = writable
        self.auto_field = auto_field
        self.auto_number = auto_number
        self.fields: dict[str, Field] = {
            field.name: field for field in (own_id, *fields, *_SYSTEM_FIELDS)
        }
        self._folded = {field.name.lower(): field for field in self.fields.values()}
        self.parents: dict[str, Field] = {
            field.relationship.lower(): field
            for field in self.fields.values()
            if field.relationship
        }
        self.children: dict[str, ChildLink] = {}
        self.coercers: dict[str, Coercer] = {}
        self.creating: dict[str, Coercer] = {}  # of the fields that a new record may be given
        self.updating: dict[str, Coercer] = {}  # of the fields that may change
        self.defaults = {f.name: f.default for f in self.fields.values() if f.default is not None}
        self.required = tuple(f.name for f in self.fields.values() if f.required)
        self.uniques = tuple(f for f in self.fields.values() if f.unique)
        self.references = frozenset(f.name for f in self.fields.values() if f.kind == "reference")

    def field(self, name: str) -> Field | None:
        """The field of this name, in any case."""
        return self.fields.get(name) or self._folded.get(name.lower())

    def external_id(self, name: str) -> Field:
        """The external id field of this name (``Id`` counts as one).

        Raises:
            Refusal: it is none.
        """
        field = self.field(name)
        if field is None or not (field.external_id or field.kind == "id"):
            raise Refusal(
                "NOT_FOUND",
                f"Provided external ID field does not exist or is not accessible: {name}",
            )
        return field


class Schema:
    """Every object of the org, linked to each other."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self.objects = {sobject.name: sobject for sobject in objects}
        self._folded = {sobject.name.lower(): sobject for sobject in self.objects.values()}
        self._by_prefix = {sobject.prefix: sobject for sobject in self.objects.values()}
        for sobject in self.objects.values():
            for field in sobject.fields.values():
                self._link(sobject, field)

    def named(self, name: str) -> SObject:
        """The object of this name, in any case.

        Raises:
            Refusal: there is none.
        """
        sobject = self.objects.get(name) or self._folded.get(name.lower())
        if sobject is None:
            raise not_supported(name)
        return sobject

    def find(self, name: str) -> SObject | None:
        """The object of this name, in any case, or None."""
        return self.objects.get(name) or self._folded.get(name.lower())

    def of_id(self, record_id: str) -> SObject | None:
        """The object whose key prefix an id carries."""
        return self._by_prefix.get(record_id[:3])

    def _link(self, sobject: SObject, field: Field) -> None:
        parents = [self.objects[name] for name in field.references]
        prefixes = frozenset(p.prefix for p in parents) if parents else frozenset({sobject.prefix})
        coercer = sobject.coercers[field.name] = coercer_of(field, prefixes)
        if field.createable and field.kind != "id":
            sobject.creating[field.name] = coercer
        if field.updateable and field.kind != "id":
            sobject.updating[field.name] = coercer
        if field.children is not None:
            for parent in parents:
                parent.children[field.children.lower()] = ChildLink(
                    field.children, sobject.name, field
                )


def not_supported(name: str) -> Refusal:
    """What Salesforce says of an object it does not have."""
    return Refusal(
        "INVALID_TYPE",
        f"sObject type '{name}' is not supported. {naming_hint('object', '__c', 'entity')}",
    )
