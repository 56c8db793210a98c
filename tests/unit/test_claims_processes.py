"""Several processes on one PostgreSQL take of the same: together never more than there is."""

import asyncio
import contextlib
import random
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from contracts.ports.inventory import PromiseEnquiry, ReserveStock
from process_apis.inventory.api import InventoryApi
from process_apis.inventory.settings import InventorySettings
from tests.claims_program import ITEMS, LIMIT, THERE, FullShelf, wanted_by
from tests.journal_orders import RunningClock, an_open_store
from tests.postgres_server import a_postgresql_database

pytestmark = pytest.mark.anyio

PROCESSES = 4
HOLDERS = 200


class Taker:
    """A process that takes for holders, and what it has answered."""

    def __init__(self, url, name, numbers, what="stock"):
        command = [sys.executable, "-m", "tests.claims_program", url, name, what]
        self._process = subprocess.Popen(
            [*command, ",".join(map(str, numbers))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said = []

    async def ready(self):
        """Wait until it is; what it answers before counts as well."""
        line = ""
        while line != "ready\n":
            line = await asyncio.to_thread(self._process.stdout.readline)
            assert line, "it died"
            if line != "ready\n":
                self.said.append(line.split())

    def go(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    async def answers(self, most):
        """Read up to so many answers, or all there are."""
        while len(self.said) < most:
            line = await asyncio.to_thread(self._process.stdout.readline)
            if not line:
                break
            self.said.append(line.split())
        return self.said

    def kill(self):
        self._process.kill()

    def done(self):
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(10)


def promised(answers):
    """Add up what was answered, each holder once."""
    totals = Counter()
    for lines in {holder: lines for _, holder, *lines in answers}.values():
        for line in lines:
            place, _, quantity = line.partition("=")
            totals[place] += Decimal(quantity)
    return totals


@contextlib.asynccontextmanager
async def inventory_on(url, clock):
    async with an_open_store(url) as store:
        inventory = InventoryApi(
            wms=FullShelf(), store=store, settings=InventorySettings(), clock=clock
        )
        await inventory.open()
        yield inventory, store


async def all_wait_until_ready(takers):
    await asyncio.gather(*(taker.ready() for taker in takers))
    for taker in takers:
        taker.go()


async def test_200_reservations_from_four_processes_promise_nothing_twice():
    """Every holder is asked for by two processes at once, and gets its reservation once."""
    url = a_postgresql_database()
    async with inventory_on(url, RunningClock()):
        numbers = [n for n in range(HOLDERS) for _ in range(2)]
        takers = [Taker(url, f"p{n}", numbers[n::PROCESSES]) for n in range(PROCESSES)]
        await all_wait_until_ready(takers)
        answers = [said for taker in takers for said in await taker.answers(10_000)]
        assert [taker.done() for taker in takers] == [0] * PROCESSES

    assert len(answers) == 2 * HOLDERS
    by_holder = {}
    for _, holder, *lines in answers:
        assert by_holder.setdefault(holder, sorted(lines)) == sorted(lines)
    totals = promised(answers)
    for item in ITEMS:
        for place, there in THERE.items():
            # The whole stock is gone, to the last half piece that fits somebody's wish.
            assert 0 <= there - totals[f"{item}@{place}"] < 1


async def test_a_killed_process_loses_nothing_and_what_expires_comes_back():
    """What it answered is still kept; the rest of the stock is there for others."""
    url, clock = a_postgresql_database(), RunningClock()
    async with inventory_on(url, clock) as (inventory, store):
        doomed = Taker(url, "doomed", range(40))
        await doomed.ready()
        doomed.go()
        await doomed.answers(random.Random(5).randrange(3, 12))
        doomed.kill()
        answers = await doomed.answers(10_000)
        doomed.done()

        for _, holder, *lines in answers:
            kept = await inventory.reservation(holder)
            assert sorted(f"{x.item}@{x.warehouse}={x.quantity}" for x in kept.lines) == sorted(
                lines
            )
        rest = [
            await inventory.reserve(ReserveStock(holder=f"H-{n}", lines=wanted_by(n), seconds=3600))
            for n in range(40, 240)
        ]
        rows = await store.read(
            lambda c: c.execute(text("SELECT account, sum(amount) FROM claim GROUP BY 1")).all()
        )
        for account, units in rows:
            assert units <= THERE[account.partition("\n")[2]] * 100_000
        assert any(answer.short for answer in rest)

        clock.forward(timedelta(hours=2))
        free = await inventory.promisable(PromiseEnquiry(items=ITEMS))
    assert isinstance(free.items[0].as_of, datetime)
    for item in free.items:
        assert {place.warehouse: place.promisable for place in item.places} == THERE


async def test_orders_taken_by_three_processes_stay_within_one_limit():
    """Each counts what the others let in: at most 6000 is approved, and nothing that fits held."""
    url = a_postgresql_database()
    async with an_open_store(url):
        takers = [Taker(url, f"p{n}", range(n * 100, n * 100 + 30), "credit") for n in range(3)]
        await all_wait_until_ready(takers)
        for taker in takers:
            await taker.answers(30)
            taker.kill()
        answers = [said for taker in takers for said in await taker.answers(30)]
        for taker in takers:
            taker.done()

    amounts = {"approved": [], "held": []}
    for _, _, line in answers:
        credit, _, amount = line.partition("=")
        amounts[credit].append(Decimal(amount))
    assert len(answers) == 90
    assert sum(amounts["approved"]) <= LIMIT
    assert LIMIT - sum(amounts["approved"]) < min(amounts["held"])
