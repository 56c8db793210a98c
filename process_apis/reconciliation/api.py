"""reconciliation: the port, and the job that sweeps by itself."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from contracts.canonical.order import Order
from contracts.context import current
from contracts.ports.binding import Reply
from contracts.ports.crm import Crm
from contracts.ports.erp import Erp
from contracts.ports.reconciliation import (
    Difference,
    DifferencePage,
    DifferenceQuery,
    Retelling,
    Retold,
    StartSweep,
    Sweep,
    Sweeps,
)
from contracts.ports.wms import Wms
from contracts.problems import refuse
from process_apis.reconciliation import sweeping
from process_apis.reconciliation.catalogue import KINDS, RUNBOOK, words
from process_apis.reconciliation.decisions import Finding
from process_apis.reconciliation.keeping import Keeping, difference_id
from process_apis.reconciliation.retelling import Teller, retell
from process_apis.reconciliation.settings import ReconciliationSettings
from process_apis.reconciliation.sides import Orders
from process_apis.reconciliation.statement import span_words, statement
from process_apis.reconciliation.sweeping import Span
from runtime.clock import Clock
from runtime.journal.times import from_micros
from runtime.store.engine import Store
from runtime.store.faults import StoreUnavailable

_BEAT: Final = 15.0
_LOST: Final = timedelta(seconds=90)
"""A sweep that has not said for so long that it goes on has died with its process."""
_REMEMBERED: Final = timedelta(days=90)

log = logging.getLogger("crossdock.reconciliation")


class ReconciliationApi:
    """Implements `contracts.ports.reconciliation.Reconciliation`.

    `mint` answers an id that sorts behind every earlier one. Sweeps run one at a time, as tasks of
    this process; `run` is the job that begins one every now and then, `close` ends what runs.
    """

    def __init__(
        self,
        *,
        orders: Orders,
        erp: Erp,
        wms: Wms,
        crm: Crm,
        store: Store,
        settings: ReconciliationSettings,
        clock: Clock,
        mint: Callable[[], str],
        teller: Teller,
        engine: type[sweeping.Sweep] = sweeping.Sweep,
    ) -> None:
        self._orders = orders
        self._erp = erp
        self._wms = wms
        self._crm = crm
        self._settings = settings
        self._clock = clock
        self._mint = mint
        self._teller = teller
        self._engine = engine
        self._keeping = Keeping(store)
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Sweep]] = set()

    async def run(self) -> None:
        """Sweep every now and then, each time from where the last one ended. Never returns."""
        while True:
            await asyncio.sleep(self._settings.every)
            try:
                await self.sweep_now(await self._since(), self._settings.settle)
                forgotten = self._clock.now() - _REMEMBERED
                await self._keeping.forget(self._settings.kept_sweeps, forgotten)
            except StoreUnavailable:
                log.warning("sweep_not_kept")

    async def close(self) -> None:
        """End the sweeps that run; they are shown as failed."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def sweep(self, body: StartSweep) -> Reply[Sweep]:
        """Begin a sweep; answers 202 with where it is shown. Refuses store-unavailable."""
        try:
            begun = await self._begin(body.since, body.settle_seconds)
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
        self._start(begun)
        return Reply(
            body=begun, status=202, location=f"/process/reconciliation/v1/sweeps/{begun.id}"
        )

    async def sweep_now(self, since: datetime, settle: float) -> Sweep:
        """Sweep, and answer the statement."""
        return await self._start(await self._begin(since, settle))

    async def sweeps(self) -> Sweeps:
        """List sweeps, newest first."""
        latest = await self._keeping.latest()
        return Sweeps(sweeps=tuple(self._shown(*each) for each in latest))

    async def sweep_of(self, sweep: str) -> Sweep:
        """Show a sweep; refuses not-found."""
        found = await self._keeping.get(sweep)
        if found is None:
            raise refuse("not-found")
        return self._shown(*found)

    async def differences(self, sweep: str, query: DifferenceQuery) -> DifferencePage:
        """List what a sweep found; refuses not-found."""
        await self.sweep_of(sweep)
        found = await self._keeping.differences(sweep, query)
        page = tuple(found[: query.limit])
        return DifferencePage(
            differences=page, cursor=page[-1].id if len(found) > query.limit else None
        )

    async def retell(self, sweep: str, body: Retelling) -> Retold:
        """Tell the CRM again what a sweep found it does not show; audited with the note."""
        await self.sweep_of(sweep)
        call = current()
        try:
            return await retell(
                sweep, body, orders=self._orders, keeping=self._keeping, teller=self._teller,
                actor=call.subject or call.consumer,
            )  # fmt: skip
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None

    async def _since(self) -> datetime:
        """From where the last whole sweep ended, and a little before that."""
        for sweep, _ in await self._keeping.latest():
            if sweep.state == "done" and not sweep.unread:
                return sweep.until - timedelta(seconds=self._settings.overlap)
        return self._clock.now() - timedelta(seconds=self._settings.first_span)

    async def _begin(self, since: datetime, settle: float) -> Sweep:
        now = self._clock.now()
        until = now - timedelta(seconds=settle)
        sweep = Sweep(
            id=self._mint(), state="running", since=min(since, until), until=until,
            compared={}, differences=0, by_kind={}, says="It has begun.", started_at=now,
        )  # fmt: skip
        await self._keeping.put(sweep, now)
        return sweep

    def _start(self, sweep: Sweep) -> asyncio.Task[Sweep]:
        task = asyncio.create_task(self._sweep(sweep), name=f"sweep-{sweep.id}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Sweep]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("sweep_broken", exc_info=task.exception())

    async def _sweep(self, sweep: Sweep) -> Sweep:
        beating = asyncio.create_task(self._beat(sweep))
        try:
            async with self._turn:
                done = await self._compared(sweep)
        except Exception:
            await self._keeping.put(self._failed(sweep), self._clock.now())
            raise
        finally:
            beating.cancel()
        await self._keeping.put(done, self._clock.now())
        event = "orders_reconciled" if done.complete else "orders_differ"
        log.info(event, extra={"sweep": done.id, "differences": done.differences})
        return done

    async def _compared(self, sweep: Sweep) -> Sweep:
        by_kind: dict[str, int] = {}
        new = 0

        async def found(reference: str, order: Order | None, said: Sequence[Finding]) -> None:
            nonlocal new
            for finding in {(each.kind, each.system): each for each in said}.values():
                difference = self._difference(reference, order, finding)
                new += await self._keeping.add(sweep.id, difference)
                by_kind[finding.kind] = by_kind.get(finding.kind, 0) + 1

        swept = await self._engine(
            orders=self._orders, erp=self._erp, wms=self._wms, crm=self._crm,
            settings=self._settings, clock=self._clock, correlation=f"sweep-{sweep.id}",
            found=found,
        ).run(Span(since=sweep.since, until=sweep.until))  # fmt: skip
        unread = tuple(sorted(swept.unread))
        done = msgspec.structs.replace(
            sweep,
            state="done",
            compared={"journal": swept.orders, **swept.listed},
            differences=sum(by_kind.values()),
            by_kind=by_kind,
            complete=None if unread else not by_kind,
            unread=unread,
            ended_at=self._clock.now(),
        )
        return msgspec.structs.replace(done, says=statement(done, waiting=swept.waiting, new=new))

    def _difference(self, reference: str, order: Order | None, finding: Finding) -> Difference:
        return Difference(
            id=difference_id(finding.kind, finding.system, reference),
            kind=finding.kind,
            system=finding.system,
            reference=reference,
            ours=finding.ours,
            theirs=finding.theirs,
            says=words(finding),
            actor=KINDS[finding.kind].actor,
            runbook=f"{RUNBOOK}#{finding.kind}",
            found_at=self._clock.now(),
            order=None if order is None else order.id,
        )

    async def _beat(self, sweep: Sweep) -> None:
        """Say now and then that a sweep goes on."""
        while True:
            await asyncio.sleep(_BEAT)
            try:
                await self._keeping.put(sweep, self._clock.now())
            except StoreUnavailable:
                log.warning("sweep_not_kept")

    def _shown(self, sweep: Sweep, kept_at: int) -> Sweep:
        is_lost = sweep.state == "running" and self._clock.now() - from_micros(kept_at) > _LOST
        return self._failed(sweep) if is_lost else sweep

    def _failed(self, sweep: Sweep) -> Sweep:
        said = f"The sweep of what changed {span_words(sweep)} came to no end. Begin another."
        return msgspec.structs.replace(sweep, state="failed", says=said)
