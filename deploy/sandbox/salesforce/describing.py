"""What the org says of its own objects: ``sobjects`` and ``describe``."""

from typing import Any

from deploy.sandbox.salesforce.call import ROOT
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.objects import Schema, SObject

__all__ = ["describe_global", "describe_object", "object_info"]

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "currency": "xsd:double",
    "double": "xsd:double",
    "percent": "xsd:double",
}


def describe_global(schema: Schema) -> dict[str, Any]:
    """Every object in short."""
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [_short(sobject) for sobject in schema.objects.values()],
    }


def object_info(sobject: SObject) -> dict[str, Any]:
    """``GET sobjects/{Obj}``."""
    return {"objectDescribe": _short(sobject), "recentItems": []}


def describe_object(sobject: SObject) -> dict[str, Any]:
    """``GET sobjects/{Obj}/describe``."""
    return {
        **_short(sobject),
        "fields": [_field(field) for field in sobject.fields.values()],
        "childRelationships": [
            {
                "cascadeDelete": link.field.cascades,
                "childSObject": link.sobject,
                "field": link.field.name,
                "relationshipName": link.name,
            }
            for link in sobject.children.values()
        ],
        "recordTypeInfos": [],
    }


def _short(sobject: SObject) -> dict[str, Any]:
    url = f"{ROOT}/sobjects/{sobject.name}"
    return {
        "name": sobject.name,
        "label": sobject.label,
        "labelPlural": sobject.plural,
        "keyPrefix": sobject.prefix,
        "custom": sobject.custom,
        "createable": sobject.writable,
        "updateable": sobject.writable,
        "deletable": sobject.writable,
        "queryable": True,
        "retrieveable": True,
        "urls": {
            "sobject": url,
            "describe": f"{url}/describe",
            "rowTemplate": f"{url}/{{ID}}",
        },
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": field.label,
        "type": field.kind,
        "soapType": _SOAP_TYPES.get(field.kind, "xsd:string"),
        "length": field.length,
        "precision": field.precision,
        "scale": field.scale,
        "nillable": not field.required and field.kind not in {"id", "boolean"},
        "createable": field.createable,
        "updateable": field.updateable,
        "defaultValue": field.default,
        "defaultedOnCreate": field.default is not None or field.name == "OwnerId",
        "custom": field.custom,
        "externalId": field.external_id,
        "unique": field.unique,
        "caseSensitive": field.case_sensitive,
        "filterable": not (field.kind == "textarea" and field.length > 255),  # noqa: PLR2004  # long text
        "restrictedPicklist": field.restricted,
        "picklistValues": [
            {"active": True, "defaultValue": value == field.default, "label": value, "value": value}
            for value in field.values
        ],
        "referenceTo": list(field.references),
        "relationshipName": field.relationship,
    }
