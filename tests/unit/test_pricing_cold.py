"""What an order of many lines costs the ERP in calls while nothing is known of its items."""

import asyncio
import gc
from decimal import Decimal

import pytest

from contracts.canonical.ids import item_id
from contracts.canonical.order import OrderLineRequest, OrderRequest
from contracts.problems import ProblemError
from process_apis.pricing_credit.settings import CopySettings, PricingSettings
from tests.connected import SMALL, connected
from tests.scenarios.world import Erp, World, a_price_check, a_quote

pytestmark = pytest.mark.anyio

BUYER = next(
    c
    for c in SMALL.customers.values()
    if c.country == "GB" and not c.blocked and not c.credit_limit
)
LINES = tuple(
    OrderLineRequest(item=item.number, quantity=Decimal(1))
    for item in [item for item in SMALL.items.values() if not item.blocked][:50]
)


@pytest.fixture
async def world(tmp_path):
    distributor = World(tmp_path)
    for number in range(60):
        distributor.has_item(f"T-{number:03}", "2.00")
    await distributor.opens()
    yield distributor
    await distributor.closes()


def many(first=0, *, items=50):
    return [(f"T-{number:03}", 1) for number in range(first, first + items)]


async def test_a_cold_order_of_fifty_lines_asks_the_erp_three_times(tmp_path):
    """The customer, the items, the prices; the fourth call is the order itself."""
    async with connected() as vendors:
        world = World(tmp_path)
        world.erp, world.wms, world.crm = vendors.erp, vendors.wms, vendors.crm
        await world.opens()
        order = OrderRequest(
            customer=BUYER.number, currency=BUYER.currency, lines=LINES, po_number="COLD"
        )
        reply = await world.place(order)
        await world.closes()

        placed = reply.body
        assert (reply.status, placed.commercial, len(placed.lines)) == (201, "confirmed", 50)
        names = {item_id(item.number): item.name for item in SMALL.items.values()}
        assert {x.item: x.description for x in placed.lines}.items() <= names.items()
        asked = vendors.calls("business_central")
        assert sorted(set(asked) - {"token", "companies.list"}) == [
            "customers.list",
            "items.list",
            "netPrices.list",
            "salesOrders.create",
        ]
        assert len([one for one in asked if one not in {"token", "companies.list"}]) == 4


async def test_fifty_items_that_do_not_exist_cost_one_call_and_are_remembered(world):
    """Asked again at once, the answer costs nothing."""
    await world.records.refresh()
    world.erp.calls.clear()
    check = a_price_check(*((f"NO-{n}", 1) for n in range(50)))

    for _ in range(2):
        with pytest.raises(ProblemError) as refused:
            await world.sales.check_prices(check)
        found = refused.value.problem
        assert (found.slug, len(found.errors)) == ("item-unknown", 50)

    assert sorted(world.erp.calls) == ["items", "prices"]


async def test_items_just_created_are_found_by_what_changed(world):
    """Many at once by one listing, one or two by themselves."""
    await world.records.refresh()
    world.time_passes(hours=1)
    await world.records.refresh()
    world.erp.calls.clear()
    for number in range(100, 138):
        world.has_item(f"T-{number}", "3.00")

    quote = await world.sales.validate_quote(a_quote(*many(100, items=38)))
    assert (quote.verdict, str(quote.net_amount)) == ("ready", "114.00 GBP")
    assert (world.erp.calls.count("items"), world.erp.calls.count("item")) == (1, 0)

    world.has_item("T-138", "3.00")
    quote = await world.sales.validate_quote(a_quote(*many(137, items=2)))
    assert (quote.verdict, str(quote.net_amount)) == ("ready", "6.00 GBP")
    assert (world.erp.calls.count("items"), world.erp.calls.count("item")) == (1, 1)


async def test_old_copies_of_unchanged_items_are_firm_again_after_one_call(world):
    """After a long silence of the ERP: what it does not name as changed is as it was."""
    await world.records.refresh()
    world.time_passes(hours=1)
    world.has_item("T-007", "9.00", blocked=True)
    world.erp.calls.clear()

    quote = await world.sales.validate_quote(a_quote(*many()))

    assert [finding.problem for finding in quote.findings] == ["item-blocked"]
    assert quote.eligibility.standing.freshness == "firm"
    assert (world.erp.calls.count("items"), world.erp.calls.count("item")) == (1, 0)


async def test_a_listing_of_everything_is_read_once_for_all_who_wait(world):
    """Started cold, with the refresh under way: no order begins another one."""
    world.erp.takes_seconds = 0.05
    refresh = asyncio.create_task(world.records.refresh())
    await asyncio.sleep(0)

    quotes = await asyncio.gather(
        *(world.sales.validate_quote(a_quote(*many(at, items=20))) for at in (0, 20, 40))
    )
    await refresh

    assert [quote.verdict for quote in quotes] == ["ready"] * 3
    assert (world.erp.calls.count("items"), world.erp.calls.count("item")) == (1, 0)


async def test_a_listing_that_fails_when_nobody_waits_any_more_is_no_stray_failure(world):
    """Stopped while it starts, with the ERP gone a moment later: the log is not told of it."""
    stray: list[dict] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, told: stray.append(told))
    world.erp.takes_seconds = 0.02
    refresh = asyncio.create_task(world.records.refresh())
    await asyncio.sleep(0.01)
    refresh.cancel()
    world.erp.away = True
    await asyncio.sleep(0.05)
    gc.collect()
    loop.set_exception_handler(before)

    assert refresh.cancelled()
    assert stray == []


async def test_a_listing_that_takes_too_long_is_not_waited_for(tmp_path):
    """A catalogue of a hundred pages: the items of this order are looked up instead."""

    class Endless(Erp):
        async def list_items(self, query):
            await asyncio.Event().wait()

    patience = CopySettings(firm_for=60.0, size=1000, patience=0.05)
    world = World(tmp_path, pricing=PricingSettings(items=patience))
    erp, world.erp = world.erp, Endless(world.clock)
    world.erp.customers, world.erp.items = erp.customers, erp.items
    await world.opens()

    quote = await world.sales.validate_quote(
        a_quote(("1896-S", 1), ("1900-S", 1), ("1908-S", 1), ("NONE", 1))
    )
    await world.closes()

    assert [finding.problem for finding in quote.findings] == ["item-unknown"]
    assert world.erp.calls.count("item") == 4
