"""The record of what happened cannot be changed unseen: every kind of tampering is planted."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import select, text

from runtime.journal import verify
from runtime.journal.process import Lane, Lifecycle, Move, ProcessType, Says
from runtime.journal.sealing import runs_of
from runtime.journal.verifying import Checkpoint
from runtime.journal.worker import Worker
from runtime.store.faults import StoreUnavailable
from runtime.store.schema import audit, entry, process, seal
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    Order,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    at_work,
    store_url,
    the_order_process,
)
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def journal(store_url):  # noqa: F811  # the fixture
    """A few orders on their way, in several commits, and some audited calls."""
    async with at_work(store_url, [the_order_process(Vendor())]) as journal:
        for n in range(4):
            accepted = await journal.accept(an_order(f"T{n}"))
            await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        await asyncio.gather(*(journal.append_audit({"call": n}) for n in range(10)))
        assert await journal.verify_audit() == ()
        yield journal


async def tamper(journal, *statements):
    for statement in statements:
        await journal.store.write(lambda c, s=statement: c.execute(text(s)) and None)


EDITS = {
    "the words of a line": ["UPDATE entry SET says = 'Nothing.' WHERE seq = 5"],
    "the event of a line": ["UPDATE entry SET event = 'refused' WHERE seq = 5"],
    "the data of a line": ["UPDATE entry SET data = NULL WHERE seq = 1",
                           "UPDATE entry SET data = '{}' WHERE seq = 2"],
    "the time of a line": ["UPDATE entry SET at = at + 1 WHERE seq = 7"],
    "the process of a line": ["UPDATE entry SET process_id = 'another' WHERE seq = 7"],
    "the revision of a line": ["UPDATE entry SET revision = 9 WHERE seq = 3"],
    "a line removed": ["DELETE FROM entry WHERE seq = 6"],
    "all lines removed": ["DELETE FROM entry"],
    "a line added": [("INSERT INTO entry (seq, process_id, revision, at, event, state, says)"
                     " SELECT seq + 1000, process_id, revision, at, event, state, says"
                     " FROM entry WHERE seq = 12")],
    "two lines swapped": ["UPDATE entry SET seq = -1 WHERE seq = 3",
                          "UPDATE entry SET seq = 3 WHERE seq = 6",
                          "UPDATE entry SET seq = 6 WHERE seq = -1"],
    "a line moved": ["UPDATE entry SET seq = 500 WHERE seq = 4"],
    "a seal edited": ["UPDATE seal SET record = '[[[1,1]],\"00\"]' WHERE seq = 2"],
    "a seal's time edited": ["UPDATE seal SET at = at + 1 WHERE seq = 2"],
    "a seal removed": ["DELETE FROM seal WHERE seq = 3"],
    "a seal removed with its line": ["DELETE FROM entry WHERE seq = 2",
                                     "DELETE FROM seal WHERE seq = 2"],
    "two seals swapped": ["UPDATE seal SET seq = -1 WHERE seq = 2",
                          "UPDATE seal SET seq = 2 WHERE seq = 3",
                          "UPDATE seal SET seq = 3 WHERE seq = -1"],
    "an audit record edited": ["UPDATE audit SET record = '{}' WHERE seq = 4"],
    "an audit record removed": ["DELETE FROM audit WHERE seq = 7"],
    "an audit record added": [("INSERT INTO audit SELECT 'node-1', 11, at, record, hash FROM audit"
                              " WHERE seq = 10")],
    "two audit records swapped": ["UPDATE audit SET seq = -1 WHERE seq = 2",
                                  "UPDATE audit SET seq = 2 WHERE seq = 3",
                                  "UPDATE audit SET seq = 3 WHERE seq = -1"],
    "the state of a process": ["UPDATE process SET state = 'completed'"],
    "a process without its story": [("UPDATE process SET id = 'another' WHERE id ="
                                     " (SELECT max(id) FROM process)")],
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
async def test_tampering_is_found(journal, what):
    """Whoever writes the tables directly leaves a trace, whatever it is they change."""
    await tamper(journal, *EDITS[what])
    assert await journal.verify_audit() != ()


async def test_a_fault_is_named_by_its_place(journal):
    """What is said leads an auditor to the record."""
    await tamper(journal, "UPDATE audit SET record = '{}' WHERE seq = 4")
    assert await journal.verify_audit() == ("node-1: 4 does not follow from the record before it",)
    await tamper(journal, "DELETE FROM audit WHERE seq = 7")
    assert "node-1: 7 to 7 missing" in await journal.verify_audit()
    await tamper(journal, "UPDATE entry SET says = 'x' WHERE seq = 5")
    assert any("line" in f and "altered" in f for f in await journal.verify_audit())
    await tamper(journal, "DELETE FROM entry WHERE seq = 9")
    assert "node-1 (lines): line 9 missing" in await journal.verify_audit()


CUTS = {
    "lines and their seals": [
        "DELETE FROM entry WHERE process_id = (SELECT max(id) FROM process)",
        "DELETE FROM seal WHERE seq > 9",
        "DELETE FROM term WHERE process_id = (SELECT max(id) FROM process)",
        "DELETE FROM process WHERE id = (SELECT max(id) FROM process)",
    ],
    "the end of the audit": ["DELETE FROM audit WHERE seq > 8"],
    "a chain as a whole": ["DELETE FROM audit WHERE chain = 'node-1'"],
    "an end written anew": ["UPDATE audit SET hash = '0' WHERE seq = 10"],
}


@pytest.mark.parametrize("what", CUTS)
async def test_a_cut_off_end_shows_against_a_checkpoint(journal, what):
    """What was consistent in itself is found by whoever keeps checkpoints elsewhere."""
    known = await journal.checkpoints()
    assert {(point.of, point.chain) for point in known} == {
        ("audit", "node-1"),
        ("lines", "node-1"),
    }
    await journal.append_audit({"call": "after the checkpoint"})
    assert await journal.verify_audit(known) == ()
    await tamper(journal, "DELETE FROM audit WHERE seq = 11", *CUTS[what])
    assert await journal.verify_audit(known) != ()


async def test_a_line_for_each_change_and_a_change_for_each_line(journal):
    """Each revision that moved a process is told once; the last line is where it stands."""
    lines = await journal.store.read(lambda c: c.execute(select(entry)).all())
    moved = [(row.process_id, row.revision) for row in lines]
    assert len(moved) == len(set(moved)) == 12
    states = await journal.store.read(lambda c: c.execute(select(process.c.state)).scalars().all())
    assert states == ["shipping"] * 4


async def test_commits_are_sealed_not_lines(store_url):  # noqa: F811  # same
    """A hundred orders accepted together cost a few seals, and all their lines are under them."""
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(Vendor())])
        await asyncio.gather(*(journal.accept(an_order(f"C{n}")) for n in range(100)))
        seals = await store.read(lambda c: len(c.execute(select(seal)).all()))
        assert seals < 20
        assert await journal.verify_audit() == ()


async def test_what_was_rolled_back_leaves_the_chain_whole(store_url):  # noqa: F811  # same
    """A poison write in a group: tried again in parts, and sealed once."""
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(Vendor())])
        ends = await asyncio.gather(
            *(
                journal.accept(an_order(f"X{n}", says=(Says(text="\ud800" if n == 7 else "ok"),)))
                for n in range(20)
            ),
            return_exceptions=True,
        )
        assert [n for n, end in enumerate(ends) if isinstance(end, Exception)] == [7]
        await journal.accept(an_order("after"))
        assert await journal.verify_audit() == ()


async def test_a_lost_database_leaves_the_chain_whole():
    """Connections cut in mid-commit: the end of the chain is read anew, not believed."""
    url = a_postgresql_database()
    async with an_open_store(url) as store, an_open_store(url) as saboteur:
        journal = a_journal(store, [the_order_process(Vendor())])

        async def order(n):
            while True:
                try:
                    return await journal.accept(an_order(f"L{n}"))
                except StoreUnavailable:
                    await asyncio.sleep(0.02)

        async def sabotage():
            for _ in range(5):
                await asyncio.sleep(0.02)
                await saboteur.read(lambda c: c.execute(_CUT).all())

        await asyncio.gather(sabotage(), *(order(n) for n in range(300)))
        assert await journal.verify_audit() == ()


_CUT = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)

SHORT = Lifecycle(
    name="short",
    initial="one",
    moves={("one", "next"): "two", ("two", "next"): "three"},
    terminal=frozenset({"three"}),
)


async def test_several_nodes_write_chains_of_their_own(store_url):  # noqa: F811  # same
    """Lines of all nodes lie between each other; each is sealed by the node that wrote it."""

    async def step(process, context):
        return Move(event="next", data=process.data, says=(Says(text="a"), Says(text="b")))

    kind = ProcessType(
        name="order", version=1, data_type=Order, lifecycle=SHORT,
        steps={"one": step, "two": step},
    )  # fmt: skip
    async with an_open_store(store_url) as store, an_open_store_again(store_url, store) as second:
        nodes = [
            a_journal(s, [kind], node=f"node-{n}", seed=n, poll=timedelta(milliseconds=50))
            for n, s in enumerate((store, second, store))
        ]
        workers = [Worker(node, concurrency={Lane.CAPTURE: 4}) for node in nodes]
        for worker in workers:
            await worker.start()
        accepted = await asyncio.gather(
            *(nodes[n % 3].accept(an_order(f"N{n}")) for n in range(120))
        )
        for n, one in enumerate(accepted):
            await nodes[n % 3].wait_for(one.process_id, {"three"}, SOON)
        for worker in workers:
            await worker.drain()
        known = await nodes[0].checkpoints()
        assert {point.chain for point in known} == {"node-0", "node-1", "node-2"}
        assert await nodes[0].verify_audit(known) == ()
        await tamper(nodes[0], "UPDATE entry SET says = 'c' WHERE seq = 77")
        (fault,) = await nodes[0].verify_audit(known)
        assert "77" in fault or "altered" in fault


def an_open_store_again(url, store):
    """A second program's store where there may be one, the same where there may not."""
    if store.is_exclusive:
        return _Same(store)
    return an_open_store(url)


