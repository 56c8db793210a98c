"""Run campaigns: `python -m tests.crash A1 A3 --size full --keep`; all of them without a name.

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
    "A1": "tests.crash.kill",
    "A2": "tests.crash.outages",
    "A3": "tests.crash.wire",
    "A4": "tests.crash.keys",
    "A5": "tests.crash.saga",
    "A6": "tests.crash.exceptions",
    "A9": "tests.crash.upgrades",
    "E5": "tests.crash.reconcile",
}
"""Each module has `run(folder, *, size, seed)`, which answers its results."""

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
        campaign: Campaign = import_module(CAMPAIGNS[name]).run
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
