"""Work beside the calls goes on for as long as the system does, and is seen when it does not."""

import asyncio
import logging
from datetime import timedelta

import pytest

from deploy.jobs import forgetting, lasting
from runtime.journal.answering import KeptAnswer
from runtime.journal.times import to_micros
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    RunningClock,
    a_journal,
    an_open_store,
    store_url,
)

pytestmark = pytest.mark.anyio


async def test_a_job_that_breaks_is_told_of_and_begun_again(caplog):
    """Nobody waits for it, so nobody else would notice."""
    begun = []

    async def breaks_once():
        begun.append(len(begun))
        if len(begun) == 1:
            raise KeyError("a fault nobody thought of")

    with caplog.at_level(logging.ERROR):
        await asyncio.wait_for(lasting(breaks_once, pause=0.01), 5)

    assert begun == [0, 1]
    assert [record.message for record in caplog.records] == ["job_broken"]
    assert "breaks_once" in caplog.records[0].job


async def test_a_job_is_stopped_by_being_cancelled():
    """The end of the system is no fault of the job."""
    task = asyncio.create_task(lasting(asyncio.Event().wait, pause=0.01))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_kept_answers_go_when_their_time_is_over(store_url):  # noqa: F811  # the fixture
    """A thousand at a time and one thousand more; what may still be repeated stays."""
    clock = RunningClock()
    async with an_open_store(store_url) as store:
        journal = a_journal(store, [], clock=clock)
        for key, days in [*((f"old-{n}", 1) for n in range(1001)), ("young", 30)]:
            await journal.store_answer(
                KeptAnswer(
                    scope="crm", key=key, fingerprint="f", status=201, headers=b"[]", body=b"{}",
                    expires_at=to_micros(clock.now() + timedelta(days=days)),
                )
            )  # fmt: skip
        clock.forward(timedelta(days=2))

        task = asyncio.create_task(forgetting(journal)())
        async with asyncio.timeout(20):
            while await rows(store) > 1:  # noqa: ASYNC110  # a database rings no bell
                await asyncio.sleep(0.02)
        task.cancel()

        assert await journal.idempotent_answer("crm", "young") is not None


async def rows(store):
    def count(connection):
        return connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one()

    return await store.read(count)
