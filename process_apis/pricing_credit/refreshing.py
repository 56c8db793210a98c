"""Keeping the copies fresh by time.

What a vendor says has changed is doubted at once (`Records.doubt`); this finds what nobody told.
"""

import asyncio
import logging

from contracts.outcomes import CallFailedError
from process_apis.pricing_credit.records import Records
from process_apis.pricing_credit.settings import PricingSettings

log = logging.getLogger("crossdock.pricing")


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
