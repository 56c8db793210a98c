"""How things stand: what operations ask, on both stores."""

import asyncio
from datetime import timedelta

import pytest
from msgspec import structs

from runtime.journal.incidents import Action, Category, Incident
from runtime.journal.process import Again, Lane, Term, Wait
from runtime.journal.propagation import Delivered, Later, Subscriber, Undeliverable
from runtime.journal.reading import Query
from runtime.journal.worker import Worker
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    Order,
    RunningClock,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    at_work,
    eventually,
    store_url,
    the_order_process,
)

pytestmark = pytest.mark.anyio


async def test_any_business_id_finds_its_process(store_url):  # noqa: F811  # the fixture
    """An operator pastes what the customer read out: no need to know whose number it is."""
    async with at_work(store_url, [the_order_process(Vendor())]) as journal:
        accepted = await journal.accept(
            an_order("key-7", reference="INV-7", terms=(Term(kind="po", value="PO of INV-7"),))
        )
        await journal.accept(an_order("INV-8"))
        held = await journal.accept(an_order("INV-9", data=Order(quantity=500)))
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        await journal.wait_for(held.process_id, {"held"}, SOON)
        (incident,) = await journal.incidents()
        for text, wanted in (
            (accepted.process_id, accepted),
            ("INV-7", accepted),
            ("inv-7", accepted),
            ("key-7", accepted),
            ("order-INV-7", accepted),
            (" PO of INV-7 ", accepted),
            (incident.id, held),
        ):
            page = await journal.standing.search(text)
            assert [s.id for s in page.snapshots] == [wanted.process_id], text
        assert (await journal.standing.search("INV-1")).snapshots == ()
        assert await journal.standing.terms(accepted.process_id) == {
            "erp_order": ("order-INV-7",),
            "po": ("PO of INV-7",),
        }
        await journal.signal(accepted.process_id, "shipped", {}, "S-1")
        await journal.wait_for(accepted.process_id, {"completed"}, SOON)
        (signal,) = await journal.standing.signals(accepted.process_id)
        assert (signal.name, signal.dedupe_key) == ("shipped", "S-1")
        assert signal.consumed_at is not None


async def test_a_search_is_narrowed_and_paged(store_url):  # noqa: F811  # same
    """A customer with many orders: every one once, only those asked for."""
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [the_order_process(Vendor())])
        whose = (Term(kind="customer", value="C1"),)
        for n in range(25):
            lane = Lane.BULK if n % 5 == 0 else Lane.CAPTURE
            await journal.accept(an_order(f"P{n}", terms=whose, lane=lane))
        seen: list[str] = []
        cursor = None
        while True:
            page = await journal.standing.search("C1", cursor=cursor, limit=10)
            seen += [s.reference for s in page.snapshots]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == [f"P{n}" for n in reversed(range(25))]
        bulk = await journal.standing.search("C1", Query(lane=Lane.BULK), limit=10)
        assert [s.reference for s in bulk.snapshots] == ["P20", "P15", "P10", "P5", "P0"]
        none = await journal.standing.search("C1", Query(state="held", open_only=True))
        assert none.snapshots == ()
        assert (await journal.list(Query(state="ordering"), limit=3)).snapshots[0].revision == 1


async def test_lanes_tell_what_waits_for_what(store_url):  # noqa: F811  # same
    """Due, at work, waiting for a time, parked for a signal, with an incident: each is counted."""
    vendor = Vendor()
    kind = the_order_process(vendor)

    async def order(process, context):
        match process.reference.partition("-")[0]:
            case "TIMED":
                return Again(at=context.now + timedelta(hours=1), in_doubt=False)
            case "PARKED":
                return Wait()
            case "STOPPED":
                found = Incident(category=Category.TIME_OUT, says="No answer.")
                return Again(at=context.now + timedelta(hours=1), in_doubt=False, incident=found)
        return await kind.steps["ordering"](process, context)

    mixed = structs.replace(kind, steps={**kind.steps, "ordering": order})
    async with an_open_store(store_url) as store:
        clock = RunningClock()
        journal = a_journal(store, [mixed], clock=clock)
        worker = Worker(journal, concurrency={Lane.CAPTURE: 8})
        await worker.start()
        vendor.gate.clear()
        for name, amount in (("TIMED", 2), ("PARKED", 3), ("STOPPED", 1), ("BUSY", 2)):
            for n in range(amount):
                await journal.accept(an_order(f"{name}-{n}"))
        for n in range(4):
            await journal.accept(an_order(f"BULK-{n}", lane=Lane.BULK))
        done = await journal.accept(an_order("PARKED-done"))

        async def settled():
            (capture, *_) = await journal.standing.lanes()
            return (capture.at_work, capture.parked) == (2, 4)

        await eventually(settled)
        await journal.signal(done.process_id, "cancel", {}, "C")
        await journal.wait_for(done.process_id, {"cancelled"}, SOON)
        capture, status, _, bulk = await journal.standing.lanes()
        assert (capture.due, capture.at_work, capture.timed) == (0, 2, 3)
        assert (capture.parked, capture.excepted) == (3, 1)
        assert capture.oldest_due_at is None
        assert (status.due, status.parked) == (0, 0)
        assert (bulk.lane, bulk.due) == (Lane.BULK, 4)
        assert bulk.oldest_due_at is not None
        states = await journal.standing.states()
        assert [(s.lane, s.state, s.count) for s in states] == [
            (Lane.CAPTURE, "ordering", 8),
            (Lane.BULK, "ordering", 4),
        ]
        vendor.gate.set()
        await worker.drain(timedelta(seconds=1))


