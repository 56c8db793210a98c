"""A watch looks by the clock, at once for what it is woken for, and never loses a look."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.outcomes import CallFailedError, Unavailable
from process_apis.propagation.watching import Watch, Watermark
from runtime.clock import SystemClock

pytestmark = pytest.mark.anyio


class Looks:
    def __init__(self):
        self.seen, self.is_down = [], False

    async def first(self):
        self.seen.append("first")
        if self.is_down:
            down = Unavailable(system="erp", may_have_happened=False, because="down")
            raise CallFailedError(down)

    async def second(self):
        self.seen.append("second")


@pytest.fixture
async def running():
    looks = Looks()
    told = {"first": looks.first, "second": looks.second}
    watch = Watch("erp", told, every=timedelta(minutes=5), clock=SystemClock())
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.05)
    yield watch, looks
    task.cancel()


async def test_it_begins_with_everything_and_then_looks_at_what_it_is_woken_for(running):
    watch, looks = running
    assert looks.seen == ["first", "second"]
    for _ in range(50):
        watch.wake(["second"])
    watch.wake(["nothing we know"])
    await asyncio.sleep(1.3)
    assert looks.seen == ["first", "second", "second"]


async def test_what_wakes_it_while_it_looks_is_looked_at_again(running):
    watch, looks = running
    watch.wake(["first"])
    await asyncio.sleep(1.1)
    watch.wake(["first"])
    await asyncio.sleep(1.3)
    assert looks.seen.count("first") == 3


async def test_a_system_that_does_not_answer_holds_up_no_other_look(running, caplog):
    watch, looks = running
    looks.is_down = True
    watch.wake(["first", "second"])
    await asyncio.sleep(1.3)
    assert sorted(looks.seen) == ["first", "first", "second", "second"]
    assert "not_looked_at" in [record.message for record in caplog.records]


async def test_a_watermark_only_rises_and_looks_back_behind_itself():
    class Notes:
        kept = None

        async def note(self, *_):
            return self.kept

        async def set_note(self, _kind, _key, value):
            self.kept = value

    notes, overlap = Notes(), timedelta(seconds=60)
    now = SystemClock().now()

    def watermark():
        return Watermark("erp", notes=notes, clock=SystemClock(), overlap=overlap)

    mark = watermark()
    assert abs(await mark.since() - (now - overlap)) < timedelta(seconds=5)
    newest = datetime(2127, 1, 1, tzinfo=UTC)
    await mark.advance(newest)
    await mark.advance(newest - timedelta(days=1))
    await mark.advance(None)
    assert await watermark().since() == newest - overlap
