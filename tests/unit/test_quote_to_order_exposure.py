"""What is counted of customers' orders at a start, and what looking for it costs."""

import msgspec
import pytest
from sqlalchemy import insert, select, text

from contracts.outcomes import Rejected
from process_apis.quote_to_order import queries
from runtime.journal import accepting, moving
from runtime.store.schema import process
from tests.scenarios.world import World, an_order

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path):
    distributor = World(tmp_path)
    distributor.has_customer("30000", limit=1200)
    await distributor.opens()
    yield distributor
    await distributor.closes()


def of_limited(*lines):
    return an_order(*lines, customer="cust_30000")


async def test_after_a_restart_what_is_not_in_the_erp_counts_and_the_rest_does_not(world):
    """With tax 720 is confirmed, 360 stopped and may be retried: 120 of 1200 is left."""
    confirmed = await world.place(of_limited(("1896-S", 6)))
    await world.reaches(confirmed.body.id, commercial="confirmed")
    refusal = Rejected(system="business_central", reason="business-rule", detail="no")
    world.erp.refuses.append(refusal)
    stopped = await world.place(of_limited(("1896-S", 3)))
    await world.reaches(stopped.body.id, commercial="on-exception")

    await world.closes()
    await world.opens()

    assert (await world.place(of_limited(("1908-S", 200)))).body.credit == "held"
    assert (await world.place(of_limited(("1896-S", 1)))).body.credit == "approved"


async def test_a_start_reads_no_order_that_the_erp_has(world):
    """However many are open: they are told apart in the index, without being read."""
    reply = await world.place(of_limited(("1896-S", 1)))
    await world.reaches(reply.body.id, fulfilment="released")
    query = select(process).where(process.c.id == reply.body.id)
    row = (await world.store.read(lambda c: c.execute(query).one()))._mapping
    row = {**row, "data": b"not to be read", "lease_owner": None, "due_at": None}
    rows = [
        row | {"id": f"0-{n}", "reference": f"R-{n}", "key": f"K-{n}", "state": state}
        for n, state in enumerate(["confirmed", "released", "shipped"] * 100)
    ]
    await world.store.write(lambda c: c.execute(insert(process), rows))

    assert await world.orders.fill_exposure() == 0


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (queries._NOT_IN_ERP, "process_state"),
        (moving._NEXT_IN_LINE, "process_entity"),
        (accepting._AHEAD, "process_entity"),
    ],
    ids=["not in the ERP", "next in line", "ahead in line"],
)
async def test_questions_about_open_processes_use_the_index_of_open_ones(world, query, index):
    """SQLite passes a partial index over for a question in other words than the index's own."""
    values = {"entity": "E", "ids": ["one"]}
    plain = query.params({k: v for k, v in values.items() if k in str(query)})
    compiled = plain.compile(
        dialect=world.store.dialect,
        compile_kwargs={"literal_binds": True, "render_postcompile": True},
    )
    plan = await world.store.read(lambda c: c.execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all())
    assert index in str(plan), msgspec.json.encode([str(step) for step in plan])
