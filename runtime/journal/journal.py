"""The journal: accepts processes, records signals, answers questions.

Longer than most files here because it is the one door to everything the package does; what lies
behind each method is in a module of its own.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from sqlalchemy import Connection

from runtime.clock import Clock
from runtime.journal import answering, verifying
from runtime.journal.accepting import Accepting
from runtime.journal.answering import Answering, KeptAnswer
from runtime.journal.auditing import Auditing, AuditRecord
from runtime.journal.codec import Types, encode
from runtime.journal.crash_points import (
    AFTER_ACCEPT,
    AFTER_SIGNAL_COMMIT,
    DURING_RECOVERY,
    CrashPoints,
)
from runtime.journal.delivering import orphan_deliveries
from runtime.journal.faults import CannotContinue
from runtime.journal.ids import new_id
from runtime.journal.incidents import Action, Category, OpenedIncident
from runtime.journal.intake import Intake, LocalWorker
from runtime.journal.leasing import orphan
from runtime.journal.moving import Moving
from runtime.journal.notes import read_note, write_note
from runtime.journal.process import (
    Accepted,
    Entry,
    Process,
    ProcessType,
    Snapshot,
    Start,
    Term,
)
from runtime.journal.propagation import Subscriber
from runtime.journal.reading import EVERYTHING, Known, Page, Query, Reading
from runtime.journal.redriving import Redrives
from runtime.journal.remedying import AskedRemedy, Remedying
from runtime.journal.setting_aside import SettingAside
from runtime.journal.signalling import (
    Message,
    NewSignal,
    Published,
    Publishing,
    Signalling,
    SignalResult,
    SignalTo,
    addressed,
)
from runtime.journal.standing import Standing
from runtime.journal.tables import Tables
from runtime.journal.times import to_micros
from runtime.journal.verifying import Checkpoint
from runtime.journal.waking import POLL, Waking
from runtime.journal.watching import Until, Watching
from runtime.store.engine import Store

T = TypeVar("T")

log = logging.getLogger("crossdock.journal")


class Journal:
    """The durable record of every process. See the package's docstring for its semantics.

    `node` names this program among others on one store, and its audit chain. `poll` is how often
    a shared store is looked at while its announcements cannot be heard. Construction has no
    effects; `open` must come before anything else.
    """

    def __init__(
        self,
        *,
        store: Store,
        types: Sequence[ProcessType[Any]],
        subscribers: Sequence[Subscriber] = (),
        clock: Clock,
        random: Random,
        node: str,
        crash_points: CrashPoints,
        poll: timedelta = POLL,
    ) -> None:
        self.store = store
        self.types = Types(types)
        self.subscribers = tuple(subscribers)
        self.clock = clock
        self.random = random
        self.node = node
        self.crash_points = crash_points
        tables = Tables(store.dialect, node)
        self.moving = Moving(tables, crash_points)
        self.setting_aside = SettingAside(tables)
        accepting = Accepting(tables)
        self.intake = Intake(self, accepting)
        self._signalling = Signalling(tables, crash_points)
        self._publishing = Publishing(tables, self._signalling, accepting)
        self._answering = Answering(tables)
        self.auditing = Auditing(tables)
        self.remedying = Remedying(self.types, self.auditing, self._signalling)
        self.redrives = Redrives(self, wake=self._look_for_redrives)
        self._reading = Reading(self.types)
        self.standing = Standing(self)
        self._worker: LocalWorker | None = None
        self._watching = Watching(self.get, self._pause)
        self.waking = Waking(
            store,
            by=f"{node}:{new_id(clock.now(), random)}",
            poll=poll,
            on_work=self.look_around,
            on_deliveries=self._deliveries_elsewhere,
            on_changed=self._watching.changed_elsewhere,
        )

    async def open(self) -> None:
        """Check that every open process can be continued, and free what a dead program held.

        The store must be open. Raises `CannotContinue` and changes nothing if this release does
        not understand what it finds. On a store of our own every lease is a dead program's and
        lapses at once; on a shared one leases lapse by themselves.
        """
        strange = await self.store.read(self._reading.strange)
        if strange:
            raise CannotContinue(strange)
        self.waking.start()
        if self.store.is_exclusive:
            now = to_micros(self.clock.now())
            orphans = await self.store.write(lambda c: self._recover(c, now))
            if orphans:
                log.warning("leases_of_a_dead_program_lapsed", extra={"processes": orphans})

    def mint(self) -> str:
        """An id no process has, for a `Start` to carry; ids sort by when they were minted."""
        return new_id(self.clock.now(), self.random)

    def new_holder(self) -> str:
        """A name for one worker's one life; no two are alike."""
        return f"{self.node}:{self.mint()[-8:]}"

    def attach(self, worker: LocalWorker) -> None:
        """From now on what is accepted here may be born with this worker's lease."""
        self._worker = worker

    def detach(self, worker: LocalWorker) -> None:
        """The worker takes no more."""
        if self._worker is worker:
            self._worker = None

    # In.

    async def accept(self, start: Start[Any]) -> Accepted:
        """Begin a process, once for its (consumer, operation, key), however often it is asked.

        The answer comes after the commit. Raises `KeyReused` when the key came before with
        another fingerprint, `ReferenceTaken`, `IdTaken`, `UnknownKind`, and `StoreUnavailable`,
        after which the same start may safely be asked again. A key known already keeps the id of
        its first process.
        """
        accepted = await asyncio.shield(self.intake.accept(start, self._worker))
        self.crash_points.passing(AFTER_ACCEPT)
        return accepted

    async def signal(
        self, process_id: str, name: str, data: Mapping[str, Any], dedupe_key: str
    ) -> SignalResult:
        """Record that something happened; the process is offered it once per `dedupe_key`.

        Raises `UnknownProcess`, `StoreUnavailable`.
        """
        new = NewSignal(
            process_id=process_id,
            name=name,
            dedupe_key=dedupe_key,
            data=encode(data),
            at=to_micros(self.clock.now()),
        )
        return await self._heard(self.store.submit(self._signalling, new))

    async def publish(
        self,
        source: str,
        message_id: str,
        *,
        signals: Sequence[SignalTo] = (),
        starts: Sequence[Start[Any]] = (),
    ) -> Published:
        """Take an inbound message once, with all that it sets in motion, in one transaction.

        A message seen before changes nothing (`new` is False). Raises what `signal` and `accept`
        raise; the message then counts as not seen.
        """
        at = to_micros(self.clock.now())
        message = Message(
            source=source,
            message_id=message_id,
            at=at,
            signals=[addressed(signal, at) for signal in signals],
            starts=[self.intake.begin(start, None)[0] for start in starts],
        )
        return await self._heard(self.store.submit(self._publishing, message))

    async def remedy(
        self,
        incident_id: str,
        action: Action,
        actor: str,
        amendment: Mapping[str, Any] | None = None,
    ) -> None:
        """Act on an incident: checked, audited, and given to the process as signal `REMEDY`.

        Raises `UnknownIncident`, and `ActionNotAllowed` when the category does not allow the
        action or the incident is closed.
        """
        asked = AskedRemedy(
            incident_id=incident_id,
            action=action,
            actor=actor,
            amendment=amendment or {},
            at=to_micros(self.clock.now()),
            chain=self.node,
        )
        await self._heard(self.store.submit(self.remedying, asked))

    # Out.

    async def get(self, process_id: str) -> Process[Any]:
        """One process with its data. Raises `UnknownProcess`."""
        return await self.store.read(lambda c: self._reading.process(c, process_id))

    async def known(self, consumer: str, operation: str, key: str) -> Known | None:
        """The process that a caller's key began; None if it began none."""
        return await self.store.read(lambda c: self._reading.known(c, consumer, operation, key))

    async def find(self, term: Term) -> tuple[Snapshot, ...]:
        """Processes by a business id, newest first. Kind `reference` finds by reference."""
        return await self.store.read(lambda c: self._reading.find(c, term))

    async def list(
        self, query: Query = EVERYTHING, *, cursor: str | None = None, limit: int = 50
    ) -> Page:
        """A page of processes, newest first."""
        return await self.store.read(lambda c: self._reading.list(c, query, cursor, limit))

    async def timeline(self, process_id: str) -> tuple[Entry, ...]:
        """Everything that happened to a process, in order. Raises `UnknownProcess`."""
        return await self.store.read(lambda c: self._reading.timeline(c, process_id))

    async def incidents(
        self,
        *,
        open_only: bool = True,
        category: Category | None = None,
        process_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[OpenedIncident, ...]:
        """The exception queue, newest first; continue with the last one's id as `cursor`."""
        return await self.store.read(
            lambda c: self._reading.incidents(
                c,
                open_only=open_only,
                category=category,
                process_id=process_id,
                cursor=cursor,
                limit=limit,
            )
        )

    async def incident(self, incident_id: str) -> OpenedIncident:
        """One incident, with who acts and what they may do. Raises `UnknownIncident`."""
        return await self.store.read(lambda c: self._reading.incident(c, incident_id))

    async def waiting_deliveries(self, subscriber: str) -> int:
        """How many events a subscriber has not had yet."""
        return await self.store.read(lambda c: self._reading.waiting_deliveries(c, subscriber))

    async def wait_for(
        self,
        process_id: str,
        until: Until,
        timeout: timedelta,  # noqa: ASYNC109  # the answer at the time-out is a result, not an error
    ) -> Process[Any]:
        """The process once it is in one of the states (or the predicate holds, or it has ended).

        After `timeout` it is answered as it then is. A commit wakes the waiter, wherever it is
        made. Raises `UnknownProcess`.
        """
        return await self._watching.wait_for(process_id, until, timeout)

    def changed(self, process: Process[Any]) -> None:
        """A worker of this program has committed a change: tell whoever waits for it."""
        self._watching.changed(process)
        self.waking.tell_changed(process.id)

    # For the gateway.

    async def store_answer(self, answer: KeptAnswer) -> None:
        """Keep the first answer of a key; a second one changes nothing."""
        await self.store.submit(self._answering, (answer, to_micros(self.clock.now())))

    async def idempotent_answer(self, scope: str, key: str) -> KeptAnswer | None:
        """The stored answer of a key, if there is one."""
        now = to_micros(self.clock.now())
        return await self.store.read(lambda c: answering.answer_of(c, scope, key, now))

    async def forget_expired_keys(self) -> int:
        """Delete up to a thousand expired keys; answers how many. To be called now and then."""
        now = to_micros(self.clock.now())
        return await self.store.write(lambda c: answering.forget_expired(c, now))

    async def append_audit(self, record: Mapping[str, Any]) -> Checkpoint:
        """Append to this node's audit chain; answers where the record stands."""
        new = AuditRecord(chain=self.node, at=to_micros(self.clock.now()), record=encode(record))
        return await self.store.submit(self.auditing, new)

    async def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Where every chain of the store stands, to be kept outside of it."""
        return await self.store.read(verifying.checkpoints)

    async def verify_audit(self, known: Sequence[Checkpoint] = ()) -> tuple[str, ...]:
        """What is wrong with the record of what happened, in words; empty when it holds.

        It reads all of it, and compares with the checkpoints given.
        """
        return await self.store.read(lambda c: verifying.verify(c, known))

    async def note(self, kind: str, key: str) -> bytes | None:
        """A small durable value, such as a poller's watermark."""
        return await self.store.read(lambda c: read_note(c, kind, key))

    async def set_note(self, kind: str, key: str, value: bytes) -> None:
        """Set a small durable value."""
        now = to_micros(self.clock.now())
        await self.store.write(lambda c: write_note(c, kind, key, value, now))

    # Inside.

    def _recover(self, connection: Connection, now: int) -> int:
        orphans = orphan(connection, now)
        orphan_deliveries(connection, now)
        self.crash_points.passing(DURING_RECOVERY)
        return orphans

    async def _heard(self, written: asyncio.Future[T]) -> T:
        """Wait for a commit after which a process is to be looked at.

        It will be, also when the caller goes away meanwhile: what was written stays written.
        """
        written.add_done_callback(self._wake)
        result = await asyncio.shield(written)
        self.crash_points.passing(AFTER_SIGNAL_COMMIT)
        return result

    def _wake(self, written: asyncio.Future[Any]) -> None:
        if written.cancelled() or written.exception() is not None:
            return
        self.look_around()
        if self._worker is None:
            self.waking.tell_work()

    def look_around(self) -> None:
        """Have the worker of this program look for work."""
        if self._worker is not None:
            self._worker.wake()

    def look_for_deliveries(self, subscribers: Collection[str] | None = None) -> None:
        """Events are due, for these subscribers if given: have them looked for, wherever."""
        if self._worker is None:
            self.waking.tell_deliveries()
        else:
            self._worker.wake_deliveries(subscribers)

    def _deliveries_elsewhere(self) -> None:
        if self._worker is not None:
            self._worker.wake_deliveries()

    def _look_for_redrives(self) -> None:
        self.look_around()
        self.waking.tell_work()

    def _pause(self) -> float | None:
        return None if self.store.is_exclusive else self.waking.pause / 2
