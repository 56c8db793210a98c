"""Garbage is looked for seldom, and never while a process starts; but it is looked for."""

import contextlib
import gc

import pytest

from deploy.collecting import collect_seldom, starting


@pytest.fixture(autouse=True)
def as_it_was():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)
    gc.enable()


def test_a_start_that_fails_leaves_the_collector_on():
    with contextlib.suppress(OSError), starting():
        assert not gc.isenabled()
        raise OSError("the port is in use")

    assert gc.isenabled()


def test_what_a_start_made_is_set_aside_and_what_comes_is_still_looked_through():
    """Circles of objects made after the start are found, or memory would grow for ever."""
    with starting():
        collect_seldom()
        assert gc.get_freeze_count() > 0
        looks = gc.get_stats()[0]["collections"]
        lasting = [[] for _ in range(gc.get_threshold()[0] + 1_000)]
        assert gc.get_stats()[0]["collections"] > looks
        assert lasting
