"""Bad days with Salesforce: reports may be repeated at will, sessions end, so does the day."""

import pytest

from contracts.canonical.ids import customer_id
from contracts.canonical.money import money
from contracts.outcomes import CallFailedError, Malformed, Throttled, Unavailable
from contracts.ports.crm import OrderReport, Reports
from deploy.sandbox.salesforce.policy import OrgPolicy
from runtime.budget import Allowance
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

DEAL = next(iter(SMALL.deals.values()))
UPSERT = "collections.ERP_Order__c.upsert"


@pytest.fixture
async def vendors():
    async with connected(allowances={"salesforce": Allowance(daily=100_000)}) as vendors:
        await vendors.crm.get_deal(f"sf:{DEAL.id}")
        yield vendors


def reports(*references):
    return Reports(
        reports=tuple(
            OrderReport(
                reference=reference, version=1, order="ord_1", customer=customer_id(DEAL.customer),
                commercial="confirmed", credit="approved", fulfilment="released",
                billing="not-invoiced", net_amount=money(1, "GBP"), message="On its way.",
            )
            for reference in references
        )
    )  # fmt: skip


async def failure_of(awaitable):
    with pytest.raises(CallFailedError) as caught:
        await awaitable
    return caught.value.failure


async def test_a_lost_answer_to_a_report_leaves_no_doubt_and_one_row(vendors):
    vendors.fault("salesforce", "drop_after", UPSERT)
    results = (await vendors.crm.report_orders(reports("INV-1"))).results
    assert [result.done for result in results] == [True]
    rows = vendors.ledger("salesforce")
    assert {row.external_reference for row in rows} == {"INV-1"}
    assert len({row.entity for row in rows}) == 1


async def test_an_ended_session_is_opened_again_once(vendors):
    vendors.fault("salesforce", "error_before", UPSERT, status=401)
    assert (await vendors.crm.report_orders(reports("INV-1"))).results[0].done
    assert vendors.calls("salesforce").count("token") == 2


async def test_the_end_of_the_days_allocation_is_a_long_pause(vendors):
    vendors.fault("salesforce", "throttle", UPSERT)
    failure = await failure_of(vendors.crm.report_orders(reports("INV-1")))
    assert failure == Throttled(system="salesforce", retry_after=60.0)


async def test_the_vendors_count_of_the_day_is_learned_from_its_answers(vendors):
    (standing,) = vendors.broker.standing()
    assert standing.limit == 100_000
    assert 0 < standing.used < 10


async def test_the_vendors_count_is_learned_from_a_refusal_too(vendors):
    await failure_of(vendors.crm.get_deal("sf:006000000000000AAA"))
    (before,) = vendors.broker.standing()
    vendors.fault("salesforce", "throttle", UPSERT)
    await failure_of(vendors.crm.report_orders(reports("INV-1")))
    (standing,) = vendors.broker.standing()
    assert standing.used > before.used


async def test_a_locked_row_may_be_told_again():
    async with connected(org=OrgPolicy(lock_rate=1.0)) as vendors:
        (result,) = (await vendors.crm.report_orders(reports("INV-1"))).results
    assert not result.done
    assert result.retryable
    assert result.detail == "unable-to-lock-row"


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("error_before", {"status": 503}, Unavailable),
        ("outage", {}, Unavailable),
        ("truncated_json", {}, Malformed),
    ],
)
async def test_an_answer_that_is_none_leaves_no_doubt_about_an_upsert(
    vendors, kind, more, expected
):
    vendors.fault("salesforce", kind, UPSERT, count=2, **more)
    failure = await failure_of(vendors.crm.report_orders(reports("INV-1")))
    assert isinstance(failure, expected)
