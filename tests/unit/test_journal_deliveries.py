"""Events reach their subscribers: in order, at least once, each at its own pace."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from runtime.journal.process import Event, Lifecycle, Move, ProcessType, Start
from runtime.journal.propagation import Delivered, Later, Subscriber, Undeliverable
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    SOON,
    Order,
    at_work,
    eventually,
    store_url,
)

pytestmark = pytest.mark.anyio

STEPS = 5


async def report(process, context):
    step = int(process.state[1:])
    event = Event(topic="order.changed", data={"step": step})
    return Move(event="next", data=process.data, emits=(event,))


REPORTING = ProcessType(
    name="reporting",
    version=1,
    data_type=Order,
    lifecycle=Lifecycle(
        name="reporting",
        initial="s0",
        moves={(f"s{n}", "next"): f"s{n + 1}" for n in range(STEPS)},
        terminal=frozenset({f"s{STEPS}"}),
    ),
    steps={f"s{n}": report for n in range(STEPS)},
)


def a_report(key):
    return Start(
        kind="reporting",
        consumer="crm",
        operation="report",
        key=key,
        fingerprint="",
        reference=key,
        data=Order(),
    )


class Receiver:
    """A subscriber's end: remembers what it got, and answers as it is told to."""

    def __init__(self, answer=None, pause=0.0):
        self.got: list[tuple[str, int]] = []
        self.versions: dict[str, list[int]] = {}
        self._answer = answer or (lambda delivery: Delivered())
        self._pause = pause

    async def __call__(self, deliveries):
        assert len({d.entity for d in deliveries}) == len(deliveries)
        await asyncio.sleep(self._pause)
        outcomes = [self._answer(d) for d in deliveries]
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if isinstance(outcome, Delivered):
                step = msgspec.json.decode(delivery.payload)["step"]
                self.got.append((delivery.entity, step))
                self.versions.setdefault(delivery.entity, []).append(delivery.version)
        return outcomes

    def steps_of(self, entity):
        return [step for e, step in self.got if e == entity]


async def test_every_event_arrives_in_order(store_url):  # noqa: F811  # the fixture
    """Of each order every event, oldest first, with a growing version."""
    receiver = Receiver()
    crm = Subscriber(name="crm", topics=("order.*",), deliver=receiver, concurrency=2)
    async with at_work(store_url, [REPORTING], subscribers=[crm]) as journal:
        for n in range(20):
            await journal.accept(a_report(f"D{n}"))

        async def all_there():
            return await journal.waiting_deliveries("crm") == 0 and len(receiver.got) >= 100

        await eventually(all_there)
        for n in range(20):
            assert receiver.steps_of(f"D{n}") == list(range(STEPS))
            versions = receiver.versions[f"D{n}"]
            assert versions == sorted(set(versions))


async def test_a_dead_subscriber_slows_no_other(store_url):  # noqa: F811  # same
    """One hangs for ever, one is refused the connection: the third has everything."""
    healthy = Receiver()

    async def hang(deliveries):
        await asyncio.Event().wait()

    async def fail(deliveries):
        raise ConnectionRefusedError

    subscribers = [
        Subscriber(name="hanging", topics=("order.changed",), deliver=hang),
        Subscriber(name="failing", topics=("order.changed",), deliver=fail),
        Subscriber(name="healthy", topics=("order.changed",), deliver=healthy),
        Subscriber(name="uninterested", topics=("shipment.*",), deliver=fail),
    ]
    async with at_work(store_url, [REPORTING], subscribers=subscribers) as journal:
        await journal.accept(a_report("D"))

        async def all_there():
            return healthy.steps_of("D") == list(range(STEPS))

        await eventually(all_there)
        assert await journal.waiting_deliveries("failing") == STEPS
        assert await journal.waiting_deliveries("hanging") == STEPS
        assert await journal.waiting_deliveries("uninterested") == 0


