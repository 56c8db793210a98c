"""A redrive says of each exception what really became of it, and beforehand what would."""

import pytest

from contracts.outcomes import Rejected
from contracts.ports.redrives import ItemQuery, RedriveSelection, StartRedrive
from contracts.problems import ProblemError
from process_apis.quote_to_order.signals import CANCEL
from runtime.journal.draining import Draining
from runtime.journal.faults import ActionNotAllowed
from runtime.journal.incidents import Action
from runtime.journal.worker import Worker
from tests.scenarios.world import an_order

pytestmark = pytest.mark.anyio

GONE = "Goods have left the warehouse; they can only come back."


async def gone(world, key):
    """An order some of whose goods have left, and whose shipment the ERP refuses to post."""
    reply = await world.place(an_order(("1896-S", 5)), key=key)
    order = await world.reaches(reply.body.id, fulfilment="released")
    refusal = Rejected(system="business_central", reason="business-rule", detail="period closed")
    world.erp.refuses.append(refusal)
    await world.ships(order, ("1896-S", 2))
    return await excepted(world, order)


async def never_placed(world, key):
    """An order that the ERP refused."""
    refusal = Rejected(system="business_central", reason="business-rule", detail="no")
    world.erp.refuses.append(refusal)
    return await excepted(world, (await world.place(an_order(("1896-S", 2)), key=key)).body)


async def excepted(world, order):
    async def stopped():
        found = await world.order(order.id)
        return found if found.exception else None

    return await world.until(stopped, what="the exception")


def cancelling(*orders):
    ids = tuple(order.exception.id for order in orders)
    return StartRedrive(
        selection=RedriveSelection(exceptions=ids), action="cancel", note="the season is over"
    )


async def test_a_redrive_that_cancels_says_which_order_it_could_not_cancel(world):
    """The goods of one have left: nothing is cancelled of it, and nobody is told that it was."""
    shipped, refused = await gone(world, "GONE"), await never_placed(world, "REFUSED")
    with world.call(consumer="operator", subject="Mary", key="R-1"):
        preview = await world.operations.preview_redrive(cancelling(shipped, refused))
        started = (await world.operations.start_redrive(cancelling(shipped, refused))).body

        async def ended():
            told = await world.operations.get_redrive(started.id)
            return told if told.state == "done" else None

        done = await world.until(ended, what="the redrive to end")
        page = await world.operations.list_redrive_items(started.id, ItemQuery())

    assert (preview.exceptions, preview.without_effect) == (2, {GONE: 1})
    assert (done.applied, done.failed) == (1, 1)
    became = {item.process: (item.outcome, item.reason) for item in page.items}
    assert became == {shipped.id: ("failed", GONE), refused.id: ("applied", None)}
    await world.reaches(refused.id, commercial="cancelled")
    still = await world.order(shipped.id)
    assert (still.commercial, still.exception.id) == ("confirmed", shipped.exception.id)
    acts = await world.journal.standing.audit(actor="Mary", limit=100)
    remedied = [act.record["process"] for act in acts.acts if act.record["act"] == "remedy"]
    assert remedied == [refused.id], "what was not done is not on record as done"


async def test_what_an_order_makes_nothing_of_after_all_is_told_of_it_too(world):
    """Its customer had cancelled it, which it heard first: the action came to nothing."""
    order = await never_placed(world, "LATE")
    await world.worker.drain()
    await world.journal.signal(order.id, CANCEL, {"reason": "changed our mind"}, "cancel:1")
    with world.call(consumer="operator", subject="Mary", key="R-1"):
        started = (await world.operations.start_redrive(cancelling(order))).body
        await Draining(world.journal)._look()
        assert (await world.operations.get_redrive(started.id)).applied == 1
        world.worker = Worker(world.journal)
        await world.worker.start()
        await world.reaches(order.id, commercial="cancelled")

        async def told():
            failed = ItemQuery(outcome="failed")
            return (await world.operations.list_redrive_items(started.id, failed)).items

        (item,) = await world.until(told, what="the item to say so")
        done = await world.operations.get_redrive(started.id)

    assert item.reason == "The incident was over before the action could be taken."
    assert (done.state, done.applied, done.failed) == ("done", 0, 1)


async def test_one_by_one_it_is_refused_with_the_same_words(world):
    """Whoever asks: the order itself says that its goods have left."""
    order = await gone(world, "GONE")

    with pytest.raises(ActionNotAllowed, match=GONE):
        await world.journal.remedy(order.exception.id, Action.CANCEL, "Mary")
    with pytest.raises(ProblemError) as refused:
        await world.mends(order.id, "cancel")

    assert refused.value.problem.slug == "remedy-not-allowed"
