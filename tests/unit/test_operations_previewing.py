"""How long a redrive takes: the rate, or what an account allows, whichever is slower."""

from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.order import OrderLineRequest, OrderRequest
from contracts.ports.accounts import AccountBudget, Budgets
from contracts.problems import ProblemError
from process_apis.journal.amendments import check
from process_apis.journal.previewing import estimate


def an_account(account="erp-account", serves=("erp",), **told):
    known = {
        "used": 0, "limit": None, "credits_left": None, "running": 0, "waiting": 0,
        "waiting_by_lane": {}, "paused_seconds": 0.0, "exhausted_in_seconds": None,
    }  # fmt: skip
    return AccountBudget(account=account, serves=serves, **{**known, **told})


def of(*accounts):
    return Budgets(accounts=accounts)


def test_with_room_enough_the_rate_sets_the_time():
    """What an account has free now costs no time."""
    told = estimate(100, 10.0, {"erp": 200}, of(an_account(limit=6000, used=5800, per_second=20)))

    assert (told.seconds, told.slowest, told.calls) == (10.0, "rate", {"erp-account": 200})


def test_what_exceeds_the_room_comes_at_the_pace_of_the_account():
    """5,000 calls more than there is room for, at 20 a second."""
    told = estimate(
        100, 1000.0, {"erp": 5100}, of(an_account(limit=6000, used=5900, per_second=20))
    )

    assert (told.seconds, told.slowest) == (250.0, "erp-account")


def test_a_pause_the_vendor_asked_for_comes_first():
    account = an_account(limit=6000, used=0, per_second=20, paused_seconds=30.0)
    assert estimate(1, 10.0, {"erp": 1}, of(account)).seconds == 30.0
    assert estimate(1, 10.0, {}, of(account)).seconds == 0.1, "nothing is asked of it"


def test_credits_are_counted_by_what_a_call_has_cost():
    """1,000 calls of 20 credits: 16,000 more than there are, restored at 60 a second."""
    account = an_account(
        limit=7000,
        credits_left=4000.0,
        per_second=23,
        credits_per_second=60.0,
        credits_per_call=20.0,
    )
    assert estimate(1, 1.0, {"erp": 1000}, of(account)).seconds == pytest.approx(
        16_000 / 60, abs=0.1
    )


def test_two_systems_of_one_account_share_it():
    told = estimate(1, 1.0, {"erp": 3, "wms": 4}, of(an_account(serves=("erp", "wms"))))
    assert told.calls == {"erp-account": 7}


def test_without_budgets_the_rate_alone_counts():
    """The system tier is away: the calls keep our names for the systems."""
    told = estimate(10, 2.0, {"erp": 10_000}, None)
    assert (told.seconds, told.slowest, told.calls) == (5.0, "rate", {"erp": 10_000})


def refused(patch, *, is_for_amending=True):
    with pytest.raises(ProblemError) as caught:
        check(patch, is_for_amending=is_for_amending)
    assert caught.value.problem.slug == "remedy-not-allowed"
    return {fault.pointer for fault in caught.value.problem.errors}


def test_a_patch_is_refused_with_all_its_faults_before_any_order_has_it():
    """A name no order has, a value no order takes, and what an order cannot be without."""
    patch = {"poNumbr": "x", "poNumber": "x" * 36, "currency": None, "requestedDeliveryDate": None}
    assert refused(patch) == {"/amendment/poNumbr", "/amendment/poNumber", "/amendment/currency"}


def test_amending_needs_a_patch_and_nothing_else_takes_one():
    assert refused(None) == refused({}) == {"/amendment"}
    assert refused({"poNumber": "x"}, is_for_amending=False) == {"/amendment"}
    check(None, is_for_amending=False)


def test_whatever_an_order_was_is_a_patch_that_fits():
    """Lines, dates, an address in part: what is taken whole or merged passes."""
    line = OrderLineRequest(item="bc:10001", quantity=Decimal(2))
    order = OrderRequest(customer="bc:20001", lines=(line,), currency="GBP", po_number="PO-1")
    patch = {k: v for k, v in msgspec.to_builtins(order).items() if v is not None}
    check({**patch, "shipTo": {"street": "1 New Road"}}, is_for_amending=True)
