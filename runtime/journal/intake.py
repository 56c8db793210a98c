"""Intake: processes begin, and where a worker beside the journal has room, with its lease."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import structs

from contracts.context import current
from runtime.journal.accepting import Accepting, NewProcess
from runtime.journal.beginning import begin
from runtime.journal.deciding import Held
from runtime.journal.process import Accepted, Lane, Process, Start

if TYPE_CHECKING:
    from runtime.journal.journal import Journal


class LocalWorker(Protocol):
    """What the journal needs to know of a worker beside it."""

    @property
    def lease(self) -> timedelta:
        """How long its leases last."""
        ...

    @property
    def holder(self) -> str:
        """Its name."""
        ...

    def promise(self, lane: Lane) -> bool:
        """Whether what is about to be accepted may be born with its lease."""
        ...

    def keep_promise(self, held: Held | None, lane: Lane) -> None:
        """The accept has committed (`held`), or came to nothing."""
        ...

    def wake(self) -> None:
        """Look for work now."""
        ...

    def wake_deliveries(self, subscribers: Collection[str] | None = None) -> None:
        """Look for events to deliver now."""
        ...


class Intake:
    """How processes begin in one journal."""

    def __init__(self, journal: "Journal", accepting: Accepting) -> None:
        self._journal = journal
        self._accepting = accepting

    def accept(self, start: Start[Any], worker: LocalWorker | None) -> asyncio.Future[Accepted]:
        """Begin a process, born leased if `worker` is there and has room; see `Journal.accept`."""
        journal = self._journal
        if worker is not None and not (
            (start.due is None or start.due <= journal.clock.now()) and worker.promise(start.lane)
        ):
            worker = None
        try:
            new, process = self.begin(start, worker)
            written = journal.store.submit(self._accepting, new)
        except BaseException:
            if worker is not None:
                worker.keep_promise(None, start.lane)
            raise
        if worker is not None:
            # Even if the caller goes away meanwhile, what was born leased must be worked on.
            trace = current().traceparent
            written.add_done_callback(partial(_born, worker, new, process, trace))
        written.add_done_callback(partial(self._announce, new))
        return written

    def begin(
        self, start: Start[Any], worker: LocalWorker | None
    ) -> tuple[NewProcess, Process[Any]]:
        """Rows and value of a new process, leased to `worker` from birth if there is one."""
        journal = self._journal
        return begin(
            start,
            journal.types[start.kind],
            call=current(),
            process_id=start.id or journal.mint(),
            now=journal.clock.now(),
            holder=None if worker is None else worker.holder,
            lease=timedelta() if worker is None else worker.lease,
            subscribers=journal.subscribers,
        )

    def _announce(self, new: NewProcess, written: asyncio.Future[Accepted]) -> None:
        """Have a new process and its events looked for, whether or not the caller is still there.

        Nobody else would tell the worker before its next look, which may be a minute away.
        """
        if written.cancelled() or written.exception() is not None or not written.result().created:
            return
        if new.deliveries:
            self._journal.look_for_deliveries({row["subscriber"] for row in new.deliveries})
        if new.row["lease_owner"] is None and new.row["due_at"] is not None:
            self._journal.look_around()
            self._journal.waking.tell_work()


def _born(
    worker: LocalWorker,
    new: NewProcess,
    process: Process[Any],
    trace: str | None,
    written: asyncio.Future[Accepted],
) -> None:
    """Give a process to the worker whose lease it was born with."""
    held = None
    if not written.cancelled() and written.exception() is None:
        accepted = written.result()
        if accepted.created and not new.row["behind"]:
            held = Held(
                process=structs.replace(process, reference=accepted.reference),
                fence=1,
                in_doubt=False,
                lease_until=new.row["due_at"],
                traceparent=trace,
            )
    worker.keep_promise(held, process.lane)
