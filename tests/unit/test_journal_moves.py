"""Advancing: steps, retries, waits, timers, undo and incidents, on both stores."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from runtime.journal.faults import ActionNotAllowed, CannotContinue, UnknownProcess
from runtime.journal.incidents import Action, Category
from runtime.journal.process import Lane, Term
from runtime.journal.reading import Query
from runtime.journal.signalling import SignalResult
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


async def test_an_order_goes_through(store_url):  # noqa: F811  # the fixture
    """Each step happens once, and the timeline tells it."""
    vendor = Vendor()
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        await journal.signal(accepted.process_id, "shipped", {}, "shipment-1")
        process = await journal.wait_for(accepted.process_id, {"completed"}, SOON)

        assert process.state == "completed"
        assert process.done
        assert vendor.ledger == [("order", "INV-1"), ("pick", "INV-1")]
        assert vendor.looked_up == []
        assert [(e.name, e.key) for e in process.effects] == [
            ("order", "order-INV-1"),
            ("pick", "pick-INV-1"),
        ]
        told = [(line.event, line.state) for line in await journal.timeline(process.id)]
        assert told == [
            ("accepted", "ordering"),
            ("ordered", "releasing"),
            ("released", "shipping"),
            ("shipped", "completed"),
        ]
        found = await journal.find(Term(kind="erp_order", value="order-INV-1"))
        assert [s.id for s in found] == [process.id]
        stored = await journal.get(process.id)
        assert stored == process


async def test_many_orders_go_through_together(store_url):  # noqa: F811  # same
    """More than the lanes hold at once, in every lane: all end, each effect once."""
    vendor = Vendor()
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await asyncio.gather(
            *(journal.accept(an_order(f"M{n}", lane=Lane(n % 4))) for n in range(300))
        )
        await asyncio.gather(
            *(journal.wait_for(a.process_id, {"shipping"}, 3 * SOON) for a in accepted)
        )
        assert sorted(vendor.done("order")) == sorted(f"M{n}" for n in range(300))
        assert sorted(vendor.done("pick")) == sorted(f"M{n}" for n in range(300))
        assert vendor.looked_up == []


async def test_a_failing_vendor_is_tried_again_with_a_look_first(store_url):  # noqa: F811  # same
    """The step reports doubt; its next run is told, and looks before it creates."""
    vendor = Vendor()
    vendor.down = True
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, lambda p: p.attempts > 0, SOON)
        vendor.down = False
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)

        assert vendor.done("order") == ["INV-1"]
        assert vendor.looked_up[:1] == ["INV-1"]
        said = [line.says for line in await journal.timeline(accepted.process_id)]
        assert "The ERP is down." in said


async def test_a_step_that_hangs_is_cut_off_and_doubted(store_url):  # noqa: F811  # same
    """A budget overrun is cancelled; the effect may have happened, so it is looked up."""
    vendor = Vendor()
    slow = msgspec.structs.replace(
        the_order_process(vendor), step_budget={"ordering": timedelta(milliseconds=50)}
    )
    vendor.gate.clear()
    async with at_work(store_url, [slow]) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, lambda p: p.attempts > 0, SOON)
        vendor.gate.set()
        process = await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert process.state == "shipping"
        assert vendor.looked_up
        assert vendor.done("order") == ["INV-1"]


async def test_a_step_with_a_bug_becomes_an_incident_and_can_be_redriven(store_url):  # noqa: F811  # same
    """Nobody foresaw it: it is tried, then shown; after the cause is gone, `retry` goes on."""
    vendor = Vendor()
    kind = the_order_process(vendor)
    broken = True

    async def order(process, context):
        if broken:
            raise ZeroDivisionError
        return await kind.steps["ordering"](process, context)

    kind_with_a_bug = msgspec.structs.replace(kind, steps={**kind.steps, "ordering": order})
    clock = RunningClock()
    async with at_work(store_url, [kind_with_a_bug], clock=clock) as journal:
        accepted = await journal.accept(an_order())
        found = ()

        async def shown():
            nonlocal found
            clock.forward(timedelta(seconds=5))
            journal._worker.wake()
            found = await journal.incidents()
            return found

        await eventually(shown)
        (incident,) = found
        assert incident.category is Category.CONTRACT_VIOLATION
        stored = await journal.get(incident.process_id)
        assert stored.incident_category is Category.CONTRACT_VIOLATION
        assert incident.detail == {"failure": "ZeroDivisionError"}
        assert [s.id for s in (await journal.list(Query(in_exception=True))).snapshots] == [
            accepted.process_id
        ]

        await journal.remedy(incident.id, Action.RETRY, "operator")
        broken = False
        process = await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert process.state == "shipping"
        assert process.incident_id is None
        assert await journal.incidents() == ()
        assert [i.id for i in await journal.incidents(open_only=False)] == [incident.id]
        assert await journal.verify_audit() == ()


async def test_a_held_order_is_amended_or_refused_what_is_not_allowed(store_url):  # noqa: F811  # same
    """The category says what may be done; what is done is audited and moves the process."""
    vendor = Vendor()
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order(data=Order(quantity=500)))
        await journal.wait_for(accepted.process_id, {"held"}, SOON)
        (incident,) = await journal.incidents(category=Category.CREDIT_HOLD)
        assert incident.who_acts == "credit control"

        with pytest.raises(ActionNotAllowed, match="amend_and_retry on credit_hold"):
            await journal.remedy(incident.id, Action.AMEND_AND_RETRY, "operator", {"quantity": 5})
        await journal.remedy(incident.id, Action.ACCEPT, "operator")

        async def told():
            return "cannot be applied" in (await journal.timeline(accepted.process_id))[-1].says

        await eventually(told)
        assert (await journal.incident(incident.id)).closed_at is None

        await journal.signal(accepted.process_id, "cancel", {}, "cancel-1")
        process = await journal.wait_for(accepted.process_id, {"cancelled"}, SOON)
        assert process.state == "cancelled"
        assert (await journal.incident(incident.id)).closed_at is not None
        with pytest.raises(ActionNotAllowed, match="closed"):
            await journal.remedy(incident.id, Action.ACCEPT, "operator")


async def test_cancelling_undoes_in_reverse_each_once(store_url):  # noqa: F811  # same
    """What was done last is undone first; what was not done is not undone."""
    vendor = Vendor()
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        results = await asyncio.gather(
            *(journal.signal(accepted.process_id, "cancel", {}, "c") for _ in range(5))
        )
        process = await journal.wait_for(accepted.process_id, {"cancelled"}, SOON)

        assert sorted(results).count(SignalResult.RECORDED) == 1
        assert vendor.ledger == [
            ("order", "INV-1"),
            ("pick", "INV-1"),
            ("cancel pick", "INV-1"),
            ("cancel order", "INV-1"),
        ]
        assert all(effect.undone_at is not None for effect in process.effects)
        assert process.next_undo() is None


async def test_a_cancellation_during_a_step_waits_for_it(store_url):  # noqa: F811  # same
    """The effect under way is journaled first, and then undone."""
    vendor = Vendor()
    vendor.gate.clear()
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await vendor.entered.wait()
        await journal.signal(accepted.process_id, "cancel", {}, "cancel-1")
        vendor.gate.set()
        await journal.wait_for(accepted.process_id, {"cancelled"}, SOON)
        assert vendor.ledger == [("order", "INV-1"), ("cancel order", "INV-1")]


async def test_a_signal_before_its_time_is_kept(store_url):  # noqa: F811  # same
    """The shipment is reported while the order is still being placed: nothing is lost."""
    vendor = Vendor()
    vendor.gate.clear()
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await vendor.entered.wait()
        assert (
            await journal.signal(accepted.process_id, "shipped", {}, "s") is SignalResult.RECORDED
        )
        vendor.gate.set()
        process = await journal.wait_for(accepted.process_id, {"completed"}, SOON)
        assert process.state == "completed"


async def test_a_signal_after_the_end_is_told_and_changes_nothing(store_url):  # noqa: F811  # same
    """Late news is on the timeline; an unknown process is an error of the caller."""
    vendor = Vendor()
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await journal.signal(accepted.process_id, "shipped", {}, "s")
        ended = await journal.wait_for(accepted.process_id, {"completed"}, SOON)
        late = await journal.signal(accepted.process_id, "cancel", {}, "c")

        assert late is SignalResult.TOO_LATE
        assert (await journal.timeline(accepted.process_id))[-1].event == "too_late"
        assert (await journal.get(accepted.process_id)).revision == ended.revision
        with pytest.raises(UnknownProcess):
            await journal.signal("nobody", "cancel", {}, "c")


async def test_a_timer_fires_in_a_waiting_state(store_url):  # noqa: F811  # same
    """Nobody reports the shipment: when the time has passed the order is overdue, once."""
    clock = RunningClock()
    kind = the_order_process(Vendor(), ships_within=timedelta(days=2))
    async with at_work(store_url, [kind], clock=clock) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        await asyncio.sleep(0.05)
        assert (await journal.get(accepted.process_id)).state == "shipping"
        clock.forward(timedelta(days=3))
        journal._worker.wake()
        process = await journal.wait_for(accepted.process_id, {"overdue"}, SOON)
        assert process.state == "overdue"


async def test_a_store_opened_again_goes_on_where_it_was(store_url):  # noqa: F811  # same
    """A drained program leaves no lease behind: the next one goes on at once, without doubt."""
    vendor = Vendor()
    vendor.down = True
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        accepted = await journal.accept(an_order())
        await journal.wait_for(accepted.process_id, lambda p: p.attempts > 0, SOON)
    vendor.down = False
    async with at_work(store_url, [the_order_process(vendor)]) as journal:
        process = await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert process.state == "shipping"
        assert vendor.done("order") == ["INV-1"]


async def test_a_release_that_cannot_continue_is_refused(store_url):  # noqa: F811  # same
    """Data of a version it cannot read stops the start; with an upgrade it goes on."""
    vendor = Vendor()
    async with an_open_store(store_url) as store:
        old = a_journal(store, [the_order_process(vendor)])
        accepted = await old.accept(an_order())
        newer = the_order_process(vendor, version=2)
        with pytest.raises(CannotContinue, match="order version 1 in state ordering"):
            await a_journal(store, [newer]).open()

    def upgrade(data):
        return Order(quantity=data["quantity"], price="11.00")

    upgradable = the_order_process(vendor, version=2, upgrades={1: upgrade})
    async with at_work(store_url, [upgradable]) as journal:
        process = await journal.wait_for(accepted.process_id, {"shipping"}, SOON)
        assert (process.version, process.data.price) == (2, "11.00")
        assert (await journal.get(process.id)).data == process.data
