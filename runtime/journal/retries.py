"""When to try again."""

from datetime import datetime, timedelta
from random import Random

FIRST = timedelta(milliseconds=250)
LONGEST = timedelta(seconds=10)
"""Short enough that an order moves within half a minute after a vendor is back."""


def retry_at(
    now: datetime,
    attempt: int,
    random: Random,
    *,
    retry_after: timedelta | None = None,
    first: timedelta = FIRST,
    longest: timedelta = LONGEST,
) -> datetime:
    """When to make the attempt after `attempt` (1 is the first that failed).

    Exponential backoff, of which the upper half is jitter so that many failures of one moment
    do not come back in one moment. A vendor's `retry_after` is never undercut; jitter comes on top.
    """
    ceiling = min(longest, first * float(2 ** min(attempt - 1, 30)))
    wait = ceiling * (0.5 + random.random() / 2)
    if retry_after is not None:
        wait = max(wait, retry_after + first * random.random())
    return now + wait
