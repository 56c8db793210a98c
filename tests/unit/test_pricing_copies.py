"""Copies of another system's records: how long they are trusted, and what they cost it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.outcomes import CallFailedError, Malformed, Throttled, Unavailable
from process_apis.pricing_credit.copies import Copies
from process_apis.pricing_credit.pulse import Pulse
from process_apis.pricing_credit.settings import CopySettings

pytestmark = pytest.mark.anyio


class HandClock:
    """A clock that moves only when it is told to."""

    def __init__(self):
        self.seconds = 1000.0

    def now(self):
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds


class Authority:
    """Answers numbers for words, counts its calls, and can be away or slow."""

    def __init__(self):
        self.records = {"one": 1, "two": 2, "three": 3}
        self.calls = []
        self.failure = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, keys):
        self.calls.append(sorted(keys))
        await self.gate.wait()
        if self.failure is not None:
            raise CallFailedError(self.failure)
        return {key: self.records[key] for key in keys if key in self.records}


AWAY = Unavailable(system="erp", may_have_happened=False, because="away")


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def copies(authority, clock):
    settings = CopySettings(firm_for=60, size=3, patience=0.05, pause=2)
    return Copies("numbers", authority.load, settings=settings, clock=clock)


async def test_one_call_reads_all_that_is_missing_and_none_what_is_firm(copies, authority):
    await copies.get(["one"])
    found = await copies.get(["one", "two", "three"])

    assert found.values == {"one": 1, "two": 2, "three": 3}
    assert authority.calls == [["one"], ["three", "two"]]
    assert copies.firm(["one", "two"]).firm


async def test_a_hundred_callers_cost_one_call(copies, authority):
    """A cold cache under load asks its authority once a key (campaign C7)."""
    answers = await asyncio.gather(*(copies.get(["one", "two"]) for _ in range(100)))

    assert len(authority.calls) == 1
    assert all(answer.values == {"one": 1, "two": 2} for answer in answers)


async def test_a_copy_past_its_bound_is_read_again(copies, authority, clock):
    await copies.get(["one"])
    authority.records["one"] = 11
    clock.seconds += 61

    assert copies.firm(["one"]) is None
    assert (await copies.get(["one"])).values == {"one": 11}


async def test_with_the_authority_away_the_old_copy_is_given_with_its_age(copies, authority, clock):
    """Stale with its origin, not nothing and not a failure."""
    read_at = clock.now()
    await copies.get(["one"])
    clock.seconds += 61
    authority.failure = AWAY

    found = await copies.get(["one", "two"])

    assert (found.values, found.lacking, found.firm) == ({"one": 1}, ["two"], False)
    assert found.as_of == read_at
    assert found.reason == "erp is not available"


async def test_an_authority_that_is_away_is_left_alone_for_a_while(copies, authority, clock):
    authority.failure = AWAY
    for _ in range(5):
        await copies.get(["one"])
    assert len(authority.calls) == 1

    clock.seconds += 3
    authority.failure = None
    assert (await copies.get(["one"])).values == {"one": 1}


async def test_a_throttling_authority_is_left_alone_as_long_as_it_asked(copies, authority, clock):
    authority.failure = Throttled(system="erp", retry_after=30)
    await copies.get(["one"])
    clock.seconds += 29
    await copies.get(["one"])

    assert len(authority.calls) == 1


async def test_a_caller_with_an_older_copy_does_not_wait_for_a_slow_authority(
    copies, authority, clock
):
    await copies.get(["one"])
    clock.seconds += 61
    authority.gate.clear()

    found = await asyncio.wait_for(copies.get(["one"]), timeout=1)

    assert (found.values, found.firm) == ({"one": 1}, False)
    authority.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert copies.firm(["one"]).values == {"one": 1}


async def test_nobody_waits_longer_than_the_deadline(copies, authority, clock):
    authority.gate.clear()

    found = await asyncio.wait_for(copies.get(["one"], clock.seconds + 0.05), timeout=1)

    assert found.lacking == ["one"]
    authority.gate.set()


async def test_a_caller_who_leaves_takes_nobodys_answer_away(copies, authority):
    """The read goes on for the others when the one who began it is gone."""
    authority.gate.clear()
    first = asyncio.create_task(copies.get(["one"]))
    await asyncio.sleep(0)
    second = asyncio.create_task(copies.get(["one"]))
    await asyncio.sleep(0)
    first.cancel()
    authority.gate.set()

    assert (await second).values == {"one": 1}
    assert len(authority.calls) == 1


async def test_a_doubted_copy_is_read_again_and_until_then_is_stale(copies, authority):
    await copies.get(["one"])
    authority.failure = AWAY
    copies.doubt(["one"])

    found = await copies.get(["one"])

    assert (found.values, found.firm) == ({"one": 1}, False)


async def test_a_change_told_while_the_record_is_being_read_is_not_missed(copies, authority):
    """The answer under way may be from before the change: it is not trusted."""
    authority.gate.clear()
    reading = asyncio.create_task(copies.get(["one"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    copies.doubt(["one"])
    authority.gate.set()

    assert not (await reading).firm
    assert (await copies.get(["one"])).firm


async def test_what_does_not_exist_is_remembered_for_a_moment_only(copies, authority, clock):
    assert (await copies.get(["four"])).absent == ["four"]
    await copies.get(["four"])
    assert len(authority.calls) == 1

    authority.records["four"] = 4
    clock.seconds += 6
    assert (await copies.get(["four"])).values == {"four": 4}


async def test_memory_is_bounded_and_the_oldest_reading_goes(copies):
    for key in ("one", "two", "three"):
        await copies.get([key])
    copies.put("four", 4)

    assert len(copies) == 3
    assert copies.firm(["one"]) is None


async def test_a_complete_look_at_all_changes_keeps_every_copy_firm(copies, clock):
    await copies.get(["one"])
    clock.seconds += 50
    copies.confirm(clock.now(), clock.monotonic())
    clock.seconds += 50

    found = copies.firm(["one"])

    assert found is not None
    assert (clock.now() - found.as_of).total_seconds() == 50


async def test_an_answer_against_the_contract_is_no_answer_and_no_pause(copies, authority):
    authority.failure = Malformed(system="erp", detail="not JSON", may_have_happened=False)
    await copies.get(["one"])
    authority.failure = None

    assert (await copies.get(["one"])).firm


async def test_a_mistake_in_a_loader_is_not_swallowed(clock):
    async def broken(_keys):
        raise ZeroDivisionError

    copies = Copies("broken", broken, settings=CopySettings(firm_for=60, size=3), clock=clock)

    with pytest.raises(ZeroDivisionError):
        await copies.get(["one"])


@pytest.fixture
def pulse(clock):
    return Pulse(every=1.0, patience=0.05, clock=clock)


@pytest.fixture
def watched(authority, clock, pulse):
    settings = CopySettings(firm_for=60, size=3, patience=0.05, pause=0.2)
    return Copies("numbers", authority.load, settings=settings, clock=clock, pulse=pulse)


async def test_a_young_copy_of_an_authority_that_is_gone_is_stale(watched, authority, clock):
    """Read twenty seconds ago, good for sixty: but nobody would confirm it now."""
    await watched.get(["one", "two"])
    clock.seconds += 20
    authority.failure = AWAY

    found = await watched.get(["one", "two"])

    assert (found.values, found.firm) == ({"one": 1, "two": 2}, False)
    assert found.reason == "erp is not available"


async def test_one_read_feels_the_pulse_for_everybody(watched, authority, clock):
    """A busy second costs the authority one call, whatever is asked for."""
    await watched.get(["one", "two"])
    clock.seconds += 20
    authority.calls.clear()

    answers = await asyncio.gather(*(watched.get(["one", "two"]) for _ in range(50)))

    assert all(answer.firm for answer in answers)
    assert authority.calls == [["one"]]
    assert watched.firm(["one", "two"]).firm


async def test_an_authority_that_is_back_is_believed_at_the_next_beat(watched, authority, clock):
    await watched.get(["one"])
    clock.seconds += 20
    authority.failure = AWAY
    await watched.get(["one"])
    authority.failure = None
    clock.seconds += 2

    found = await watched.get(["one"])

    assert found.firm
    assert found.values == {"one": 1}


async def test_an_authority_that_is_only_slow_is_believed(watched, authority, clock):
    """Its young copies stay firm; the caller waits no longer than the patience."""
    await watched.get(["one"])
    clock.seconds += 20
    authority.gate.clear()

    found = await watched.get(["one"])
    authority.gate.set()

    assert found.firm
