"""Stock kept for confirmed orders: split by warehouse, waited for, and given back."""

import pytest

from contracts.events.taxonomy import RecordChanged
from contracts.outcomes import Rejected
from process_apis.quote_to_order.settings import CHANNELS, ChannelPolicy, OrderSettings
from process_apis.quote_to_order.signals import STOCK_ARRIVED
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path):
    """A distributor that allocates stock itself, in two warehouses."""
    distributor = World(tmp_path, allocates=True)
    distributor.has_item("CHAIR", "10.00")
    distributor.has_item("TABLE", "50.00")
    await distributor.opens()
    yield distributor
    await distributor.closes()


def stock(world, **of):
    """Set what each warehouse has: CHAIR={"EAST": 5}."""
    for item, places in of.items():
        world.wms.stock_of[f"item_{item}"] = places


async def test_what_one_warehouse_has_goes_as_one_fulfilment_order(world):
    """WEST alone has all of it, so EAST is left in peace; the reservation is used up."""
    stock(world, CHAIR={"EAST": 2, "WEST": 5}, TABLE={"EAST": 9, "WEST": 9})

    reply = await world.place(an_order(("CHAIR", 4), ("TABLE", 1)), key="ONE")
    order = await world.reaches(reply.body.id, fulfilment="released")

    assert world.wms.lines_of("ONE") == ("WEST", [("CHAIR", 4), ("TABLE", 1)])
    assert [release.reference for release in order.releases] == ["ONE"]
    effects = (await world.journal.get(order.id)).effects
    assert [(e.name, e.key, e.undone_at is None) for e in effects] == [
        ("erp.order", "ONE", True),
        ("inventory.reservation", "ONE", False),
        ("wms.order", "ONE", True),
    ]
    said = [entry.says for entry in (await world.story(order.id)).entries]
    assert said[2] == "Kept in stock: 5 pieces in WEST."


async def test_an_order_that_no_warehouse_has_alone_is_split(world):
    stock(world, CHAIR={"EAST": 3, "WEST": 5}, TABLE={"EAST": 1, "WEST": 0})

    reply = await world.place(an_order(("CHAIR", 8), ("TABLE", 1)), key="SPLIT")
    order = await world.reaches(reply.body.id, fulfilment="released")

    assert world.wms.lines_of("SPLIT") == ("EAST", [("CHAIR", 3), ("TABLE", 1)])
    assert world.wms.lines_of("SPLIT+2") == ("WEST", [("CHAIR", 5)])
    assert [a.quantity for a in order.lines[0].allocations] == [3, 5]
    await world.crm_shows("SPLIT", "released to the warehouses EAST and WEST")
    await world.ships(order, ("CHAIR", 5), release="SPLIT+2", warehouse="WEST")
    order = await world.reaches(order.id, fulfilment="partially-shipped")
    assert [release.state for release in order.releases] == ["open", "shipped"]


async def test_the_second_part_of_a_split_is_never_taken_for_another_order(world):
    """Whoever orders under the name that the second release might have had is not mixed up."""
    stock(world, CHAIR={"EAST": 3, "WEST": 5})
    other = await world.place(an_order(("1896-S", 1)), key="SPLIT-2")
    reply = await world.place(an_order(("CHAIR", 8)), key="SPLIT")

    await world.reaches(other.body.id, fulfilment="released")
    await world.reaches(reply.body.id, fulfilment="released")

    assert [reference for _, reference in world.wms.ledger] == ["SPLIT-2", "SPLIT", "SPLIT+2"]


