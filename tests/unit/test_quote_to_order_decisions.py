"""Decisions about orders and credits, from values alone."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.canonical.ids import customer_id, item_id
from contracts.problems import ProblemError
from process_apis.quote_to_order import decisions, matching
from process_apis.quote_to_order.deals import whole_id
from process_apis.quote_to_order.history import Claim, SoldOrder
from process_apis.quote_to_order.records import AgreedLine, Match

CHAIR = item_id("CHAIR")
ADATUM = customer_id("10000")


@pytest.mark.parametrize("key", ["536365", "C536379", "WEB-2026/11.22_1", "A" * 35])
def test_a_key_that_every_system_takes_is_the_reference(key):
    assert decisions.reference_for(key) == key


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255))
def test_every_key_has_a_reference_that_every_system_takes(key):
    """At most 35 plain characters (Business Central's limit)."""
    reference = decisions.reference_for(key)

    assert 1 <= len(reference) <= 35
    assert reference == decisions.reference_for(key)
    assert set(reference) <= set(decisions.reference_for("x" * 36) + _PLAIN)


_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-"


def test_long_keys_that_begin_alike_have_references_of_their_own():
    """A UUID has 36 characters: one more than fits."""
    one = decisions.reference_for("0b6e2a52-6f0c-4b62-9d70-5c1f4a3b2c1d")
    other = decisions.reference_for("0b6e2a52-6f0c-4b62-9d70-5c1f4a3b2c1e")

    assert one != other
    assert one.startswith("0b6e2a52-6f0c-4b62-9d7")


def test_an_account_of_the_crm_cannot_be_guessed_while_the_crm_is_away():
    with pytest.raises(ProblemError) as refused:
        decisions.customer_as_asked("sf:001A0000012345")

    assert refused.value.problem.slug == "upstream-unavailable"


def test_the_long_form_of_a_deals_id_says_which_letters_are_capitals():
    """Five letters a character, the first letter the lowest bit: VALDt has capitals 1 to 4."""
    assert whole_id("sf:0015000000VALDt") == "0015000000VALDtAAP"
    assert whole_id("0015000000vALDT") == "0015000000vALDTAA4"
    assert whole_id("0015000000VALDtAAP") == "0015000000VALDtAAP"


def sold(order, quantity, price, *, on=date(2011, 3, 1), state="released", item=CHAIR):
    return SoldOrder(
        id=order,
        reference=f"REF-{order}",
        state=state,
        order_date=on,
        currency="GBP",
        lines=(AgreedLine(item, Decimal(quantity), Decimal(price), "agreed"),),
    )


def wanted(quantity, price="10.00"):
    return [AgreedLine(CHAIR, Decimal(quantity), Decimal(price), "agreed")]


def matched(lines, orders, claims=(), before=date(2011, 3, 31)):
    return matching.match(lines, orders, claims, currency="GBP", before=before)


def test_the_newest_order_at_the_very_price_is_credited_first():
    orders = [
        sold("1", 10, "10.00", on=date(2011, 1, 1)),
        sold("2", 10, "10.00", on=date(2011, 2, 1)),
        sold("3", 10, "12.00", on=date(2011, 3, 1)),
    ]

    (found,), missing = matched(wanted(4), orders)

    assert (found.order, found.unit_price, missing) == ("2", Decimal("10.00"), ())


def test_another_price_will_do_if_it_was_not_less():
    """Nobody gets more back than was paid."""
    assert matched(wanted(4), [sold("1", 10, "12.00")])[0][0].unit_price == Decimal("10.00")
    assert matched(wanted(4), [sold("1", 10, "9.99")]) == ((), (0,))


@pytest.mark.parametrize(
    "order",
    [
        sold("1", 3, "10.00"),
        sold("1", 10, "10.00", on=date(2011, 4, 1)),
        sold("1", 10, "10.00", state="cancelled"),
        sold("1", 10, "10.00", item=item_id("TABLE")),
    ],
    ids=["too few", "later", "cancelled", "another item"],
)
def test_what_does_not_fit_is_not_credited(order):
    assert matched(wanted(4), [order]) == ((), (0,))


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    asks=st.lists(st.integers(1, 20), min_size=1, max_size=12),
)
def test_no_series_of_credits_takes_more_than_was_sold(sizes, asks):
    orders = [sold(str(i), n, "10.00") for i, n in enumerate(sizes)]
    claims = []
    for number, quantity in enumerate(asks):
        matches, _ = matched(wanted(quantity), orders, claims)
        claims.append(Claim(id=f"c{number}", state="matched", undecided=False, matches=matches))

    taken = matching.taken_by(claims)

    assert all(taken.get((o.id, 1), 0) <= o.lines[0].quantity for o in orders)


def claimed(credit, state="matched"):
    match = Match(CHAIR, Decimal(6), Decimal(10), "1", "REF-1", 1, Decimal(10))
    return Claim(id=credit, state=state, undecided=False, matches=(match,))


def test_of_two_credits_that_claimed_at_once_the_younger_gives_way():
    """Claim, then look: too much is never posted, whoever looks first."""
    order = sold("1", 10, "10.00")
    claims = [claimed("a"), claimed("b")]

    assert matching.contest("a", claims, [order]) == "wait"
    assert matching.contest("b", claims, [order]) == "outrun"
    assert matching.contest("a", claims[:1], [order]) == "clear"


@pytest.mark.parametrize("state", ["credited", "stopped"])
def test_a_younger_credit_that_looked_first_and_was_posted_stands(state):
    order = sold("1", 10, "10.00")

    assert matching.contest("a", [claimed("a"), claimed("b", state)], [order]) == "outrun"
