"""Others keep processes of their own in the journal: they are no orders, whoever asks."""

from datetime import timedelta

import pytest

from contracts.ports.quote_to_order import OrderQuery
from contracts.problems import ProblemError
from process_apis.propagation.happenings import release_cancelled
from process_apis.propagation.held import held_type, start_for
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio


async def nobody_knows_it(_):
    return False


@pytest.fixture
async def world(tmp_path):
    """An order, and beside it an event that came before any order it could be about."""
    distributor = World(tmp_path)
    distributor.neighbours = [held_type(nobody_knows_it, held_for=timedelta(hours=1))]
    await distributor.opens()
    early = release_cancelled("NOT-YET", "W-1")
    distributor.held = await distributor.journal.accept(start_for(early, distributor.journal.mint))
    yield distributor
    await distributor.closes()


@pytest.mark.parametrize("later", [False, True], ids=["at the first look", "at a later look"])
async def test_an_early_event_is_in_no_channels_sums(world, later):
    """Whenever it came: sums are added up anew, or go on from where they were."""
    if later:
        await world.totals("sales")
        await world.journal.accept(
            start_for(release_cancelled("NOT-YET-EITHER", "W-2"), world.journal.mint)
        )
    placed = await world.place(an_order(), key="INV-1")
    await world.reaches(placed.body.id, fulfilment="released")

    totals = await world.totals("sales")

    assert (totals.orders, totals.confirmed, totals.unreadable) == (1, 1, 0)


async def test_an_early_event_is_not_found_as_an_order(world):
    with pytest.raises(ProblemError) as refused:
        await world.order(world.held.process_id)
    by_reference = await world.operations.find_orders(
        OrderQuery(reference=f"HELD-{world.held.process_id}")
    )

    assert refused.value.problem.slug == "not-found"
    assert by_reference.orders == ()
