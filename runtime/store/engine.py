"""The store: where it is, how it is opened, how it is read and written."""

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from runtime.store import schema
from runtime.store.faults import StoreInUse, StoreUnavailable
from runtime.store.writer import Alone, GroupWrite, Writer

if TYPE_CHECKING:
    from runtime.store.listening import Listener

A = TypeVar("A")
R = TypeVar("R")

READERS = 4


class Store:
    """One database: SQLite for a single process, PostgreSQL for many.

    `Store("sqlite:////var/lib/crossdock/journal.db")` or
    `Store("postgresql+psycopg://user@host/name")`. Construction has no effects; `open` migrates
    the schema and starts the threads, `close` ends them after what was asked is committed.
    """

    def __init__(self, url: str | URL) -> None:
        self._url = make_url(url)
        self._is_exclusive = self._url.get_backend_name() == "sqlite"
        self._engine = _engine(self._url)
        self._writer = Writer(self._connect_writer)
        self._reading = _engine(self._url, reading=True) if self.is_exclusive else self._engine
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._lock: int | None = None
        self._listener: Listener | None = None

    @property
    def is_exclusive(self) -> bool:
        """Whether this process alone has the store: then every other lease holder is dead."""
        return self._is_exclusive

    @property
    def dialect(self) -> Any:
        """The dialect to compile statements for."""
        return self._engine.dialect

    def open(self) -> None:
        """Take the store, bring its schema up to date, start the threads.

        Raises `StoreInUse` if another process has this SQLite file, `StoreUnavailable` if the
        database cannot be reached.
        """
        if self.is_exclusive:
            self._take_lock()
        try:
            self._migrate()
        except OperationalError as failure:
            raise StoreUnavailable(type(failure.orig).__name__) from failure
        self._writer.start()

    def join(self) -> None:
        """Use a shared store that others keep up to date; it need not be there yet.

        For whoever can do its work without: reads and writes raise until it is there.
        """
        self._writer.start()

    def close(self) -> None:
        """Commit what waits, end the threads, close every connection."""
        if self._listener is not None:
            self._listener.stop()
        self._writer.close()
        self._readers.shutdown()
        self._engine.dispose()
        if self._reading is not self._engine:
            self._reading.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def read(self, query: Callable[[Connection], R]) -> R:
        """Run `query` on a reader's connection in a thread. Raises `StoreUnavailable`."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def submit(self, operation: GroupWrite[A, R], argument: A) -> asyncio.Future[R]:
        """Queue one argument of a group write. See `Writer.submit`."""
        return self._writer.submit(operation, argument)

    async def write(self, job: Callable[[Connection], R]) -> R:
        """Run one plain write in the next group and answer after the commit."""
        return await self._writer.submit(Alone(job), None)

    @property
    def is_hearing(self) -> bool:
        """Whether what other programs on this store announce is heard at present."""
        return self._listener is not None and self._listener.is_hearing

    def listen(self, channel: str, heard: Callable[[str | None], None]) -> None:
        """Call `heard` with what is announced on `channel`, until the store is closed.

        For shared stores, once. None is heard after each (re)connecting: something may have been
        missed.
        """
        from runtime.store.listening import Listener  # noqa: PLC0415  # needs PostgreSQL's driver

        positional, named = self._engine.dialect.create_connect_args(self._url)
        address = {"conninfo": positional[0], **named} if positional else dict(named)
        self._listener = Listener(address, channel, heard)

    def _read(self, query: Callable[[Connection], R]) -> R:
        try:
            with self._reading.connect() as connection:
                return query(connection)
        except DBAPIError as failure:
            raise StoreUnavailable(type(failure.orig).__name__) from failure

    def _connect_writer(self) -> Connection:
        """A connection whose statements find their rows by index, however small the tables are.

        PostgreSQL keeps the plan of a prepared statement until the table is next analyzed. One made
        for a new, empty store would read every row of a table that has grown meanwhile.
        """
        connection = self._engine.connect()
        if self.is_exclusive:
            return connection
        try:
            with connection.begin():
                for way in ("seqscan", "hashjoin", "mergejoin"):
                    connection.exec_driver_sql(f"SET enable_{way} = off")
        except DBAPIError:
            connection.invalidate()
            connection.close()
            raise
        return connection

    def _migrate(self) -> None:
        with self._engine.connect() as connection:
            if _revision(connection) == schema.HEAD:
                return
        # Alembic is imported only when there is something to migrate: it costs start-up time.
        from runtime.store.migrating import upgrade  # noqa: PLC0415

        upgrade(self._engine)

    def _take_lock(self) -> None:
        path = f"{self._url.database}.lock"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise StoreInUse(path) from None


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _engine(url: URL, *, reading: bool = False) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_size=READERS + 1, max_overflow=0)
    engine = create_engine(
        url, pool_size=READERS, max_overflow=0, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        run = connection.execute
        run("PRAGMA busy_timeout = 10000")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA wal_autocheckpoint = 4000")
        run("PRAGMA cache_size = -32000")
        if reading:
            run("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