async def test_one_entity_in_trouble_holds_up_only_itself(store_url):  # noqa: F811  # same
    """The receiver cannot take one order's news yet; the others' go on, and later its own."""
    refused = []

    def answer(delivery):
        if delivery.entity == "bad" and len(refused) < 2:
            refused.append(delivery.version)
            return Later(reason="not yet")
        return Delivered()

    receiver = Receiver(answer)
    crm = Subscriber(name="crm", topics=("order.*",), deliver=receiver)
    async with at_work(store_url, [REPORTING], subscribers=[crm]) as journal:
        await journal.accept(a_report("bad"))
        await journal.accept(a_report("good"))

        async def good_there():
            return receiver.steps_of("good") == list(range(STEPS))

        await eventually(good_there)
        assert receiver.steps_of("bad") == []

        async def all_there():
            return receiver.steps_of("bad") == list(range(STEPS))

        await eventually(all_there)
        assert refused[0] == refused[1]


async def test_what_is_refused_for_good_is_set_aside(store_url):  # noqa: F811  # same
    """A poison event does not stop those behind it."""

    def answer(delivery):
        poison = msgspec.json.decode(delivery.payload)["step"] == 2
        return Undeliverable(reason="cannot read it") if poison else Delivered()

    receiver = Receiver(answer)
    crm = Subscriber(name="crm", topics=("order.*",), deliver=receiver)
    async with at_work(store_url, [REPORTING], subscribers=[crm]) as journal:
        await journal.accept(a_report("D"))

        async def all_there():
            return receiver.steps_of("D") == [0, 1, 3, 4]

        await eventually(all_there)

        async def none_waiting():
            return await journal.waiting_deliveries("crm") == 0

        await eventually(none_waiting)


async def test_coalescing_sends_the_newest_only(store_url):  # noqa: F811  # same
    """A slow subscriber is told how things stand, never how they stood; and never backwards."""
    receiver = Receiver(pause=0.1)
    crm = Subscriber(name="crm", topics=("order.*",), deliver=receiver, coalesce=True)
    async with at_work(store_url, [REPORTING], subscribers=[crm]) as journal:
        await journal.accept(a_report("D"))

        async def all_there():
            return (
                receiver.steps_of("D")[-1:] == [STEPS - 1]
                and await journal.waiting_deliveries("crm") == 0
            )

        await eventually(all_there)
        steps = receiver.steps_of("D")
        assert steps == sorted(steps)
        assert len(steps) < STEPS


async def test_what_happens_within_the_time_to_gather_is_told_once(store_url):  # noqa: F811  # same
    """Every step of a quick process would be a call to somebody who wants the last one alone."""
    receiver = Receiver()
    crm = Subscriber(
        name="crm",
        topics=("order.*",),
        deliver=receiver,
        coalesce=True,
        gather=timedelta(seconds=2),
    )
    async with at_work(store_url, [REPORTING], subscribers=[crm]) as journal:
        await asyncio.sleep(0)
        accepted = await journal.accept(a_report("D"))
        await journal.wait_for(accepted.process_id, {f"s{STEPS}"}, SOON)

        async def told():
            return await journal.waiting_deliveries("crm") == 0

        await eventually(told)
        assert receiver.steps_of("D") == [STEPS - 1]


async def test_deliveries_outlive_their_program(store_url):  # noqa: F811  # same
    """What was not delivered when the program ended is delivered by the next."""

    async def fail(deliveries):
        raise ConnectionRefusedError

    dead = Subscriber(name="crm", topics=("order.*",), deliver=fail)
    async with at_work(store_url, [REPORTING], subscribers=[dead]) as journal:
        accepted = await journal.accept(a_report("D"))
        await journal.wait_for(accepted.process_id, {f"s{STEPS}"}, SOON)
    receiver = Receiver()
    alive = Subscriber(name="crm", topics=("order.*",), deliver=receiver)
    async with at_work(store_url, [REPORTING], subscribers=[alive]):

        async def all_there():
            return receiver.steps_of("D") == list(range(STEPS))

        await eventually(all_there)
