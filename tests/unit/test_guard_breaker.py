"""A circuit opens, tries once, and closes; nobody who is cancelled or late moves it."""

import random

import pytest

from runtime.guard import Breaker, BreakerSettings
from tests.sandbox_callers import TurnedClock

SETTINGS = BreakerSettings(failures=3, open_seconds=2.0, longest_open_seconds=7.0)


@pytest.fixture
def clock():
    return TurnedClock()


@pytest.fixture
def changes():
    return []


@pytest.fixture
def breaker(clock, changes):
    return Breaker(
        "erp.write",
        clock=clock,
        settings=SETTINGS,
        on_change=lambda name, old, new: changes.append((name, old, new)),
    )


def fails(breaker, times=1):
    for _ in range(times):
        with breaker.admit() as permit:
            permit.failed()


def test_three_failures_in_a_row_open_it_and_a_success_between_forgives(breaker, changes):
    fails(breaker, 2)
    with breaker.admit() as permit:
        permit.succeeded()
    fails(breaker, 2)
    assert breaker.state == "closed"
    fails(breaker)
    assert breaker.state == "open"
    assert breaker.admit() is None
    assert changes == [("erp.write", "closed", "open")]


def test_after_its_time_exactly_one_trial_is_admitted_at_a_time(breaker, clock):
    fails(breaker, 3)
    clock.turn(1.99)
    assert breaker.admit() is None
    clock.turn(0.01)
    trial = breaker.admit()
    assert trial is not None
    assert trial.trial
    assert [breaker.admit() for _ in range(10)] == [None] * 10


def test_a_trial_that_succeeds_closes_it_for_everybody(breaker, clock, changes):
    fails(breaker, 3)
    clock.turn(2.0)
    with breaker.admit() as trial:
        trial.succeeded()
    assert breaker.state == "closed"
    assert all(breaker.admit() is not None for _ in range(10))
    assert [new for _, _, new in changes] == ["open", "half-open", "closed"]


def test_each_trial_that_fails_doubles_the_time_up_to_a_longest(breaker, clock):
    fails(breaker, 3)
    waited = []
    for _ in range(4):
        waited.append(breaker.standing().retry_after)
        clock.turn(waited[-1])
        fails(breaker)
    assert waited == [2.0, 4.0, 7.0, 7.0]


def test_a_trial_that_is_cancelled_leaves_its_place_to_the_next_one(breaker, clock):
    fails(breaker, 3)
    clock.turn(2.0)
    with pytest.raises(KeyboardInterrupt), breaker.admit():
        raise KeyboardInterrupt
    assert breaker.state == "half-open"
    second = breaker.admit()
    assert second is not None
    second.succeeded()
    assert breaker.state == "closed"


def test_cancelled_calls_never_count_as_failures(breaker):
    for _ in range(100):
        with breaker.admit():
            pass
    assert breaker.state == "closed"
    assert breaker.standing().failures == 0


def test_a_straggler_from_before_the_trip_can_neither_close_nor_reopen_it(breaker, clock):
    early_success, early_failure = breaker.admit(), breaker.admit()
    fails(breaker, 3)
    early_success.succeeded()
    assert breaker.state == "open"
    clock.turn(2.0)
    trial = breaker.admit()
    early_failure.failed()
    assert breaker.state == "half-open"
    trial.succeeded()
    assert breaker.state == "closed"


def test_a_permit_reports_once(breaker):
    permit = breaker.admit()
    for _ in range(10):
        permit.failed()
    assert breaker.standing().failures == 1


def test_half_of_the_latest_calls_failing_opens_it_though_never_three_in_a_row(clock):
    breaker = Breaker(
        "erp.read",
        clock=clock,
        settings=BreakerSettings(failures=3, ratio=0.5, window=20, minimum=20),
    )
    for _ in range(9):
        fails(breaker)
        with breaker.admit() as permit:
            permit.succeeded()
    assert breaker.state == "closed"
    fails(breaker, 2)
    assert breaker.state == "open"


def test_an_operator_trips_and_resets_it(breaker):
    breaker.trip()
    assert breaker.admit() is None
    assert "open" in repr(breaker)
    breaker.reset()
    assert breaker.admit() is not None


def test_tripped_by_hand_it_stays_open_until_it_is_reset_by_hand(breaker, clock):
    """Neither time, a straggler's success nor what another node saw closes it."""
    straggler = breaker.admit()
    breaker.trip()
    clock.turn(1_000)
    straggler.succeeded()
    breaker.close_as_seen()
    breaker.open_for(0.1)
    clock.turn(1)
    assert breaker.admit() is None
    assert breaker.standing().held
    breaker.reset()
    assert breaker.admit() is not None
    assert not breaker.standing().held


