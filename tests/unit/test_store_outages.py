"""What the database refuses as a whole is an outage for everybody, said at once and soon over."""

import asyncio
import sqlite3
import time

import pytest
from sqlalchemy import create_engine, event, text

from runtime.store.faults import StoreUnavailable
from runtime.store.writer import Alone, Writer

pytestmark = pytest.mark.anyio

PATIENCE = 0.2
"""Seconds a writer waits for another program's lock; the store itself waits for ten."""


@pytest.fixture
def path(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE note (key TEXT PRIMARY KEY, value BLOB)")
    connection.close()
    return tmp_path / "a.db"


@pytest.fixture
def writer(path):
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _set_up(connection, _record):
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")

    @event.listens_for(engine, "begin")
    def _begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    writer = Writer(engine.connect)
    writer.start()
    yield writer
    writer.close()
    engine.dispose()


def noting(key, size=0):
    def job(connection):
        connection.execute(
            text("INSERT INTO note VALUES (:key, zeroblob(:size))"), {"key": key, "size": size}
        )

    return Alone(job)


def keys(path):
    with sqlite3.connect(path) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM note ORDER BY key")]


async def test_a_lock_held_by_another_program_is_one_wait_for_all_and_then_over(path, writer):
    """Not one wait for each write, four times over: callers would hang for hours."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()

    ends = await asyncio.gather(
        *(writer.submit(noting(str(n)), None) for n in range(20)), return_exceptions=True
    )

    assert [type(end) for end in ends] == [StoreUnavailable] * 20
    assert time.monotonic() - began < 10 * PATIENCE
    other.execute("ROLLBACK")
    other.close()
    await writer.submit(noting("after"), None)
    assert keys(path) == ["after"]


async def test_a_full_disk_fails_what_was_asked_and_heals_without_a_restart(path, writer):
    """Nothing of the group is half written; what comes when there is room again is."""

    def limit(pages):
        return Alone(lambda c: c.execute(text(f"PRAGMA max_page_count = {pages}")).scalar())

    await writer.submit(limit(8), None)
    ends = await asyncio.gather(
        *(writer.submit(noting(str(n), size=8000), None) for n in range(20)),
        return_exceptions=True,
    )
    failed = [n for n, end in enumerate(ends) if end is not None]

    assert {type(ends[n]) for n in failed} == {StoreUnavailable}
    assert keys(path) == sorted(str(n) for n in range(20) if n not in failed)
    await writer.submit(limit(100_000), None)
    await writer.submit(noting("after", size=8000), None)
    assert "after" in keys(path)


@pytest.mark.parametrize("failure", [TimeoutError("no connection is free"), OSError("cut off")])
async def test_a_connection_that_fails_while_it_is_made_is_an_outage_and_passes(path, failure):
    """Whatever goes wrong then: the writer tells who waits, lives on, and connects for the next."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
    failures = [failure]

    def connect():
        if failures:
            raise failures.pop()
        return engine.connect()

    writer = Writer(connect)
    writer.start()
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(writer.submit(noting("first"), None), 20)
    await asyncio.wait_for(writer.submit(noting("second"), None), 20)
    assert keys(path) == ["second"]
    writer.close()
    engine.dispose()