async def test_what_nobody_has_waits_and_goes_when_it_arrives(world):
    """Three go now, two wait; stock comes, and they go as an order of their own."""
    stock(world, CHAIR={"EAST": 3, "WEST": 0})
    reply = await world.place(an_order(("CHAIR", 5)), key="WAITS")
    order = await world.until(lambda: _waiting(world, reply), what="two chairs to wait")
    assert (order.fulfilment, order.lines[0].backordered) == ("released", 2)
    assert (await world.story(order.id)).next == (
        "What is missing is released when stock arrives: 2 of CHAIR."
    )

    stock(world, CHAIR={"EAST": 3, "WEST": 4})
    told = RecordChanged(system="wms", entity="stock", id="item_CHAIR")
    await world.hears(order.id, STOCK_ARRIVED, told, "stock-1")

    await world.until(lambda: "WAITS+2" in world.wms.asked_to_ship, what="the rest to go")
    assert world.wms.lines_of("WAITS+2") == ("WEST", [("CHAIR", 2)])
    order = await world.reaches(order.id, fulfilment="released")
    assert order.lines[0].backordered == 0


async def _waiting(world, reply):
    process = await world.journal.get(reply.body.id)
    return await world.order(reply.body.id) if process.state == "backordered" else None


async def test_an_order_of_which_nothing_is_there_waits_whole_and_is_looked_for(world):
    """No message about stock ever comes: it is looked for every few minutes all the same."""
    stock(world, CHAIR={"EAST": 0, "WEST": 0})
    reply = await world.place(an_order(("CHAIR", 5)), key="NONE")
    order = await world.reaches(reply.body.id, fulfilment="backordered")
    await world.crm_shows("NONE", "waits for stock")
    assert world.wms.ledger == []

    stock(world, CHAIR={"EAST": 5})
    world.time_passes(minutes=6)

    await world.reaches(order.id, fulfilment="released")
    assert [entry.says for entry in (await world.story(order.id)).entries].count(
        "Waits for stock: 5 of CHAIR."
    ) == 1


async def test_a_channel_without_partial_delivery_waits_until_all_is_there(tmp_path):
    whole = ChannelPolicy(pricing="tolerance", partial_delivery=False)
    world = World(
        tmp_path, allocates=True, orders=OrderSettings(channels={**CHANNELS, "sales": whole})
    )
    world.has_item("CHAIR", "10.00")
    await world.opens()
    stock(world, CHAIR={"EAST": 3})
    reply = await world.place(an_order(("CHAIR", 5)), key="WHOLE")
    order = await world.reaches(reply.body.id, fulfilment="backordered")
    stock(world, CHAIR={"EAST": 4})
    before = world.wms.calls.count("stock")
    world.time_passes(minutes=6)
    await world.until(lambda: world.wms.calls.count("stock") > before, what="it to be looked for")
    assert world.wms.ledger == []

    stock(world, CHAIR={"EAST": 4, "WEST": 1})
    world.time_passes(minutes=6)

    await world.reaches(order.id, fulfilment="released")
    assert [reference for _, reference in world.wms.ledger] == ["WHOLE", "WHOLE+2"]
    await world.closes()


async def test_two_orders_do_not_get_the_same_piece(world):
    """Five chairs, two orders of four: one is released whole, the other in part."""
    stock(world, CHAIR={"EAST": 5})

    first = await world.place(an_order(("CHAIR", 4)), key="A", wait=None)
    second = await world.place(an_order(("CHAIR", 4)), key="B", wait=None)
    for reply in (first, second):
        await world.reaches(reply.body.id, fulfilment="released")

    pieces = [sum(n for _, n in world.wms.lines_of(ref)[1]) for ref in ("A", "B")]
    assert sorted(pieces) == [1, 4]


async def test_a_split_order_is_undone_last_release_first_each_once(world):
    stock(world, CHAIR={"EAST": 3, "WEST": 5})
    reply = await world.place(an_order(("CHAIR", 8)), key="SPLIT")
    await world.reaches(reply.body.id, fulfilment="released")

    await world.cancels(reply.body.id)
    await world.reaches(reply.body.id, commercial="cancelled")

    assert world.wms.ledger[2:] == [("cancel", "SPLIT+2"), ("cancel", "SPLIT")]
    assert world.erp.ledger[-1] == ("cancel", "SPLIT")
    order = await world.order(reply.body.id)
    assert {release.state for release in order.releases} == {"cancelled"}


