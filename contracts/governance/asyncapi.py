"""The AsyncAPI 3 document of our events, generated from the taxonomy.

What a process owns is sent to a stream of its domain. What a system owns arrives as that vendor
pushes it and becomes a signal within; its shape is stated, its channel has no address.
"""

from importlib.resources import files
from typing import Any, Final

import msgspec

from contracts.events.cloudevents import (
    CONTENT_TYPE,
    VERSION,
    CloudEvent,
    schema_of,
    source_of,
    stream_of,
    type_of,
)
from contracts.events.taxonomy import TAXONOMY, EventType
from contracts.governance.openapi import encode, schemas_of

__all__ = ["FILE", "blessed", "document", "encode"]

FILE: Final = f"events.v{VERSION}.json"
_REF: Final = "#/components/{kind}/{name}"


def document() -> dict[str, Any]:
    """Make the document; the same taxonomy gives the same bytes."""
    rows = list(TAXONOMY.values())
    shapes = schemas_of([CloudEvent, *(row.data for row in rows)])
    domains = list(dict.fromkeys(row.name.partition(".")[0] for row in rows))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Crossdock events",
            "version": f"{VERSION}.0.0",
            "description": "What happens to orders, as CloudEvents on Redis Streams, one stream a "
            "domain. Events of one subject are in order; an event may come twice, under one id.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "streams": {
                "host": "{host}",
                "protocol": "redis",
                "description": "The Redis the installation is configured with.",
                "variables": {"host": {"default": "127.0.0.1:6379"}},
            }
        },
        "channels": {domain: _channel(domain, rows) for domain in domains},
        "operations": {domain: _operation(domain, rows) for domain in domains},
        "components": {
            "messages": {row.name: _message(row) for row in rows},
            "schemas": shapes["components"],
        },
    }


def blessed() -> dict[str, Any]:
    """Read the blessed document."""
    found: dict[str, Any] = msgspec.json.decode(
        (files("contracts") / "asyncapi" / FILE).read_bytes()
    )
    return found


def _of(domain: str, rows: list[EventType]) -> list[EventType]:
    return [row for row in rows if row.name.partition(".")[0] == domain]


def _is_sent(rows: list[EventType]) -> bool:
    return all(row.owner.startswith("process/") for row in rows)


def _channel(domain: str, rows: list[EventType]) -> dict[str, Any]:
    several = _of(domain, rows)
    sent = _is_sent(several)
    return {
        "address": stream_of(several[0].name) if sent else None,
        "title": domain,
        "description": "A stream; each entry has the fields `event`, `type` and `subject`."
        if sent
        else "Pushed by the system in its own words, or found by looking; a signal within.",
        "messages": {
            row.name: {"$ref": _REF.format(kind="messages", name=row.name)} for row in several
        },
    }


def _operation(domain: str, rows: list[EventType]) -> dict[str, Any]:
    return {
        "action": "send" if _is_sent(_of(domain, rows)) else "receive",
        "channel": {"$ref": f"#/channels/{domain}"},
    }


def _message(row: EventType) -> dict[str, Any]:
    const = {
        "type": {"const": type_of(row.name)},
        "source": {"const": source_of(row.name)},
        "dataschema": {"const": schema_of(row.name)},
        "data": {"$ref": _REF.format(kind="schemas", name=row.data.__name__)},
    }
    return {
        "name": row.name,
        "title": row.name,
        "summary": row.means,
        "contentType": CONTENT_TYPE,
        "payload": {
            "allOf": [
                {"$ref": _REF.format(kind="schemas", name="CloudEvent")},
                {"type": "object", "required": ["specversion"], "properties": const},
            ]
        },
        "x-crossdock": {"owner": row.owner, "orderingKey": row.ordering_key},
    }
