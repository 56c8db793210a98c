"""Accepting: one key, one process, one answer, whatever comes at once."""

import asyncio
from datetime import timedelta

import pytest

from runtime.journal.accepting import _variants
from runtime.journal.faults import IdTaken, KeyReused, ReferenceTaken, UnknownKind
from runtime.journal.process import REFERENCE_LIMIT, Event, Term
from runtime.journal.propagation import Delivered, Subscriber
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    store_url,
    the_order_process,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def journal(store_url):  # noqa: F811  # the fixture
    async with an_open_store(store_url) as store:
        yield a_journal(store, [the_order_process(Vendor())])


async def test_fifty_at_once_with_one_key_become_one_process(journal):
    """All callers get the same process and reference; exactly one of them began it."""
    answers = await asyncio.gather(*(journal.accept(an_order()) for _ in range(50)))

    assert len({(a.process_id, a.reference) for a in answers}) == 1
    assert sum(a.created for a in answers) == 1
    assert len((await journal.list()).snapshots) == 1
    assert len(await journal.timeline(answers[0].process_id)) == 1


async def test_races_over_many_keys_and_two_programs(store_url):  # noqa: F811  # same
    """Two programs on one PostgreSQL accept the same keys at once: each key begins once."""
    if store_url.startswith("sqlite"):
        return  # one program only, shown by the test above
    async with an_open_store(store_url) as one, an_open_store(store_url) as other:
        types = [the_order_process(Vendor())]
        journals = [
            a_journal(one, types),
            a_journal(other, types, node="node-2", seed=8),
        ]
        for round_number in range(10):
            keys = [f"R{round_number}-{n}" for n in range(20)]
            answers = await asyncio.gather(
                *(journal.accept(an_order(key)) for key in keys for journal in journals)
            )
            assert sum(a.created for a in answers) == len(keys)
            assert len({a.process_id for a in answers}) == len(keys)


async def test_the_same_key_with_another_body_is_refused(journal):
    """The refusal names the first one, so that the caller can look at it."""
    first = await journal.accept(an_order())
    with pytest.raises(KeyReused) as refusal:
        await journal.accept(an_order(fingerprint="another body"))
    assert refusal.value.process_id == first.process_id


async def test_a_start_may_bring_its_id(journal):
    """The first event can say which process it is of; a repeated key keeps the first id."""
    mine, other = journal.mint(), journal.mint()
    first = await journal.accept(an_order(id=mine))
    again = await journal.accept(an_order(id=other))
    unnamed = await journal.accept(an_order())

    assert (first.process_id, first.created) == (mine, True)
    assert [(a.process_id, a.created) for a in (again, unnamed)] == [(mine, False)] * 2


async def test_one_start_asked_again_begins_once(journal):
    """The very same start, twice at once and once more later, beside others: one story."""
    start, taken = an_order(id=journal.mint()), an_order("other", reference="INV-1")
    both = await asyncio.gather(*(journal.accept(s) for s in (start, taken, start, an_order("B"))))
    later = await journal.accept(start)

    assert [a.created for a in both] == [True, True, False, True]
    assert (later.process_id, later.created) == (start.id, False)
    assert len(await journal.timeline(start.id)) == 1
    assert len((await journal.list()).snapshots) == 3


async def test_an_id_is_one_processs_only(journal):
    """A second process under the same id is refused, and the first is left as it is."""
    first = await journal.accept(an_order("A", id=journal.mint()))
    with pytest.raises(IdTaken):
        await journal.accept(an_order("B", id=first.process_id))
    assert (await journal.get(first.process_id)).key == "A"
    assert len(await journal.timeline(first.process_id)) == 1


async def test_two_callers_may_use_the_same_key(journal):
    """Keys are the caller's own; the reference in other systems stays unique all the same."""
    mine = await journal.accept(an_order("4711"))
    theirs = await journal.accept(an_order("4711", consumer="partner-acme"))
    again = await journal.accept(an_order("4711", consumer="partner-acme"))

    assert mine.reference == "4711"
    assert theirs.created
    assert theirs.reference.startswith("4711-")
    assert theirs.reference == again.reference
    assert theirs.process_id == again.process_id != mine.process_id
    by_reference = await journal.find(Term(kind="reference", value=theirs.reference))
    assert [s.id for s in by_reference] == [theirs.process_id]


async def test_a_chosen_reference_still_fits_every_system(journal):
    """The digest takes the place of the tail, never more than the limit."""
    key = "X" * REFERENCE_LIMIT
    await journal.accept(an_order(key))
    other = await journal.accept(an_order(key, consumer="partner-acme"))
    assert len(other.reference) == REFERENCE_LIMIT
    with pytest.raises(ValueError, match="35"):
        await journal.accept(an_order(key + "X"))


async def test_a_reference_is_never_shared(journal):
    """However often it is asked for, each order gets one of its own, or is refused."""
    for n in range(5):
        await journal.accept(an_order(f"K{n}", reference="R"))
    references = [s.reference for s in (await journal.list()).snapshots]
    assert len(set(references)) == 5
    assert all(r.startswith("R") for r in references)

    wanted = an_order("last", reference="R")
    row = {"consumer": wanted.consumer, "operation": wanted.operation, "key": wanted.key}
    for taken in _variants("R", row):
        await journal.accept(an_order(f"holds {taken}", reference=taken))
    with pytest.raises(ReferenceTaken):
        await journal.accept(wanted)


async def test_an_unknown_kind_is_refused(journal):
    """The refusal names what there is."""
    with pytest.raises(UnknownKind, match="order"):
        await journal.accept(an_order(kind="oder"))


async def test_accepting_writes_everything_at_once(store_url):  # noqa: F811  # same
    """Terms to search by, the first line of the story, and the events, in one transaction."""

    async def deliver(deliveries):
        return [Delivered() for _ in deliveries]

    crm = Subscriber(name="crm", topics=("order.*",), deliver=deliver)
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(Vendor())], subscribers=[crm])
        start = an_order(emits=(Event(topic="order.accepted", data={"n": 1}),))
        accepted = await journal.accept(start)
        await journal.accept(start)

        found = await journal.find(Term(kind="po", value="PO of INV-1"))
        assert [s.id for s in found] == [accepted.process_id]
        (line,) = await journal.timeline(accepted.process_id)
        assert (line.event, line.says) == ("accepted", "Order received.")
        assert await journal.waiting_deliveries("crm") == 1


async def test_pages_list_everything_once(journal):
    """Newest first, by cursor, while more arrive."""
    for n in range(7):
        await journal.accept(an_order(f"P{n}"))
    first = await journal.list(limit=3)
    await journal.accept(an_order("late"))
    second = await journal.list(limit=3, cursor=first.cursor)
    third = await journal.list(limit=3, cursor=second.cursor)

    seen = [s.reference for page in (first, second, third) for s in page.snapshots]
    assert sorted(seen) == [f"P{n}" for n in range(7)]
    assert third.cursor is None


async def test_waiting_for_nothing_ends_in_time(journal):
    """No worker runs here: the waiter gets the process as it is."""
    accepted = await journal.accept(an_order())
    process = await journal.wait_for(accepted.process_id, {"completed"}, timedelta(milliseconds=50))
    assert process.state == "ordering"
