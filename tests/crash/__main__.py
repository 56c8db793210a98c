"""Run campaigns: `python -m tests.crash A2 A3 --size full --keep`; all of them without a name.

One line a result; exit code 1 when one failed or proved nothing.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path

from tests.crash.result import Result, Size, keep, shown

CAMPAIGNS = {
    "A1-sqlite": "tests.crash.kill:on_sqlite",
    "A1-postgresql": "tests.crash.kill:on_postgresql",
    "A2": "tests.crash.outages:run",
    "A3": "tests.crash.wire:run",
    "A4": "tests.crash.keys:run",
    "A5": "tests.crash.saga:run",
    "A6": "tests.crash.exceptions:run",
    "A9": "tests.crash.upgrades:run",
    "E5": "tests.crash.reconcile:run",
}
"""What each is run by: `run(folder, *, size, seed)`, which answers its results."""

Campaign = Callable[..., Awaitable[list[Result]]]


def main() -> int:
    """Run what is asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("campaigns", nargs="*", help=", ".join(CAMPAIGNS))
    parser.add_argument("--size", choices=("smoke", "full"), default="smoke")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--keep", action="store_true", help="keep the result files in docs/campaigns"
    )
    asked = parser.parse_args()
    passed = True
    for name in asked.campaigns or CAMPAIGNS:
        module, _, function = CAMPAIGNS[name].partition(":")
        campaign: Campaign = getattr(import_module(module), function)
        for result in _run(campaign, asked.size, asked.seed):
            kept = f" -> {keep(result).name}" if asked.keep else ""
            print(f"{result.campaign}: {result.verdict}, {result.trials} trials{kept}", flush=True)
            print(shown(result).decode(), flush=True)
            passed &= result.verdict == "passed"
    return 0 if passed else 1


def _run(campaign: Campaign, size: Size, seed: int) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(campaign(Path(folder), size=size, seed=seed))


if __name__ == "__main__":
    sys.exit(main())