async def test_subscribers_tell_what_they_have_not_had(store_url):  # noqa: F811  # same
    """One takes nothing now, one refuses for good: both show, with their reasons."""

    async def later(deliveries):
        return [Later(reason="closed on Sundays")] * len(deliveries)

    refuses = [True]
    told = []

    async def refuse(deliveries):
        if refuses[0]:
            return [Undeliverable(reason="unknown field")] * len(deliveries)
        told.extend((d.entity, d.version) for d in deliveries)
        return [Delivered()] * len(deliveries)

    subscribers = (
        Subscriber(name="busy", topics=("order.*",), deliver=later),
        Subscriber(name="strict", topics=("order.confirmed",), deliver=refuse),
        Subscriber(name="idle", topics=("nothing",), deliver=refuse),
    )
    async with at_work(
        store_url, [the_order_process(Vendor())], subscribers=subscribers
    ) as journal:
        for n in range(3):
            await journal.accept(an_order(f"D{n}"))

        async def both():
            busy, _, strict = await journal.standing.subscribers()
            return (busy.waiting, busy.last_reason is not None, strict.set_aside) == (6, True, 3)

        await eventually(both)
        busy, idle, strict = await journal.standing.subscribers()
        assert (busy.last_reason, busy.set_aside) == ("closed on Sundays", 0)
        assert busy.oldest_at is not None
        assert (idle.subscriber, idle.waiting, idle.last_reason) == ("idle", 0, None)
        assert (strict.waiting, strict.last_reason) == (0, "unknown field")
        waiting = await journal.standing.deliveries("busy", set_aside=False, limit=4)
        rest = await journal.standing.deliveries("busy", set_aside=False, after=waiting[-1].id)
        assert (len(waiting), len(rest)) == (4, 2)
        aside = await journal.standing.deliveries("strict", set_aside=True)
        assert {d.reason for d in aside} == {"unknown field"}
        assert all(d.set_aside_at is not None for d in aside)

        refuses[0] = False
        one = aside[0]
        assert await journal.standing.redeliver("strict", actor="o", delivery_id=one.id) == 1
        assert await journal.standing.redeliver("strict", actor="o", note="field is back") == 2

        async def all_told():
            return len(told) == 3

        await eventually(all_told)
        assert sorted(told) == sorted((d.entity, d.version) for d in aside)
        assert await journal.standing.redeliver("strict", actor="o") == 0
        page = await journal.standing.audit(actor="o")
        assert [act.record["count"] for act in page.acts] == [0, 2, 1]


async def test_the_audit_is_shown_a_page_at_a_time(store_url):  # noqa: F811  # same
    """Newest first over all nodes, each act once, narrowed to one person."""
    async with an_open_store(store_url) as store:
        nodes = [
            a_journal(store, [the_order_process(Vendor())], node=f"node-{n}", seed=n)
            for n in range(2)
        ]
        for n in range(30):
            actor = "anna" if n % 3 == 0 else "bert"
            await nodes[n % 2].append_audit({"actor": actor, "act": "call", "number": n})
        seen: list[int] = []
        cursor = None
        while True:
            page = await nodes[0].standing.audit(cursor=cursor, limit=7)
            seen += [act.record["number"] for act in page.acts]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == list(reversed(range(30)))
        first = await nodes[0].standing.audit(actor="anna", limit=4)
        rest = await nodes[0].standing.audit(actor="anna", limit=50, cursor=first.cursor)
        numbers = [act.record["number"] for act in (*first.acts, *rest.acts)]
        assert numbers == list(reversed(range(0, 30, 3)))


async def test_a_remedy_shows_in_the_audit_with_who(store_url):  # noqa: F811  # same
    """What a person did about an incident is found under their name."""
    async with at_work(store_url, [the_order_process(Vendor())]) as journal:
        held = await journal.accept(an_order(data=Order(quantity=500)))
        await journal.wait_for(held.process_id, {"held"}, SOON)
        (incident,) = await journal.incidents()
        await asyncio.gather(
            *(journal.remedy(incident.id, Action.CANCEL, f"operator {n}") for n in range(2)),
            return_exceptions=True,
        )
        page = await journal.standing.audit(actor="operator 0")
        assert all(act.record["incident"] == incident.id for act in page.acts)
