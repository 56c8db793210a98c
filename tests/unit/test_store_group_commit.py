"""Writes that come together are made durable together, and fail alone."""

import asyncio
import threading

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from runtime.store.engine import Store
from runtime.store.faults import StoreClosed, StoreUnavailable
from runtime.store.schema import note
from runtime.store.statements import inserting
from tests.journal_orders import an_open_store, store_url  # noqa: F401  # a fixture
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.anyio


class Notes:
    """A group write that remembers how large its groups were."""

    def __init__(self, store, gate=None):
        self._insert = inserting(note, store.dialect)
        self._gate = gate
        self.groups: list[int] = []

    def __call__(self, connection, batch):
        if self._gate is not None:
            self._gate.wait(5)
        self._insert.run(
            connection, [{"kind": "test", "key": key, "value": b"", "at": 0} for key in batch]
        )
        self.groups.append(len(batch))
        return [f"wrote {key}" for key in batch]


async def written(store):
    query = text("SELECT key FROM note ORDER BY key")
    return list(await store.read(lambda c: c.execute(query).scalars().all()))


async def test_writes_that_wait_share_one_commit(store_url):  # noqa: F811  # the fixture
    """While one group is being written the next one gathers, and it commits once."""
    async with an_open_store(store_url) as store:
        gate = threading.Event()
        notes = Notes(store, gate)
        await store.write(lambda connection: None)  # it is connected
        commits = []
        event.listen(store._engine, "commit", lambda _: commits.append(1))
        first = store.submit(notes, "0")
        rest = [store.submit(notes, str(n)) for n in range(1, 200)]
        await asyncio.sleep(0.05)
        gate.set()
        answers = await asyncio.gather(first, *rest)

        assert answers == [f"wrote {n}" for n in range(200)]
        assert len(commits) == len(notes.groups) <= 2
        assert len(await written(store)) == 200


async def test_a_write_that_fails_takes_no_other_with_it(store_url):  # noqa: F811  # same
    """A group with a poison write is tried in smaller parts until only the poison fails."""
    async with an_open_store(store_url) as store:
        await store.submit(Notes(store), "5")
        notes = Notes(store)
        results = await asyncio.gather(
            *(store.submit(notes, str(n)) for n in range(10)), return_exceptions=True
        )

        assert [n for n, r in enumerate(results) if isinstance(r, IntegrityError)] == [5]
        assert await written(store) == [str(n) for n in range(10)]


async def test_what_is_answered_is_durable(tmp_path):
    """An answer comes after the commit: another program reading the file sees the write."""
    import sqlite3

    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as store:
        await store.submit(Notes(store), "seen")
        other = sqlite3.connect(f"file:{tmp_path}/journal.db?mode=ro", uri=True)
        assert other.execute("SELECT key FROM note").fetchall() == [("seen",)]
        other.close()


async def test_a_closed_store_refuses(tmp_path):
    """After `close` nothing is silently dropped."""
    store = Store(f"sqlite:///{tmp_path}/journal.db")
    store.open()
    pending = store.submit(Notes(store), "last")
    store.close()
    assert await pending == "wrote last"
    with pytest.raises(StoreClosed):
        store.submit(Notes(store), "later")


async def test_a_store_that_cannot_be_reached_says_so():
    """The wire is dead: the caller gets a catalogued refusal, not a driver's error."""
    store = Store("postgresql+psycopg://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(StoreUnavailable):
        store.open()


async def test_a_lost_connection_heals():
    """The write during the loss fails as unavailable; the next one works without a restart."""
    async with an_open_store(a_postgresql_database()) as store:
        await store.submit(Notes(store), "before")

        def die(connection):
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        with pytest.raises(StoreUnavailable):
            await store.write(die)
        await store.submit(Notes(store), "after")
        assert await written(store) == ["after", "before"]
