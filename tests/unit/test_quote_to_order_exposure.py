"""What is counted of customers' orders at a start, and what looking for it costs."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import msgspec
import pytest
from sqlalchemy import insert, select, text

from contracts.outcomes import Rejected
from process_apis.quote_to_order import queries
from process_apis.quote_to_order.exposure import OpenExposure, order_token
from process_apis.quote_to_order.queries import ORDER_KIND
from process_apis.quote_to_order.records import OrderRecord
from runtime.journal import accepting, moving
from runtime.journal.process import Lane, Process
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


def an_accepted(number, amount):
    """An order of one customer that was accepted."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    record = OrderRecord(
        channel="api",
        customer="cust_1",
        currency="GBP",
        net=Decimal(amount),
        exposure=Decimal(amount),
        placed_at=now,
        since=now,
    )
    return Process(
        id=f"{number}",
        kind=ORDER_KIND,
        version=1,
        reference=f"R-{number}",
        consumer="shop",
        operation="orders.place",
        key=f"K-{number}",
        lane=Lane.CAPTURE,
        entity=None,
        state="accepted",
        data=record,
        attempts=0,
        effects=(),
        revision=1,
        created_at=now,
        updated_at=now,
    )


def test_the_sum_is_that_of_the_orders_no_position_includes():
    """Whatever comes and goes: added, placed, put right, cancelled, asked for at any position."""
    random, now = Random(7), datetime(2026, 11, 22, tzinfo=UTC)
    exposure, there = OpenExposure(), {}
    for moment in range(2000):
        order = an_accepted(random.randrange(30), random.randrange(1, 100))
        token, at = order_token(order.consumer, order.key), now + timedelta(seconds=moment)
        match random.choice(["add", "decide", "place", "forget", "ask"]):
            case "add":
                exposure.add("cust_1", token, order.data.exposure)
                there.setdefault(token, [order.data.exposure, None])
            case "decide":
                exposure.decided(order, order.data)
                there.setdefault(token, [order.data.exposure, None])[0] = order.data.exposure
            case "place" if token in there:
                exposure.counted(order, at)
                there[token][1] = at
            case "forget":
                exposure.forget_process(order)
                there.pop(token, None)
            case _:
                as_of = at - timedelta(seconds=random.randrange(60))
                there = {k: v for k, v in there.items() if v[1] is None or v[1] >= as_of}
                assert exposure("cust_1", as_of) == sum(amount for amount, _ in there.values())
