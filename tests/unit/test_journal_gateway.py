"""What the journal keeps for the gateway: idempotent answers, the inbox, the audit chain, notes."""

import asyncio
from datetime import timedelta

import pytest

from runtime.journal.answering import KeptAnswer
from runtime.journal.faults import KeyReused
from runtime.journal.process import Term
from runtime.journal.signalling import SignalTo
from runtime.journal.times import to_micros
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    RunningClock,
    Vendor,
    a_journal,
    an_open_store,
    an_order,
    at_work,
    store_url,
    the_order_process,
)

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return RunningClock()


@pytest.fixture
async def journal(store_url, clock):  # noqa: F811  # the fixture
    async with an_open_store(store_url) as store:
        yield a_journal(store, [the_order_process(Vendor())], clock=clock)


def an_answer(clock, key="k", *, body=b'{"id":1}', fingerprint="body"):
    return KeptAnswer(
        scope="crm",
        key=key,
        fingerprint=fingerprint,
        status=201,
        headers=b'[["a","b"]]',
        body=body,
        expires_at=to_micros(clock.now() + DAY),
    )


async def test_an_answer_is_kept_byte_for_byte(journal, clock):
    """Whoever repeats the key gets what the first was told; another scope knows nothing of it."""
    assert await journal.idempotent_answer("crm", "k") is None
    answer = an_answer(clock)
    await journal.store_answer(answer)

    assert await journal.idempotent_answer("crm", "k") == answer
    assert await journal.idempotent_answer("partner", "k") is None


async def test_the_first_answer_of_a_key_stays(journal, clock):
    """Two gateways may both have let a call through; every later caller gets the same answer."""
    first = an_answer(clock)
    await asyncio.gather(
        *(journal.store_answer(an_answer(clock, f"k{n}")) for n in range(5)),
        journal.store_answer(first),
    )
    await journal.store_answer(an_answer(clock, body=b"late", fingerprint="other"))

    assert await journal.idempotent_answer("crm", "k") == first


async def test_keys_are_forgotten_in_time(journal, clock):
    """After the time of keeping, a key is as good as new, and its row goes."""
    await journal.store_answer(an_answer(clock))
    clock.forward(timedelta(days=2))
    assert await journal.idempotent_answer("crm", "k") is None

    await journal.store_answer(an_answer(clock, body=b"new"))
    kept = await journal.idempotent_answer("crm", "k")
    assert kept is not None
    assert kept.body == b"new"
    clock.forward(timedelta(days=2))
    assert await journal.forget_expired_keys() == 1
    assert await journal.forget_expired_keys() == 0


async def test_a_message_is_taken_once(store_url):  # noqa: F811  # same
    """The vendor sends the same notification five times at once: one process, one signal."""
    async with at_work(store_url, [the_order_process(Vendor())]) as journal:
        published = await asyncio.gather(
            *(journal.publish("salesforce", "evt-1", starts=[an_order()]) for _ in range(5))
        )
        (first,) = [p for p in published if p.new]
        (accepted,) = first.accepted
        await journal.wait_for(accepted.process_id, {"shipping"}, SOON)

        shipped = SignalTo(
            name="shipped", dedupe_key="s", term=Term(kind="erp_order", value="order-INV-1")
        )
        told = [await journal.publish("shiphero", "hook-9", signals=[shipped]) for _ in range(3)]
        assert [p.new for p in told] == [True, False, False]
        process = await journal.wait_for(accepted.process_id, {"completed"}, SOON)
        assert process.state == "completed"


async def test_a_message_for_nobody_yet_may_come_again(journal):
    """The shipment is known before the order is: nothing is recorded, so nothing is lost."""
    early = SignalTo(name="shipped", dedupe_key="s", term=Term(kind="reference", value="INV-1"))
    first = await journal.publish("shiphero", "hook-1", signals=[early])
    assert (first.new, first.unresolved) == (False, (Term(kind="reference", value="INV-1"),))
    await journal.accept(an_order())
    second = await journal.publish("shiphero", "hook-1", signals=[early])
    assert (second.new, second.unresolved) == (True, ())


async def test_a_refused_message_leaves_no_trace(journal):
    """One of its parts is refused: neither the others nor the inbox row remain."""
    await journal.accept(an_order("taken"))
    starts = [an_order("fresh"), an_order("taken", fingerprint="another body")]
    with pytest.raises(KeyReused):
        await journal.publish("crm", "m", starts=starts)
    assert await journal.find(Term(kind="reference", value="fresh")) == ()
    assert (await journal.publish("crm", "m", starts=starts[:1])).new


async def test_notes_are_kept(journal):
    """A watermark is what it was last set to."""
    assert await journal.note("poll", "orders") is None
    await journal.set_note("poll", "orders", b"1")
    await journal.set_note("poll", "orders", b"2")
    assert await journal.note("poll", "orders") == b"2"
