"""Deliveries: how canonical events reach their subscribers."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct


class Delivery(Struct, frozen=True, kw_only=True):
    """One event on its way to one subscriber.

    `version` grows with each event of an entity. `payload` is the event's data as JSON.
    """

    id: int
    topic: str
    entity: str
    version: int
    payload: msgspec.Raw
    attempt: int
    created_at: datetime


class Delivered(Struct, frozen=True):
    """The subscriber has it."""


class Later(Struct, frozen=True, kw_only=True):
    """Not now. Tried again at `at`, or by the usual backoff when nothing is said."""

    reason: str
    at: datetime | None = None


class Undeliverable(Struct, frozen=True, kw_only=True):
    """Never: the subscriber refuses this one for good. It is set aside, and the next may pass."""

    reason: str


DeliveryOutcome = Delivered | Later | Undeliverable


class Subscriber(Struct, frozen=True, kw_only=True):
    """Whoever wants events. Each has its own queue and retries; a dead one slows no other.

    `topics` are exact names, or a prefix ending in `*`. In one batch there is at most one event of
    an entity, and an event is handed over only after those before it are done. With `coalesce`
    only the newest event of an entity and topic-set is sent, older ones waiting are superseded;
    `gather` is how long after the first sign of an event others may come to go with it.
    `deliver` answers one outcome per delivery, in order; an exception means `Later` for all.
    """

    name: str
    topics: tuple[str, ...]
    deliver: Callable[[Sequence[Delivery]], Awaitable[Sequence[DeliveryOutcome]]]
    batch: int = 50
    concurrency: int = 1
    coalesce: bool = False
    gather: timedelta = timedelta()

    def wants(self, topic: str) -> bool:
        """Whether events of `topic` go to this subscriber."""
        return any(topic.startswith(t[:-1]) if t.endswith("*") else topic == t for t in self.topics)
