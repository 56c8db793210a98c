"""Run campaigns: `python -m tests.crash A2 A3 --size full --keep`; all of them without a name.

One line a result; exit code 1 when one failed or proved nothing.
"""

import sys

from tests.crash.command import run_campaigns

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
"""What each is run by."""

if __name__ == "__main__":
    sys.exit(run_campaigns(CAMPAIGNS, prog="python -m tests.crash", about=__doc__))
