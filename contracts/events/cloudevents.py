"""How an event looks outside: a CloudEvent in structured JSON (CloudEvents 1.0, JSON format).

One stream a domain, on which the events of one subject come in the order of their `sequence`. An
event may come twice, under the same `id`.
"""

from typing import Final, Literal

import msgspec

from contracts.canonical.shapes import Instant
from contracts.events.taxonomy import TAXONOMY

__all__ = ["CONTENT_TYPE", "CloudEvent", "schema_of", "source_of", "stream_of", "type_of"]

CONTENT_TYPE: Final = "application/cloudevents+json"
VERSION: Final = 1
"""The version of the events' document; it changes with what breaks a reader."""


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of CloudEvents 1.0, with the extension `sequence`."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    """The same when the event comes again; unique within its source."""
    source: str
    type: str
    subject: str
    """What the event is about, by its business reference: events of one subject are in order."""
    time: Instant
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    sequence: str
    """Grows with each event of a subject; twenty digits, so that it sorts as text."""
    data: msgspec.Raw


def type_of(name: str) -> str:
    """Answer the `type` of a row of the taxonomy."""
    return f"crossdock.{name}"


def source_of(name: str) -> str:
    """Answer the `source`: the API that owns the event."""
    return f"/{TAXONOMY[name].owner}"


def stream_of(name: str) -> str:
    """Answer the stream an event is on: that of its domain."""
    return f"crossdock:events:{name.partition('.')[0]}"


def schema_of(name: str) -> str:
    """Answer the `dataschema`: where in the events' document the data's shape is."""
    return f"urn:crossdock:events:v{VERSION}#/components/schemas/{TAXONOMY[name].data.__name__}"
