"""Campaign C1: four gateways, one Redis, four times the limit, bursts, clocks that differ.

    python -m tests.overload.limiter [--windows 10] [--seed N] [--defect read-then-write]

Two oracles read the callers' own journal. *Over*: in no stretch of one window's length lie more
admitted calls, from sending to answer, than the quota. *Under*: a perfect limiter is shown the same
arrivals and admits at most one percent more. A polite caller is held to the headers' promises:
`r=n` means that the next n calls are admitted, and whoever waits `Retry-After` is admitted.
"""

import argparse
import asyncio
import bisect
import random
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.overload.cluster import Cluster, Seen, cluster, redis_server

QUOTA, WINDOW = 200, 2
LOAD = 4
BURST = 40


class Limited(msgspec.Struct, frozen=True, kw_only=True):
    """What a run showed."""

    campaign: str = "C1"
    seed: int
    windows: int
    calls: int
    admitted: int
    perfect: int
    over: int
    """The most calls by which any window was exceeded."""
    other_statuses: int
    promises: int
    broken_promises: tuple[str, ...]
    lost: int
    """How often a gateway took Redis for gone: a busy machine; such a run proves nothing."""

    @property
    def under(self) -> float:
        """The part a perfect limiter would have admitted more."""
        return max(0, self.perfect - self.admitted) / self.perfect

    @property
    def clean(self) -> bool:
        """Whether the campaign passed; a run without refusals proves nothing."""
        pressed = self.calls > 2 * self.admitted
        pressed = pressed and not self.lost
        exact = self.over == 0 and self.under <= 0.01
        return pressed and exact and not self.other_statuses and not self.broken_promises


def over(seen: Sequence[Seen]) -> int:
    """Answer by how many the fullest window exceeds the quota, counting only what is certain."""
    admitted = sorted((each for each in seen if each.status == 200), key=lambda each: each.sent)
    most = 0
    for index, first in enumerate(admitted):
        ends = sorted(
            each.told for each in admitted[index : index + 4 * QUOTA] if each.sent >= first.sent
        )
        most = max(most, bisect.bisect_left(ends, first.sent + WINDOW))
    return max(0, most - QUOTA)


def perfect(seen: Sequence[Seen]) -> int:
    """Answer how many a sliding log admits of the same arrivals."""
    log: deque[float] = deque()
    admitted = 0
    for at in sorted(each.told for each in seen):
        while log and log[0] <= at - WINDOW:
            log.popleft()
        if len(log) < QUOTA:
            log.append(at)
            admitted += 1
    return admitted


async def polite(system: Cluster, seconds: float, chance: random.Random) -> tuple[int, list[str]]:
    """Believe every header; answer how many promises were tested, and those that were broken."""
    tested, broken = 0, []
    left = 0
    ends = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends:
        seen = await system.call(chance.randrange(len(system.urls)), "polite")
        if left:
            tested += 1
            if seen.status != 200:
                broken.append(f"r={left}, then {seen.status}")
        if seen.status == 200 and seen.limit is not None:
            left = int(seen.limit.split("r=")[1].split(";")[0])
            continue
        left = 0
        if seen.retry_after is None:
            broken.append(f"{seen.status} without Retry-After")
            await asyncio.sleep(0.2)
            continue
        await asyncio.sleep(seen.retry_after)
        left = 1  # whoever waits as told is admitted: one call at least
    return tested, broken


def _lost(folder: Path) -> int:
    return sum(log.read_text().count("shared_state_lost") for log in folder.glob("gateway-*.log"))


async def run(folder: Path, *, windows: int, seed: int, defect: str | None = None) -> Limited:
    """Press for so many windows and judge the journal."""
    redis, url = redis_server(folder)
    options = ["--quota", str(QUOTA), "--window", str(WINDOW)]
    if defect:
        options += ["--defect", defect]
    try:
        async with cluster(folder, url, options=options) as system:
            for node in range(len(system.urls)):  # every gateway has met Redis before it counts
                await system.call(node, "hot")
            await asyncio.sleep(WINDOW + 0.1)
            pressing = system.press(
                rate=LOAD * QUOTA / WINDOW, seconds=windows * WINDOW, burst=BURST, every=WINDOW
            )
            seen, (promises, broken) = await asyncio.gather(
                pressing, polite(system, windows * WINDOW, random.Random(f"polite{seed}"))
            )
    finally:
        redis.shutdown(nosave=True)
    return Limited(
        seed=seed,
        windows=windows,
        calls=len(seen),
        admitted=sum(each.status == 200 for each in seen),
        perfect=perfect(seen),
        over=over(seen),
        other_statuses=sum(each.status not in (200, 429) for each in seen),
        promises=promises,
        broken_promises=() if defect else tuple(broken),
        lost=_lost(folder),
    )


def main() -> int:
    """Run from the command line; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--defect", choices=("read-then-write",))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            run(Path(folder), windows=asked.windows, seed=asked.seed, defect=asked.defect)
        )
    said = msgspec.to_builtins(found) | {"under": round(found.under, 5), "clean": found.clean}
    print(msgspec.json.encode(said).decode())
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
