"""Campaign A9: release N, N+1 and N again, with orders in flight at every change.

    python -m tests.crash A9 --size full --keep

N+1 adds a step. A release goes on with the rows of another where it understands them, and where it
does not (a step renamed, or added by a later one) it refuses to start and changes nothing.
"""

import asyncio
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tests.crash.journal_program import REFUSED, lines
from tests.crash.lives import Program, log_of, violations
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.postgres_server import a_postgresql_database

ORDERS = 500
BEGUN = 20
"""Orders that a release must have accepted before it is killed."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds saw."""

    lives: dict[str, int]
    refusals: int
    wrongly_begun: list[str]
    acknowledged: int
    violations: list[str]


def back_and_forth(folder: Path, *, rounds: int, seed: int, defect: bool = False) -> Run:
    """Change releases `rounds` times with 500 orders in flight, on each store in turn."""
    program, chance = Program(), random.Random(f"faults{seed}")
    lives, refusals, accepted = Counter[str](), 0, 0
    wrong: list[str] = []
    found: list[str] = []
    try:
        for number in range(rounds):
            directory = folder / str(number)
            directory.mkdir(parents=True)
            url = f"sqlite:///{directory}/journal.db" if number % 2 else a_postgresql_database()
            plan = {"url": url, "directory": str(directory), "orders": ORDERS, "seed": number}
            plan["patience"] = 60
            lives += _one_round(program, plan, chance, wrong, defect=defect)
            refusals += lives.pop("refused", 0)
            accepted += len(lines(directory / "acknowledged"))
            found += [f"round {number}: {one}" for one in violations(directory)]
    finally:
        program.close()
    return Run(
        lives=dict(lives), refusals=refusals, wrongly_begun=wrong, acknowledged=accepted,
        violations=found,
    )  # fmt: skip


def _one_round(
    program: Program,
    plan: dict[str, Any],
    chance: random.Random,
    wrong: list[str],
    *,
    defect: bool,
) -> Counter[str]:
    """N, killed; a release that cannot read it; N+1, killed; N again; N+1 to the end."""
    lives = Counter[str]()

    def lived(release: str, **more: Any) -> int:
        code = program.live(**{**plan, "release": release, **more})
        lives[release if code != REFUSED else "refused"] += 1
        return code

    lived("current", kill_after=0.6 + chance.random(), after_orders=BEGUN)
    if lived("step renamed", patience=20) == 0:
        wrong.append(f"{plan['directory']}: a renamed step was begun")
    lived("step added", kill_after=0.6 + chance.random(), after_orders=BEGUN)
    back = "misreading" if defect else "current"
    lived(back, kill_after=0.6 + chance.random(), after_orders=BEGUN)
    code = lived("step added")
    if code not in {0, -signal.SIGKILL}:
        wrong.append(f"{plan['directory']}: ended with {code}: {log_of(Path(plan['directory']))}")
    return lives


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The whole campaign, with its planted defect."""
    watch = Stopwatch()
    rounds = 50 if size == "full" else 2
    sound = await asyncio.to_thread(back_and_forth, folder / "sound", rounds=rounds, seed=seed)
    planted = await asyncio.to_thread(
        back_and_forth, folder / "planted", rounds=2, seed=seed, defect=True
    )
    result = Result(
        campaign="A9",
        what="release N to N+1 to N with 500 orders in flight",
        size=size,
        seed=seed,
        trials=rounds,
        accepted=sound.acknowledged,
        faults=sound.lives,
        evidence={"starts refused": sound.refusals, **sound.lives},
        violations={
            "I1 to I3": sound.violations,
            "refused at start, never misread": sound.wrongly_begun,
        },
    )
    defects = {"takes a state it does not know for one not begun": bool(planted.violations)}
    return [whole(result, defects=defects, seconds=watch.seconds)]
