"""What operators see of the vendors' accounts and breakers, and what they switch."""

import asyncio
import contextlib

import pytest

from contracts import context
from contracts.ports.accounts import CircuitChange
from contracts.problems import ProblemError
from runtime.budget import Allowance, Bucket, BudgetBroker, Window
from runtime.clock import SystemClock
from runtime.guard import Guard
from runtime.store.engine import Store
from system_apis.accounts.api import AccountsApi, Line
from tests.postgres_server import a_postgresql_database, away
from tests.sandbox_callers import TurnedClock

pytestmark = pytest.mark.anyio

WINDOW = Allowance(windows=(Window(limit=6000, seconds=300), Window(limit=10, seconds=0.1)))
CREDITS = Allowance(bucket=Bucket(capacity=4004, restore=60))
DAILY = Allowance(daily=86_400)


@pytest.fixture
def guards():
    clock = SystemClock()
    return {name: Guard(name, clock=clock) for name in ("north", "south", "west")}


@pytest.fixture
def broker():
    allowances = {"a": WINDOW, "b": CREDITS, "c": DAILY}
    return BudgetBroker(allowances, clock=SystemClock())


@pytest.fixture
def accounts(guards, broker):
    return AccountsApi(
        lines=(
            Line(system="erp", account="a", guard=guards["north"]),
            Line(system="wms", account="b", guard=guards["south"]),
            Line(system="crm", account="free", guard=guards["west"]),
        ),
        broker=broker,
        allowances={"a": WINDOW, "b": CREDITS, "c": DAILY},
        clock=SystemClock(),
    )


async def test_every_account_that_is_called_is_shown_with_its_lasting_pace(accounts, broker):
    """The tightest pace of its windows; one without an allowance has no limit at all."""
    async with broker.spend("b", 7.0) as spending:
        spending.charged = 5.0
    told = {each.account: each for each in (await accounts.budgets()).accounts}

    assert set(told) == {"a", "b", "free"}
    assert (told["a"].serves, told["a"].per_second) == (("erp",), 20.0)
    assert (told["b"].credits_per_second, told["b"].credits_per_call) == (60, 5.0)
    assert (told["free"].limit, told["free"].used, told["free"].per_second) == (None, 0, None)


async def test_breakers_have_our_names_before_anything_was_called(accounts, guards):
    """An operator can trip what has not been met yet; the vendor's class shows once it is met."""
    guards["south"].breaker("token")
    names = [each.name for each in (await accounts.circuits()).circuits]

    assert names == [
        "erp.read", "erp.write", "wms.read", "wms.write", "wms.token", "crm.read", "crm.write",
    ]  # fmt: skip


async def test_a_breaker_tripped_by_hand_says_who_and_why_until_it_is_reset(accounts, guards):
    """It refuses every call, however long it has been open; its neighbour does not."""
    call = context.CallContext(correlation_id="c", consumer="operator", subject="kim")
    with context.calling(call):
        told = await accounts.change_circuit(
            "erp.write", CircuitChange(action="trip", note="They count stock")
        )
    breaker = guards["north"].breaker("write")
    assert (told.state, told.reason) == ("forced-open", "kim: They count stock")
    assert told.retry_in_seconds is None, "time does not close it"
    assert breaker.admit() is None
    assert guards["north"].breaker("read").admit() is not None

    told = await accounts.change_circuit("erp.write", CircuitChange(action="reset", note="Done"))
    assert (told.state, told.reason) == ("closed", None)
    assert breaker.admit() is not None


async def test_a_name_no_breaker_has_is_told_which_there_are(accounts):
    with pytest.raises(ProblemError) as caught:
        await accounts.change_circuit("moon.read", CircuitChange(action="trip", note=""))
    assert caught.value.problem.slug == "not-found"
    assert "erp.read" in caught.value.problem.detail


# -- what is done by hand holds in every process ---------------------------------------------------

STOP = CircuitChange(action="trip", note="They count stock")
GO = CircuitChange(action="reset", note="Done")


