"""The journal alone under SIGKILL: at every named point, at random, on both stores.

The oracle reads only files the vendor, the caller and the subscriber wrote themselves. Each run
counts only if the process really died. Two planted defects must be caught, or the oracle is worth
nothing: a caller told before the commit, and a step that never looks before it creates.
"""

import os
import signal
from random import Random

import pytest

from runtime.journal.crash_points import (
    AFTER_EFFECT,
    BEFORE_EFFECT,
    CRASH_POINTS,
    DURING_RECOVERY,
    DURING_TAKEOVER,
)
from tests.crash.journal_program import lines
from tests.crash.lives import Program, log_of, violations
from tests.journal_orders import store_url  # noqa: F401  # a fixture
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.campaign

ORDERS = 12
A_LOAD = 200
"""Orders of the random kills: enough that every kill meets some in flight."""
SEED = 20261122
TRIALS = int(os.environ.get("CROSSDOCK_TRIALS", "1"))
"""Of each named point, and of the random kills; 1 is the smoke size."""

PLACES = [
    (store, point)
    for store in ("sqlite", "postgresql")
    for point in CRASH_POINTS
    if (store, point) != ("postgresql", DURING_RECOVERY)
]
"""A shared store has no recovery at start to be killed in: its leases lapse by themselves."""


@pytest.fixture(scope="module")
def program():
    it = Program()
    yield it
    it.close()


def lives_of(point, nth):
    """The deaths that lead through `point`: some points are passed only after another death."""
    if point in {DURING_TAKEOVER, DURING_RECOVERY}:
        return [(BEFORE_EFFECT, 3 + nth), (point, 1)]
    return [(point, nth)]


@pytest.mark.parametrize("trial", range(TRIALS))
@pytest.mark.parametrize(("store_url", "point"), PLACES, indirect=["store_url"])
def test_a_kill_at_a_named_point_does_no_harm(program, store_url, tmp_path, point, trial):  # noqa: F811  # the fixture
    """Every acknowledged order once with the vendor, told in order, ended; the others 0 or 1."""
    plan = {"url": store_url, "directory": str(tmp_path), "orders": ORDERS, "seed": SEED + trial}
    for crash_at in lives_of(point, 1 + trial % 2):
        assert program.live(**plan, crash_at=crash_at) == -signal.SIGKILL
    assert program.live(**plan) == 0, log_of(tmp_path)
    assert violations(tmp_path) == []


def test_kills_at_random_do_no_harm(program, store_url, tmp_path):  # noqa: F811  # same
    """Killed three times in one load, whenever it happens to be; then left alone."""
    random = Random(SEED)
    deaths = 0
    for trial in range(TRIALS):
        directory = tmp_path / str(trial)
        directory.mkdir()
        url = store_url
        if store_url.startswith("sqlite"):
            url = f"sqlite:///{directory}/journal.db"
        elif trial:
            url = a_postgresql_database()
        plan = {"url": url, "directory": str(directory), "orders": A_LOAD, "seed": SEED + trial}
        for _ in range(3):
            deaths += program.live(**plan, kill_after=0.05 + random.random() * 0.3) == -9
        assert program.live(**plan) == 0, log_of(directory)
        assert violations(directory) == []
    assert deaths > 0, "no process died while orders were in flight: the run is void"


def test_a_step_that_never_looks_is_caught(program, store_url, tmp_path):  # noqa: F811  # same
    """Planted defect: killed after its effect, it creates again; the oracle must see it."""
    plan = {"url": store_url, "directory": str(tmp_path), "orders": ORDERS, "seed": SEED}
    defect = {"defect": "never looks"}
    assert program.live(**plan, **defect, crash_at=(AFTER_EFFECT, 4)) == -signal.SIGKILL
    program.live(**plan, **defect, patience=5)
    found = violations(tmp_path)
    assert any("happened 2 times" in v for v in found)
    assert any("without a look" in v for v in found)


def test_acknowledging_before_the_commit_is_caught(program, store_url, tmp_path):  # noqa: F811  # same
    """Planted defect: the caller is told first; the death in between loses the order.

    So many orders that the first commit cannot hold them all, however slow it is.
    """
    plan = {"url": store_url, "directory": str(tmp_path), "orders": A_LOAD, "seed": SEED}
    defect = {"defect": "acknowledges early"}
    assert program.live(**plan, **defect, crash_at=("after_accept", 1)) == -signal.SIGKILL
    lost = {w[0] for w in lines(tmp_path / "acknowledged")}
    assert lost
    program.live(**plan, **defect, patience=3)
    assert any("is acknowledged and has {'order': 0" in v for v in violations(tmp_path))
