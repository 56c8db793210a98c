"""Bad days with the warehouse: it takes an order twice without a word, so we must not send it."""

import time
from decimal import Decimal

import pytest

from contracts.canonical.ids import item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address
from contracts.outcomes import CallFailedError, Malformed, Rejected, Throttled, Unavailable
from contracts.ports.wms import CancelRelease, ReleaseOrder, StockEnquiry, WarehouseLine
from runtime.budget import Allowance, Bucket
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

ITEM = next(item for item in SMALL.items.values() if min(item.stock.values()) > 50)


@pytest.fixture
async def vendors():
    async with connected(allowances={"shiphero": Allowance()}) as vendors:
        await vendors.wms.stock(StockEnquiry(items=(item_id(ITEM.number),)))
        yield vendors


def a_release(**more):
    line = WarehouseLine(
        number=1,
        item=item_id(ITEM.number),
        quantity=Decimal(2),
        unit_price=money(3, "GBP"),
        description="x",
    )
    to = Address(street="1 Quay", city="Leeds", country="GB", name="Goods in")
    said = {"reference": "INV-1", "lines": (line,), "ship_to": to, "total": money(6, "GBP")}
    return ReleaseOrder(**said | more)


async def failure_of(awaitable):
    with pytest.raises(CallFailedError) as caught:
        await awaitable
    return caught.value.failure


@pytest.mark.parametrize(
    ("kind", "more"),
    [("drop_after", {}), ("error_after", {"status": 502}), ("truncated_json", {}), ("reset", {})],
)
async def test_a_release_whose_answer_was_lost_is_in_doubt_and_then_found(vendors, kind, more):
    vendors.fault("wms", kind, "order_create", **more)
    failure = await failure_of(vendors.wms.release(a_release()))
    assert isinstance(failure, Unavailable | Malformed)
    assert failure.may_have_happened
    released = await vendors.wms.release(a_release(in_doubt=True))
    assert released.found is (kind != "reset")
    assert len(vendors.ledger("wms", "order_create")) == 1


async def test_code_30_is_a_pause_of_the_seconds_it_names(vendors):
    vendors.fault("wms", "throttle", "order_create", retryAfter=18)
    failure = await failure_of(vendors.wms.release(a_release()))
    assert failure == Throttled(system="shiphero", retry_after=18.0)
    (standing,) = vendors.broker.standing()
    assert 17 < standing.paused_seconds <= 18


async def test_the_credits_a_throttle_counts_are_believed():
    """Another program spends of the same account: its throttle tells what is really left."""
    allowance = Allowance(bucket=Bucket(capacity=4004, restore=60))
    async with connected(limits=True, allowances={"shiphero": allowance}) as vendors:
        await vendors.wms.stock(StockEnquiry(items=(item_id(next(iter(SMALL.items))),)))
        (before,) = vendors.broker.standing()
        bucket = vendors.sandbox.vendors.mounted["shiphero"]._bucket
        bucket.take(bucket.remaining() - 5)
        assert isinstance(await failure_of(vendors.wms.release(a_release())), Throttled)
        (standing,) = vendors.broker.standing()
    assert before.credits_left > 3900
    assert standing.credits_left < 30


async def test_an_expired_token_is_renewed_without_the_password(vendors):
    vendors.fault("wms", "error_before", "order_create", status=401)
    assert not (await vendors.wms.release(a_release())).found
    assert len(vendors.ledger("wms", "order_create")) == 1
    requests = vendors.sandbox.context.requests.entries("wms")
    tokens = [one["path"] for one in requests if one["operation"] == "token"]
    assert [str(path).rpartition("/")[2] for path in tokens] == ["token", "refresh"]


async def test_what_has_shipped_cannot_be_taken_back(vendors):
    released = await vendors.wms.release(a_release())
    warehouse = vendors.sandbox.vendors.mounted["shiphero"]
    ship = b'{"orderNumber":"INV-1","lines":[{"sku":"%s","quantity":1}]}' % ITEM.number.encode()
    from deploy.sandbox.wire import Request

    scope = {"method": "POST", "path": "/_sandbox/warehouse/ship", "headers": []}
    reply = await warehouse.floor.answer(Request(scope, ship))
    assert reply.status < 300, reply.body
    failure = await failure_of(
        vendors.wms.cancel_release(CancelRelease(reference="INV-1", reason="late"))
    )
    assert isinstance(failure, Rejected)
    assert failure.reason == "order-not-cancellable"
    assert failure.category == "warehouse-rejection"
    assert (await vendors.wms.find_release("INV-1")).id == released.id


async def test_credits_are_spent_to_the_last_and_no_throttle_is_drawn():
    """The first answers teach what calls cost; from then on the bucket is never overdrawn."""
    allowance = Allowance(bucket=Bucket(capacity=4004, restore=60), reserve=0.0)
    async with connected(limits=True, allowances={"shiphero": allowance}) as vendors:
        items = tuple(item_id(number) for number in list(SMALL.items)[:100])
        for _ in range(30):
            began = time.monotonic()
            await vendors.wms.stock(StockEnquiry(items=items))
        assert vendors.sandbox.context.limits.throttles() == {}
        bucket = vendors.sandbox.vendors.mounted["shiphero"]._bucket
        (standing,) = vendors.broker.standing()
        # what was restored while the last answer was on its way may not be counted yet
        on_its_way = allowance.bucket.restore * (time.monotonic() - began)
        left = bucket.remaining()
        assert left - on_its_way - 10 <= standing.credits_left <= left + 10


async def test_an_outage_of_the_warehouse_says_that_nothing_happened_once_the_circuit_is_open(
    vendors,
):
    vendors.fault("wms", "outage", count=None)
    for at in range(5):
        assert (await failure_of(vendors.wms.release(a_release(reference=f"R-{at}")))).system
    failure = await failure_of(vendors.wms.release(a_release()))
    assert failure == Unavailable(
        system="shiphero", may_have_happened=False, because="circuit open"
    )