class Program:
    """One process that calls the warehouse with a connector of its own."""

    def __init__(self, store, clock=None):
        clock = clock or SystemClock()
        self.store = store
        self.guard = Guard("shiphero", clock=clock)
        self.accounts = AccountsApi(
            lines=(Line(system="wms", account="b", guard=self.guard),),
            broker=BudgetBroker({}, clock=clock), allowances={}, clock=clock, store=store,
        )  # fmt: skip

    def calls(self, kind="write"):
        return self.guard.breaker(kind).admit() is not None

    async def shows(self, name="wms.write"):
        told = {each.name: each for each in (await self.accounts.circuits()).circuits}[name]
        return told.state, told.reason

    async def orders(self, change, name="wms.write", by="kim"):
        call = context.CallContext(correlation_id="c", consumer="operator", subject=by)
        with context.calling(call):
            await self.accounts.change_circuit(name, change)


@contextlib.asynccontextmanager
async def a_program(url, *, clock=None, open_store=Store.open):
    """Started as the system tier is: it looks before its first call, and looks on."""
    program = Program(Store(url), clock)
    open_store(program.store)
    await program.accounts.acts.look()
    looking = asyncio.create_task(program.accounts.acts.run())
    try:
        yield program
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        program.store.close()


async def until(claim, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110  another process has no event for us
            await asyncio.sleep(0.02)


async def test_a_breaker_tripped_in_one_process_is_tripped_in_all_and_so_is_its_reset():
    """Within about a second, without Redis, with who and why; the classes nobody met here too."""
    url = a_postgresql_database()
    async with a_program(url) as one, a_program(url) as other:
        one.guard.breaker("token")
        await one.orders(STOP)
        await one.orders(STOP, "wms.token")
        assert not one.calls()
        await until(lambda: not other.calls(), 1.5)
        await until(lambda: not other.calls("token"), 1.5)
        assert await other.shows() == ("forced-open", "kim: They count stock")
        assert other.calls("read")

        await other.orders(GO)
        assert other.calls()
        await until(one.calls, 1.5)
        assert await one.shows() == ("closed", None)
        assert not one.calls("token")


async def test_who_starts_later_obeys_before_its_first_call():
    """Also when everybody who knew has ended meanwhile: the store remembers what a person said."""
    url = a_postgresql_database()
    async with a_program(url) as one:
        await one.orders(STOP)
    async with a_program(url) as later:
        assert not later.calls()
        assert await later.shows() == ("forced-open", "kim: They count stock")


async def test_alone_on_its_own_file_a_process_remembers_too(tmp_path):
    """SQLite, one process: nobody to tell, and still what was stopped stays stopped."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    async with a_program(url) as one:
        await one.orders(STOP)
    async with a_program(url) as again:
        assert not again.calls()
        await again.orders(GO)
    async with a_program(url) as at_last:
        assert at_last.calls()


async def test_with_the_store_away_each_keeps_what_it_knew_and_no_act_is_lost():
    """An act holds at once where it is taken, and everywhere when the store is back."""
    url = a_postgresql_database()
    async with a_program(url) as one, a_program(url) as other:
        await one.orders(STOP)
        await until(lambda: not other.calls())
        with away(url):
            await asyncio.sleep(0.7)
            assert not one.calls()
            assert not other.calls()
            await one.orders(GO)
            await one.orders(STOP, "wms.read")
            assert one.calls()
            assert not one.calls("read")
            await asyncio.sleep(0.7)
            assert not other.calls()
        await until(lambda: other.calls() and not other.calls("read"))


async def test_connectors_start_without_the_store_and_obey_when_it_comes():
    """Who serves the system tier needs nothing else of it."""
    url = a_postgresql_database()
    async with a_program(url) as one:
        await one.orders(STOP)
        with away(url):
            async with a_program(url, open_store=Store.join) as late:
                assert late.calls()
                await late.orders(STOP, "wms.read")
        async with a_program(url, open_store=Store.join) as late:
            await until(lambda: not late.calls())


async def test_the_later_of_two_acts_counts_whatever_the_clocks_say():
    """An operator who has seen the trip resets it at a process whose clock is an hour behind."""
    url = a_postgresql_database()
    ahead, behind = TurnedClock(), TurnedClock()
    ahead.turn(3600)
    async with a_program(url, clock=ahead) as one, a_program(url, clock=behind) as other:
        await one.orders(STOP)
        await until(lambda: not other.calls())
        await other.orders(GO)
        await until(one.calls)
        await asyncio.sleep(0.7)
        assert other.calls()
