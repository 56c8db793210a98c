"""What operators see of the vendors' accounts and breakers, and what they switch."""

import pytest

from contracts import context
from contracts.ports.accounts import CircuitChange
from contracts.problems import ProblemError
from runtime.budget import Allowance, Bucket, BudgetBroker, Window
from runtime.clock import SystemClock
from runtime.guard import Guard
from system_apis.accounts.api import AccountsApi, Line

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
