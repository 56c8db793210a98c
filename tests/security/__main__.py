"""Run campaigns: `python -m tests.security B7 B8 --size full --keep`; all of them without a name.

One line a result; exit code 1 when one failed or proved nothing.
"""

import sys

from tests.crash.command import run_campaigns

CAMPAIGNS = {
    "B1": "tests.security.tokens:run",
    "B3": "tests.security.keys:run",
    "B5": "tests.security.tenants:run",
    "B6": "tests.security.properties:run",
    "B7": "tests.security.framing:run",
    "B8": "tests.security.headers:run",
    "B9": "tests.security.limits:run",
    "B10": "tests.security.bombs:run",
    "B13": "tests.security.canaries:run",
    "B14": "tests.security.jsonhops:run",
}
"""What each is run by."""

if __name__ == "__main__":
    sys.exit(run_campaigns(CAMPAIGNS, prog="python -m tests.security", about=__doc__))
