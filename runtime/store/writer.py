"""Group commit: one thread, one connection, one transaction for all that waits.

While one group is being made durable the next one gathers, so nothing ever waits for a timer.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from runtime.store.faults import StoreClosed, StoreUnavailable

A_contra = TypeVar("A_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
A = TypeVar("A")
R = TypeVar("R")

log = logging.getLogger("crossdock.store")

LARGEST_GROUP = 512
"""Enough to drown the cost of an fsync, small enough to keep the wait of the first one short."""

ATTEMPTS = 4
"""How often one write is tried alone when the database asks for another try (deadlock, race)."""


BEFORE_COMMIT = "before_commit"
"""Where, in a connection's `info`, a write puts by name what is called last before each commit
on that connection. It is forgotten with the connection, and whenever a transaction fails."""


class GroupWrite(Protocol[A_contra, R_co]):
    """A write that can be done for many arguments at once.

    It answers one result for each argument, in order. An exception as a result fails that one
    alone; an exception raised fails the attempt, and the arguments are then tried in smaller
    groups, so it must change nothing but the database.
    """

    def __call__(
        self, connection: Connection, batch: Sequence[A_contra]
    ) -> Sequence[R_co | Exception]:
        """Do all of `batch` within the transaction that `connection` is in."""
        ...


class _Job(Generic[A, R]):
    __slots__ = ("argument", "future", "loop", "operation", "outcome")

    def __init__(self, operation: GroupWrite[A, R], argument: A) -> None:
        self.operation = operation
        self.argument = argument
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[R] = self.loop.create_future()
        self.outcome: R | BaseException | None = None


class Writer:
    """The only place that writes. `submit` may be called from any event loop."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._queue: SimpleQueue[_Job[Any, Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._closed = False
        self._connection: Connection | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Commit what is waiting, then end the thread. Later writes raise `StoreClosed`."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def submit(self, operation: GroupWrite[A, R], argument: A) -> asyncio.Future[R]:
        """Queue a write. The future ends after the commit; cancelling it does not undo the write.

        Raises `StoreClosed`. The future raises `StoreUnavailable` when the database cannot be
        reached; the write may then have happened or not.
        """
        if self._closed:
            raise StoreClosed
        job = _Job(operation, argument)
        self._queue.put(job)
        return job.future

    def _run(self) -> None:
        going = True
        while going:
            first = self._queue.get()
            if first is None:
                break
            group = [first]
            try:
                while len(group) < LARGEST_GROUP:
                    job = self._queue.get_nowait()
                    if job is None:
                        going = False
                        break
                    group.append(job)
            except Empty:
                pass
            self._write(group)
            _hand_back(group)
        if self._connection is not None:
            self._connection.close()

    def _write(self, group: Sequence[_Job[Any, Any]], attempt: int = 1) -> None:
        try:
            connection = self._connected()
        except Exception as failure:  # noqa: BLE001  # without its thread nothing is written any more
            cause = failure.orig if isinstance(failure, DBAPIError) else failure
            log.warning("store_unreachable", extra={"writes": len(group)})
            _fail(group, StoreUnavailable(type(cause).__name__))
            return
        try:
            with connection.begin():
                for jobs in _by_operation(group):
                    results = jobs[0].operation(connection, [job.argument for job in jobs])
                    for job, result in zip(jobs, results, strict=True):
                        job.outcome = result
                for finish in connection.info.get(BEFORE_COMMIT, {}).values():
                    finish(connection)
        except DBAPIError as failure:
            _forget(connection)
            if failure.connection_invalidated or _cannot_write(failure):
                self._drop_connection()
                log.warning("store_unreachable", extra={"writes": len(group)})
                _fail(group, StoreUnavailable(type(failure.orig).__name__))
            else:
                self._write_smaller(group, failure, attempt)
        except Exception as failure:  # noqa: BLE001  # handed to whoever asked for the write
            _forget(connection)
            self._write_smaller(group, failure, attempt)

    def _write_smaller(
        self, group: Sequence[_Job[Any, Any]], failure: Exception, attempt: int
    ) -> None:
        if len(group) > 1:
            middle = len(group) // 2
            self._write(group[:middle])
            self._write(group[middle:])
        elif isinstance(failure, DBAPIError) and attempt < ATTEMPTS:
            self._write(group, attempt + 1)
        else:
            _fail(group, failure)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.invalidated or self._connection.closed:
            self._drop_connection()
            self._connection = self._connect()
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.invalidate()
                connection.close()
            except Exception:  # noqa: BLE001  # it is broken already; a new one is opened next
                log.debug("broken_connection_dropped")


def _forget(connection: Connection) -> None:
    """What writes of a failed transaction left to be done before its commit is not to be done."""
    if not (connection.invalidated or connection.closed):
        connection.info.pop(BEFORE_COMMIT, None)


def _cannot_write(failure: DBAPIError) -> bool:
    """Whether the database as a whole refuses: gone, disk full, disk failing, shutting down."""
    text = str(failure.orig)
    return any(sign in text for sign in _SIGNS_OF_OUTAGE)


_SIGNS_OF_OUTAGE = (
    "disk is full",
    "disk I/O error",
    "unable to open database file",
    "readonly database",
    "database is locked",  # by another program, for longer than `busy_timeout`
    "read-only transaction",  # PostgreSQL: this one is a standby now
    "connection failed",
    "connection is bad",
    "the database system is",
    "terminating connection",
    "server closed the connection",
    "No space left",
)


def _by_operation(group: Sequence[_Job[Any, Any]]) -> list[list[_Job[Any, Any]]]:
    found: dict[Any, list[_Job[Any, Any]]] = {}
    for job in group:
        found.setdefault(job.operation, []).append(job)
    return list(found.values())


def _fail(group: Sequence[_Job[Any, Any]], failure: Exception) -> None:
    for job in group:
        job.outcome = failure


def _hand_back(group: Sequence[_Job[Any, Any]]) -> None:
    """Wake each event loop once, however many of its writes were in the group."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any, Any]]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, jobs)
        except RuntimeError:
            log.info("answers_dropped", extra={"reason": "event loop closed", "writes": len(jobs)})


def _settle(jobs: Sequence[_Job[Any, Any]]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if isinstance(job.outcome, BaseException):
            job.future.set_exception(job.outcome)
        else:
            job.future.set_result(job.outcome)


class Alone(Generic[R]):
    """Lets a plain function of the connection be written like a group of one."""

    __slots__ = ("_job",)

    def __init__(self, job: Callable[[Connection], R]) -> None:
        self._job = job

    def __call__(self, connection: Connection, batch: Sequence[None]) -> Sequence[R | Exception]:
        """Run the function."""
        return [self._job(connection) for _ in batch]
