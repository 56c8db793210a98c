"""Promises: what we said, signed; nobody else can say it for us."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from contracts.canonical.ids import customer_id, item_id
from contracts.problems import ProblemError
from process_apis.pricing_credit.promises import LONGEST, PromisedLine, Promises

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ADATUM = customer_id("10000")


def lines_of(count):
    return [
        PromisedLine(
            item=item_id(f"ITEM-{i}"), quantity=Decimal(i + 1), unit_price=Decimal(f"{i}.37")
        )
        for i in range(count)
    ]


@pytest.fixture
def promises():
    return Promises(b"sixteen bytes or more", valid_for=900)


def a_promise(promises, count=20, **changes):
    token, expires_at = promises.make(
        customer=ADATUM,
        currency="GBP",
        lines=lines_of(count),
        net_amount=Decimal("99.90"),
        nonce="n1",
        now=NOW,
    )
    return token, expires_at


def redeemed(promises, token, **changes):
    asked = {
        "customer": ADATUM,
        "currency": "GBP",
        "wanted": [(line.item, line.quantity) for line in lines_of(20)],
        "now": NOW + timedelta(minutes=14),
    }
    return promises.redeem(token, **(asked | changes))


def test_a_promise_says_what_was_said(promises):
    token, expires_at = a_promise(promises)

    promise = redeemed(promises, token)

    assert promise.prices == tuple(line.unit_price for line in lines_of(20))
    assert (promise.id, promise.net_amount) == ("n1", Decimal("99.90"))
    assert expires_at == NOW + timedelta(minutes=15)


@pytest.mark.parametrize(
    "changes",
    [
        {"customer": customer_id("20000")},
        {"currency": "EUR"},
        {"wanted": [(item_id("ITEM-0"), Decimal(2))]},
        {"now": NOW + timedelta(minutes=16)},
    ],
)
def test_it_holds_for_this_customer_these_goods_and_this_quarter_of_an_hour(promises, changes):
    token, _ = a_promise(promises)

    with pytest.raises(ProblemError) as refused:
        redeemed(promises, token, **changes)

    assert refused.value.problem.slug == "promise-invalid"


def test_no_character_of_it_can_be_changed(promises):
    """Every position, another character: never accepted, never a fault of ours."""
    token, _ = a_promise(promises, count=2)
    wanted = [(line.item, line.quantity) for line in lines_of(2)]
    for i, character in enumerate(token):
        forged = token[:i] + ("A" if character != "A" else "B") + token[i + 1 :]
        with pytest.raises(ProblemError):
            redeemed(promises, forged, wanted=wanted)


@pytest.mark.parametrize("token", ["", ".", "a.b", "é.ü", "." * 2000])
def test_nonsense_is_refused_as_such(promises, token):
    with pytest.raises(ProblemError):
        redeemed(promises, token)


def test_another_key_makes_another_promise(promises):
    token, _ = a_promise(Promises(b"another sixteen bytes", valid_for=900))

    with pytest.raises(ProblemError):
        redeemed(promises, token)


def test_a_long_quotes_promise_still_fits_an_order(promises):
    """Beyond what fits, the order must name the prices; the amount is still held to."""
    token, _ = a_promise(promises, count=2000)

    assert len(token) <= LONGEST
    promise = redeemed(
        promises, token, wanted=[(line.item, line.quantity) for line in lines_of(2000)]
    )
    assert promise.prices == ()


def test_a_weak_key_is_refused_at_the_start():
    with pytest.raises(ValueError, match="16 bytes"):
        Promises(b"short", valid_for=900)
