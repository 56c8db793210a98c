"""Campaign A1 in its smoke size: killed again and again, the system loses and doubles nothing."""

import pytest

from tests.crash.kill import kill_at_points, kill_at_random

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


@pytest.mark.parametrize(("store", "kills"), [("sqlite", 28), ("postgresql", 12)])
async def test_forty_kills_lose_and_double_nothing(tmp_path, store, kills):
    """No violation in 40 kills means a true rate of at most 3/40; the full size runs 1,000."""
    run = await kill_at_random(tmp_path, kills=kills, seed=20261122, store=store)

    assert run.counts, run
    assert run.verdict.clean, run


async def test_killed_between_the_erp_and_the_journal_it_looks_before_it_creates_again(tmp_path):
    """The point at which a careless integration doubles an order."""
    run = await kill_at_points(tmp_path, {"after_effect": 3}, seed=7)

    assert run.kills["after_effect"], "the point was never passed"
    assert run.counts, run
    assert run.verdict.clean, run


async def test_the_campaign_catches_a_connector_that_does_not_look_first(tmp_path):
    """Planted defect: the second try creates without a look-up. The oracle must see the double."""
    launcher = ("-m", "tests.crash.launch", "careless-connector")
    run = await kill_at_points(tmp_path, {"after_effect": 3}, seed=7, launcher=launcher, settle=6.0)

    assert run.counts, run
    assert run.verdict.doubled, run


async def test_the_campaign_catches_an_acknowledgement_before_the_commit(tmp_path):
    """Planted defect: the caller hears of an order that is not durable. The oracle must miss it."""
    launcher = ("-m", "tests.crash.launch", "acknowledge-before-commit")
    run = await kill_at_random(tmp_path, kills=4, seed=11, launcher=launcher, settle=6.0)

    assert run.counts, run
    assert run.verdict.lost, run