async def test_stock_kept_for_an_order_that_is_cancelled_is_free_again(world):
    """The warehouse refuses the release; the order is cancelled; the next one gets the chairs."""
    stock(world, CHAIR={"EAST": 4})
    world.wms.refuses.append(
        Rejected(
            system="shiphero", reason="business-rule", detail="no", category="warehouse-rejection"
        )
    )
    reply = await world.place(an_order(("CHAIR", 4)), key="FIRST")
    await world.until(world.exceptions, what="the refusal")

    await world.cancels(reply.body.id)
    await world.reaches(reply.body.id, commercial="cancelled")
    second = await world.place(an_order(("CHAIR", 4)), key="SECOND")

    await world.reaches(second.body.id, fulfilment="released")


async def test_a_held_orders_stock_lapses_and_is_allocated_again(world):
    """Nobody keeps stock for ever: after a day on hold it goes to others, and later to it again."""
    stock(world, CHAIR={"EAST": 4})
    world.wms.refuses.append(
        Rejected(
            system="shiphero", reason="business-rule", detail="no", category="warehouse-rejection"
        )
    )
    reply = await world.place(an_order(("CHAIR", 4)), key="HELD")
    order = await world.order(reply.body.id)
    await world.until(world.exceptions, what="the refusal")
    await world.holds(order)
    await world.journal_state(order.id, "suspended")
    world.time_passes(hours=25)
    other = await world.place(an_order(("CHAIR", 4)), key="OTHER")
    await world.reaches(other.body.id, fulfilment="released")

    await world.lets_go(order)
    await world.reaches(order.id, fulfilment="backordered")
    stock(world, CHAIR={"EAST": 4, "WEST": 4})
    world.time_passes(minutes=6)

    await world.reaches(order.id, fulfilment="released")
    assert world.wms.lines_of("HELD") == ("WEST", [("CHAIR", 4)])


async def test_a_release_whose_answer_is_lost_is_not_made_twice(world):
    stock(world, CHAIR={"EAST": 3, "WEST": 5})
    world.wms.loses_answers = 1

    reply = await world.place(an_order(("CHAIR", 8)), key="LOST")
    await world.reaches(reply.body.id, fulfilment="released")

    assert world.wms.ledger == [("release", "LOST"), ("release", "LOST+2")]


async def test_an_item_no_warehouse_knows_is_somebodys_question(world):
    """It would wait for ever otherwise."""
    del world.wms.stock_of["item_TABLE"]

    reply = await world.place(an_order(("TABLE", 1)), key="ODD")
    (view,) = await world.until(world.exceptions, what="the exception")

    assert (view.order, view.exception.category) == (reply.body.id, "master-data-mismatch")
    assert "No warehouse stocks TABLE" in view.exception.detail


async def test_the_import_of_order_files_is_allocated_by_the_warehouse_as_ever(world):
    """Two moves and no reservation: history is not split."""
    stock(world, CHAIR={"EAST": 0})

    reply = await world.place(an_order(("CHAIR", 4, "9.99")), key="536365", consumer="importer")
    order = await world.reaches(reply.body.id, fulfilment="released")

    process = await world.journal.get(order.id)
    assert [effect.name for effect in process.effects] == ["erp.order", "wms.order"]
    assert len((await world.story(order.id)).entries) == 3
    assert process.data.releases == ()


async def test_a_hold_stops_every_part_of_a_split_order(world):
    stock(world, CHAIR={"EAST": 3, "WEST": 5})
    reply = await world.place(an_order(("CHAIR", 8)), key="SPLIT")
    order = await world.reaches(reply.body.id, fulfilment="released")

    await world.holds(order)
    await world.reaches(order.id, fulfilment="suspended")
    await world.journal_state(order.id, "suspended")

    assert world.wms.held == {"SPLIT", "SPLIT+2"}
    await world.lets_go(order)
    await world.reaches(order.id, fulfilment="released")
    await world.until(lambda: world.wms.held == set(), what="both to be let go")
