"""Run campaigns: `python -m tests.security B7 B8 --size full --keep`; all of them without a name.

One line a result; exit code 1 when one failed or proved nothing.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from tests.crash.result import keep, shown

CAMPAIGNS = {
    "B1": "tests.security.tokens",
    "B3": "tests.security.keys",
    "B5": "tests.security.tenants",
    "B6": "tests.security.properties",
    "B7": "tests.security.framing",
    "B8": "tests.security.headers",
    "B9": "tests.security.limits",
    "B10": "tests.security.bombs",
    "B13": "tests.security.canaries",
    "B14": "tests.security.jsonhops",
}
"""Each module has `run(folder, *, size, seed)`, which answers its results."""


def main() -> int:
    """Run what is asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.security", description=__doc__)
    parser.add_argument("campaigns", nargs="*", help=", ".join(CAMPAIGNS))
    parser.add_argument("--size", choices=("smoke", "full"), default="smoke")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--keep", action="store_true", help="keep the result files in docs/campaigns"
    )
    asked = parser.parse_args()
    passed = True
    for name in asked.campaigns or CAMPAIGNS:
        run = import_module(CAMPAIGNS[name]).run
        with tempfile.TemporaryDirectory() as folder:
            results = asyncio.run(run(Path(folder), size=asked.size, seed=asked.seed))
        for result in results:
            kept = f" -> {keep(result).name}" if asked.keep else ""
            print(f"{result.campaign}: {result.verdict}, {result.trials} trials{kept}", flush=True)
            print(shown(result).decode(), flush=True)
            passed &= result.verdict == "passed"
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
