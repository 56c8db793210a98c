"""Lives and deaths of the journal alone, and what the world outside then holds against it.

The oracle reads only files that vendor, caller and subscriber wrote themselves.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from tests.crash.journal_program import ORDINARY, fate, lines

ROOT = Path(__file__).resolve().parents[2]


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

    def live(self, *, kill_after=None, after_orders=0, **plan):
        """One life; answers its exit code, -9 when it was killed.

        It is killed so many seconds after it has acknowledged so many orders more: a busy machine
        may take long to begin.
        """
        enough = min(_acknowledged(plan) + after_orders, plan["orders"]) if after_orders else 0
        self._parent.stdin.write(json.dumps(plan) + "\n")
        self._parent.stdin.flush()
        pid = int(self._parent.stdout.readline())
        killer = None
        if kill_after is not None:
            over = threading.Event()
            killer = threading.Thread(target=_kill, args=(pid, plan, enough, kill_after, over))
            killer.start()
        code = int(self._parent.stdout.readline())
        if killer is not None:
            over.set()
            killer.join()
        return code

    def close(self):
        self._parent.stdin.close()
        self._parent.wait(timeout=60)


def _acknowledged(plan) -> int:
    return len(lines(Path(plan["directory"]) / "acknowledged"))


def _kill(pid, plan, enough, seconds, over):
    while not over.is_set() and _acknowledged(plan) < enough:
        over.wait(0.02)
    if not over.wait(seconds):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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


def log_of(directory):
    path = directory / "log"
    return path.read_text()[-2000:] if path.exists() else ""