class _Same:
    def __init__(self, store):
        self._store = store

    async def __aenter__(self):
        return self._store

    async def __aexit__(self, *_):
        return None


async def test_verifying_goes_on_beside_the_work(store_url, tmp_path, capsys):  # noqa: F811  # same
    """The verifier is a program of its own, sees one moment, and reports by its exit code."""
    kept = tmp_path / "checkpoints.json"
    async with at_work(store_url, [the_order_process(Vendor())]) as journal:

        async def load():
            for n in range(60):
                await journal.accept(an_order(f"V{n}"))

        loading = asyncio.create_task(load())
        while not loading.done():
            assert await asyncio.to_thread(verify.main, [store_url]) == 0
        await loading
        arguments = [store_url, "--export", str(kept)]
        assert await asyncio.to_thread(verify.main, arguments) == 0
        points = msgspec.json.decode(kept.read_bytes(), type=tuple[Checkpoint, ...])
        assert {point.of for point in points} == {"lines"}
        arguments = [store_url, "--checkpoints", str(kept)]
        assert await asyncio.to_thread(verify.main, arguments) == 0

        await tamper(journal, "UPDATE entry SET says = 'x' WHERE seq = 3")
        capsys.readouterr()
        assert await asyncio.to_thread(verify.main, arguments) == 1
        assert "altered" in capsys.readouterr().out


def test_numbers_are_told_in_runs():
    assert runs_of([3, 4, 5, 9]) == ((3, 5), (9, 9))
    assert runs_of([]) == ()


def test_both_tables_of_chains_are_alike():
    """One way of linking serves both."""
    assert [c.name for c in audit.columns] == [c.name for c in seal.columns]
