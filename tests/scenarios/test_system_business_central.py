"""Bad days with Business Central: what may have happened is found, what did not is said."""

import asyncio

import pytest

from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address
from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Conflict, Malformed, Throttled, Unavailable
from contracts.ports.erp import CancelErpOrder, ErpOrderLine, PlaceErpOrder, PriceEnquiry
from deploy.sandbox.business_central.tenant import Tenant
from runtime.budget import Allowance, Window
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

BUYER = next(c for c in SMALL.customers.values() if c.country == "GB" and not c.blocked)
ITEMS = [item for item in SMALL.items.values() if not item.blocked][:5]
CREATE = "salesOrders.create"


@pytest.fixture
async def vendors():
    async with connected(write_timeout=1.0, read_timeout=1.0) as vendors:
        await vendors.erp.get_customer(customer_id(BUYER.number))
        yield vendors


def an_order(reference="INV-1", **more):
    return PlaceErpOrder(
        reference=reference,
        customer=customer_id(BUYER.number),
        currency=BUYER.currency,
        lines=tuple(
            ErpOrderLine(item=item_id(item.number), quantity=3, unit_price=money(2, "GBP"))
            for item in ITEMS
        ),
        ship_to=Address(street="1 Quay", city="Leeds", country="GB"),
        **more,
    )


async def failure_of(awaitable):
    with pytest.raises(CallFailedError) as caught:
        await awaitable
    return caught.value.failure


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("drop_after", {}),
        ("error_after", {"status": 504}),
        ("error_after", {"status": 500}),
        ("half_answer", {}),
        ("truncated_json", {}),
        ("slow_answer", {"latency": 3.0}),
        ("reset", {}),
    ],
)
async def test_an_order_whose_answer_was_lost_is_in_doubt_and_then_found(vendors, kind, more):
    """However the answer is lost: one try, one doubt, one look-up, one order."""
    vendors.fault("business_central", kind, CREATE, **more)
    failure = await failure_of(vendors.erp.place_order(an_order()))
    assert isinstance(failure, Unavailable | Malformed)
    assert failure.may_have_happened
    vendors.forget_calls()
    placed = await vendors.erp.place_order(an_order(in_doubt=True))
    assert placed.found is (kind != "reset")
    assert placed.net_amount == money(30, "GBP")
    assert len(vendors.ledger("business_central", CREATE)) == 1


async def test_a_refused_connection_leaves_no_doubt():
    async with connected() as vendors:
        await vendors.erp.get_customer(customer_id(BUYER.number))
    failure = await failure_of(vendors.erp.place_order(an_order()))
    assert failure == Unavailable(
        system="business_central", may_have_happened=False, because="connect"
    )


async def test_five_outages_open_the_circuit_for_writes_while_reads_go_on(vendors):
    vendors.fault("business_central", "outage", CREATE, count=None)
    for at in range(8):
        await failure_of(vendors.erp.place_order(an_order(f"INV-{at}")))
    assert vendors.calls("business_central").count(CREATE) == 5
    assert await vendors.erp.get_customer(customer_id(BUYER.number))


async def test_a_read_is_tried_once_more_and_nobody_notices(vendors):
    vendors.fault("business_central", "drop_after", "customers.list")
    assert await vendors.erp.get_customer(customer_id(BUYER.number))


async def test_a_throttle_answer_is_told_with_its_pause_and_kept_by_the_whole_account():
    async with connected(allowances={"business_central": Allowance()}) as vendors:
        await vendors.erp.get_customer(customer_id(BUYER.number))
        vendors.fault("business_central", "throttle", CREATE, retryAfter=9)
        failure = await failure_of(vendors.erp.place_order(an_order()))
        assert failure == Throttled(system="business_central", retry_after=9.0)
        deadline = vendors.clock.monotonic() + 1
        with calling(CallContext(correlation_id="c", consumer="x", deadline=deadline)):
            other = await failure_of(vendors.erp.get_customer(customer_id(BUYER.number)))
        assert isinstance(other, Throttled)
        assert 8 < other.retry_after <= 9


async def test_an_expired_token_is_renewed_once_and_the_order_placed_once(vendors):
    vendors.fault("business_central", "error_before", CREATE, status=401)
    placed = await vendors.erp.place_order(an_order())
    assert not placed.found
    operations = vendors.calls("business_central")
    assert operations.count("token") == 2
    assert operations.count(CREATE) == 2
    assert len(vendors.ledger("business_central", CREATE)) == 1


