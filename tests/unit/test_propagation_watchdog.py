"""A subscription is suspect when a look finds what no message told of, and only then."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.outcomes import CallFailedError, Unavailable
from process_apis.propagation.watchdog import Watchdog
from runtime.store.faults import StoreUnavailable

pytestmark = pytest.mark.anyio

GRACE = timedelta(seconds=120)


class SetClock:
    """A clock that stands until it is put forward."""

    def __init__(self):
        self.at = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

    def now(self):
        return self.at

    def monotonic(self):
        return self.at.timestamp()

    def forward(self, **by):
        self.at += timedelta(**by)


class World:
    def __init__(self):
        self.clock, self.renewals, self.is_down = SetClock(), 0, False
        self.watchdog = Watchdog(
            {"shipments": self.renew, "deals": None},
            clock=self.clock,
            grace=GRACE,
            renew_every=timedelta(minutes=5),
        )

    async def renew(self):
        self.renewals += 1
        if self.is_down:
            down = Unavailable(system="wms", may_have_happened=False, because="down")
            raise CallFailedError(down)

    def standing(self, name="shipments"):
        return next(one for one in self.watchdog.standings() if one.name == name)


@pytest.fixture
def world():
    return World()


async def test_a_message_that_comes_within_its_grace_is_not_missed(world):
    """Business Central collects changes for half a minute: a look is often first."""
    world.watchdog.expected("shipments")
    world.clock.forward(seconds=40)
    world.watchdog.heard("shipments")
    world.clock.forward(hours=1)
    await world.watchdog.check()
    assert (world.standing().missed, world.renewals) == (0, 0)


async def test_a_look_just_after_the_message_expects_no_other(world):
    world.watchdog.heard("shipments")
    world.clock.forward(seconds=5)
    world.watchdog.expected("shipments")
    world.clock.forward(hours=1)
    await world.watchdog.check()
    assert world.standing().missed == 0


async def test_silence_is_told_counted_and_mended_once_in_a_while(world, caplog):
    for _ in range(3):
        world.watchdog.expected("shipments")
    world.clock.forward(seconds=121)
    for _ in range(4):
        await world.watchdog.check()
        world.clock.forward(seconds=5)
    assert (world.standing().missed, world.renewals) == (3, 1)
    told = [record.message for record in caplog.records]
    assert told.count("subscription_silent") == 1
    world.clock.forward(minutes=5)
    await world.watchdog.check()
    assert world.renewals == 2
    world.watchdog.heard("shipments")
    world.clock.forward(minutes=5)
    await world.watchdog.check()
    assert (world.standing().suspect_since, world.renewals) == (None, 2)


async def test_a_vendor_that_is_down_is_asked_again_later(world):
    world.is_down = True
    world.watchdog.expected("shipments")
    world.clock.forward(minutes=10)
    await world.watchdog.check()
    world.clock.forward(minutes=6)
    await world.watchdog.check()
    assert world.renewals == 2


async def test_one_that_only_a_person_can_mend_is_told_of(world, caplog):
    world.watchdog.expected("deals")
    world.clock.forward(minutes=10)
    await world.watchdog.check()
    assert world.standing("deals").suspect_since is not None
    assert "subscription_silent" in [record.message for record in caplog.records]


class Notebook:
    """What several processes write down for one another."""

    def __init__(self):
        self.written, self.is_away = {}, False

    async def note(self, kind, key):
        if self.is_away:
            raise StoreUnavailable("away")
        return self.written.get((kind, key))

    async def set_note(self, kind, key, value):
        self.written[kind, key] = value


@pytest.fixture
def apart():
    """Two processes: messages come in at `door`, and `looking` looks at the systems."""
    door, looking, between = World(), World(), Notebook()
    looking.clock = door.clock
    looking.watchdog._clock = door.clock
    for each in (door, looking):
        each.watchdog.share(between)
    return door, looking, between


async def test_what_is_heard_at_one_process_is_not_missed_at_another(apart):
    """A look is often first, and the message comes in where nobody looks."""
    door, looking, _ = apart
    looking.watchdog.expected("shipments")
    door.clock.forward(seconds=40)
    door.watchdog.heard("shipments")
    await door.watchdog.exchange()
    await looking.watchdog.exchange()
    looking.watchdog.expected("shipments")
    door.clock.forward(minutes=10)

    await looking.watchdog.check()

    assert (looking.standing().missed, looking.renewals) == (0, 0)


async def test_what_was_found_long_after_the_last_message_elsewhere_is_missed(apart):
    """The message before says nothing of it; the next one ends the suspicion."""
    door, looking, between = apart
    door.watchdog.heard("shipments")
    await door.watchdog.exchange()
    door.clock.forward(minutes=10)
    looking.watchdog.expected("shipments")
    door.clock.forward(minutes=3)
    await looking.watchdog.exchange()
    await looking.watchdog.check()
    assert (looking.standing().missed, looking.renewals) == (1, 1)

    between.is_away = True
    door.watchdog.heard("shipments")
    await door.watchdog.exchange()
    assert looking.standing().suspect_since is not None
    between.is_away = False
    await door.watchdog.exchange()
    await looking.watchdog.exchange()

    assert looking.standing().suspect_since is None


async def test_a_quiet_system_is_not_suspect(world):
    for _ in range(100):
        world.watchdog.polled("shipments")
        world.clock.forward(minutes=1)
        await world.watchdog.check()
    standing = world.standing()
    assert (standing.missed, standing.suspect_since) == (0, None)
    assert standing.last_poll is not None
