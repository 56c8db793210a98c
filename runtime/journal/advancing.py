"""Advancing one process: signals first, then its step, each decision committed before the next."""

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from runtime.journal.amending import amended
from runtime.journal.crash_points import AFTER_EFFECT, AFTER_MOVE_COMMIT, BEFORE_EFFECT
from runtime.journal.deciding import Deciding, Held, Ruling, fault_of_our_own
from runtime.journal.faults import LeaseLost
from runtime.journal.incidents import Action, Category, Incident
from runtime.journal.journal import Journal
from runtime.journal.process import (
    REMEDY,
    TIMER,
    Again,
    Ignore,
    Lane,
    Move,
    Process,
    Says,
    Signal,
    Step,
    StepContext,
    Wait,
)
from runtime.journal.retries import retry_at
from runtime.journal.setting_aside import SetAside
from runtime.journal.times import to_micros
from runtime.store.faults import StoreClosed, StoreUnavailable
from runtime.tracing import OpenSpan, Tracing

log = logging.getLogger("crossdock.journal")

STEP_BUDGET = timedelta(seconds=30)
ATTEMPTS_BEFORE_INCIDENT = 5
STORE_PAUSE = 0.2
"""Seconds between two tries while the store cannot be reached."""


class Advancing:
    """What a worker does with a process whose lease it holds.

    `notice` is told when the process falls due again, `wake_deliveries` for which subscribers
    events were committed. While `draining`, every decision gives the lease up. `tracing` is told
    of the steps of sampled traces.
    """

    def __init__(
        self,
        journal: Journal,
        deciding: Deciding,
        *,
        notice: Callable[[datetime, Lane], None],
        wake_deliveries: Callable[[Collection[str]], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._journal = journal
        self._store = journal.store
        self._types = journal.types
        self._clock = journal.clock
        self._crash_points = journal.crash_points
        self._deciding = deciding
        self._notice = notice
        self._wake_deliveries = wake_deliveries
        self._tracing = tracing
        self.draining = False

    async def advance(self, held: Held) -> None:
        """Go on until the lease is given up or lost."""
        while True:
            ruling = self._by_signals(held)
            if ruling is None and to_micros(self._clock.now()) >= held.lease_until:
                # The store could not be told in time that we live: another may be at it by now.
                log.warning("lease_lapsed_before_step", extra=_told_of(held))
                return
            if ruling is None:
                ruling = await self._by_step(held)
            if not await self._commit(held, ruling):
                return

    def _by_signals(self, held: Held) -> Ruling | None:
        """Offer the signals this state has not been offered; the first that counts decides."""
        kind = self._types[held.process.kind]
        for signal in held.signals:
            function = kind.on_signal.get(signal.name)
            if signal.dedupe_key in held.offered or (function is None and signal.name != REMEDY):
                continue
            held.offered.add(signal.dedupe_key)
            if signal.name == REMEDY and signal.data.get("incident") != held.process.incident_id:
                says = Says(text="The incident was over before the action could be taken.")
                return self._deciding.ignore(held, signal, says, self._clock.now())
            try:
                ruling = self._by_signal(held, signal, function and function(held.process, signal))
            except Exception as failure:
                log.exception(
                    "signal_failed",
                    extra={"process_id": held.process.id, "signal": signal.name},
                )
                ruling = self._by_failure(held, signal, failure)
            if ruling is not None:
                return ruling
        return None

    def _by_failure(self, held: Held, signal: Signal, failure: Exception) -> Ruling | None:
        """A signal that cannot be applied is kept, and a person looks; a remedy is used up."""
        if signal.name == REMEDY:
            says = Says(text=f"{signal.data.get('action')} could not be applied.")
            return self._deciding.ignore(held, signal, says, self._clock.now())
        if held.process.incident_id is not None:
            return None
        incident = Incident(
            category=Category.CONTRACT_VIOLATION,
            says=f"The signal {signal.name} could not be applied in {held.process.state}.",
            detail={"failure": type(failure).__name__, "signal": signal.name},
        )
        return self._deciding.complain(held, incident, self._clock.now())

    def _by_signal(
        self, held: Held, signal: Signal, answer: Move[Any] | Ignore | None
    ) -> Ruling | None:
        now = self._clock.now()
        if isinstance(answer, Move):
            return self._deciding.move(
                held, answer, now, draining=self.draining, by_signal=signal, by_step=False
            )
        if isinstance(answer, Ignore):
            return self._deciding.ignore(held, signal, answer.says, now)
        if signal.name != REMEDY:
            return None
        action = signal.data.get("action")
        if action == Action.RETRY:
            return self._deciding.retry(held, signal, now, draining=self.draining)
        if action == Action.AMEND_AND_RETRY:
            patch = signal.data.get("amendment") or {}
            data = amended(held.process.data, patch)
            return self._deciding.retry(held, signal, now, draining=self.draining, data=data)
        says = Says(text=f"{signal.data.get('action')} cannot be applied in {held.process.state}.")
        return self._deciding.ignore(held, signal, says, now)

    async def _by_step(self, held: Held) -> Ruling:
        process = held.process
        kind = self._types[process.kind]
        now = self._clock.now()
        step = kind.steps.get(process.state)
        is_due = process.step_at is not None and process.step_at <= now
        if self.draining or not (is_due or (step is not None and held.unheard)):
            return self._deciding.park(held, Wait(until=process.step_at), now)
        if step is None:
            return self._by_timer(held, now)
        if held.in_doubt and held.settled_at is not None and held.settled_at > now:
            return self._deciding.park(held, Wait(until=held.settled_at), now)
        held.unheard = False
        budget = kind.step_budget.get(process.state, STEP_BUDGET)
        span = self._begin_span(held)
        context = StepContext(
            now=now,
            clock=self._clock,
            random=self._journal.random,
            in_doubt=held.in_doubt,
            attempt=process.attempts + 1,
            deadline=now + budget,
            signals=held.signals,
            traceparent=held.traceparent if span is None else span.traceparent,
        )
        return await self._run(held, step, context, budget, span)

    async def _run(
        self,
        held: Held,
        step: Step[Any],
        context: StepContext,
        budget: timedelta,
        span: OpenSpan | None,
    ) -> Ruling:
        process = held.process
        event = "cancelled"
        self._crash_points.passing(BEFORE_EFFECT)
        try:
            async with asyncio.timeout(budget.total_seconds()):
                outcome = await step(process, context)
            self._crash_points.passing(AFTER_EFFECT)
            ruling = self._by_outcome(held, outcome)
            event = _event_of(outcome)
        except Exception as failure:
            event = "failed"
            log.exception(
                "step_failed",
                extra=_told_of(held),
            )
            again = fault_of_our_own(
                held,
                failure,
                retry_at(
                    self._clock.now(),
                    process.attempts + 1,
                    self._journal.random,
                    # What was cut off may still be worked on: it has as long again to end.
                    retry_after=budget if isinstance(failure, TimeoutError) else None,
                ),
                attempts_before_incident=ATTEMPTS_BEFORE_INCIDENT,
            )
            ruling = self._deciding.again(held, again, self._clock.now())
        finally:
            if span is not None:
                _tell(span, process, event)
        return ruling

    def _begin_span(self, held: Held) -> OpenSpan | None:
        """Put a step under the call that asked for its process, or under a trace of its own."""
        if self._tracing is None:
            return None
        if held.traceparent is None:
            held.traceparent = self._tracing.origin()
        return self._tracing.begin(held.traceparent)

    def _by_outcome(self, held: Held, outcome: Move[Any] | Again[Any] | Wait) -> Ruling:
        now = self._clock.now()
        match outcome:
            case Move():
                return self._deciding.move(held, outcome, now, draining=self.draining)
            case Again():
                return self._deciding.again(held, outcome, now)
            case Wait():
                return self._deciding.park(held, outcome, now)
        raise TypeError(f"a step answered {type(outcome).__name__}")

    def _by_timer(self, held: Held, now: datetime) -> Ruling:
        """The timer of a waiting state fires once."""
        process = held.process
        function = self._types[process.kind].on_signal.get(TIMER)
        timer = Signal(name=TIMER, dedupe_key=f"{TIMER}:{process.revision}", at=now)
        answer = function(process, timer) if function is not None else None
        if isinstance(answer, Move):
            return self._deciding.move(held, answer, now, draining=self.draining, by_step=False)
        log.info("timer_ignored", extra={"process_id": process.id, "state": process.state})
        return self._deciding.park(held, Wait(), now)

    async def _commit(self, held: Held, ruling: Ruling) -> bool:
        """Write a ruling, however long the store is away; answer whether to go on."""
        while True:
            try:
                moved = await asyncio.shield(
                    self._store.submit(self._journal.moving, ruling.change)
                )
                break
            except LeaseLost:
                log.warning(
                    "stale_result_dropped",
                    extra={"process_id": held.process.id, "state": held.process.state},
                )
                return False
            except StoreUnavailable:
                await asyncio.sleep(STORE_PAUSE)
        self._crash_points.passing(AFTER_MOVE_COMMIT)
        self._note(held, ruling)
        if moved.signals is not None:
            listens = self._types[held.process.kind].on_signal
            held.unheard = any(
                s.name not in listens and s not in held.signals for s in moved.signals
            )
            held.signals = moved.signals
        self._journal.changed(ruling.process)
        if ruling.change.deliveries:
            self._wake_deliveries({row["subscriber"] for row in ruling.change.deliveries})
        return moved.kept or self._settle(ruling.process)

    def _note(self, held: Held, ruling: Ruling) -> None:
        is_eased = held.process.incident_id is not None and ruling.process.incident_id is None
        if ruling.process.state != held.process.state or is_eased:
            held.offered.clear()
        held.process = ruling.process
        held.in_doubt = ruling.in_doubt
        if not held.in_doubt:
            held.settled_at = None
        held.lease_until = max(held.lease_until, ruling.change.lease_until)
        held.upgraded = False
        if ruling.consumed:
            held.signals = tuple(s for s in held.signals if s.dedupe_key not in ruling.consumed)

    def _settle(self, process: Process[Any]) -> bool:
        """The lease is given up; see to it that somebody looks when the process is due."""
        if process.step_at is not None:
            self._notice(process.step_at, process.lane)
        if process.done and process.entity is not None:
            self._notice(process.updated_at, process.lane)
        return False

    async def give_up(self, held: Held) -> None:
        """A cancelled step may have reached the vendor: say so, and let another worker go on."""
        now = self._clock.now()
        settle = self._types[held.process.kind].settle_after_takeover
        held.settled_at = now + settle.get(held.process.state, timedelta())
        ruling = self._deciding.again(held, Again(at=held.settled_at, in_doubt=True), now)
        try:
            await self._store.submit(self._journal.moving, ruling.change)
        except (LeaseLost, StoreUnavailable, StoreClosed):
            log.warning("lease_left_to_lapse", extra={"process_id": held.process.id})

    async def stumble(self, held: Held, failure: Exception) -> None:
        """What was decided cannot be written: again in doubt, and in time a person looks.

        Where not even that can be written the process is set aside, so that nobody waits for it.
        """
        log.error("process_stumbled", exc_info=failure, extra=_told_of(held))
        now = self._clock.now()
        again = fault_of_our_own(
            held,
            failure,
            retry_at(now, held.process.attempts + 1, self._journal.random),
            attempts_before_incident=ATTEMPTS_BEFORE_INCIDENT,
            what="decides what cannot be recorded",
        )
        try:
            await self._commit(held, self._deciding.again(held, again, now))
        except StoreClosed:
            raise
        except Exception as worse:  # noqa: BLE001  # named in the incident that comes of it
            says = "What happened to this process cannot be recorded."
            await self.set_aside(held.process.id, held.fence, worse, says)

    async def set_aside(self, process_id: str, fence: int, failure: Exception, says: str) -> None:
        """Open an incident without touching what cannot be read, and give the lease up."""
        log.error(
            "process_set_aside",
            extra={"process_id": process_id, "failure": type(failure).__name__},
        )
        aside = SetAside(
            process_id=process_id,
            fence=fence,
            incident_id=self._journal.mint(),
            at=to_micros(self._clock.now()),
            says=says,
            failure=type(failure).__name__,
        )
        try:
            await self._store.submit(self._journal.setting_aside, aside)
        except StoreClosed:
            raise
        except Exception:
            log.exception("lease_left_to_lapse", extra={"process_id": process_id})


def _told_of(held: Held) -> dict[str, str]:
    process = held.process
    return {"process_id": process.id, "kind": process.kind, "state": process.state}


def _event_of(outcome: Move[Any] | Again[Any] | Wait) -> str:
    """Name what a step decided: the event of its move, or that it decided nothing yet."""
    if isinstance(outcome, Move):
        return outcome.event
    return "again" if isinstance(outcome, Again) else "wait"


def _tell(span: OpenSpan, process: Process[Any], event: str) -> None:
    span.end(
        f"{process.kind} {process.state}",
        "internal",
        {
            "crossdock.process.id": process.id,
            "crossdock.process.kind": process.kind,
            "crossdock.process.state": process.state,
            "crossdock.process.event": event,
            "crossdock.process.attempt": process.attempts + 1,
        },
        failed=event in {"failed", "cancelled"},
    )
