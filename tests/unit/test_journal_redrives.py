"""Redrives: previewed, paced, taken once on each incident, whoever else does the same."""

import asyncio
from datetime import timedelta

import pytest
from msgspec import structs
from sqlalchemy import func, select, text

from runtime.journal.amending import AmendmentRefused, amended, merged
from runtime.journal.faults import ActionNotAllowed, RedriveEnded, UnknownRedrive
from runtime.journal.incidents import REMEDIES, Action, Category, Incident, Remedy
from runtime.journal.process import REMEDY, Again, Term
from runtime.journal.redriving import ItemOutcome, RedriveState
from runtime.journal.selecting import Selection
from runtime.journal.worker import Worker
from runtime.store.schema import audit as audit_table
from runtime.store.schema import signal as signal_table
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    Order,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    at_work,
    eventually,
    store_url,
    the_order_process,
)
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.anyio

FAST = 500.0


def stopping(vendor):
    """Orders that stop with an incident while their vendor is down, and wait for a person."""
    kind = the_order_process(vendor)

    async def order(process, context):
        if vendor.down:
            found = Incident(category=Category.TIME_OUT, says="The ERP does not answer.")
            return Again(at=context.now + timedelta(days=1), in_doubt=True, incident=found)
        return await kind.steps["ordering"](process, context)

    amendable = Remedy(
        who_acts="credit control",
        actions=frozenset({Action.AMEND_AND_RETRY, Action.CANCEL}),
        runbook="docs/runbooks/credit-hold.md",
    )
    return structs.replace(
        kind,
        steps={**kind.steps, "ordering": order},
        remedies={**REMEDIES, Category.CREDIT_HOLD: amendable},
        vendor_calls={"ordering": {"erp": 2, "wms": 1}},
    )


async def stopped(journal, vendor, amount, name="R"):
    """So many orders in the exception queue; answers their process ids."""
    vendor.down = True
    accepted = [await journal.accept(an_order(f"{name}{n}")) for n in range(amount)]

    async def all_stopped():
        return len(await journal.incidents(limit=1000)) >= amount

    await eventually(all_stopped)
    vendor.down = False
    return [one.process_id for one in accepted]


async def ended(journal, redrive):
    """The redrive once it is done."""

    async def over():
        return (await journal.redrives.get(redrive.id)).ended_at is not None

    await eventually(over, within=2 * SOON)
    return await journal.redrives.get(redrive.id)


async def remedies_recorded(journal):
    query = select(func.count()).where(signal_table.c.name == REMEDY)
    return await journal.store.read(lambda c: c.execute(query).scalar())


async def test_a_preview_counts_and_changes_nothing(store_url):  # noqa: F811  # the fixture
    """What would be looked up first, what stands already, what it costs each vendor."""
    vendor = Vendor()
    async with at_work(store_url, [stopping(vendor)]) as journal:
        ids = await stopped(journal, vendor, 6)
        held = await journal.accept(an_order("held", data=Order(quantity=500)))
        await journal.wait_for(held.process_id, {"held"}, SOON)

        preview = await journal.redrives.preview(Selection())

        assert (preview.total, preview.not_allowed, preview.is_cut) == (6, 1, False)
        assert preview.by_category == {"time_out": 6}
        assert preview.by_state == {"ordering": 6}
        assert (preview.in_doubt, preview.with_effects, preview.effects) == (6, 0, {})
        assert (preview.vendor_calls, preview.unpriced) == ({"erp": 12, "wms": 6}, 0)
        cancel = await journal.redrives.preview(Selection(), Action.CANCEL)
        assert (cancel.total, cancel.unpriced) == (7, 1)
        first = (await journal.get(ids[0])).created_at
        for narrow, count in (
            (Selection(categories=(Category.CREDIT_HOLD,)), 0),
            (Selection(term=Term(kind="po", value="PO of R3")), 1),
            (Selection(term=Term(kind="reference", value="r3")), 1),
            (Selection(consumer="nobody"), 0),
            (Selection(opened_before=first), 0),
            (Selection(opened_after=first), 6),
            (Selection(kinds=("order",), states=("ordering",)), 6),
            (Selection(limit=4), 4),
        ):
            found = await journal.redrives.preview(narrow)
            assert found.total == count, narrow
            assert found.is_cut == (narrow.limit == 4)
        assert await journal.redrives.list() == ()
        assert await remedies_recorded(journal) == 0


async def test_effects_that_stand_are_counted_as_not_made_again(store_url):  # noqa: F811  # same
    """Stopped behind its ERP order: going on looks that up and does not order again."""
    vendor = Vendor()
    kind = stopping(vendor)

    async def release(process, context):
        found = Incident(category=Category.WAREHOUSE_REJECTION, says="Refused.")
        return Again(at=context.now + timedelta(days=1), in_doubt=False, incident=found)

    kind = structs.replace(kind, steps={**kind.steps, "releasing": release})
    async with at_work(store_url, [kind]) as journal:
        await journal.accept(an_order())

        async def refused():
            return bool(await journal.incidents())

        await eventually(refused)
        preview = await journal.redrives.preview(Selection())
        assert (preview.with_effects, preview.effects) == (1, {"order": 1})
        assert (preview.in_doubt, preview.unpriced) == (0, 1)


