"""Whoever is away when subscriptions are made holds up nobody else, and is asked again soon."""

import asyncio

import pytest

from contracts.outcomes import CallFailedError, Unavailable
from contracts.ports.accounts import Renewed
from deploy import subscribing
from deploy.subscribing import Subscriptions, WarehouseSecrets
from runtime.store.faults import StoreUnavailable

pytestmark = pytest.mark.anyio


class Accounts:
    """Vendors of which one may be away."""

    def __init__(self, away):
        self.away = away
        self.subscribed = []

    async def renew_subscriptions(self, system, body):
        if system == self.away:
            raise CallFailedError(
                Unavailable(system=system, may_have_happened=False, because="it is away")
            )
        shows = system == "wms" and (body.anew or system not in self.subscribed)
        self.subscribed.append(system)
        return Renewed(made=1, secrets=("shown once",) if shows else ())


class Notes:
    """A store that is away at first."""

    def __init__(self):
        self.tries = 0

    async def note(self, kind, key):
        return None

    async def set_note(self, kind, key, value):
        self.tries += 1
        if self.tries == 1:
            raise StoreUnavailable


@pytest.fixture
def soon(monkeypatch):
    """Pauses of milliseconds."""
    monkeypatch.setattr(subscribing, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(subscribing, "_LONGEST_PAUSE", 0.004)


async def until(claim):
    async with asyncio.timeout(5):
        while not claim():  # noqa: ASYNC110  nothing tells of what is remembered
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(("away", "there"), [("erp", "wms"), ("wms", "erp")])
async def test_one_that_is_away_holds_up_no_other_and_is_asked_again(soon, away, there):
    accounts = Accounts(away)
    keeping = asyncio.create_task(Subscriptions(accounts).run())
    await until(lambda: accounts.subscribed == [there])
    await asyncio.sleep(0.05)
    accounts.away = None
    await until(lambda: accounts.subscribed == [there, away])
    keeping.cancel()


async def test_a_store_that_is_away_ends_nothing(soon):
    """The secrets were shown and could not be kept: they are asked for again."""
    accounts, notes = Accounts(None), Notes()
    made = Subscriptions(accounts)
    made.give_secrets_to(WarehouseSecrets((), notes))
    keeping = asyncio.create_task(made.run())
    await until(lambda: notes.tries == 2)
    assert sorted(accounts.subscribed) == ["erp", "wms", "wms"]
    keeping.cancel()
