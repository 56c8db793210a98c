"""Which warehouse keeps what."""

from decimal import Decimal
from itertools import combinations
from random import Random

import pytest

from process_apis.inventory import decisions


def free(**stock):
    return {
        (item, warehouse): Decimal(quantity)
        for warehouse, items in stock.items()
        for item, quantity in items.items()
    }


def want(**items):
    return {item: Decimal(quantity) for item, quantity in items.items()}


def picked(wanted, stock, preferred=None, *, all_or_nothing=False):
    found = decisions.picked(wanted, stock, preferred=preferred, all_or_nothing=all_or_nothing)
    return {f"{item}@{place}": int(quantity) for (item, place), quantity in found.items()}


@pytest.mark.parametrize(
    ("wanted", "stock", "preferred", "kept"),
    [
        pytest.param(
            want(A=5), free(EAST={"A": 5}, WEST={"A": 9}), None, {"A@WEST": 5}, id="most stock"
        ),
        pytest.param(
            want(A=5), free(EAST={"A": 5}, WEST={"A": 9}), "EAST", {"A@EAST": 5}, id="preferred"
        ),
        pytest.param(
            want(A=5, B=1), free(EAST={"A": 99}, WEST={"A": 5, "B": 1}), "EAST",
            {"A@WEST": 5, "B@WEST": 1}, id="one that has all goes before a preferred one",
        ),
        pytest.param(
            want(A=5, B=1), free(EAST={"A": 5}, WEST={"A": 5}, EU={"B": 1}), "EAST",
            {"A@EAST": 5, "B@EU": 1}, id="two of three, the preferred one among them",
        ),
        pytest.param(
            want(A=5), free(EAST={"A": 3}, WEST={"A": 1}, EU={"A": 2}), None,
            {"A@EAST": 3, "A@EU": 2}, id="the fewest that come to it",
        ),
        pytest.param(
            want(A=5), free(EAST={"A": 3}, WEST={"A": -4}), None, {"A@EAST": 3}, id="what there is"
        ),
        pytest.param(want(A=5), free(), None, {}, id="nothing"),
    ],
)  # fmt: skip
def test_few_warehouses_keep_all_there_is(wanted, stock, preferred, kept):
    """As few as hold as much as all of them together."""
    assert picked(wanted, stock, preferred) == kept


def test_all_or_nothing_takes_nothing_of_too_little():
    """One missing piece of one line is enough."""
    stock = free(EAST={"A": 3}, WEST={"A": 1, "B": 1})

    assert picked(want(A=5, B=1), stock, all_or_nothing=True) == {}
    assert picked(want(A=4, B=1), stock, all_or_nothing=True) == {
        "A@EAST": 3,
        "A@WEST": 1,
        "B@WEST": 1,
    }


def test_whatever_is_wanted_no_other_choice_has_more_or_needs_fewer():
    """Against every subset of warehouses."""
    random = Random(3)
    for _ in range(300):
        names = [f"w{n}" for n in range(random.randrange(1, 5))]
        stock = {(i, w): Decimal(random.randrange(4)) for i in "ABC" for w in names}
        wanted = {i: Decimal(random.randrange(1, 6)) for i in random.sample("ABC", 2)}

        found = decisions.picked(wanted, stock, preferred=None, all_or_nothing=False)

        def most(places, wanted=wanted, stock=stock):
            return sum(min(q, sum(stock[i, w] for w in places)) for i, q in wanted.items())

        used = {place for _, place in found}
        assert sum(found.values()) == most(names)
        assert all(quantity <= stock[place] for place, quantity in found.items())
        for fewer in combinations(names, max(len(used) - 1, 0)):
            assert not used or most(fewer) < most(names)
