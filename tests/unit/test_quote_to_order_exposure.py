"""What is counted of customers' orders at a start, and what looking for it costs."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import msgspec
import pytest
from sqlalchemy import insert, select, text

from contracts.canonical.credit import CreditPosition
from contracts.canonical.money import money
from contracts.outcomes import Rejected
from process_apis.quote_to_order import uncounted
from process_apis.quote_to_order.exposure import Asked, approved_on, asking, order_token, token_of
from process_apis.quote_to_order.records import ORDER_KIND, OrderRecord
from process_apis.quote_to_order.shared_exposure import SharedExposure, exposure_over
from process_apis.quote_to_order.uncounted import Uncounted
from runtime.clock import SystemClock
from runtime.journal import accepting, moving
from runtime.journal.process import Lane, Process
from runtime.store.claims import CLOCKS_APART
from runtime.store.schema import process
from tests.journal_orders import an_open_store, store_url  # noqa: F401  # a fixture
from tests.postgres_server import a_postgresql_database
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
        (uncounted._NOT_IN_ERP, "process_state"),
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


def a_position(as_of, *, owed=0, limit=None):
    """The ERP's word on what the customer owes."""
    none = money("0.00", "GBP")
    return CreditPosition(
        customer="cust_1", limit=None if limit is None else money(limit, "GBP"),
        balance=money(owed, "GBP"), overdue=none, open_orders=none, shipped_not_invoiced=none,
        blocked="none", as_of=as_of,
    )  # fmt: skip


@pytest.fixture
async def exposures(store_url):  # noqa: F811  # the fixture
    """Two programs on one store; on SQLite there is but one."""
    async with an_open_store(store_url) as first:
        if first.is_exclusive:
            alone = exposure_over(first, SystemClock())
            yield alone, alone
            return
        async with an_open_store(store_url) as second:
            yield exposure_over(first, SystemClock()), exposure_over(second, SystemClock())


async def test_the_sum_is_that_of_the_orders_no_position_includes(exposures):
    """Whatever comes and goes: added, placed, put right, cancelled, asked for at any position."""
    random, now = Random(7), datetime(2026, 11, 22, tzinfo=UTC)
    there, shared, as_of = {}, exposures[0] is not exposures[1], now
    for moment in range(300 if shared else 2000):
        exposure = random.choice(exposures)
        order = an_accepted(random.randrange(30), random.randrange(1, 100))
        token, at = token_of(order), now + timedelta(seconds=moment)
        match random.choice(["add", "decide", "place", "forget", "ask"]):
            case "add" if token not in there or there[token][1] is None:
                await exposure.take(token, order.data, None)
                there.setdefault(token, [order.data.exposure, None])
            case "decide" if token not in there or there[token][1] is None:
                await exposure.decided(order, order.data, Asked())
                there.setdefault(token, [order.data.exposure, None])[0] = order.data.exposure
            case "place" if token in there and there[token][1] is None:
                await exposure.counted(order, at)
                there[token][1] = at + (CLOCKS_APART if shared else timedelta())
            case "forget" if token in there and there[token][1] is None:
                await exposure.forget("cust_1", token)
                del there[token]
            case _:
                as_of = max(as_of, at - timedelta(seconds=random.randrange(60)))
                there = {k: v for k, v in there.items() if v[1] is None or v[1] >= as_of}
                expected = sum(amount for amount, _ in there.values())
                assert await exposure(a_position(as_of)) == expected


async def test_on_one_credit_one_order_is_let_in(exposures):
    """Both were approved on the same position; the one that comes second is over the limit."""
    first, second = exposures
    on = a_position(datetime.now(UTC), owed=400, limit=1000)
    orders = [an_accepted(n, 350) for n in range(2)]

    counted = [
        await exposure.take(token_of(order), order.data, on)
        for exposure, order in zip(exposures, orders, strict=True)
    ]

    assert counted == ["new", "over"]
    assert await first.take(token_of(orders[0]), orders[0].data, on) == "known"
    assert await second(on) == 350
    assert await second.take(token_of(orders[1]), orders[1].data, None) == "new", "a promise"
    with asking(token_of(orders[1])) as asked:
        assert await first(on) == 350, "without itself"
    assert asked.position == on


async def test_an_order_that_was_checked_again_is_counted_at_what_it_comes_to_now(exposures):
    """If others took the credit meanwhile, it is not, and stays at what it was."""
    first, second = exposures
    on = Asked(position=a_position(datetime.now(UTC), owed=0, limit=1000))
    await first.take("other", an_accepted(1, 500).data, None)
    await first.take(token_of(an_accepted(2, 100)), an_accepted(2, 100).data, None)

    assert not await second.decided(an_accepted(2, 600), approved(600), on)
    assert await first(on.position) == 600
    assert await second.decided(an_accepted(2, 450), approved(450), on)
    assert await first(on.position) == 950
    assert await second.decided(an_accepted(2, 450), held(450), on)
    assert await first(on.position) == 500


async def test_an_order_we_had_promised_is_counted_over_the_limit(exposures):
    """It was over the limit when it was checked, and approved all the same: it is not held up."""
    exposure = exposures[0]
    on = a_position(datetime.now(UTC), owed=900, limit=1000)
    with asking() as asked:
        await exposure(on)

    assert approved_on(approved(100), asked) == on
    assert approved_on(approved(101), asked) is None
    assert approved_on(held(50), asked) is None
    assert await exposure.decided(an_accepted(1, 300), approved(300), asked)
    assert await exposure(on) == 300


async def test_what_a_dead_process_left_is_mended(tmp_path):
    """A claim whose order was never accepted goes; an order without one is counted."""
    async with an_open_store(a_postgresql_database()) as store:
        clock = AdjustedClock()
        exposure = SharedExposure(store, clock)
        await exposure.take("lost", an_accepted(1, 500).data, None)
        accepted = Uncounted(consumer="shop", key="K-2", customer="cust_1", exposure=Decimal(70))

        async def not_in_erp():
            return [accepted]

        assert await exposure.mend(not_in_erp) == 0, "it may be on its way"
        clock.forward(minutes=2)
        assert await exposure.mend(not_in_erp) == 1
        clock.forward(minutes=2)
        assert await exposure.mend(not_in_erp) == 0
        assert await exposure(a_position(clock.now())) == 70


async def test_the_claim_of_an_order_that_cannot_be_read_stays(tmp_path):
    """It was taken when the order could be read: it is the best that is known, and not mended."""
    async with an_open_store(a_postgresql_database()) as store:
        clock = AdjustedClock()
        exposure = SharedExposure(store, clock)
        await exposure.take(order_token("shop", "K-1"), an_accepted(1, 500).data, None)
        unread = {"consumer": "shop", "key": "K-1", "customer": "cust_1", "unread": "R-1"}

        async def not_in_erp():
            return [Uncounted(**unread, exposure=None)]

        clock.forward(minutes=2)
        assert await exposure.mend(not_in_erp) == 0
        await exposure.fill([Uncounted(**unread, exposure=Decimal(90))])
        assert await exposure(a_position(clock.now())) == 500


class AdjustedClock(SystemClock):
    """The machine's clock, put forward."""

    def __init__(self):
        self._ahead = timedelta()

    def now(self):
        return super().now() + self._ahead

    def forward(self, **by):
        self._ahead += timedelta(**by)


def approved(amount):
    return msgspec.structs.replace(an_accepted(0, amount).data, credit="approved")


def held(amount):
    return msgspec.structs.replace(an_accepted(0, amount).data, credit="held")
