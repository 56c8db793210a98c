"""Copies and caches that what happens to orders makes doubtful, told beside everybody else.

An invalidation that is lost costs freshness and nothing else: copies are refreshed by time too. So
whoever listens is told at once and asked nothing back. With Redis the other processes of the
installation hear it as well, each as long as it listens.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from contracts.events.taxonomy import RecordChanged
from process_apis.propagation.streams import Shared
from runtime.journal.propagation import Delivered, Delivery, DeliveryOutcome, Subscriber

__all__ = ["Invalidations"]

log = logging.getLogger("crossdock.propagation")

Doubt = Callable[[Iterable[RecordChanged]], object]
"""Stops trusting copies of records."""

_STREAM: Final = "crossdock:doubts"
_KEPT: Final = 10_000
_ADD: Final = "return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'changes', ARGV[2])"
_LAST: Final = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return last[1] and last[1][1] or '0-0'
"""
_AFTER: Final = "return redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', 200)"
_EVERY: Final = 0.5
_TOPICS: Final = (
    "order.shipped",
    "order.invoiced",
    "order.paid",
    "order.cancelled",
    "order.credited",
)
"""What changes a customer's credit or the stock that is left."""


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order is needed here; the rest of it is skipped over."""

    customer: str | None = None


_decode = msgspec.json.Decoder(_Told).decode
_changes = msgspec.json.Decoder(tuple[RecordChanged, ...])


class Invalidations:
    """Tells everybody who keeps copies what not to trust any more."""

    def __init__(self, listeners: Sequence[Doubt], shared: Shared | None = None) -> None:
        self._listeners = listeners
        self._shared = shared
        self._announcing: set[asyncio.Task[None]] = set()
        self._listens = False
        self._own: set[bytes] = set()

    def subscriber(self) -> Subscriber:
        """Answer the subscriber; of several events of an order the newest is enough."""
        return Subscriber(
            name="caches", topics=_TOPICS, deliver=self.deliver, batch=200, coalesce=True
        )

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[DeliveryOutcome]:
        """Doubt the orders told of, and what their customers owe."""
        changes = [
            RecordChanged(system="journal", entity="known-order", id=delivery.entity)
            for delivery in deliveries
        ]
        customers = {_decode(delivery.payload).customer for delivery in deliveries} - {None}
        changes += [
            RecordChanged(system="journal", entity="credit-position", id=customer)
            for customer in sorted(str(customer) for customer in customers)
        ]
        await self.tell(changes)
        return [Delivered()] * len(deliveries)

    def doubt(self, changes: Iterable[RecordChanged]) -> None:
        """Tell whoever keeps copies in this process."""
        told = tuple(changes)
        for listener in self._listeners:
            listener(told)

    def announce(self, changes: Iterable[RecordChanged]) -> None:
        """Tell this process now, and the others in a moment: for who cannot wait for Redis."""
        told = tuple(changes)
        if self._shared is None:
            self.doubt(told)
            return
        task = asyncio.get_running_loop().create_task(self.tell(told))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def tell(self, changes: Iterable[RecordChanged]) -> None:
        """Tell this process and, with Redis, the others."""
        told = tuple(changes)
        self.doubt(told)
        if self._shared is not None and told:
            added = await self._shared.run(_ADD, [_STREAM], [_KEPT, msgspec.json.encode(told)])
            if added is not None and self._listens:
                self._own.add(bytes(added))

    async def run(self) -> None:
        """Listen to what other processes tell; ends when the task is cancelled."""
        if self._shared is None:
            return
        after: bytes | None = None
        self._listens = True
        try:
            while True:
                after = await self._hear(after)
                await asyncio.sleep(_EVERY)
        finally:
            self._listens = False
            self._own.clear()

    async def _hear(self, after: bytes | None) -> bytes | None:
        """Take what came since; answer where to go on, None after a Redis that was gone."""
        if self._shared is None:
            return None
        if after is None:
            found = await self._shared.run(_LAST, [_STREAM], [])
            return None if found is None else bytes(found)
        entries: list[Any] | None = await self._shared.run(_AFTER, [_STREAM], [after])
        if entries is None:
            # Whatever was told meanwhile is lost with it: trust nothing that might be in it.
            self.doubt((RecordChanged(system="journal", entity="customer"),))
            return None
        for identity, fields in entries:
            after = bytes(identity)
            if after in self._own:
                self._own.discard(after)
                continue
            self.doubt(_changes.decode(fields[1]))
        return after
