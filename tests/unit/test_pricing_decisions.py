"""What is decided about price, credit and stock, from figures alone."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.canonical.credit import CreditPosition
from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import money
from contracts.canonical.pricing import PriceLadder, PriceStep
from contracts.canonical.shapes import Standing
from contracts.canonical.stock import StockAt, StockPosition
from process_apis.pricing_credit import decisions, references

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ADATUM = customer_id("10000")
CHAIR = item_id("1900-S")


def a_ladder(*breaks):
    return PriceLadder(
        customer=ADATUM,
        item=CHAIR,
        unit_of_measure="PCS",
        list_price=money("25.50", "GBP"),
        steps=tuple(
            PriceStep(
                minimum_quantity=Decimal(least), unit_price=money(price, "GBP"), basis="customer"
            )
            for least, price in breaks
        ),
        as_of=NOW,
    )


def a_position(*, limit=None, balance=0, orders=0, overdue=0, blocked="none"):
    return CreditPosition(
        customer=ADATUM,
        limit=None if limit is None else money(limit, "GBP"),
        balance=money(balance, "GBP"),
        overdue=money(overdue, "GBP"),
        open_orders=money(orders, "GBP"),
        shipped_not_invoiced=money(0, "GBP"),
        blocked=blocked,
        as_of=NOW,
    )


@pytest.mark.parametrize(
    ("quantity", "price", "following"),
    [
        ("1", "25.50", "24.00"),
        ("9", "25.50", "24.00"),
        ("10", "24.00", "22.00"),
        ("99", "22.00", None),
    ],
)
def test_the_break_reached_sets_the_price_and_the_next_is_offered(quantity, price, following):
    line = decisions.priced_line(
        Decimal(quantity), a_ladder(("0", "25.50"), ("10", "24.00"), ("50", "22.00")), None
    )

    assert line.unit_price == money(price, "GBP")
    assert line.net_amount == money(Decimal(quantity) * Decimal(price), "GBP")
    assert line.description == "1900-S"  # nobody knows its name now
    offered = None if line.next_break is None else line.next_break.unit_price
    assert offered == (None if following is None else money(following, "GBP"))


@pytest.mark.parametrize(
    ("position", "requested", "unseen", "verdict"),
    [
        (a_position(), 10**9, 0, "approved"),
        (a_position(limit=1000, balance=400, orders=500), 100, 0, "approved"),
        (a_position(limit=1000, balance=400, orders=500), "100.01", 0, "over-limit"),
        (a_position(limit=1000, balance=400, orders=500), 100, 1, "over-limit"),
        (a_position(limit=1000, overdue=51), 1, 0, "overdue"),
        (a_position(limit=1000, overdue=50), 1, 0, "approved"),
        (a_position(blocked="shipping"), 1, 0, "blocked"),
    ],
)
def test_credit_is_decided_to_the_penny(position, requested, unseen, verdict):
    """Balance, open orders, what the ERP has not seen, and the new amount against the limit."""
    decision = decisions.credit_decision(
        position,
        money(requested, "GBP"),
        unseen=Decimal(unseen),
        overdue_tolerated=Decimal(50),
    )

    assert decision.verdict == verdict


def stock(item, **places):
    return item, StockPosition(
        item=item,
        places=tuple(
            StockAt(warehouse=w, on_hand=Decimal(n), available=Decimal(n))
            for w, n in places.items()
        ),
        as_of=NOW,
    )


def test_lines_of_one_item_do_not_promise_the_same_pieces_twice():
    positions = dict([stock(CHAIR, EAST=10, WEST=5)])
    wanted = [(CHAIR, Decimal(8)), (CHAIR, Decimal(8))]

    first, second = decisions.availability(wanted, positions)

    assert (first.sufficient, first.warehouse) == (True, "EAST")
    assert (second.sufficient, second.available, second.warehouse) == (False, Decimal(7), None)
    assert decisions.one_warehouse(wanted, positions) is None


@given(
    places=st.lists(st.integers(0, 50), min_size=1, max_size=4),
    wanted=st.lists(st.integers(1, 60), min_size=1, max_size=6),
)
def test_never_more_is_promised_than_there_is(places, wanted):
    positions = dict([stock(CHAIR, **{f"W{i}": n for i, n in enumerate(places)})])

    lines = decisions.availability([(CHAIR, Decimal(n)) for n in wanted], positions)

    assert sum(line.available for line in lines) <= sum(places)
    assert all(line.sufficient == (line.available == line.requested) for line in lines)


FIRM = Standing(freshness="firm", source="erp")
STALE = Standing(freshness="stale", source="erp")


@pytest.mark.parametrize(
    ("problems", "standings", "verdict"),
    [
        ([], [FIRM, FIRM], "ready"),
        ([], [FIRM, STALE], "provisional"),
        (["credit-limit-exceeded"], [STALE], "held"),
        (["credit-limit-exceeded", "item-unknown"], [FIRM], "refused"),
    ],
)
def test_the_verdict_weighs_what_stands_against_a_quote(problems, standings, verdict):
    assert decisions.verdict(problems, standings) == verdict


@pytest.mark.parametrize("name", ["cust_10000", "10000", "bc:10000", "BC:10000", " 10000 "])
def test_a_customer_goes_by_many_names(name):
    assert references.customer_of(name) == "cust_10000"


@pytest.mark.parametrize("name", ["item_1896-S", "1896-s", "bc:1896-S", "Item_1896-s"])
def test_an_item_goes_by_many_names(name):
    assert references.item_of(name) == "item_1896-S"


def test_an_id_of_the_crm_must_be_looked_up():
    assert references.customer_of("sf:001A0000012345") is None
