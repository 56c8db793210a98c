"""shield: nobody waits past the budget, and a place is always given back."""

import asyncio

import pytest

from gateway.config import ShieldSettings

pytestmark = pytest.mark.anyio
CHECK = "/sales/v1/price-checks"


async def test_the_contract_bounds_the_wait(world):
    document = world.document()
    document["paths"]["/price-checks"]["post"]["x-crossdock"]["budgetMs"] = 60
    w = await world(document=document)
    w.tier.delay = 5
    token = await w.token()
    began = asyncio.get_running_loop().time()
    told = await w.call("POST", CHECK, json=w.an_order(), token=token)

    assert (told.status, told.problem) == (504, "deadline-exceeded")
    assert asyncio.get_running_loop().time() - began < 1


async def test_the_caller_may_ask_for_less_and_the_tier_knows(world):
    w = await world()
    budget = ("x-request-budget-ms", "500")
    await w.call("POST", CHECK, json=w.an_order(), token=await w.token(), headers=[budget])

    assert w.tier.calls[-1].context.remaining(w.clock.monotonic()) == pytest.approx(0.5)


async def test_the_caller_cannot_ask_for_more(world):
    w = await world()
    budget = ("x-request-budget-ms", "9000000")
    await w.call("POST", CHECK, json=w.an_order(), token=await w.token(), headers=[budget])

    assert w.tier.calls[-1].context.remaining(w.clock.monotonic()) == pytest.approx(2.0)


@pytest.mark.parametrize("budget", ["0", "-1", "soon", "1.5", "", "1" * 12])
async def test_a_budget_that_is_no_number_is_a_fault(world, budget):
    w = await world()
    told = await w.call(
        "POST",
        CHECK,
        json=w.an_order(),
        token=await w.token(),
        headers=[("x-request-budget-ms", budget)],
    )

    assert (told.status, told.problem) == (400, "invalid-request")


async def test_a_full_bulkhead_refuses_at_once_and_frees_up_again(world):
    config = world.config(gateway={"shield": ShieldSettings(concurrency=3)})
    w = await world(config=config)
    w.tier.delay = 0.1
    token = await w.token()
    told = await asyncio.gather(
        *(w.call("POST", CHECK, json=w.an_order(), token=token) for _ in range(10))
    )

    assert sorted(each.status for each in told) == [200] * 3 + [503] * 7
    assert {each.problem for each in told if each.status == 503} == {"overloaded"}
    w.tier.fails_with = [RuntimeError("x")] * 3
    for _ in range(5):
        told = await w.call("POST", CHECK, json=w.an_order(), token=token)
    assert told.status == 200


async def test_one_class_full_leaves_the_others_alone(world):
    w = await world(config=world.config(gateway={"shield": ShieldSettings(concurrency=1)}))
    w.tier.delay = 0.1
    token = await w.token()
    checks = [
        asyncio.create_task(w.call("POST", CHECK, json=w.an_order(), token=token)) for _ in range(3)
    ]
    await asyncio.sleep(0.01)

    assert (await w.order("K", token)).status == 201
    await asyncio.gather(*checks)
