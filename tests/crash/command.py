"""The command line of the campaigns: which to run, how large, and what is kept of them."""

import argparse
import asyncio
import random
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.crash.result import Result, Size, keep, shown

Campaign = Callable[..., Coroutine[Any, Any, list[Result]]]
"""`run(folder, *, size, seed)`, which answers its results."""


def run_campaigns(campaigns: Mapping[str, str], *, prog: str, about: str | None) -> int:
    """Run what is asked for, one after the other; answer the exit code.

    `campaigns` says what each is run by, as `module:function`.
    """
    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("campaigns", nargs="*", help=", ".join(campaigns))
    parser.add_argument("--size", choices=("smoke", "full"), default="smoke")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--keep", action="store_true", help="keep the result files in docs/campaigns"
    )
    asked = parser.parse_args()
    if unknown := [name for name in asked.campaigns if name not in campaigns]:
        parser.error(f"no campaign {', '.join(unknown)} here: {', '.join(campaigns)}")
    passed = True
    for name in asked.campaigns or campaigns:
        for result in _run(campaign(campaigns[name]), asked.size, asked.seed):
            kept = f" -> {keep(result).name}" if asked.keep else ""
            print(f"{result.campaign}: {result.verdict}, {result.trials} trials{kept}", flush=True)
            print(shown(result).decode(), flush=True)
            passed &= result.verdict == "passed"
    return 0 if passed else 1


def campaign(run_by: str) -> Campaign:
    """Answer what `module:function` names."""
    module, _, function = run_by.partition(":")
    found: Campaign = getattr(import_module(module), function)
    return found


def _run(run: Campaign, size: Size, seed: int) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(Path(folder), size=size, seed=seed))
