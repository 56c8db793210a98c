"""Events on Redis Streams, for whoever else wants them: CloudEvents, one stream a domain.

A subscriber like any other: Redis gone or full keeps its events in its own queue and delays nobody.
An event whose end is unknown goes again, under the same id.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from contracts.events.cloudevents import CloudEvent, schema_of, source_of, stream_of, type_of
from contracts.events.taxonomy import TAXONOMY
from runtime.journal.propagation import Delivered, Delivery, DeliveryOutcome, Later, Subscriber

__all__ = ["EventStreams", "Shared"]

log = logging.getLogger("crossdock.propagation")

_ADD: Final = """
local at = 2
for number, stream in ipairs(KEYS) do
  redis.call('XADD', stream, 'MAXLEN', '~', ARGV[1], '*',
    'event', ARGV[at], 'type', ARGV[at + 1], 'subject', ARGV[at + 2])
  at = at + 3
end
return #KEYS
"""
_TOPICS: Final = tuple(row.name for row in TAXONOMY.values() if row.owner.startswith("process/"))


class Shared(Protocol):
    """Redis, as `runtime.shared.state.SharedState` is it."""

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Answer what a script returns; None when Redis is gone, and it may have run."""
        ...


class EventStreams:
    """Puts every event of a process on the stream of its domain."""

    def __init__(self, shared: Shared, *, length: int) -> None:
        self._shared = shared
        self._length = length

    def subscriber(self) -> Subscriber:
        """Answer the subscriber: every event, none left out for a newer one."""
        return Subscriber(name="streams", topics=_TOPICS, deliver=self.deliver, batch=100)

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[DeliveryOutcome]:
        """Add a batch, all of it or nothing."""
        streams = [stream_of(delivery.topic) for delivery in deliveries]
        arguments: list[Any] = [self._length]
        for delivery in deliveries:
            arguments += [encoded(delivery), type_of(delivery.topic), delivery.entity]
        added = await self._shared.run(_ADD, streams, arguments)
        if added is None:
            return [Later(reason="Redis is gone")] * len(deliveries)
        return [Delivered()] * len(deliveries)


def encoded(delivery: Delivery) -> bytes:
    """Write a delivery as a CloudEvent in structured JSON."""
    topic = delivery.topic
    return msgspec.json.encode(
        CloudEvent(
            id=f"{delivery.entity}/{delivery.version}",
            source=source_of(topic),
            type=type_of(topic),
            subject=delivery.entity,
            time=delivery.created_at,
            dataschema=schema_of(topic),
            sequence=f"{delivery.version:020d}",
            data=delivery.payload,
        )
    )
