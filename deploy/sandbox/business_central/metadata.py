"""``$metadata``: the sets as an EDMX document (OData CSDL 4.0)."""

from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from deploy.sandbox.business_central.schema import EntitySet, Property
from deploy.sandbox.wire import Reply

__all__ = ["metadata_document"]

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
    '<edmx:DataServices><Schema Namespace="Microsoft.NAV" '
    'xmlns="http://docs.oasis-open.org/odata/ns/edm">'
)
_TAIL = "</Schema></edmx:DataServices></edmx:Edmx>"


def metadata_document(sets: Mapping[str, EntitySet]) -> Reply:
    """The document over all sets, with their enumerations and actions."""
    types, enums, actions, container = [], {}, [], []
    for entity_set in sets.values():
        types.append(_entity_type(entity_set, sets))
        for prop in entity_set.properties.values():
            if prop.kind == "enum":
                enums[_enum_name(entity_set, prop)] = prop.values
        actions += [
            f'<Action Name="{action}" IsBound="true"><Parameter Name="bindingParameter" '
            f'Type="Microsoft.NAV.{entity_set.entity}"/></Action>'
            for action in sorted(entity_set.actions)
        ]
        container.append(
            f'<EntitySet Name="{entity_set.name}" EntityType="Microsoft.NAV.{entity_set.entity}"/>'
        )
    members = (
        f'<EnumType Name="{name}">'
        + "".join(f'<Member Name="{value}" Value="{at}"/>' for at, value in enumerate(values))
        + "</EnumType>"
        for name, values in enums.items()
    )
    inside = "".join(container)
    text = (
        _HEAD
        + "".join([*types, *members, *actions])
        + f'<EntityContainer Name="NAV">{inside}</EntityContainer>'
        + _TAIL
    )
    return Reply(200, text.encode(), ((b"content-type", b"application/xml"),))


def _entity_type(entity_set: EntitySet, sets: Mapping[str, EntitySet]) -> str:
    rows = "".join(_property(entity_set, prop) for prop in entity_set.properties.values())
    for name, navigation in entity_set.navigations.items():
        target = f"Microsoft.NAV.{sets[navigation.entity_set].entity}"
        kind = f"Collection({target})" if navigation.many else target
        rows += f'<NavigationProperty Name="{name}" Type="{kind}" ContainsTarget="true"/>'
    key = '<Key><PropertyRef Name="id"/></Key>'
    return f"<EntityType Name={quoteattr(entity_set.entity)}>{key}{rows}</EntityType>"


def _property(entity_set: EntitySet, prop: Property) -> str:
    kind = prop.edm
    if prop.kind == "enum":
        kind = f"Microsoft.NAV.{_enum_name(entity_set, prop)}"
    length = "" if prop.length is None else f' MaxLength="{prop.length}"'
    return f'<Property Name="{prop.name}" Type="{kind}"{length}/>'


def _enum_name(entity_set: EntitySet, prop: Property) -> str:
    return f"{entity_set.entity}{prop.name[0].upper()}{prop.name[1:]}"
