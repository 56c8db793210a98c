"""Work beside the calls: jobs that run for as long as the system does."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from runtime.journal.holding import Holding
from runtime.journal.journal import Journal
from runtime.store.engine import Store
from runtime.store.faults import StoreUnavailable

__all__ = ["Job", "alone", "forgetting", "lasting"]

log = logging.getLogger("crossdock.jobs")

Job = Callable[[], Awaitable[None]]

_EVERY: Final = 3_600.0
_BETWEEN: Final = 0.05
"""Seconds between two deletions of many, so that accepting orders is not held up."""
_PAUSE: Final = 5.0
_HELD: Final = timedelta(seconds=15)
"""How long a job's holder may be silent before another process takes the job."""


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


def alone(job: Job, name: str, holding: Holding, store: Store, *, span: timedelta = _HELD) -> Job:
    """Answer a job that runs in one of all the processes on one store at a time.

    When that one dies, another goes on with it. A holder that could not renew in time stops
    before another may begin.
    """
    if store.is_exclusive:
        return job

    async def held() -> None:
        while True:
            if await _ours(holding, name, span):
                await _while_held(job, name, holding, span)
            await asyncio.sleep(span.total_seconds() / 3)

    held.__qualname__ = getattr(job, "__qualname__", name)
    return held


async def _ours(holding: Holding, name: str, span: timedelta) -> bool:
    try:
        return await holding.take(name, span)
    except StoreUnavailable:
        return False


async def _while_held(job: Job, name: str, holding: Holding, span: timedelta) -> None:
    working = asyncio.create_task(lasting(job))
    log.info("job_taken", extra={"job": name})
    try:
        while not working.done():
            await asyncio.wait({working}, timeout=span.total_seconds() / 3)
            if not working.done() and not await _ours(holding, name, span):
                log.warning("job_lost", extra={"job": name})
                return
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        with contextlib.suppress(StoreUnavailable):
            await holding.give_back(name)