async def test_wrong_credentials_are_told_as_such_and_not_tried_for_ever():
    async with connected() as vendors:
        vendors.fault("business_central", "error_before", "token", status=401, count=None)
        failure = await failure_of(vendors.erp.get_customer(customer_id(BUYER.number)))
        assert failure.because == "credentials refused"
        assert vendors.calls("business_central") == ["token"]


async def test_a_changed_order_is_not_deleted_behind_somebodys_back(vendors):
    await vendors.erp.place_order(an_order())
    vendors.fault(
        "business_central", "error_before", "salesOrders.delete", status=409,
        code="Request_EntityChanged",
    )  # fmt: skip
    cancel = CancelErpOrder(reference="INV-1", customer=customer_id(BUYER.number))
    assert isinstance(await failure_of(vendors.erp.cancel_order(cancel)), Conflict)
    assert (await vendors.erp.cancel_order(cancel)).was_there


async def test_a_caller_in_a_hurry_is_not_kept_waiting(vendors):
    vendors.fault("business_central", "latency", "customers.list", latency=2.0)
    deadline = vendors.clock.monotonic() + 0.2
    with calling(CallContext(correlation_id="c", consumer="x", deadline=deadline)):
        failure = await failure_of(vendors.erp.get_customer(customer_id(BUYER.number)))
    assert vendors.clock.monotonic() < deadline + 0.2
    assert failure == Unavailable(
        system="business_central", may_have_happened=False, because="time-out"
    )


async def test_the_vendors_limits_are_used_and_no_throttle_is_drawn():
    """Ten times as many calls at once as the vendor runs: all succeed, none is throttled."""
    told = Tenant(requests_per_window=60, window_seconds=2.0, parallel=5, queued=5)
    allowance = Allowance(windows=(Window(limit=60, seconds=2.0),), concurrency=5, reserve=0.0)
    async with connected(
        limits=True, tenant=told, allowances={"business_central": allowance}
    ) as vendors:
        started = vendors.clock.monotonic()
        await asyncio.gather(
            *(
                vendors.erp.get_customer(customer_id(number))
                for number in list(SMALL.customers)[:150]
            )
        )
        took = vendors.clock.monotonic() - started
        assert vendors.sandbox.context.limits.throttles() == {}
        assert 4.0 <= took < 4.6  # 152 calls in windows of 60: two full windows have to pass


async def test_without_the_budget_the_same_flood_is_throttled():
    """The planted defect: the test above would notice."""
    told = Tenant(requests_per_window=60, window_seconds=2.0)
    async with connected(limits=True, tenant=told) as vendors:
        results = await asyncio.gather(
            *(vendors.erp.get_customer(customer_id(n)) for n in list(SMALL.customers)[:150]),
            return_exceptions=True,
        )
        assert any(isinstance(result, CallFailedError) for result in results)
        assert vendors.sandbox.context.limits.throttles() != {}


async def test_without_the_price_page_a_drafted_quote_tells_the_prices_and_is_gone():
    bare = Tenant(custom_pages=False)
    enquiry = PriceEnquiry(
        customer=customer_id(BUYER.number),
        items=(*(item_id(item.number) for item in ITEMS), item_id("NOPE")),
    )
    async with connected() as vendors:
        paged = (await vendors.erp.price_ladders(enquiry)).ladders
    async with connected(tenant=bare) as vendors:
        drafted = (await vendors.erp.price_ladders(enquiry)).ladders
        vendors.forget_calls()
        await vendors.erp.price_ladders(enquiry)
        assert vendors.calls("business_central") == [
            "items.list", "salesQuotes.create", "salesQuotes.delete",
        ]  # fmt: skip
    assert [ladder.item for ladder in drafted] == [ladder.item for ladder in paged]
    for one, other in zip(drafted, paged, strict=True):
        for quantity in (1, 5, 10, 25, 50, 100, 250, 500, 1000):
            assert one.step_for(quantity).unit_price == other.step_for(quantity).unit_price


async def test_without_the_credit_page_the_order_book_is_summed():
    async def position(vendors):
        await vendors.erp.place_order(an_order())
        return await vendors.erp.credit_position(customer_id(BUYER.number))

    async with connected() as vendors:
        served = await position(vendors)
    async with connected(tenant=Tenant(custom_pages=False)) as vendors:
        summed = await position(vendors)
    assert summed.open_orders == served.open_orders
    assert summed.open_orders.amount > 0
