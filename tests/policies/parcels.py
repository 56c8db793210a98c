"""The contract that a carrier publishes: OpenAPI 3.0, in its own words and none of ours."""

import copy
import json
from pathlib import Path
from typing import Any

PARCEL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "weight"],
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "weight": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        "note": {"type": "string", "nullable": True},
    },
}
CONTRACT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Parcels", "version": "7.2"},
    "servers": [{"url": "https://api.carrier.example/v2"}],
    "security": [{"carrierKey": []}],
    "paths": {
        "/shipments": {
            "get": {
                "operationId": "findShipments",
                "parameters": [
                    {
                        "name": "state",
                        "in": "query",
                        "style": "form",
                        "explode": False,
                        "schema": {"type": "array", "items": {"enum": ["sent", "lost"]}},
                    },
                    {
                        "name": "filter",
                        "in": "query",
                        "style": "deepObject",
                        "schema": {"type": "object"},
                    },
                    {
                        "name": "X-Carrier-Key",
                        "in": "header",
                        "required": True,
                        "schema": {"type": "string"},
                    },
                ],
                "responses": {"2XX": {"description": "Found"}},
            },
            "post": {
                "operationId": "createShipment",
                "requestBody": {"$ref": "#/components/requestBodies/Parcel"},
                "responses": {"201": {"description": "Created"}},
            },
        },
        "/shipments/{shipment}": {
            "parameters": [{"$ref": "#/components/parameters/shipment"}],
            "get": {
                "operationId": "readShipment",
                "responses": {
                    "200": {
                        "description": "The parcel",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Parcel"}}
                        },
                    }
                },
            },
        },
        "/labels": {
            "post": {
                "operationId": "printLabels",
                "requestBody": {"content": {"application/*": {}}},
                "responses": {"200": {"description": "Printed"}},
            }
        },
        "/status": {
            "get": {"operationId": "readStatus", "responses": {"200": {"description": "Well"}}}
        },
    },
    "components": {
        "parameters": {
            "shipment": {
                "name": "shipment",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "maxLength": 20},
            }
        },
        "requestBodies": {
            "Parcel": {
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Parcel"}},
                    "application/xml": {},
                }
            }
        },
        "schemas": {"Parcel": PARCEL},
        "securitySchemes": {
            "carrierKey": {"type": "apiKey", "in": "header", "name": "X-Carrier-Key"}
        },
    },
}


def a_contract(**terms: dict[str, Any]) -> dict[str, Any]:
    """The contract, with `x-crossdock` terms on the operations named."""
    made = copy.deepcopy(CONTRACT)
    for item in made["paths"].values():
        for each in item.values():
            if isinstance(each, dict) and each["operationId"] in terms:
                each["x-crossdock"] = terms[each["operationId"]]
    return made


def contract_file(folder: Path, **terms: dict[str, Any]) -> str:
    """Write the contract down; answer where."""
    path = folder / "parcels.openapi.json"
    path.write_text(json.dumps(a_contract(**terms)), encoding="utf-8")
    return str(path)