async def test_three_operators_redrive_the_same_at_once(store_url):  # noqa: F811  # same
    """Each incident is acted on once; the two who came second are told how many they missed."""
    vendor = Vendor()
    async with at_work(store_url, [stopping(vendor)]) as journal:
        ids = await stopped(journal, vendor, 40)
        started = await asyncio.gather(
            *(
                journal.redrives.start(
                    Selection(), Action.RETRY, rate=FAST, actor=f"operator {n}", note="ERP is back"
                )
                for n in range(3)
            )
        )
        over = [await ended(journal, one) for one in started]

        assert [one.total for one in over] == [40, 40, 40]
        assert sum(one.applied for one in over) == 40
        assert sum(one.skipped for one in over) == 80
        assert sum(one.failed for one in over) == 0
        for process_id in ids:
            await journal.wait_for(process_id, {"shipping"}, SOON)
        assert await remedies_recorded(journal) == 40
        assert sorted(vendor.done("order")) == sorted(f"R{n}" for n in range(40))
        assert await journal.incidents() == ()
        assert await journal.verify_audit() == ()
        skipped = await journal.redrives.items(over[-1].id, outcome=ItemOutcome.SKIPPED, limit=1000)
        assert len(skipped) == over[-1].skipped
        assert {i.reason for i in skipped} <= {
            "the incident is closed",
            "another action came first",
        }


async def test_a_redrive_keeps_its_rate(store_url):  # noqa: F811  # same
    """Twenty a second and no faster, however fast the worker is."""
    vendor = Vendor()
    async with at_work(store_url, [stopping(vendor)]) as journal:
        await stopped(journal, vendor, 12)
        redrive = await journal.redrives.start(Selection(), Action.RETRY, rate=20, actor="operator")
        over = await ended(journal, redrive)
        assert (over.applied, over.waiting, over.rate) == (12, 0, 20.0)
        items = await journal.redrives.items(redrive.id)
        for place, item in enumerate(items):
            assert item.at - redrive.created_at >= place * timedelta(milliseconds=50)


async def test_a_redrive_amends_and_retries(store_url):  # noqa: F811  # same
    """The amendment reaches every process as an operator's own would."""
    async with at_work(store_url, [stopping(Vendor())]) as journal:
        for n in range(5):
            held = await journal.accept(an_order(f"H{n}", data=Order(quantity=500)))
            await journal.wait_for(held.process_id, {"held"}, SOON)
        redrive = await journal.redrives.start(
            Selection(categories=(Category.CREDIT_HOLD,)),
            Action.AMEND_AND_RETRY,
            rate=FAST,
            actor="operator",
            amendment={"quantity": 5},
        )
        assert (await ended(journal, redrive)).applied == 5
        for n in range(5):
            (found,) = await journal.find(Term(kind="reference", value=f"H{n}"))
            process = await journal.wait_for(found.id, {"shipping"}, SOON)
            assert process.data.quantity == 5


async def test_a_merge_patch_is_understood_without_the_processs_help(store_url):  # noqa: F811  # same
    """A step that stopped on its data is tried again with the data amended."""
    vendor = Vendor()
    kind = stopping(vendor)
    allowed = structs.replace(
        REMEDIES[Category.TIME_OUT], actions=frozenset({Action.AMEND_AND_RETRY})
    )
    kind = structs.replace(kind, remedies={**kind.remedies, Category.TIME_OUT: allowed})
    async with at_work(store_url, [kind]) as journal:
        (one,) = await stopped(journal, vendor, 1)
        (incident,) = await journal.incidents()
        await journal.remedy(incident.id, Action.AMEND_AND_RETRY, "operator", {"colour": "red"})

        async def refused():
            return "could not be applied" in (await journal.timeline(one))[-1].says

        await eventually(refused)
        await journal.remedy(incident.id, Action.AMEND_AND_RETRY, "operator", {"price": "9.00"})
        process = await journal.wait_for(one, {"shipping"}, SOON)
        assert process.data.price == "9.00"


