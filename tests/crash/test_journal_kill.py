"""The journal alone under SIGKILL: at every named point, at random, on both stores.

The oracle reads only files the vendor, the caller and the subscriber wrote themselves. Each run
counts only if the process really died. Two planted defects must be caught, or the oracle is worth
nothing: a caller told before the commit, and a step that never looks before it creates.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from runtime.journal.crash_points import (
    AFTER_EFFECT,
    BEFORE_EFFECT,
    CRASH_POINTS,
    DURING_RECOVERY,
    DURING_TAKEOVER,
)
from tests.crash.journal_program import ORDINARY, fate, lines
from tests.journal_orders import store_url  # noqa: F401  # a fixture
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.campaign

ROOT = Path(__file__).resolve().parents[2]
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


class Program:
    """Runs the program under test, one life after another."""

    def __init__(self):
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.journal_program"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def live(self, *, kill_after=None, **plan):
        """One life; answers its exit code, -9 when it was killed."""
        self._parent.stdin.write(json.dumps(plan) + "\n")
        self._parent.stdin.flush()
        pid = int(self._parent.stdout.readline())
        killer = None
        if kill_after is not None:
            killer = threading.Timer(kill_after, _kill, [pid])
            killer.start()
        code = int(self._parent.stdout.readline())
        if killer is not None:
            killer.cancel()
        return code

    def close(self):
        self._parent.stdin.close()
        self._parent.wait(timeout=60)


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture(scope="module")
def program():
    it = Program()
    yield it
    it.close()


def violations(directory: Path) -> list[str]:
    """What the world outside holds against the promises. Reads no table of the journal."""
    acknowledged = {words[0] for words in lines(directory / "acknowledged")}
    found = []
    acts: Counter[tuple[str, str, str]] = Counter()
    looked: set[tuple[str, str]] = set()
    for act, what, key in lines(directory / "vendor"):
        acts[act, what, key] += 1
        if act == "find":
            looked.add((what, key))
        elif acts[act, what, key] > 1:
            found.append(f"{act} {what} {key} happened {acts[act, what, key]} times")
            if (what, key) not in looked:
                found.append(f"{act} {what} {key} happened again without a look")
    for key in sorted(acknowledged):
        created = {what: acts["create", what, key] for what in ("order", "pick")}
        undone = {what: acts["cancel", what, key] for what in ("order", "pick")}
        match fate(key):
            case "ordinary" if list(created.values()) != [1, 1] or any(undone.values()):
                found.append(f"{key} is acknowledged and has {created}, undone {undone}")
            case "held" if any(created.values()):
                found.append(f"{key} is held and has {created}")
            case "cancelled" if created != undone:
                found.append(f"{key} is cancelled and has {created}, undone {undone}")
    return found + untold(directory, acknowledged, {k[1:] for k in acts if k[0] == "create"})


def untold(directory, acknowledged, creates) -> list[str]:
    """What the subscriber should have been told, and whether it was told backwards."""
    found = []
    versions: dict[str, int] = {}
    topics: dict[str, set[str]] = {}
    for entity, version, topic in lines(directory / "told"):
        if int(version) < versions.get(entity, 0):
            found.append(f"the subscriber was told of {entity} backwards")
        versions[entity] = int(version)
        topics.setdefault(entity, set()).add(topic)
    for what, key in creates:
        topic = {"order": "order.confirmed", "pick": "order.released"}[what]
        if fate(key) == ORDINARY and key in acknowledged and topic not in topics.get(key, ()):
            found.append(f"the subscriber was never told {topic} of {key}")
    return found


def lives_of(point, nth):
    """The deaths that lead through `point`: some points are passed only after another death."""
    if point in {DURING_TAKEOVER, DURING_RECOVERY}:
        return [(BEFORE_EFFECT, 3 + nth), (point, 1)]
    return [(point, nth)]


def log_of(directory):
    path = directory / "log"
    return path.read_text()[-2000:] if path.exists() else ""


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
    """Planted defect: the caller is told first; the death in between loses the order."""
    plan = {"url": store_url, "directory": str(tmp_path), "orders": ORDERS, "seed": SEED}
    defect = {"defect": "acknowledges early"}
    assert program.live(**plan, **defect, crash_at=("after_accept", 1)) == -signal.SIGKILL
    lost = {w[0] for w in lines(tmp_path / "acknowledged")}
    assert lost
    program.live(**plan, **defect, patience=3)
    assert any("is acknowledged and has {'order': 0" in v for v in violations(tmp_path))
