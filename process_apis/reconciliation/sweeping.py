"""One sweep: everything is listed, compared both ways, and whatever differs is looked at again.

What the lists say is a suspicion only: they are read one after the other while orders go on. An
order is reported when a second, direct look at journal and systems finds the same kind of thing
wrong, and nothing of it has changed since the end of the span.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from re import compile as pattern
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from contracts.canonical.order import Order
from contracts.context import calling
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.crm import Crm, OrderReport, ReportEnquiry
from contracts.ports.erp import Erp, ErpOrder, OrderDocuments
from contracts.ports.reconciliation import SystemName
from contracts.ports.wms import WarehouseOrder, Wms
from process_apis.reconciliation.decisions import Finding, compare, waits
from process_apis.reconciliation.listing import Listing
from process_apis.reconciliation.scratch import Scratch
from process_apis.reconciliation.settings import ReconciliationSettings
from process_apis.reconciliation.sides import Orders, Sides, key_of, release_names
from runtime.clock import Clock

T = TypeVar("T")

_PAGE: Final = 200
_SYSTEMS: Final[tuple[SystemName, ...]] = ("crm", "erp", "wms")

log = logging.getLogger("crossdock.reconciliation")

Found = Callable[[str, Order | None, Sequence[Finding]], Awaitable[None]]
"""Is told of each order, by its reference, what is wrong with it."""


class Span(Struct, frozen=True, kw_only=True):
    """What a sweep looks at: what changed since an instant, and not after another."""

    since: datetime
    until: datetime


class Swept(Struct, kw_only=True):
    """What a sweep looked at."""

    orders: int = 0
    waiting: int = 0
    listed: Mapping[str, int] = {}
    unread: set[SystemName] = set()


class Sweep:
    """One run. `run` is called once."""

    def __init__(
        self,
        *,
        orders: Orders,
        erp: Erp,
        wms: Wms,
        crm: Crm,
        settings: ReconciliationSettings,
        clock: Clock,
        correlation: str,
        found: Found,
    ) -> None:
        self._orders = orders
        self._erp = erp
        self._wms = wms
        self._crm = crm
        self._settings = settings
        self._found = found
        self._listing = Listing(
            erp=erp, wms=wms, crm=crm, clock=clock,
            call_budget=settings.call_budget, correlation=correlation,
        )  # fmt: skip
        self._foreign = {
            system: [pattern(each) for each in some] for system, some in settings.foreign.items()
        }
        self._scratch = Scratch()
        self._again = Scratch()
        self.swept = Swept()

    async def run(self, span: Span) -> Swept:
        """Compare what changed in a span of time. Raises nothing for a system's sake."""
        try:
            await asyncio.gather(*(self._list(system, span) for system in _SYSTEMS))
            self.swept.listed = self._scratch.counted()
            await self._from_journal(span)
            await self._from_systems(span)
            await self._list_again()
            await self._confirm(span)
            return self.swept
        finally:
            self._scratch.close()
            self._again.close()

    async def _list(self, system: SystemName, span: Span) -> None:
        try:
            await self._listing.of(system)(self._scratch, span.since)
        except CallFailedError as failed:
            self._not_read(system, failed)

    async def _from_journal(self, span: Span) -> None:
        """Every order of the journal that changed is to be what the systems hold."""
        cursor: str | None = None
        while True:
            ids, cursor = await self._orders.changed(span.since, cursor)
            fresh = [each for each in ids if self._scratch.is_new(f"id {each}")]
            for order in await self._orders.of(fresh):
                self._weigh(order, span)
            if cursor is None:
                return

    async def _from_systems(self, span: Span) -> None:
        """Whatever the systems hold is to be an order of the journal."""
        after = ""
        while names := self._scratch.unseen(after, _PAGE):
            after = names[-1]
            for order in await self._orders.named(names):
                self._weigh(order, span)
            for name in names:
                if self._scratch.is_new(name):
                    self._scratch.suspect(name)

    def _weigh(self, order: Order, span: Span) -> None:
        self._scratch.saw(key_of(each) for each in release_names(order))
        if order.updated_at > span.until:
            return
        self.swept.orders += 1
        self.swept.waiting += waits(order)
        recent = tuple(each for each in order.shipments if each.shipped_at >= span.since)
        listed = self._scratch.sides_of(order)
        sides = msgspec.structs.replace(listed, unread=frozenset(self.swept.unread))
        if compare(msgspec.structs.replace(order, shipments=recent), sides):
            self._scratch.suspect(key_of(order.reference))

    async def _list_again(self) -> None:
        """Read the lists once more for what was there twice: a look-up answers one of them."""
        since: dict[SystemName, datetime] = {}
        for system, changed_at in self._doubled():
            since[system] = min(changed_at, since.get(system, changed_at))
        for system, instant in since.items():
            try:
                await self._listing.of(system)(self._again, instant - timedelta(seconds=1))
            except CallFailedError as failed:
                self._not_read(system, failed)

    def _doubled(self) -> Iterable[tuple[SystemName, datetime]]:
        for name in self._every_suspect():
            some: tuple[tuple[SystemName, Sequence[ErpOrder | WarehouseOrder]], ...] = (
                ("erp", self._scratch.erp_orders(name)),
                ("wms", self._scratch.live_releases(name)),
            )
            for system, records in some:
                changes = [each.changed_at for each in records if each.changed_at is not None]
                if len(records) > 1 and changes:
                    yield system, min(changes)

    def _every_suspect(self) -> Iterable[str]:
        after = ""
        while names := self._scratch.suspects(after, _PAGE):
            after = names[-1]
            yield from names

    async def _confirm(self, span: Span) -> None:
        turns = asyncio.Semaphore(self._settings.look_ups)

        async def one(name: str) -> None:
            async with turns:
                await self._look(name, span)

        after = ""
        while names := self._scratch.suspects(after, _PAGE):
            after = names[-1]
            await asyncio.gather(*(one(name) for name in names))

    async def _look(self, name: str, span: Span) -> None:
        orders = await self._orders.named([name])
        if not orders:
            if await self._orders.is_unread(name):
                self.swept.waiting += 1  # it is in the exception queue; what differs nobody knows
            else:
                await self._look_for_unknown(name, span)
            return
        order = orders[0]
        if order.updated_at > span.until:
            return  # it goes on: the next sweep's
        sides = await self._sides_now(order)
        if findings := compare(order, sides):
            await self._found(order.reference, order, findings)

    async def _sides_now(self, order: Order) -> Sides:
        """Ask every system for one order, directly."""
        unread = set(self.swept.unread)
        erp: tuple[ErpOrder, ...] = ()
        documents: OrderDocuments | None = None
        reports: tuple[OrderReport, ...] = ()
        try:
            if "erp" not in unread:
                erp = await self._erp_orders(order)
                if erp:
                    with calling(self._listing.call()):
                        documents = await self._erp.order_documents(erp[0].number)
        except CallFailedError as failed:
            unread.add(self._not_read("erp", failed))
        releases: dict[str, tuple[WarehouseOrder, ...]] = {}
        try:
            if "wms" not in unread:
                releases = await self._releases(order)
        except CallFailedError as failed:
            unread.add(self._not_read("wms", failed))
        try:
            if "crm" not in unread:
                with calling(self._listing.call()):
                    body = ReportEnquiry(references=(order.reference,))
                    reports = (await self._crm.find_reports(body)).reports
        except CallFailedError as failed:
            unread.add(self._not_read("crm", failed))
        return Sides(
            erp=erp,
            shipments=() if documents is None else documents.shipments,
            invoices=() if documents is None else documents.invoices,
            releases=releases,
            packages=self._scratch.packages_of(order),
            crm=reports[0] if reports else None,
            unread=frozenset(unread),
        )

    async def _erp_orders(self, order: Order) -> tuple[ErpOrder, ...]:
        again = self._again.erp_orders(key_of(order.reference))
        if len(again) > 1:
            return again
        found = await self._unless_gone(self._erp.find_order(order.customer, order.reference))
        return () if found is None else (found,)

    async def _releases(self, order: Order) -> dict[str, tuple[WarehouseOrder, ...]]:
        found: dict[str, tuple[WarehouseOrder, ...]] = {}
        for name in release_names(order):
            again = self._again.live_releases(key_of(name))
            if len(again) > 1:
                found[key_of(name)] = again
                continue
            release = await self._unless_gone(self._wms.find_release(name))
            if release is not None:
                found[key_of(name)] = (release,)
        return found

    async def _look_for_unknown(self, name: str, span: Span) -> None:
        """A system holds what is no order's: is it still there, and has it come to rest?"""
        findings = []
        for system in sorted(self._scratch.systems_of(name) - self.swept.unread):
            if any(each.fullmatch(name) for each in self._foreign.get(system, ())):
                continue
            try:
                theirs = await self._unknown_in(system, name, span)
            except CallFailedError as failed:
                self._not_read(system, failed)
                continue
            if theirs is not None:
                kind = _UNKNOWN[system]
                findings.append(Finding(kind=kind, system=system, ours=None, theirs=theirs))
        if findings:
            await self._found(name, None, findings)

    async def _unknown_in(self, system: SystemName, name: str, span: Span) -> str | None:
        match system:
            case "erp":
                return await self._unknown_in_erp(name, span)
            case "wms":
                listed = self._scratch.live_releases(name)
                if not listed or _is_moving(listed, span):
                    return None
                found = await self._unless_gone(self._wms.find_release(listed[0].reference))
                return None if found is None or found.state == "cancelled" else found.number
            case "crm":
                shown = self._scratch.report(name)
                body = ReportEnquiry(references=(name if shown is None else shown.reference,))
                with calling(self._listing.call()):
                    reports = (await self._crm.find_reports(body)).reports
                return reports[0].commercial if reports else None

    async def _unknown_in_erp(self, name: str, span: Span) -> str | None:
        orders, invoices = self._scratch.erp_orders(name), self._scratch.invoices(name)
        if _is_moving(orders, span) or _is_moving(invoices, span):
            return None
        customers = {each.customer for each in orders} | {each.customer for each in invoices}
        for customer in customers:
            found = await self._unless_gone(self._erp.find_order(customer, name))
            if found is not None:
                return found.number
        return None

    async def _unless_gone(self, asked: Awaitable[T]) -> T | None:
        try:
            with calling(self._listing.call()):
                return await asked
        except CallFailedError as failed:
            if isinstance(failed.failure, Rejected) and failed.failure.reason == "not-found":
                return None
            raise

    def _not_read(self, system: SystemName, failed: CallFailedError) -> SystemName:
        log.warning(
            "system_not_read", extra={"system": system, "failure": type(failed.failure).__name__}
        )
        self.swept.unread.add(system)
        return system


_UNKNOWN: Final[dict[SystemName, Any]] = {
    "erp": "unknown-in-erp",
    "wms": "unknown-in-wms",
    "crm": "unknown-in-crm",
}


def _is_moving(records: Iterable[Any], span: Span) -> bool:
    """Tell whether a record changed after the span."""
    return any(each.changed_at is not None and each.changed_at > span.until for each in records)
