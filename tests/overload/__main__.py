"""Run campaigns: `python -m tests.overload C5 C6 --size full --keep`; all of them without a name.

One line and one JSON document a result; exit code 1 when one failed or proved nothing.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.crash.result import Result, Size, keep, shown

CAMPAIGNS = {
    "C1": "tests.overload.results:limits",
    "C2": "tests.overload.results:redis",
    "C3": "tests.overload.results:circuits",
    "C4": "tests.overload.results:second_attempts",
    "C5": "tests.overload.overloaded:run",
    "C6": "tests.overload.restarts:run",
    "C7": "tests.overload.results:herds",
    "C8": "tests.overload.neighbours:run",
}
"""What each is run by: `run(folder, *, size, seed)`, which answers its results."""

Campaign = Callable[..., Coroutine[Any, Any, list[Result]]]


def main() -> int:
    """Run what is asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.overload", description=__doc__)
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
