"""Campaign B7: framing that two readers could read in two ways.

Every framing of `framings.py` goes to the real listener by itself, behind good requests, in front
of one, and in pieces. The oracle is the service behind: it reads what it is sent with a strict
reader of its own. It must never be sent what no request asked for (`smuggled`), nothing of what
must be refused (`passed`), and no garbage; the caller is told 4xx or nothing (`answered`).
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.framings import MARK, Framing, framings
from tests.security.wired import THINGS, Wired, request, said, wired
from tests.security.wiredefects import FRAMING_DEFECTS, Defect

_AT_ONCE = 100
_PATIENCE, _DEFECT_PATIENCE = 8.0, 1.0
_SILENCE = 0.25
_TRIES = {"smoke": 1, "full": 12}
_BASE = "/wired/v1/"


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One framing on one connection, and how it is sent."""

    framing: Framing
    mark: str
    before: int
    after: int
    pieces: tuple[bytes, ...]


def _tries(size: Size, chance: random.Random) -> Iterator[Try]:
    for number in range(_TRIES[size]):
        for at, framing in enumerate(framings()):
            mark = f"{number}-{at}"
            before = 0 if number == 0 else chance.choice([0, 1, 3])
            after = 0 if number == 0 else chance.choice([0, 1])
            good = request("GET", THINGS, close=False)
            raw = good * before + framing.raw.replace(MARK, mark.encode()) + good * after
            yield Try(
                framing=framing,
                mark=mark,
                before=before,
                after=after,
                pieces=_cut(raw, chance) if number % 3 else (raw,),
            )


def _cut(raw: bytes, chance: random.Random) -> tuple[bytes, ...]:
    places = sorted(chance.sample(range(1, len(raw)), k=min(4, len(raw) - 1)))
    return tuple(
        raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)
    )


async def _one(target: Wired, one: Try, found: dict[str, list[str]], patience: float) -> str:
    """Send one try; answer what became of it, and write down what is wrong."""
    heard = await said(
        target.port,
        *one.pieces,
        wait=patience,
        silence=_SILENCE,
        pause=0.01 if len(one.pieces) > 1 else 0.0,
        hang_up=one.framing.is_cut,
        enough=one.before + 1,
    )
    statuses = heard.statuses
    name = f"{one.framing.name} (behind {one.before}, in {len(one.pieces)}): {statuses}"
    own = statuses[one.before :]
    match one.framing.verdict:
        case "refuse":
            if any(each < 400 or each >= 500 for each in own[:1] if each != 505):
                found["answered"].append(name)
            if not own and not heard.closed:
                found["answered"].append(f"{name}, still open")
        case "close":
            if not heard.closed:
                found["left open"].append(name)
            if len(own) > 1:
                found["answered"].append(name)
        case "once":
            if any(each >= 500 for each in own):
                found["answered"].append(name)
    if len(own) > 1 + one.after:
        found["answered"].append(f"{name}, one answer too many")
    return "closed" if heard.closed else "open"


async def _sent(
    target: Wired, tries: list[Try], patience: float
) -> tuple[dict[str, list[str]], dict[str, int]]:
    found: dict[str, list[str]] = {
        "smuggled": [], "passed": [], "garbage": [], "answered": [], "left open": [], "failed": [],
    }  # fmt: skip
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Try) -> str:
        async with at_once:
            return await _one(target, each, found, patience)

    ends = await asyncio.gather(*(one(each) for each in tries))
    taken = target.service.taken
    by_mark = {each.mark: each for each in tries}
    times = Counter(each.target.removeprefix(_BASE) for each in taken)
    for place, count in times.items():
        kind, _, mark = place.partition("/")
        if mark not in by_mark:
            continue
        framing = by_mark[mark].framing
        if kind == "smuggled":
            found["smuggled"].append(framing.name)
        elif framing.verdict == "refuse":
            found["passed"].append(framing.name)
        elif count > 1:
            found["smuggled"].append(f"{framing.name}: {count} times")
    found["smuggled"] += [
        f"inside: {each.raw[:120]!r}"
        for each in taken
        if b"smuggled" in each.raw and "smuggled" not in each.target
    ]
    found["garbage"] = [each.decode("latin-1") for each in target.service.garbage]
    found["failed"] = target.failures()
    return found, {
        "taken by the service": len(taken),
        "closed": ends.count("closed"),
        "left open": ends.count("open"),
    }


async def attempt(
    folder: Path, *, size: Size, seed: int, defect: Defect | None = None
) -> tuple[dict[str, list[str]], dict[str, int], int]:
    """Play every framing against one gateway; violations, evidence, and how many were sent."""
    chance = random.Random(seed)
    tries = list(_tries(size, chance))
    chance.shuffle(tries)
    async with wired(folder, defect) as target:
        good = await said(target.port, request("GET", THINGS), wait=_PATIENCE)
        assert good.status == 200, good.raw
        before = len(target.service.taken)
        patience = _PATIENCE if defect is None else _DEFECT_PATIENCE
        found, evidence = await _sent(target, tries, patience)
        await asyncio.sleep(0.05)
    evidence["good requests taken"] = before
    return found, evidence, len(tries)


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects."""
    watch = Stopwatch()
    found, evidence, trials = await attempt(folder / "sound", size=size, seed=seed)
    caught = {}
    for name, defect in FRAMING_DEFECTS.items():
        wrong, _, _ = await attempt(folder / name, size="smoke", seed=seed, defect=defect)
        caught[name] = any(wrong.values())
    left = evidence.pop("left open")
    result = Result(
        campaign="B7",
        what="ambiguous framing against the real listener, a strict service behind",
        size=size,
        seed=seed,
        trials=trials,
        accepted=evidence["good requests taken"],
        faults={"framings": len(framings()), "tries": trials},
        evidence=evidence,
        violations=found,
        measures={"connections left open after a framing that may be taken": float(left)},
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
