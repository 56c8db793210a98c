"""Whatever systems say, however often and in whatever order, is taken once and ends the same."""

import asyncio
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from process_apis.propagation.intake import Intake, Taken
from tests.propagation_feeds import (
    MemoryInbox,
    a_customer,
    a_package,
    an_invoice,
    at,
    disordered,
    history,
    outcome,
    tell,
    truth,
)

pytestmark = pytest.mark.anyio

ORDERS = ("INV-0", "INV-1", "INV-2")
CUSTOMERS = (("cust_20000", ["p-INV-0"]), ("cust_20001", ["p-INV-1", "p-INV-2"]))


def an_intake(inbox=None):
    inbox = inbox or MemoryInbox(ORDERS, CUSTOMERS)
    intake = Intake(inbox)
    intake.use(inbox)
    return intake, inbox


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_duplicates_and_disorder_end_as_what_happened_did(seed):
    """Each thing told up to five times, up to fifty places out of order."""
    random = Random(seed)
    said = history(random)
    feed = disordered(random, said)

    async def run():
        intake, inbox = an_intake()
        for one in feed:
            await tell(intake, one)
        return inbox

    inbox = asyncio.run(run())
    packages, bills, held = truth(said)
    told_packages, invoices, paid, told_held = outcome(inbox)
    assert told_packages == packages
    assert invoices == set(bills)
    assert told_held == held
    for number, bill in bills.items():
        received, remaining = paid.get(number, (Decimal(0), Decimal(100)))
        assert remaining == bill.remaining.amount
        assert received == Decimal(100) - bill.remaining.amount


async def test_a_push_and_a_poll_of_the_same_package_are_one():
    intake, inbox = an_intake()
    assert await intake.package(a_package()) is Taken.NEW
    assert await intake.package(a_package()) is Taken.KNOWN
    again, _ = an_intake(inbox)  # another process, which remembers nothing
    assert await again.package(a_package()) is Taken.KNOWN
    assert len(inbox.told("wms.goods.shipped")) == 1


async def test_an_invoice_is_posted_then_paid_in_parts():
    intake, inbox = an_intake()
    for remaining, second in (("100.00", 1), ("60.00", 2), ("60.00", 3), ("0.00", 4)):
        await intake.invoice(an_invoice(remaining, second))
    (posted,) = inbox.told("erp.invoice.posted")
    assert posted["remaining"]["amount"] == "100.00"
    paid = inbox.told("erp.invoice.paid")
    assert [data["amount"]["amount"] for data in paid] == ["40.00", "60.00"]
    assert [data["remaining"]["amount"] for data in paid] == ["60.00", "0.00"]


async def test_an_invoice_first_seen_when_paid_is_posted_before_it_is_paid():
    intake, inbox = an_intake()
    await intake.invoice(an_invoice("0.00", 5, state="paid"))
    assert [signal.name for _, signal in inbox.signals] == [
        "erp.invoice.posted",
        "erp.invoice.paid",
    ]


async def test_a_payment_taken_back_is_told_as_such():
    intake, inbox = an_intake()
    for remaining, second in (("100.00", 1), ("0.00", 2), ("100.00", 3), ("0.00", 4)):
        await intake.invoice(an_invoice(remaining, second))
    amounts = [data["amount"]["amount"] for data in inbox.told("erp.invoice.paid")]
    assert amounts == ["100.00", "-100.00", "100.00"]


async def test_a_cancelled_invoice_is_not_a_payment(caplog):
    intake, inbox = an_intake()
    await intake.invoice(an_invoice("100.00", 1))
    await intake.invoice(an_invoice("0.00", 2, state="cancelled"))
    assert inbox.told("erp.invoice.paid") == []
    assert "invoice_cancelled_in_erp" in [record.message for record in caplog.records]


async def test_a_blocked_customer_holds_each_of_its_open_orders_once():
    intake, inbox = an_intake()
    assert await intake.customer(a_customer("shipping", 1)) is Taken.NEW
    assert await intake.customer(a_customer("shipping", 1)) is Taken.KNOWN
    assert await intake.customer(a_customer("all", 2)) is Taken.NOTHING
    assert [target for target, _ in inbox.signals] == ["p-INV-1", "p-INV-2"]
    assert await intake.customer(a_customer("invoicing", 3)) is Taken.NEW
    assert [data["held"] for data in inbox.told("erp.hold.changed", "p-INV-1")] == [True, False]


async def test_a_customer_that_was_never_held_is_not_remembered_in_the_store():
    intake, inbox = an_intake()
    for number in range(30_000, 30_050):
        await intake.customer(a_customer("none", 1, str(number)))
    assert inbox.notes == {}


async def test_an_old_block_that_comes_after_the_release_holds_nobody():
    intake, inbox = an_intake()
    await intake.customer(a_customer("none", 5))
    assert await intake.customer(a_customer("all", 3)) is Taken.SUPERSEDED
    assert inbox.signals == []


async def test_an_order_is_told_of_by_the_reference_of_a_split_release():
    intake, inbox = an_intake()
    inbox.releases["INV-1-2"] = "p-INV-1"
    assert await intake.package(a_package(reference="INV-1-2")) is Taken.NEW
    assert [target for target, _ in inbox.signals] == ["p-INV-1"]


async def test_what_is_early_is_held_and_what_is_nobodys_is_not_told():
    intake, inbox = an_intake()
    early = a_package(reference="INV-9")
    assert await intake.package(early) is Taken.HELD
    assert await intake.package(early) is Taken.KNOWN
    assert list(inbox.held) == [early.id]
    assert await intake.invoice(an_invoice(reference=None)) is Taken.NOTHING
    happening = inbox.held[early.id].data.happening
    assert not await intake.offer(happening)
    inbox.references["INV-9"] = "p-INV-9"
    assert await intake.offer(happening)
    assert len(inbox.told("wms.goods.shipped")) == 1


async def test_references_that_the_erp_keeps_in_capitals_find_their_order():
    intake, _ = an_intake(MemoryInbox(("sf-0065gab",)))
    assert await intake.review("SF-0065GAB", at(1), held=True) is Taken.NEW
