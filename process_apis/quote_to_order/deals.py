"""Deals won in the CRM become orders: told by its notification, and looked for as a backstop."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from contracts.canonical.money import zero
from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError
from contracts.ports.crm import Crm, WonSince
from process_apis.quote_to_order.records import (
    NOBODY,
    ORDER_KIND,
    OrderRecord,
)
from process_apis.quote_to_order.settings import OrderSettings
from runtime.clock import Clock
from runtime.journal.journal import Journal
from runtime.journal.process import Says, Start, Term

log = logging.getLogger("crossdock.orders")

CONSUMER: Final = "salesforce"
OPERATION: Final = "deal-won"
CHANNEL: Final = "crm"
_NOTE: Final = "watermark"
_WATERMARK: Final = "crm.won-deals"
_SHORT: Final = 15
_CHECKSUM: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def whole_id(deal: str) -> str:
    """Answer the 18-character form of a Salesforce id, with or without `sf:` before it.

    The 15-character form is told apart by case alone; the three characters added say which
    letters are capitals, so that the long one is safe where case is not kept.
    """
    bare = deal.removeprefix("sf:")
    if len(bare) != _SHORT:
        return bare
    tail = ""
    for start in range(0, _SHORT, 5):
        capitals = [bare[start + i].isascii() and bare[start + i].isupper() for i in range(5)]
        tail += _CHECKSUM[sum(1 << i for i, capital in enumerate(capitals) if capital)]
    return bare + tail


def start_for(
    deal: str, *, order: str, now: datetime, settings: OrderSettings
) -> Start[OrderRecord]:
    """Begin the order of a deal: the deal's id is its key, so that won twice is ordered once."""
    bare = whole_id(deal)
    record = OrderRecord(
        channel=CHANNEL,
        customer=NOBODY,
        currency="GBP",
        net=zero("GBP").amount,
        placed_at=now,
        since=now,
        entry="deal",
        quote=f"sf:{bare}",
    )
    return Start(
        id=order,
        kind=ORDER_KIND,
        consumer=CONSUMER,
        operation=OPERATION,
        key=bare,
        fingerprint=bare,
        reference=f"SF-{bare}",
        data=record,
        lane=settings.channels[CHANNEL].lane,
        terms=(Term(kind="deal", value=bare),),
        says=(Says(text=f"The deal {bare} was won in the CRM."),),
    )


class DealWatch:
    """Looks for deals that were won and whose notification was lost.

    Run `run()` as a task; it ends when the task is cancelled. Its watermark is durable.
    """

    def __init__(
        self,
        *,
        crm: Crm,
        journal: Journal,
        clock: Clock,
        mint: Callable[[], str],
        settings: OrderSettings,
        missed: Callable[[], object] = lambda: None,
    ) -> None:
        self._missed = missed
        self._crm = crm
        self._journal = journal
        self._clock = clock
        self._mint = mint
        self._settings = settings

    async def run(self) -> None:
        """Look again and again; a CRM that does not answer is asked again next time."""
        while True:
            try:
                await self.look()
            except CallFailedError as failed:
                log.warning("won_deals_not_read", extra={"failure": type(failed.failure).__name__})
            await asyncio.sleep(self._settings.deal_poll_every.total_seconds())

    async def look(self) -> int:
        """Start an order for every won deal that has none; answer how many were started.

        The first look of a new installation begins now: deals won before are history.
        """
        now = self._clock.now()
        since = await self._since(now)
        started = 0
        cursor = None
        while True:
            call = CallContext(
                correlation_id=f"won-deals-{now:%Y%m%d%H%M%S}",
                consumer="quote-to-order",
                criticality="sync",
            )
            with calling(call):
                page = await self._crm.won_deals(WonSince(since=since, cursor=cursor))
            for deal in page.deals:
                start = start_for(deal.id, order=self._mint(), now=now, settings=self._settings)
                if (await self._journal.accept(start)).created:
                    started += 1
                    self._missed()
            cursor = page.cursor
            if cursor is None:
                break
        await self._journal.set_note(_NOTE, _WATERMARK, msgspec.json.encode(now))
        return started

    async def _since(self, now: datetime) -> datetime:
        stored = await self._journal.note(_NOTE, _WATERMARK)
        if stored is None:
            return now - self._settings.deal_poll_overlap
        return msgspec.json.decode(stored, type=datetime) - self._settings.deal_poll_overlap
