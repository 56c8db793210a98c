"""Work beside the calls: jobs that run for as long as the system does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from runtime.journal.journal import Journal
from runtime.store.faults import StoreUnavailable

__all__ = ["Job", "forgetting", "lasting"]

log = logging.getLogger("crossdock.jobs")

Job = Callable[[], Awaitable[None]]

_EVERY: Final = 3_600.0
_BETWEEN: Final = 0.05
"""Seconds between two deletions of many, so that accepting orders is not held up."""
_PAUSE: Final = 5.0


async def lasting(job: Job, *, pause: float = _PAUSE) -> None:
    """Run a job until it returns; one that breaks is told of and begun again after `pause` s.

    A fault in what keeps copies fresh must neither end the system nor stay unseen until its end.
    """
    while True:
        try:
            return await job()
        except Exception:
            name = getattr(job, "__qualname__", repr(job))
            log.exception("job_broken", extra={"job": name})
            await asyncio.sleep(pause)


def forgetting(journal: Journal, *, every: float = _EVERY) -> Job:
    """Answer the job that deletes answers kept for repeated calls, once their time is over.

    Orders are not forgotten with them: a key still names its order in the journal.
    """

    async def forget() -> None:
        while True:
            try:
                forgotten = await journal.forget_expired_keys()
            except StoreUnavailable:
                log.warning("answers_not_forgotten")
                forgotten = 0
            await asyncio.sleep(_BETWEEN if forgotten else every)

    return forget
