"""Run campaigns: `python -m tests.overload C5 C6 --size full --keep`; all of them without a name.

One line and one JSON document a result; exit code 1 when one failed or proved nothing.
"""

import sys

from tests.crash.command import run_campaigns

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
"""What each is run by."""

if __name__ == "__main__":
    sys.exit(run_campaigns(CAMPAIGNS, prog="python -m tests.overload", about=__doc__))
