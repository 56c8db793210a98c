"""An adaptive limit follows what queues, forgives one stall, and never runs away when idle."""

import pytest

from runtime.guard.limit import AdaptiveLimit, Best, LimitSettings
from tests.sandbox_callers import TurnedClock

SETTINGS = LimitSettings(least=10, first=100, most=200, tolerance=2.0, window_seconds=0.1)


@pytest.fixture
def clock():
    return TurnedClock()


@pytest.fixture
def limit(clock):
    return AdaptiveLimit("process", clock=clock, settings=SETTINGS)


def window(limit, clock, *ratios):
    for ratio in ratios:
        clock.turn(0.11 / len(ratios))
        limit.observe(ratio)


def fill(limit, places):
    while limit.taken < places:
        limit.taken += 1
        limit._peak = max(limit._peak, limit.taken)


def test_a_share_of_the_limit_is_admitted_and_a_place_given_back_is_free_again(limit):
    assert [limit.admit(0.5) for _ in range(51)] == [True] * 50 + [False]
    assert limit.admit(1.0)
    assert limit.refused == 1
    limit.leave()
    limit.leave()
    assert limit.admit(0.5)


def test_the_most_urgent_keep_their_share_when_the_limit_shrinks_below_what_is_under_way(limit):
    """85 others are under way when the limit falls to 40: 6 places are still the urgent ones'."""
    assert all(limit.admit(0.85) for _ in range(85))
    limit.limit = 40.0
    assert not limit.admit(0.85)
    assert [limit.admit_first(0.15) for _ in range(7)] == [True] * 6 + [False]

    for _ in range(60):
        limit.leave()
    assert limit.admit_first(0.15)
    for _ in range(7):
        limit.leave_first()
    assert (limit.taken, limit.first) == (25, 0)


def test_queueing_shrinks_it_from_what_was_under_way_down_to_its_least(limit, clock):
    fill(limit, 60)
    window(limit, clock, *[9.0] * 10)
    assert limit.limit == 30
    for _ in range(20):
        window(limit, clock, *[3.0] * 10)
    assert limit.limit == 10


def test_a_little_slower_than_tolerated_shrinks_it_a_little(limit, clock):
    fill(limit, 100)
    window(limit, clock, *[2.2] * 10)
    assert limit.limit == pytest.approx(100 * 2.0 / 2.2)


def test_one_slow_call_in_a_window_moves_nothing(limit, clock):
    fill(limit, 60)
    window(limit, clock, *[1.0] * 5, 50.0, *[1.0] * 4)
    assert limit.limit >= 100


def test_too_few_observations_move_nothing(limit, clock):
    fill(limit, 60)
    window(limit, clock, 9.0, 9.0)
    assert limit.limit == 100


def test_an_observation_counts_for_those_that_could_not_be_made(limit, clock):
    """A loop that is half a second late misses fifty looks at itself."""
    fill(limit, 60)
    clock.turn(0.5)
    limit.observe(26.0, 50)
    assert limit.limit == 30


def test_it_grows_only_while_it_is_used_and_to_its_most(limit, clock):
    window(limit, clock, *[1.0] * 5)
    assert limit.limit == 100
    fill(limit, 120)
    window(limit, clock, *[1.0] * 5)
    assert limit.limit == 110
    for _ in range(30):
        window(limit, clock, *[1.0] * 5)
    assert limit.limit == 200


def test_other_bounds_hold_at_once(limit):
    limit.configure(LimitSettings(least=5, most=40))
    assert limit.limit == 40


def test_the_yardstick_is_the_shortest_of_late_and_noise_below_the_floor_is_quick():
    best = Best(0.005)
    assert best.ratio(0.001, 0.0) == 1.0
    assert best.ratio(0.010, 1.0) == 2.0
    slower = Best(0.005)
    assert slower.ratio(0.1, 0.0) == 1.0
    assert slower.ratio(0.2, 1.0) == 2.0
    for now in (40.0, 80.0):
        slower.ratio(0.2, now)
    assert slower.ratio(0.2, 81.0) == 1.0  # half a minute later the new pace is the pace
