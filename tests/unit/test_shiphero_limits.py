"""ShipHero's sign-in, credits and request limit, to the credit and to the second."""

import pytest

from deploy.sandbox.shiphero.simulator import MOST_REQUESTS
from tests.sandbox_callers import (
    SMALL,
    TurnedClock,
    WarehouseCaller,
    a_sandbox,
    an_http_client,
)

pytestmark = pytest.mark.anyio

SKU = next(i.number for i in SMALL.items.values() if min(i.stock.values()) > 100)
BIG = "{ orders { complexity data(first: 100) { edges { node { id line_items(first: 9) { edges {"
BIG += " node { id } } } } } } } }"
QUOTA = "{ user_quota { credits_remaining max_available increment_rate } }"


@pytest.fixture
def clock():
    return TurnedClock()


@pytest.fixture
async def warehouse(clock):
    async with an_http_client(a_sandbox(clock=clock)) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        yield caller


async def test_a_page_of_orders_with_lines_costs_what_it_may_return(warehouse):
    """1 for the query, 100 orders, 9 lines for each: 1001 credits."""
    assert (await warehouse.ask(BIG))["data"]["orders"]["complexity"] == 1 + 100 * (1 + 9)
    created = await warehouse.orders((SKU, 1))
    assert created["data"]["order_create"]["complexity"] == 10 + 10


async def test_running_out_of_credits_is_code_30_and_waiting_as_told_is_enough(warehouse, clock):
    answers = [await warehouse.ask(BIG) for _ in range(4)]
    assert all("errors" not in answer for answer in answers)

    throttled = await warehouse.ask(BIG)
    error = throttled["errors"][0]
    assert "data" not in throttled
    assert (error["code"], error["operation"]) == (30, "orders")
    assert (error["required_credits"], error["remaining_credits"]) == (1001, 0)
    assert error["time_remaining"] == "17 seconds"
    assert "In 17 seconds" in error["message"]

    clock.turn(16)
    assert (await warehouse.ask(BIG))["errors"][0]["code"] == 30
    clock.turn(1)
    assert "errors" not in await warehouse.ask(BIG)
    limits = (await warehouse.http.get("/_sandbox/limits")).json()
    assert limits == {"limits": "on", "throttles": {"wms": {"credits": 2}}}


async def test_a_throttled_mutation_did_nothing(warehouse):
    for _ in range(4):
        await warehouse.ask(BIG)
    assert (await warehouse.orders((SKU, 1)))["errors"][0]["code"] == 30
    assert await warehouse.ledger() == []


async def test_analyze_prices_a_query_without_running_or_charging_it(warehouse):
    quota = (await warehouse.ask(QUOTA))["data"]["user_quota"]
    assert quota["max_available"] == 4004
    analyzed = await warehouse.ask(
        "{ orders(analyze: true) { complexity data(first: 50) { edges { node { id } } } } }"
    )
    assert analyzed["data"]["orders"] == {"complexity": 51, "data": None}
    after = (await warehouse.ask(QUOTA))["data"]["user_quota"]
    assert after["credits_remaining"] == quota["credits_remaining"] - 1  # the quota query itself


async def test_what_exceeds_the_whole_bucket_never_runs(warehouse, clock):
    huge = "{ orders { data { edges { node { line_items { edges { node { id } } } } } } } }"
    clock.turn(3600)
    error = (await warehouse.ask(huge))["errors"][0]
    assert (error["code"], error["required_credits"]) == (30, 1 + 100 * 101)
    assert "can exceed 4004" in error["message"]


async def test_the_request_limit_counts_five_minutes(clock):
    async with an_http_client(a_sandbox(clock=clock)) as http:
        for _ in range(MOST_REQUESTS):
            assert (await http.get("/shiphero/nothing")).status_code == 404
        refused = await http.get("/shiphero/nothing")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "300")
        clock.turn(300)
        assert (await http.get("/shiphero/nothing")).status_code == 404


async def test_limits_off_means_no_throttle_at_all():
    async with an_http_client(a_sandbox(limits=False)) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        answers = [await caller.ask(BIG) for _ in range(20)]
        assert all("errors" not in answer for answer in answers)
        assert (await http.get("/_sandbox/limits")).json() == {"limits": "off", "throttles": {}}


async def test_every_call_needs_a_live_token_and_a_refresh_gives_one(warehouse, clock):
    anonymous = await warehouse.http.post("/shiphero/graphql", json={"query": QUOTA})
    assert anonymous.status_code == 401
    assert anonymous.json()["code"] == "authorization_header_missing"
    forged = {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}
    answer = await warehouse.http.post("/shiphero/graphql", json={"query": QUOTA}, headers=forged)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")

    tokens = await warehouse.sign_in()
    assert tokens["expires_in"] == 28 * 24 * 3600
    clock.turn(tokens["expires_in"])
    stale = await warehouse.http.post(
        "/shiphero/graphql", json={"query": QUOTA}, headers=warehouse.headers
    )
    assert (stale.status_code, stale.json()["code"]) == (401, "token_expired")

    refreshed = await warehouse.http.post(
        "/shiphero/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
    )
    warehouse.headers = {"authorization": f"Bearer {refreshed.json()['access_token']}"}
    assert "errors" not in await warehouse.ask(QUOTA)


async def test_a_wrong_password_gives_no_token(warehouse):
    answer = await warehouse.http.post(
        "/shiphero/auth/token", json={"username": "crossdock", "password": "x"}
    )
    assert answer.status_code == 401
    assert "access_token" not in answer.text