def a_slow_breaker(clock, **changes):
    settings = BreakerSettings(slow_seconds=1.0, slow_ratio=0.5, minimum=4, **changes)
    return Breaker("erp.read", clock=clock, settings=settings)


def takes(breaker, clock, seconds):
    with breaker.admit() as permit:
        clock.turn(seconds)
        permit.succeeded()


def test_calls_that_end_well_but_too_late_open_it(clock):
    breaker = a_slow_breaker(clock)
    for seconds in (1.1, 0.5, 0.5):
        takes(breaker, clock, seconds)
    assert breaker.state == "closed"
    takes(breaker, clock, 1.1)
    assert breaker.state == "open"


def test_calls_under_way_when_slowness_begins_to_count_are_not_slow(clock):
    """A new configuration sets `slow_seconds`: nobody knows when the calls before it began."""
    breaker = Breaker("erp.read", clock=clock, settings=BreakerSettings())
    clock.turn(10.0)
    under_way = [breaker.admit() for _ in range(40)]
    breaker.hand_over(BreakerSettings(slow_seconds=1.0), on_change=None)
    for permit in under_way:
        permit.succeeded()
    assert breaker.state == "closed"


def leaves(breaker, clock, seconds):
    with breaker.admit() as permit:
        clock.turn(seconds)
        permit.cut_short()


def test_who_leaves_early_tells_nothing_and_who_leaves_late_that_it_was_slow(clock):
    breaker = a_slow_breaker(clock)
    for _ in range(20):
        leaves(breaker, clock, 0.9)
    for _ in range(3):
        leaves(breaker, clock, 1.1)
    assert (breaker.state, breaker.standing().failures) == ("closed", 0)
    leaves(breaker, clock, 1.1)
    assert breaker.state == "open"


def test_a_trial_cut_short_is_as_good_as_not_made(clock):
    breaker = a_slow_breaker(clock)
    for _ in range(4):
        leaves(breaker, clock, 1.1)
    clock.turn(2)
    leaves(breaker, clock, 1.1)
    assert breaker.state == "half-open"
    takes(breaker, clock, 0.1)
    assert breaker.state == "closed"


def test_a_trial_that_is_slow_does_not_close_it(clock):
    breaker = a_slow_breaker(clock)
    for _ in range(4):
        takes(breaker, clock, 1.1)
    clock.turn(2)
    takes(breaker, clock, 1.1)
    assert breaker.state == "open"
    clock.turn(4)
    takes(breaker, clock, 0.1)
    assert breaker.state == "closed"


def test_each_opening_lasts_longer_and_chance_keeps_two_circuits_apart(clock):
    first, second = (
        Breaker("a", clock=clock, settings=SETTINGS, chance=random.Random(seed)) for seed in (1, 2)
    )
    for breaker in (first, second):
        fails(breaker, 3)
    lengths = [each.standing().retry_after for each in (first, second)]
    assert all(2.0 <= each <= 2.2 for each in lengths)
    assert lengths[0] != lengths[1]
    clock.turn(2.2)
    fails(first)
    assert 4.0 <= first.standing().retry_after <= 4.4


def test_a_dry_run_refuses_nobody_and_says_whom_it_would_have(clock, changes):
    settings = BreakerSettings(failures=3, dry_run=True)
    breaker = Breaker(
        "a", clock=clock, settings=settings, on_change=lambda _, *states: changes.append(states)
    )
    fails(breaker, 3)
    for _ in range(5):
        with breaker.admit() as permit:
            permit.succeeded()
    assert breaker.standing().would_refuse == 5
    assert breaker.state == "open"
    clock.turn(2.0)
    with breaker.admit() as permit:
        permit.succeeded()
    assert breaker.state == "closed"
    assert changes == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
    breaker.trip()
    assert breaker.admit() is None


def test_what_another_node_saw_opens_it_without_counting_as_a_trip(breaker, clock):
    breaker.open_for(1.5)
    assert breaker.admit() is None
    clock.turn(1.5)
    assert breaker.admit().trial
    breaker.close_as_seen()
    assert breaker.state == "closed"
    fails(breaker, 3)
    assert breaker.standing().retry_after == 2.0


def test_an_opening_that_another_node_refuted_is_longer_the_next_time(breaker, clock):
    fails(breaker, 3)
    breaker.close_as_seen()
    fails(breaker, 3)
    assert breaker.standing().retry_after == 4.0


def test_a_postponed_trial_waits_and_a_new_configuration_keeps_the_state(breaker, clock):
    fails(breaker, 3)
    clock.turn(2.0)
    breaker.postpone(0.2)
    assert breaker.admit() is None
    breaker.hand_over(BreakerSettings(failures=1), on_change=None)
    assert breaker.state == "open"
    clock.turn(0.2)
    with breaker.admit() as trial:
        trial.succeeded()
    fails(breaker)
    assert breaker.state == "open"
