"""Processes of one entity run one at a time, oldest first."""

import asyncio

import pytest

from runtime.journal.process import Lane, Lifecycle, Move, ProcessType, Start
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    Order,
    at_work,
    store_url,
)

pytestmark = pytest.mark.anyio


class Shelf:
    """Where documents of an entity are put; notices if two are put at once."""

    def __init__(self):
        self.order: list[str] = []
        self.busy: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}

    async def put(self, process):
        assert process.entity not in self.busy
        self.busy.add(process.entity)
        await self.gates.get(process.reference, _OPEN).wait()
        await asyncio.sleep(0.001)
        self.order.append(process.reference)
        self.busy.discard(process.entity)


class _Open:
    async def wait(self):
        return True


_OPEN = _Open()


def filing(shelf):
    async def file(process, context):
        await shelf.put(process)
        return Move(event="filed", data=process.data)

    return ProcessType(
        name="filing",
        version=1,
        data_type=Order,
        lifecycle=Lifecycle(
            name="filing",
            initial="filing",
            moves={("filing", "filed"): "filed"},
            terminal=frozenset({"filed"}),
        ),
        steps={"filing": file},
    )


def a_document(entity, number):
    return Start(
        kind="filing",
        consumer="erp",
        operation="change",
        key=f"{entity}-{number}",
        fingerprint="",
        reference=f"{entity}-{number}",
        data=Order(),
        lane=Lane.SYNC,
        entity=entity,
    )


async def test_documents_of_one_entity_keep_their_order(store_url):  # noqa: F811  # the fixture
    """Ten customers' changes arrive mixed; each customer's are applied as they came."""
    shelf = Shelf()
    async with at_work(store_url, [filing(shelf)]) as journal:
        accepted = []
        for number in range(6):
            accepted += await asyncio.gather(
                *(journal.accept(a_document(f"C{c}", number)) for c in range(10))
            )
        for answer in accepted:
            process = await journal.wait_for(answer.process_id, {"filed"}, SOON)
            assert process.done
        for c in range(10):
            mine = [r for r in shelf.order if r.startswith(f"C{c}-")]
            assert mine == [f"C{c}-{number}" for number in range(6)]


async def test_documents_accepted_in_one_commit_keep_their_order(store_url):  # noqa: F811  # same
    """All at once, in one group: still one at a time, in the order they were asked for."""
    shelf = Shelf()
    async with at_work(store_url, [filing(shelf)]) as journal:
        accepted = await asyncio.gather(
            *(journal.accept(a_document("C", number)) for number in range(8))
        )
        for answer in accepted:
            await journal.wait_for(answer.process_id, {"filed"}, SOON)
        assert sorted(shelf.order) == sorted(f"C-{n}" for n in range(8))
        assert shelf.order[0] == "C-0"


async def test_a_stuck_document_holds_up_its_own_entity_only(store_url):  # noqa: F811  # same
    """One poison document; everyone else's pass it by."""
    shelf = Shelf()
    shelf.gates["stuck-0"] = asyncio.Event()
    async with at_work(store_url, [filing(shelf)]) as journal:
        await journal.accept(a_document("stuck", 0))
        behind = await journal.accept(a_document("stuck", 1))
        others = [await journal.accept(a_document(f"C{c}", 0)) for c in range(20)]
        for answer in others:
            assert (await journal.wait_for(answer.process_id, {"filed"}, SOON)).done
        assert not (await journal.get(behind.process_id)).done
        shelf.gates["stuck-0"].set()
        assert (await journal.wait_for(behind.process_id, {"filed"}, SOON)).done
