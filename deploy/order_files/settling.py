"""Waiting until everything accepted has come to an end: confirmed, credited, or stopped."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from contracts.ports.quote_to_order import ExceptionPage, Totals
from deploy.gateway_client import GatewayClient, NoAnswerError, RefusedError
from deploy.order_files.submitting import GatewayLostError
from runtime.clock import Clock

__all__ = ["Watch", "ended", "is_confirmed", "open_exceptions", "under_way"]

_LOOK_EVERY: Final = 0.5
_COST_SHARE: Final = 10  # a look that took a second is followed by ten without one
_PAGE: Final = 200
_AFTER_CONFIRMATION: Final = "warehouse-rejection"
_STEADY_SECONDS: Final = 2.0


def ended(totals: Totals) -> int:
    """Count the documents of a channel that need nothing more, or somebody's decision.

    What the warehouse refused is confirmed in the ERP as well, and counts once.
    """
    stopped = sum(totals.exceptions.values()) - totals.exceptions.get(_AFTER_CONFIRMATION, 0)
    return totals.confirmed + totals.credited + stopped


def under_way(totals: Totals) -> int:
    """Count the documents of a channel that are still on their way."""
    return max(totals.orders + totals.credits - ended(totals), 0)


class Watch:
    """Looks at a channel's totals again and again, and knows when nothing moves any more."""

    def __init__(
        self,
        gateway: GatewayClient,
        channel: str,
        *,
        patience: float,
        clock: Clock,
        on_totals: Callable[[Totals], None],
    ) -> None:
        self._gateway = gateway
        self._path = f"/operations/v1/totals?channel={channel}"
        self._patience = patience
        self._clock = clock
        self._on_totals = on_totals
        self._last_answer = clock.monotonic()
        self._pause = _LOOK_EVERY

    async def look(self) -> Totals:
        """Read the totals once, however often that has to be tried.

        Raises:
            GatewayLostError: nothing has answered for as long as patience goes.
            RefusedError: the client may not read them.
        """
        self._last_answer = self._clock.monotonic()
        while True:
            begun = self._clock.monotonic()
            totals = await self._try()
            if totals is not None:
                took = self._clock.monotonic() - begun
                self._pause = max(_LOOK_EVERY, took * _COST_SHARE)
                self._on_totals(totals)
                return totals
            silent = self._clock.monotonic() - self._last_answer
            if silent > self._patience:
                raise GatewayLostError(f"{self._gateway.url} has not answered for {silent:.0f} s")
            await asyncio.sleep(_LOOK_EVERY)

    async def keep_looking(self) -> None:
        """Look until cancelled: the display beside a submission under way."""
        while True:
            await self.look()
            await asyncio.sleep(self._pause * 2)

    async def until_ended(self) -> Totals:
        """Wait until nothing is under way, or nothing has moved for as long as patience goes.

        A confirmed order can be in exception too, and then hides one that is under way: where
        there are exceptions, the figures must have been steady for a while.

        Raises:
            GatewayLostError: nothing has answered for as long as patience goes.
        """
        last: Totals | None = None
        moved_at = self._clock.monotonic()
        while True:
            totals = await self.look()
            now = self._clock.monotonic()
            if totals != last:
                last, moved_at = totals, now
            enough = self._patience
            if not under_way(totals):
                enough = _STEADY_SECONDS if totals.exceptions else 0.0
            if now - moved_at >= enough:
                return totals
            await asyncio.sleep(self._pause)

    async def _try(self) -> Totals | None:
        try:
            return msgspec.convert(await self._gateway.get(self._path), Totals)
        except NoAnswerError:
            return None
        except RefusedError as refusal:
            if not refusal.answer.problem.retryable:
                raise
            return None


async def is_confirmed(gateway: GatewayClient, reference: str) -> bool:
    """Tell whether an order is confirmed in the ERP, whatever has stopped it since."""
    page = await gateway.get(f"/operations/v1/orders?reference={reference}")
    return any(order["commercial"] == "confirmed" for order in page["orders"])


async def open_exceptions(gateway: GatewayClient) -> dict[str, str]:
    """Answer every open exception: the document's reference and the category."""
    found: dict[str, str] = {}
    cursor = ""
    while True:
        page = msgspec.convert(
            await gateway.get(f"/operations/v1/exceptions?open=true&limit={_PAGE}{cursor}"),
            ExceptionPage,
        )
        found.update((each.reference, each.exception.category) for each in page.exceptions)
        if page.cursor is None:
            return found
        cursor = f"&cursor={page.cursor}"
