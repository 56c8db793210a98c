"""One upstream, guarded: places are bounded, deadlines kept, and one more try is all there is."""

import asyncio

import pytest

from contracts.context import CallContext, calling
from contracts.outcomes import CallFailedError, Malformed, Rejected, Throttled, Unavailable
from runtime.clock import SystemClock
from runtime.guard import Bulkhead, Guard, GuardSettings, RetryBudget, Turns

pytestmark = pytest.mark.anyio


def ends(failure, counted=None):
    async def attempt(seconds):
        if counted is not None:
            counted.append(seconds)
        raise CallFailedError(failure)

    return attempt


LOST = Unavailable(system="erp", may_have_happened=True, because="connection lost")


@pytest.fixture
def guard():
    return Guard("erp", clock=SystemClock())


async def call(guard, attempt, *, safe=False):
    with pytest.raises(CallFailedError) as caught:
        await guard.call("write", attempt, timeout=5.0, safe=safe)
    return caught.value.failure


async def test_a_write_is_never_sent_twice(guard):
    sent = []
    assert await call(guard, ends(LOST, sent)) == LOST
    assert len(sent) == 1


async def test_a_read_that_lost_its_connection_is_tried_once_more(guard):
    sent = []
    await call(guard, ends(LOST, sent), safe=True)
    assert len(sent) == 2


async def test_when_all_reads_fail_retries_stay_a_small_share_of_them():
    budget = RetryBudget(share=0.1, most=10)
    retried = 0
    for _ in range(1000):
        budget.earn()
        retried += budget.spend()
    assert retried <= 110


async def test_five_dead_calls_open_the_circuit_and_the_next_is_not_sent(guard):
    sent = []
    for _ in range(5):
        await call(guard, ends(LOST, sent))
    failure = await call(guard, ends(LOST, sent))
    assert failure == Unavailable(system="erp", may_have_happened=False, because="circuit open")
    assert len(sent) == 5


@pytest.mark.parametrize(
    "failure",
    [
        Rejected(system="erp", reason="business-rule", detail=""),
        Throttled(system="erp", retry_after=1),
        Unavailable(system="erp", may_have_happened=False, because="deadline"),
    ],
)
async def test_refusals_and_throttles_say_nothing_against_the_upstream(guard, failure):
    for _ in range(20):
        assert await call(guard, ends(failure)) == failure
    assert guard.breaker("write").state == "closed"


async def test_an_upstream_that_talks_nonsense_is_not_healthy(guard):
    for _ in range(5):
        await call(guard, ends(Malformed(system="erp", detail="", may_have_happened=True)))
    assert guard.breaker("write").state == "open"


async def test_reads_and_writes_have_circuits_of_their_own(guard):
    for _ in range(5):
        await call(guard, ends(LOST))

    async def works(seconds):
        return "read"

    assert await guard.call("read", works, timeout=1, safe=True) == "read"


async def test_an_attempt_gets_what_is_left_of_the_callers_budget(guard):
    clock = SystemClock()
    told = []

    async def attempt(seconds):
        told.append(seconds)

    context = CallContext(correlation_id="c", consumer="x", deadline=clock.monotonic() + 0.5)
    with calling(context):
        await guard.call("read", attempt, timeout=10, safe=True)
    assert 0.3 < told[0] <= 0.5


SILENT = Unavailable(system="erp", may_have_happened=True, because="time-out")


@pytest.mark.parametrize(("budget", "state"), [(0.5, "closed"), (1.5, "open"), (None, "open")])
async def test_silence_towards_a_caller_in_a_hurry_opens_no_circuit(guard, budget, state):
    for _ in range(8):
        deadline = None if budget is None else SystemClock().monotonic() + budget
        with calling(CallContext(correlation_id="c", consumer="x", deadline=deadline)):
            await call(guard, ends(SILENT))
    assert guard.breaker("write").state == state


async def test_where_less_is_granted_than_patience_silence_counts_all_the_same(guard):
    for _ in range(5):
        with pytest.raises(CallFailedError):
            await guard.call("pulse", ends(SILENT), timeout=0.2, safe=True)
    assert guard.breaker("pulse").state == "open"


async def test_with_the_budget_used_up_nothing_is_sent(guard):
    sent = []
    past = CallContext(correlation_id="c", consumer="x", deadline=SystemClock().monotonic() - 1)
    with calling(past):
        failure = await call(guard, ends(LOST, sent))
    assert failure.because == "deadline"
    assert not failure.may_have_happened
    assert sent == []


async def test_places_are_never_exceeded_and_given_in_order():
    guard = Guard("erp", clock=SystemClock(), settings=GuardSettings(places=3, queue=100))
    running, most, order = 0, 0, []

    def numbered(number):
        async def attempt(seconds):
            nonlocal running, most
            running += 1
            most = max(most, running)
            order.append(number)
            await asyncio.sleep(0.002)
            running -= 1

        return attempt

    await asyncio.gather(
        *(guard.call("read", numbered(at), timeout=5, safe=True) for at in range(20))
    )
    assert most == 3
    assert order == list(range(20))


async def test_a_full_queue_and_lost_patience_are_refused_with_nothing_sent():
    bulkhead = Bulkhead(system="erp", places=1, queue=1)
    async with bulkhead.place(1):
        waiting = asyncio.create_task(bulkhead.enter(0.02))
        await asyncio.sleep(0)
        with pytest.raises(CallFailedError) as full:
            await bulkhead.enter(1)
        with pytest.raises(CallFailedError) as impatient:
            await waiting
    assert full.value.failure.because == impatient.value.failure.because == "bulkhead full"
    assert (bulkhead.taken, bulkhead.waiting) == (0, 0)


async def test_a_place_handed_to_somebody_who_is_being_cancelled_is_not_lost():
    bulkhead = Bulkhead(system="erp", places=1, queue=5)
    await bulkhead.enter(1)
    waiting = asyncio.create_task(bulkhead.enter(1))
    await asyncio.sleep(0)
    bulkhead.leave()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert bulkhead.taken == 0


async def test_turns_of_one_key_never_overlap_and_the_second_knows_it_waited():
    turns, inside, seen = Turns(), set(), []

    async def work(key):
        async with turns.turn(key) as waited:
            assert key not in inside
            inside.add(key)
            await asyncio.sleep(0.001)
            inside.remove(key)
            seen.append((key, waited))

    await asyncio.gather(*(work(key) for key in "aabbb"))
    assert sorted(seen) == [
        ("a", False), ("a", True), ("b", False), ("b", True), ("b", True),
    ]  # fmt: skip


async def test_a_place_given_back_while_a_waiter_gives_up_is_free_again():
    """Both in one moment: the waiter ends as given up, and the next one finds the place."""
    bulkhead = Bulkhead(system="erp", places=1, queue=1)
    await bulkhead.enter(1.0)
    waiter = asyncio.create_task(bulkhead.enter(1.0))
    await asyncio.sleep(0)

    waiter.cancel()
    bulkhead.leave()

    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (bulkhead.taken, bulkhead.waiting) == (0, 0)
