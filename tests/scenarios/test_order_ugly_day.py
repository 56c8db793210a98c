"""One order on an ugly day, told as the sales rep reads it."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from process_apis.quote_to_order.settings import OrderSettings
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio

TOLD = Path(__file__).parent / "ugly_day.txt"
JARGON = ("signal", "wms.", "erp.", "state", "null", "None", "_", "{", "HTTP", "time-out")


async def test_the_timeline_of_an_ugly_day_reads_as_a_story(tmp_path):
    """The ERP's answer is lost, two leave and three wait, finance holds, the invoice comes late."""
    world = World(tmp_path, orders=OrderSettings(), allocates=True)
    world.has_item("CHAIR", "100.00")
    world.wms.stock_of["item_CHAIR"] = {"EAST": 5}
    await world.opens()
    day = world.clock.now()
    world.erp.loses_answers = 1
    reply = await world.place(an_order(("CHAIR", 5)), key="PO-4711")
    order = await world.reaches(reply.body.id, fulfilment="released")

    await world.ships(order, ("CHAIR", 2), tracking_numbers=("1Z999",), carrier="UPS")
    await world.until(lambda: len(world.erp.ledger) == 2, what="the first shipment")
    await world.reaches(order.id, fulfilment="partially-shipped")
    await world.journal_state(order.id, "released")
    world.wms.gone.clear()
    await world.holds(order, "the customer is 30 days overdue")
    await world.reaches(order.id, fulfilment="suspended")
    await world.journal_state(order.id, "suspended")
    await world.lets_go(order)
    await world.reaches(order.id, fulfilment="partially-shipped")
    await world.journal_state(order.id, "released")
    await world.ships(order, ("CHAIR", 3), tracking_numbers=("1Z1000",), carrier="UPS")
    await world.journal_state(order.id, "shipped")
    await world.bills(
        order, "PS-INV103001", 500, gross=600,
        invoice_date=date(2026, 11, 25), due_date=date(2026, 12, 25),
    )  # fmt: skip
    await world.reaches(order.id, billing="invoiced")
    await world.pays(order, "PS-INV103001", 250, remaining=350)
    await world.pays(order, "PS-INV103001", 350, remaining=0)
    await world.journal_state(order.id, "closed")

    story = await world.story(order.id)

    said = "\n".join([story.summary, story.next, "", *(entry.says for entry in story.entries), ""])
    today = {day.strftime("%-d %B %Y"), (day + timedelta(hours=1)).strftime("%-d %B %Y")}
    for date_said in today:
        said = said.replace(f" on {date_said}", " on (the day)")
    assert said == TOLD.read_text(encoding="utf-8")
    assert not [word for word in JARGON if word in said]
    await world.closes()
