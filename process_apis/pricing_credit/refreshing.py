"""Keeping the copies fresh: events first, time second."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.events.taxonomy import RecordChanged
from contracts.outcomes import CallFailedError
from process_apis.pricing_credit.records import Records
from process_apis.pricing_credit.settings import PricingSettings
from runtime.journal.propagation import Delivered, Delivery, DeliveryOutcome, Subscriber

log = logging.getLogger("crossdock.pricing")

TOPICS: Final = ("erp.record.changed", "wms.record.changed")
_decode = msgspec.json.Decoder(RecordChanged).decode


class Refresher:
    """Loads all customers and items in the background, then asks for what changed.

    Nothing waits for it: a record asked for before it is loaded is looked up by itself. Run it
    with `run()` as a task; it ends when the task is cancelled.
    """

    def __init__(self, records: Records, settings: PricingSettings) -> None:
        self._records = records
        self._every = settings.refresh_every

    async def run(self) -> None:
        """Refresh until cancelled; an authority that does not answer is asked again next time."""
        while True:
            try:
                await self._records.refresh()
            except CallFailedError as failed:
                log.warning(
                    "copies_not_refreshed", extra={"failure": type(failed.failure).__name__}
                )
            await asyncio.sleep(self._every)


def doubting(records: Records) -> Subscriber:
    """Answer the subscriber by which change events reach the copies."""

    async def deliver(deliveries: Sequence[Delivery]) -> Sequence[DeliveryOutcome]:
        records.doubt([_decode(delivery.payload) for delivery in deliveries])
        return [Delivered()] * len(deliveries)

    return Subscriber(name="pricing-copies", topics=TOPICS, deliver=deliver, batch=200)