async def test_a_redrive_is_paused_resumed_and_cancelled_with_audit(store_url):  # noqa: F811  # same
    """It stops where it is and goes on from there; who did what is on record."""
    vendor = Vendor()
    async with at_work(store_url, [stopping(vendor)]) as journal:
        await stopped(journal, vendor, 10)
        slow = await journal.redrives.start(
            Selection(), Action.RETRY, rate=0.001, actor="anna", note="carefully"
        )

        async def begun():
            return (await journal.redrives.get(slow.id)).applied == 1

        await eventually(begun)
        paused = await journal.redrives.pause(slow.id, "bert")
        assert (paused.state, paused.waiting) == (RedriveState.PAUSED, 9)
        with pytest.raises(RedriveEnded):
            await journal.redrives.pause(slow.id, "bert")
        await journal.redrives.resume(slow.id, "cleo")

        async def further():
            return (await journal.redrives.get(slow.id)).applied == 2

        await eventually(further)
        cancelled = await journal.redrives.cancel(slow.id, "dora")
        assert (cancelled.state, cancelled.applied) == (RedriveState.CANCELLED, 2)
        with pytest.raises(RedriveEnded):
            await journal.redrives.resume(slow.id, "dora")
        with pytest.raises(UnknownRedrive):
            await journal.redrives.get("nowhere")
        records = await journal.store.read(
            lambda c: (
                c.execute(select(audit_table.c.record).order_by(audit_table.c.seq)).scalars().all()
            )
        )
        told = b"\n".join(records).decode()
        for act, who in (
            ("redrive_started", "anna"),
            ("redrive_paused", "bert"),
            ("redrive_resumed", "cleo"),
            ("redrive_cancelled", "dora"),
        ):
            assert f'"act":"{act}"' in told
            assert who in told
        assert await journal.verify_audit() == ()


async def test_a_redrive_outlives_its_worker(store_url):  # noqa: F811  # same
    """The worker goes in the middle; the next one goes on, and acts on nothing twice."""
    vendor = Vendor()
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [stopping(vendor)])
        worker = Worker(journal)
        await worker.start()
        await stopped(journal, vendor, 30)
        redrive = await journal.redrives.start(Selection(), Action.RETRY, rate=60, actor="operator")

        async def in_the_middle():
            return (await journal.redrives.get(redrive.id)).applied > 5

        await eventually(in_the_middle)
        await worker.drain()
        successors = [Worker(a_journal(store, [stopping(vendor)], seed=s)) for s in (8, 9)]
        for successor in successors:
            await successor.start()
        over = await ended(journal, redrive)
        assert (over.applied, over.skipped, over.failed) == (30, 0, 0)
        assert await remedies_recorded(journal) == 30
        for successor in successors:
            await successor.drain()


async def test_a_lost_database_repeats_no_item():
    """Every connection is cut in mid-drain: what committed stays, what did not comes again."""
    vendor = Vendor()
    url = a_postgresql_database()
    async with at_work(url, [stopping(vendor)]) as journal, an_open_store(url) as saboteur:
        await stopped(journal, vendor, 60)
        redrive = await journal.redrives.start(
            Selection(), Action.RETRY, rate=200, actor="operator"
        )
        for _ in range(4):
            await asyncio.sleep(0.05)
            await saboteur.read(lambda c: c.execute(_CUT).all())
        over = await ended(journal, redrive)
        assert over.applied == 60
        assert await remedies_recorded(journal) == 60


_CUT = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_what_one_operator_did_by_hand_a_redrive_skips(store_url):  # noqa: F811  # same
    """Selected, then acted on by hand before its turn came."""
    vendor = Vendor()
    async with at_work(store_url, [stopping(vendor)]) as journal:
        await stopped(journal, vendor, 3)
        redrive = await journal.redrives.start(
            Selection(), Action.RETRY, rate=0.001, actor="operator"
        )

        async def begun():
            return (await journal.redrives.get(redrive.id)).applied == 1

        await eventually(begun)
        last = (await journal.redrives.items(redrive.id))[-1]
        await journal.remedy(last.incident_id, Action.RETRY, "by hand")
        with pytest.raises(ValueError, match="rate"):
            await journal.redrives.start(Selection(), Action.RETRY, rate=0, actor="operator")
        again = await journal.redrives.start(
            Selection(incidents=(last.incident_id,)), Action.RETRY, rate=FAST, actor="operator"
        )
        over = await ended(journal, again)
        assert over.applied == 0
        assert over.total == over.skipped


async def test_an_action_no_longer_allowed_fails_its_item_alone(store_url):  # noqa: F811  # same
    """A remedy that an incident's category does not know is refused to anybody."""
    vendor = Vendor()
    async with at_work(store_url, [stopping(vendor)]) as journal:
        await stopped(journal, vendor, 2)
        (incident, _) = await journal.incidents()
        with pytest.raises(ActionNotAllowed):
            await journal.remedy(incident.id, Action.ACCEPT, "operator")
        refused = await journal.redrives.start(
            Selection(), Action.ACCEPT, rate=FAST, actor="operator"
        )
        assert (refused.state, refused.total) == (RedriveState.DONE, 0)


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, "bar", "bar"),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_are_those_of_the_standard(document, patch, result):
    """Examples of RFC 7396, appendix A."""
    assert merged(document, patch) == result


def test_an_amendment_must_fit_the_record():
    assert amended(Order(), {"quantity": 7}) == Order(quantity=7)
    with pytest.raises(AmendmentRefused):
        amended(Order(), {"quantity": "many"})
    with pytest.raises(AmendmentRefused, match="colour"):
        amended(Order(), {"colour": "red"})
